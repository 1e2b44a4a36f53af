//! From what the store kept to a node that may write: the same code as normal operation.
//!
//! Order: lead, mark, tree, anchor, register, projection. Only a full load makes a
//! `Sequencer`; where the data is older than it was, reads are served and writes
//! are refused, with the reason on `/readyz`.

use std::collections::HashMap;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::PoisonError;

use crate::consent::Actor;
use crate::consent::Effect;
use crate::consent::Person;
use crate::consent::Register;
use crate::consent::SlotKey;
use crate::consent::Touched;
use crate::identity;
use crate::identity::Recorded;
use crate::ledger::cbor;
use crate::ledger::checkpoint;
use crate::ledger::entry::Entry;
use crate::ledger::hash;
use crate::ledger::merkle;
use crate::model::id::KeyHash;
use crate::model::id::LeafIndex;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Stop;
use crate::node::backup::restore::lost_id;
use crate::node::domain::domain_of;
use crate::node::erase::Stored;
use crate::node::mark;
use crate::node::mark::Marked;
use crate::node::people;
use crate::node::people::Loaded;
use crate::node::people::name_bytes;
use crate::node::publish;
use crate::node::request::answered;
use crate::store::Epoch;
use crate::store::Name;
use crate::store::Project;
use crate::store::Recovered;
use crate::store::Row;
use crate::vault::Pointed;

/// How many entries are replayed between two projections.
const STEP: u64 = 4_096;

impl Inner {
    /// Whether the recovered data is at least as new as the mark says.
    pub(in crate::node) fn mark_holds(
        &self,
        marked: Option<Marked>,
        found: &Recovered,
    ) -> Result<bool, Error> {
        let Some(marked) = marked else { return Ok(true) };
        if marked.next > found.next {
            tracing::error!(
                marked = marked.next,
                found = found.next,
                "the store lost entries that the mark knows"
            );
            return Ok(false);
        }
        if marked.next == 0 {
            return Ok(true);
        }
        let Some(last) = self.store.commits(marked.next - 1..marked.next)?.pop() else { return Ok(false) };
        let leaves: Vec<_> = last.entries.iter().map(|e| hash::leaf(e)).collect();
        let ends_there = last.first + last.entries.len() as u64 == marked.next;
        Ok(ends_there && merkle::root(&leaves) == marked.root)
    }

    /// Whether the anchor is a checkpoint of this very log, not ahead of it.
    pub(in crate::node) fn anchor_holds(
        &self,
        published: &publish::Published,
        next: u64,
    ) -> Result<bool, Error> {
        let Some(path) = &self.settings.anchor else { return Ok(true) };
        let Ok(note) = mark::read_anchor(path) else {
            tracing::error!(path = %path.display(), "the anchor cannot be read; restore it or the log");
            return Ok(false);
        };
        let keys = self.signers.chain();
        let Ok(anchored) = checkpoint::open(note.as_bytes(), keys.as_ref(), &self.settings.origin) else {
            tracing::error!("the anchor is not a checkpoint of this log");
            return Ok(false);
        };
        if anchored.size > next || anchored.size > published.size {
            tracing::error!(
                anchor = anchored.size,
                log = next,
                "the anchor is ahead: this is an old copy of the data; `naru restore --log` catches up"
            );
            return Ok(false);
        }
        Ok(anchored.size == 0 || published.root_at(self.store.as_ref(), anchored.size)? == anchored.root)
    }

    /// Applies entries `range` of the store to the node's state and projects; answers their leaf hashes.
    pub(in crate::node) fn replay(&self, range: Range<u64>, epoch: Epoch) -> Result<Vec<[u8; 32]>, Error> {
        let mut leaves = Vec::new();
        let mut next = range.start;
        while next < range.end {
            let until = (next + STEP).min(range.end);
            let before = next;
            let mut step = Step::new((*self.register()).clone());
            for commit in self.store.commits(next..until)? {
                let at = Timestamp(commit.at);
                for (index, (entry, id)) in (commit.first..).zip(commit.entries.iter().zip(&commit.ids)) {
                    if index != next || index >= range.end {
                        continue;
                    }
                    leaves.push(hash::leaf(entry));
                    self.replay_one(&mut step, entry, *id, index, at)?;
                    next += 1;
                }
            }
            if next == before {
                return Err(Error::Damaged(format!("entry {next} is missing")));
            }
            self.finish(step, next, epoch)?;
        }
        Ok(leaves)
    }

    fn replay_one(
        &self,
        step: &mut Step,
        entry: &[u8],
        id: StatementId,
        index: u64,
        at: Timestamp,
    ) -> Result<(), Error> {
        match Entry::parse(entry)? {
            Entry::Public { item, .. } => {
                let (statement, signed) = identity::reload(&item)?;
                let packs = self.packs_named_by(&statement)?;
                let recorded = Recorded::assertion(statement, signed, index, at);
                let effect = step.register.apply_with(&recorded, &packs);
                step.register_changed |= matches!(effect, Effect::Applied(_));
            }
            // Nobody knows what it said; the operator has been told.
            Entry::Sealed { .. } if id == lost_id(index, entry) => {}
            Entry::Sealed { .. } if self.is_tombstone(index) => self.replay_rest(step, id)?,
            Entry::Sealed { .. } => self.replay_sealed(step, id, index, at)?,
        }
        Ok(())
    }

    fn is_tombstone(&self, index: u64) -> bool {
        self.tombstones.lock().unwrap_or_else(PoisonError::into_inner).contains(&index)
    }

    /// A tombstone: it counts for nothing, but what it and those before it left of a slot is there.
    fn replay_rest(&self, step: &mut Step, id: StatementId) -> Result<(), Error> {
        let name = Name::Statement(id.0);
        let Some(row) = self.store.locate(&name)? else { return Ok(()) };
        let who = self.vault.open_name(name_bytes(&name), &row.sealed)?;
        // Overwritten already: of her there is nothing.
        let Ok(key) = self.vault.person_key(who) else { return Ok(()) };
        let Some(body) = self.store.bodies(&who.subject, &[id])?.pop().flatten() else { return Ok(()) };
        if let Stored::Rest(rest) = Stored::open(&key, &who.subject, &id, &body)? {
            for ppid in rest.ppids {
                let name = Name::Ppid(ppid.0);
                if self.store.locate(&name)?.is_none() {
                    let sealed = self.vault.seal_name(name_bytes(&name), who)?;
                    step.names.push((Row::Name { name, sealed, index: None }, name, who));
                }
            }
            let mut loaded = self.step_person(step, who)?;
            loaded.person.remain(&rest.slot, rest.left);
            step.parts.insert((who.subject, Some(rest.slot)));
            step.people.insert(who.subject, loaded);
        }
        Ok(())
    }

    /// The statement of an entry that no certificate names.
    fn item_of(
        &self,
        loaded: &Loaded,
        id: &StatementId,
        lost: &dyn Fn(&str) -> Error,
    ) -> Result<Vec<u8>, Error> {
        let subject = &loaded.who.subject;
        let body = self.store.bodies(subject, &[*id])?.pop().flatten();
        let body = body.ok_or_else(|| lost("its body is missing"))?;
        let item = Stored::open(&loaded.key, subject, id, &body)?.item();
        item.ok_or_else(|| lost("its body is past its term, and no certificate says so"))
    }

    fn replay_sealed(
        &self,
        step: &mut Step,
        id: StatementId,
        index: u64,
        at: Timestamp,
    ) -> Result<(), Error> {
        let lost = |what: &str| Error::Damaged(format!("entry {index}: {what}"));
        let name = Name::Statement(id.0);
        let row = self.store.locate(&name)?;
        if row.is_none() && self.holds().keeps(&id) {
            return Ok(());
        }
        let row = row.ok_or_else(|| lost("its name row is missing"))?;
        let who = self.vault.open_name(name_bytes(&name), &row.sealed)?;
        let loaded = self.step_person(step, who)?;
        let (statement, signed) = identity::reload(&self.item_of(&loaded, &id, &lost)?)?;
        if signed.id != id {
            return Err(lost("its body is another statement"));
        }
        let acting = self.acting_of(&statement, &signed, who, &step.register)?;
        // Whose the ppid is.
        let person = match &acting {
            Some(Replayed::For(person, _)) => *person,
            Some(Replayed::Delegate(_) | Replayed::Party(_) | Replayed::Erased(_)) | None => who,
        };
        let of = self.step_person(step, person)?.person;
        let delegate = match acting {
            Some(Replayed::Delegate(other) | Replayed::For(_, Some(other))) => {
                Some(self.step_person(step, other)?.person)
            }
            Some(Replayed::Erased(key)) => Some(Person::erased_signer(SubjectId([0; 16]), key)),
            Some(Replayed::Party(_) | Replayed::For(_, None)) | None => None,
        };
        let carrier = match &acting {
            Some(Replayed::Party(party)) => Some(party),
            Some(Replayed::Delegate(_) | Replayed::For(..) | Replayed::Erased(_)) | None => None,
        };
        // A complaint stays its incident's though its person is erased: nobody is left whose ppid could be compared.
        let orphan =
            statement.kind() == Kind::IncidentComplain && matches!(acting, Some(Replayed::Erased(_)));
        let pairwise = self.pairwise(&step.register);
        let mut named = Vec::new();
        // A ppid handed out before is named by an unsynced row: lost with the projection, it is made again here.
        let domain = domain_of(&statement, carrier);
        for ppid in pairwise.named_by(&statement, &domain, &person.subject) {
            let name = Name::Ppid(ppid.0);
            if self.store.locate(&name)?.is_none() {
                let sealed = self.vault.seal_name(name_bytes(&name), person)?;
                named.push((Row::Name { name, sealed, index: None }, name, person));
            }
        }
        // Recorded before its ppid's epoch ended, and placed after it: without effect, as then.
        if !orphan && !pairwise.is_hers(&statement, &domain, &person.subject) {
            return Ok(());
        }
        if !orphan {
            step.names.append(&mut named);
        }
        let recorded = Recorded::assertion(statement, signed, index, at);
        let actor = match (&acting, &delegate) {
            (Some(Replayed::Party(party)), _) => Actor::Party(party.clone()),
            (Some(Replayed::For(..)), delegate) => Actor::For { person: &of, delegate: delegate.as_ref() },
            (Some(Replayed::Erased(_)), Some(signer)) if orphan => {
                Actor::For { person: signer, delegate: None }
            }
            (_, Some(delegate)) => Actor::Delegate(delegate),
            (_, None) => Actor::Own,
        };
        let request = match recorded.statement().link() {
            Some((party, link)) => self.request_of(party, link)?,
            None => None,
        };
        let request = request.map(|who| self.step_person(step, who)).transpose()?;
        // Recorded, and answering nothing: without effect, as then.
        let Ok(answered) = answered(request, &recorded, &who.subject) else { return Ok(()) };
        let mut loaded = loaded;
        if let Effect::Applied(touched) = loaded.person.apply(&step.register, &actor, &recorded) {
            match touched {
                Touched::Core => step.parts.insert((who.subject, None)),
                Touched::Slot(slot) => step.parts.insert((who.subject, Some(slot))),
                Touched::Register => false,
            };
            step.note(who, &loaded.person, &recorded);
            step.people.insert(who.subject, loaded);
            if let Some(request) = answered {
                step.parts.insert((request.who.subject, None));
                step.people.insert(request.who.subject, request);
            }
        }
        Ok(())
    }

    fn step_person(&self, step: &Step, who: Pointed) -> Result<Loaded, Error> {
        match step.people.get(&who.subject) {
            Some(loaded) => Ok(loaded.clone()),
            None => Ok((*self.people.load(who, self.store.as_ref(), &self.vault)?).clone()),
        }
    }

    /// Who acted, found as the pool found it.
    fn acting_of(
        &self,
        statement: &Statement,
        signed: &identity::Signed,
        who: Pointed,
        register: &Register,
    ) -> Result<Option<Replayed>, Error> {
        if statement.kind() == Kind::KeyCreate {
            return Ok(None);
        }
        if let Some(party) = register.party_of_key(&signed.signer) {
            return Ok(Some(Replayed::Party(party.clone())));
        }
        // The operator's key stands in no set: the fold judges it.
        if register.is_key_taken(&signed.signer) {
            return Ok(None);
        }
        let own = self.people.locate(&Name::Key(signed.signer.0), self.store.as_ref(), &self.vault)?;
        if statement.kind() == Kind::IncidentComplain {
            let ward = match statement.by() {
                Some(by) => self.people.locate(&Name::Statement(by.0), self.store.as_ref(), &self.vault)?,
                None => None,
            };
            return Ok(Some(match (own, ward) {
                (Some(own), Some(ward)) if ward.subject != own.subject => Replayed::For(ward, Some(own)),
                (Some(own), Some(_)) => Replayed::For(own, None),
                (Some(own), None) if statement.by().is_none() => Replayed::For(own, None),
                (Some(_) | None, _) => Replayed::Erased(signed.signer),
            }));
        }
        Ok(match own {
            Some(own) if own.subject == who.subject => None,
            Some(own) => Some(Replayed::Delegate(own)),
            // Nobody unknown is ever recorded: she is erased since.
            None => Some(Replayed::Erased(signed.signer)),
        })
    }

    fn finish(&self, step: Step, upto: u64, epoch: Epoch) -> Result<(), Error> {
        let index = upto.saturating_sub(1);
        let (mut rows, named): (Vec<_>, Vec<_>) =
            step.names.into_iter().map(|(row, name, who)| (row, (name, who))).unzip();
        if step.register_changed {
            rows.push(Row::Register { index, bytes: cbor::encode(&step.register)? });
        }
        for (subject, slot) in &step.parts {
            let Some(loaded) = step.people.get(subject) else { continue };
            if let Some((part, sealed)) = people::seal_part(loaded, slot.as_ref())? {
                rows.push(Row::Person { subject: *subject, part, index, sealed });
            }
        }
        if !step.erasing.is_empty() {
            rows.push(self.awaits_erasure(&step.erasing, index)?);
        }
        self.count_rebinds(&step.rebinds)?;
        self.set_register(step.register);
        let subjects: Vec<SubjectId> = step.people.keys().copied().collect();
        for loaded in step.people.into_values() {
            self.replace_person(loaded, index);
        }
        step.parts.iter().for_each(|(subject, slot)| self.saw(subject, slot.as_ref()));
        match self.store.project(epoch, upto, &rows) {
            Project::Projected => {}
            Project::Fenced => return Err(Error::Stopped(Stop::OtherLeader)),
            Project::Failed(error) => return Err(error.into()),
        }
        for (name, who) in named {
            self.people.named(name, who, self.store.as_ref());
        }
        self.people.projected(upto, subjects, self.store.as_ref());
        Ok(())
    }

    /// Chooses the log key before anything is checked by it: the public state as all entries leave it says which.
    pub(in crate::node) fn take_log_key(&self, found: &Recovered) -> Result<(), Error> {
        let (register, from) = match self.load_register()? {
            Some((register, from)) => {
                let files = self.pack_files(&register.pack_hashes())?;
                (register.attach(Arc::clone(&self.vocabulary), files), from)
            }
            None => ((*self.register()).clone(), 0),
        };
        self.signers.turn(&self.register_after(register, from..found.next)?);
        Ok(())
    }

    /// Rebuilds the register alone from entries `[0, until)`.
    pub(in crate::node) fn replay_register(&self, until: u64) -> Result<(), Error> {
        let register = self.register_after((*self.register()).clone(), 0..until)?;
        self.set_register(register);
        Ok(())
    }

    /// The register after the public ones of some entries.
    fn register_after(&self, mut register: Register, range: Range<u64>) -> Result<Register, Error> {
        let Range { start: mut next, end: until } = range;
        while next < until {
            let before = next;
            for commit in self.store.commits(next..until)? {
                for (index, entry) in (commit.first..).zip(&commit.entries) {
                    if index < next {
                        continue;
                    }
                    if let Entry::Public { item, .. } = Entry::parse(entry)? {
                        let (statement, signed) = identity::reload(&item)?;
                        let packs = self.packs_named_by(&statement)?;
                        let at = Timestamp(commit.at);
                        register.apply_with(&Recorded::assertion(statement, signed, index, at), &packs);
                    }
                    next = index + 1;
                }
            }
            if next == before {
                return Err(Error::Damaged(format!("entry {next} is missing")));
            }
        }
        Ok(register)
    }

    /// The register as projected, or an empty one: `(register, reflects every entry below)`.
    pub(in crate::node) fn load_register(&self) -> Result<Option<(Register, u64)>, Error> {
        let Some((index, bytes)) = self.store.register()? else { return Ok(None) };
        Ok(Some((cbor::decode(&bytes)?, index + 1)))
    }
}

enum Replayed {
    Delegate(Pointed),
    Erased(KeyHash),
    Party(crate::model::id::PartyId),
    For(Pointed, Option<Pointed>),
}

/// State of one stretch of replay.
struct Step {
    register: Register,
    register_changed: bool,
    people: HashMap<SubjectId, Loaded>,
    parts: HashSet<(SubjectId, Option<SlotKey>)>,
    names: Vec<(Row, Name, Pointed)>,
    /// Who has demanded erasure.
    erasing: Vec<Pointed>,
    /// Where rebinds took effect.
    rebinds: Vec<(LeafIndex, Timestamp)>,
}

impl Step {
    /// What else follows from a statement that took effect.
    fn note(&mut self, who: Pointed, person: &Person, recorded: &Recorded) {
        if person.core().erasing.is_some() {
            self.erasing.push(who);
        }
        if recorded.statement().kind() == Kind::KeyRebind {
            self.rebinds.push((recorded.index(), recorded.at()));
        }
    }

    fn new(register: Register) -> Self {
        Self {
            register,
            register_changed: false,
            people: HashMap::new(),
            parts: HashSet::new(),
            names: Vec::new(),
            erasing: Vec::new(),
            rebinds: Vec::new(),
        }
    }
}
