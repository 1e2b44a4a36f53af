//! From bytes to a prepared statement: shape, signature, whose, sealed.
//!
//! Runs on a pool of as many threads as cores; http workers never verify
//! statements. Nothing here decides whether the signer may: that is the
//! sequencer's, in the order of the log.

use std::sync::Arc;

use crate::audit::adoption::Report;
use crate::consent::PackFile;
use crate::consent::Register;
use crate::identity;
use crate::identity::Verified;
use crate::identity::passkey::Place;
use crate::ledger::cose;
use crate::ledger::hash;
use crate::ledger::key;
use crate::ledger::key::PublicKey;
use crate::model::decision::Why;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::Bearing;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Item;
use crate::node::domain::Domain;
use crate::node::domain::domain_of;
use crate::node::incidents::incident_name;
use crate::node::people::Loaded;
use crate::node::people::name_bytes;
use crate::node::ticket::Refusal;
use crate::store::Name;
use crate::store::NameRow;
use crate::vault::Openings;
use crate::vault::PersonKey;
use crate::vault::Pointed;
use crate::vault::Sealed;

/// A day before the node's clock: the oldest `iat` of an act that is not closing, ms.
pub const IAT_PAST_MS: u64 = 24 * 3_600_000;
/// Five minutes after: the newest, ms.
pub const IAT_FUTURE_MS: u64 = 5 * 60_000;

/// Who acts on a person's state.
#[derive(Clone, Debug)]
pub(in crate::node) enum Acting {
    Own,
    Delegate(Pointed),
    Party(PartyId),
    /// A person, and her delegate if one signs, in a row that is not hers.
    For(Pointed, Option<Pointed>),
}

/// Whose state a statement touches.
#[derive(Clone, Debug)]
pub(in crate::node) enum Target {
    Register,
    Person {
        loaded: Arc<Loaded>,
        acting: Acting,
        new: bool,
        /// The party and epoch whose ppid it bears, if another epoch would make it another's.
        epoch: Option<(PartyId, u32)>,
    },
}

/// The sealed half of a statement about a person.
#[derive(Debug)]
pub(in crate::node) struct SealedParts {
    pub(in crate::node) openings: Openings,
    pub(in crate::node) h1: [u8; 32],
    pub(in crate::node) h2: [u8; 32],
    pub(in crate::node) body: Vec<u8>,
}

/// A statement ready to be judged.
#[derive(Debug)]
pub(in crate::node) struct Prepared {
    pub(in crate::node) verified: Verified<Statement>,
    pub(in crate::node) target: Target,
    /// `None` for public statements.
    pub(in crate::node) sealed: Option<SealedParts>,
    /// Name rows that are not in the store yet.
    pub(in crate::node) names: Vec<NameRow>,
    /// Files of the packs it names.
    pub(in crate::node) packs: Vec<PackFile>,
    /// The request whose link it bears.
    pub(in crate::node) answers: Option<Pointed>,
    /// No entry below this index has its id, unless it refuses itself (see [`refuses_itself`]).
    pub(in crate::node) fresh_at: u64,
}

/// Whose row a statement touches, who acts, and the key if the row is new.
pub(in crate::node) type Whose = (Pointed, Acting, Option<PersonKey>);

/// What an item came to before the queue.
#[derive(Debug)]
pub(in crate::node) enum Intake {
    Ready(Box<Prepared>),
    /// Known since this index.
    Duplicate(StatementId, Kind, u64),
}

impl Inner {
    /// Opens, places and seals one item.
    pub(in crate::node) fn prepare(&self, item: Item) -> Result<Intake, Refusal> {
        let verified = match item {
            Item::Unverified(item) => {
                let place = Place::Of(&self.settings.relying);
                item.verify_with(place, &|spki| self.read_key(spki)).map_err(Refusal::Malformed)?
            }
            Item::Verified(verified) => verified,
        };
        let (id, kind) = (verified.id(), verified.value().kind());
        if !kind.is_served() {
            return Err(Refusal::Inert(Why::NotServed));
        }
        let fresh_at = self.sequenced();
        let late = refuses_itself(kind);
        if !late && let Some(index) = self.index_of(&id)? {
            return Ok(Intake::Duplicate(id, kind, index));
        }
        // After the look-up, or before one of its own: a duplicate is found at any age.
        let placed = in_window(kind, verified.value().iat(), self.clock.now())
            .and_then(|()| self.place_and_seal(verified, fresh_at));
        match placed {
            Err(refusal) if late => match self.index_of(&id)? {
                Some(index) => Ok(Intake::Duplicate(id, kind, index)),
                None => Err(refusal),
            },
            placed => placed,
        }
    }

    /// Where an id stands, if it was ever sequenced.
    pub(in crate::node) fn index_of(&self, id: &StatementId) -> Result<Option<u64>, Error> {
        Ok(self.store.locate(&Name::Statement(id.0))?.and_then(|row| row.index))
    }

    /// Whose it is, what it brings, sealed.
    fn place_and_seal(&self, verified: Verified<Statement>, fresh_at: u64) -> Result<Intake, Refusal> {
        if verified.value().kind().is_public() {
            self.attachments_stand(verified.value())?;
            self.publishes(verified.value(), &verified.signer())?;
            if !self.can_follow(verified.value()) {
                return Err(Refusal::Inert(Why::KeyNotHeld));
            }
            let names = vec![entry_name(verified.id(), Vec::new())];
            let packs = match self.packs_named_by(verified.value()) {
                Err(Error::Pack(_)) => return Err(Refusal::Inert(Why::Pack)),
                packs => packs?,
            };
            let target = Target::Register;
            let answers = None;
            let prepared = Prepared { verified, target, sealed: None, names, packs, answers, fresh_at };
            return Ok(Intake::Ready(Box::new(prepared)));
        }
        self.find_place(verified, fresh_at)
    }

    /// A public key, kept once read: finding the point of a curve costs a tenth of a verification.
    fn read_key(&self, spki: &[u8]) -> Result<Arc<PublicKey>, key::Error> {
        let name = hash::sha256(&[spki]);
        if let Some(key) = self.keys.get(&name) {
            return Ok(key);
        }
        let key = Arc::new(PublicKey::from_spki(spki)?);
        self.keys.insert(name, Arc::clone(&key));
        Ok(key)
    }

    /// An attachment must be stored before a statement may name it.
    fn attachments_stand(&self, statement: &Statement) -> Result<(), Refusal> {
        for hash in Register::attachments_of(statement) {
            if self.store.get(&crate::node::attachment_blob(&hash)).map_err(Error::from)?.is_none() {
                return Err(Refusal::Inert(Why::AttachmentMissing));
            }
        }
        let Statement::PackAdopt(adoption) = statement else { return Ok(()) };
        let Some(replay) = &adoption.replay else { return Ok(()) };
        let report = self.attachment(&replay.report)?.map(|bytes| Report::parse(&bytes));
        match report {
            Some(Ok(report)) if report.agrees(adoption) => Ok(()),
            // A slip is refused; of a lie, audit and the data tell.
            _ => Err(Refusal::Inert(Why::Replay)),
        }
    }

    /// Finds the person, checks the ppid, seals.
    fn find_place(&self, verified: Verified<Statement>, fresh_at: u64) -> Result<Intake, Refusal> {
        let register = self.register();
        let (who, acting, new) = self.whose(&verified, &register)?;
        let loaded = match &new {
            Some(key) => {
                Arc::new(Loaded { who, key: key.clone(), person: crate::consent::Person::new(who.subject) })
            }
            None => self.people.load(who, self.store.as_ref(), &self.vault)?,
        };
        let mut names = Vec::with_capacity(2);
        let mut epoch = None;
        if verified.value().ppid().is_some() {
            let statement = verified.value();
            let (party, person) = match &acting {
                Acting::Party(party) => (Some(party), who),
                Acting::Own | Acting::Delegate(_) => (None, who),
                Acting::For(person, _) => (None, *person),
            };
            let pairwise = self.pairwise(&register);
            let domain = domain_of(statement, party);
            if !pairwise.is_hers(statement, &domain, &person.subject) {
                return Err(Refusal::Inert(Why::NotThisSubject));
            }
            for ppid in pairwise.named_by(statement, &domain, &person.subject) {
                self.name_if_new(Name::Ppid(ppid.0), person, &mut names)?;
            }
            if statement.kind().bearing() != Bearing::Closing
                && let Domain::Party(party) = domain
            {
                let of_today = register.epoch_of(&party);
                epoch = Some((party, of_today));
            }
        }
        for key in verified.value().new_keys(verified.signer()) {
            // Whether another has it, the sequencer judges; of a new person `whose` has just looked.
            let name = Name::Key(key.0);
            let sealed = self.vault.seal_name(name_bytes(&name), who).map_err(Error::from)?;
            names.push(NameRow { name, sealed, entry: None });
        }
        match verified.value() {
            Statement::ConsentRequest(s) => {
                self.name_if_new(self.link_name(&s.controller, &s.link), who, &mut names)?;
            }
            Statement::IncidentFlag(s) => {
                self.name_if_new(Name::Key(incident_name(&s.incident)), who, &mut names)?;
            }
            Statement::IncidentComplain(_) => {
                let incident = verified.id().incident();
                self.name_if_new(Name::Key(incident_name(&incident)), who, &mut names)?;
            }
            _ => {}
        }
        let answers = match verified.value().link() {
            Some((party, link)) => self.request_of(party, link)?,
            None => None,
        };
        let id = verified.id();
        let pointer = self.vault.seal_name(&id.0, who).map_err(Error::from)?;
        names.push(entry_name(id, pointer));
        let sealed = seal(&verified, &loaded)?;
        let target = Target::Person { loaded, acting, new: new.is_some(), epoch };
        let (sealed, packs) = (Some(sealed), Vec::new());
        let prepared = Prepared { verified, target, sealed, names, packs, answers, fresh_at };
        Ok(Intake::Ready(Box::new(prepared)))
    }

    fn name_if_new(&self, name: Name, who: Pointed, rows: &mut Vec<NameRow>) -> Result<(), Error> {
        if self.people.locate(&name, self.store.as_ref(), &self.vault)?.is_none() {
            let sealed = self.vault.seal_name(name_bytes(&name), who)?;
            rows.push(NameRow { name, sealed, entry: None });
        }
        Ok(())
    }

    /// The person a statement is about, and who acts; a key if she is made by it.
    ///
    /// By her key if she signs for herself, by `by` if a delegate does, by the ppid otherwise.
    fn whose(&self, verified: &Verified<Statement>, register: &Register) -> Result<Whose, Refusal> {
        let signer = Name::Key(verified.signer().0);
        let statement = verified.value();
        let of = |name: &Name| self.people.locate(name, self.store.as_ref(), &self.vault);
        if let Some((incident, _, document)) = statement.incident() {
            return self.whose_incident(verified, register, &incident, document);
        }
        if let Some(case) = statement.hold_case() {
            return self.whose_hold(verified, register, case);
        }
        if statement.kind() == Kind::KeyCreate {
            for key in statement.new_keys(verified.signer()) {
                let given = self.people.is_given(&Name::Key(key.0), self.store.as_ref())?;
                if given || register.is_key_taken(&key) {
                    return Err(Refusal::Inert(Why::KeyTaken));
                }
            }
            let (who, key) = self.vault.new_person().map_err(Error::from)?;
            return Ok((who, Acting::Own, Some(key)));
        }
        if let Statement::ConsentRequest(s) = statement {
            // Before a slot is written for it: only a controller of that name asks.
            let party = register.party_of_key(&verified.signer()).ok_or(Refusal::Inert(Why::KeyNotInSet))?;
            if *party != s.controller {
                return Err(Refusal::Inert(Why::KeyNotInSet));
            }
            let (who, key) = self.vault.new_person().map_err(Error::from)?;
            return Ok((who, Acting::Party(party.clone()), Some(key)));
        }
        let by_ppid = || -> Result<Pointed, Refusal> {
            let ppid = statement.ppid().ok_or(Refusal::Inert(Why::NotServed))?;
            of(&Name::Ppid(ppid.0))?.ok_or(Refusal::Inert(Why::NotThisSubject))
        };
        if let Some(party) = register.party_of_key(&verified.signer()) {
            return Ok((by_ppid()?, Acting::Party(party.clone()), None));
        }
        let own = of(&signer)?.ok_or(Refusal::Inert(Why::KeyNotInSet))?;
        let ward = match statement.by() {
            Some(by) => Some(of(&Name::Statement(by.0))?.ok_or(Refusal::Inert(Why::DelegationEnded))?),
            None => None,
        };
        if statement.kind() == Kind::IncidentComplain {
            return self.whose_complaint(statement, register, (own, ward));
        }
        if let Some(ward) = ward {
            return Ok((ward, Acting::Delegate(own), None));
        }
        // A guardian founds or ends a delegation under the ward, whom only the ppid names.
        if matches!(statement.kind(), Kind::DelegationGrant | Kind::DelegationEnd) {
            let ward = by_ppid()?;
            let acting = if ward.subject == own.subject { Acting::Own } else { Acting::Delegate(own) };
            return Ok((ward, acting, None));
        }
        Ok((own, Acting::Own, None))
    }

    /// The person's ppid in a party's domain, or in the log's own for `self`; writes the row that names it.
    ///
    /// # Errors
    /// The store; [`Error::Stopped`] if the node does not write.
    pub(in crate::node) fn named_ppid(
        &self,
        who: Pointed,
        party: Option<&PartyId>,
    ) -> Result<(Ppid, bool), Error> {
        let ppid = self.pairwise(&self.register()).ppid(party, &who.subject);
        let known = self.people.locate(&Name::Ppid(ppid.0), self.store.as_ref(), &self.vault)?.is_some();
        Ok((ppid, known))
    }
}

/// Whether the fold refuses the same statement a second time: a new key is taken by then, and a
/// grant's `over` names what stood in the slot before it. Such a duplicate need not be looked for
/// before it is refused; all others are looked for first. (One that stands without effect, since another
/// writer's batch came before it, may be recorded again once its rule holds.)
pub(in crate::node) const fn refuses_itself(kind: Kind) -> bool {
    matches!(kind, Kind::KeyCreate | Kind::ConsentGrant)
}

/// `iat` within a day back and five minutes ahead; not judged for a closing act or genesis.
fn in_window(kind: Kind, iat: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    let judged = kind.bearing() != Bearing::Closing;
    let inside = iat >= now.minus_ms(IAT_PAST_MS) && iat <= now.plus_ms(IAT_FUTURE_MS);
    if judged && !inside { Err(Refusal::Window { iat, now }) } else { Ok(()) }
}

fn entry_name(id: StatementId, sealed: Vec<u8>) -> NameRow {
    // The position in the batch is filled in when the batch is made.
    NameRow { name: Name::Statement(id.0), sealed, entry: Some(0) }
}

fn seal(verified: &Verified<Statement>, loaded: &Loaded) -> Result<SealedParts, Refusal> {
    let id = verified.id();
    let key = loaded.key.keyed();
    let openings = key.openings(&id.0);
    let proof = cose::proof_of(verified.item()).map_err(identity::Error::from).map_err(Refusal::Malformed)?;
    let body = key.seal(Sealed::Body, &loaded.who.subject, &id.0, verified.item()).map_err(Error::from)?;
    Ok(SealedParts {
        h1: hash::hmac(&openings.k1, &[verified.statement()]),
        h2: hash::hmac(&openings.k2, &[&proof]),
        openings,
        body,
    })
}
