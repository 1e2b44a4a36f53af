//! What a regulator holds outlives whom it is of: each held record is sealed for its case, in a slot
//! of its own, before she is forgotten.
//!
//! With the certificate that forgets her comes, in one commit, each record that a standing
//! hold names: the statement, its proof and its two openings, under a fresh key that nothing else
//! of hers follows from; and the name by which the case finds it. Such a record is no
//! tombstone. When no hold of its case names it any more (lifted, or past its date by the log's
//! clock), the slot is certified and overwritten as a person's is. What stands is kept in
//! memory, from the incidents themselves and from the records; only the sequencer writes it.
//!
//! Lacks: opening anything of somebody who is not erased; use lines, which holds do not name
//! (what an incident quotes of them is `quoted`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use serde_bytes::ByteArray;
use serde_bytes::ByteBuf;

use crate::consent::Hold;
use crate::identity;
use crate::ledger::cbor;
use crate::ledger::cose;
use crate::ledger::evidence::Opening;
use crate::model::id::LeafIndex;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::node::Error;
use crate::node::Inner;
use crate::node::erase::Beside;
use crate::node::erase::Plan;
use crate::node::erase::stored::Record;
use crate::node::erase::stored::Stored;
use crate::node::incidents::Sight;
use crate::node::people::Loaded;
use crate::node::people::name_bytes;
use crate::store::Body;
use crate::store::NameRow;
use crate::store::Store;
use crate::vault::Pointed;
use crate::vault::Sealed;
use crate::vault::Vault;

/// What of a person is kept from her erasure, and for whom; of the case she is told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// Which regulator holds it.
    pub regulator: PartyId,
    /// Until when at the latest.
    pub until: Timestamp,
    /// Her records that it names, or of a request that she answered.
    pub records: Vec<StatementId>,
}

/// A record of somebody erased, and for which case it is here.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Keep {
    pub(in crate::node) who: Pointed,
    pub(in crate::node) case: Nonce,
    pub(in crate::node) id: StatementId,
    pub(in crate::node) index: LeafIndex,
}

/// Holds that were placed and not lifted, and what they keep.
#[derive(Debug, Default)]
pub(in crate::node) struct Holds(Mutex<Standing>);

#[derive(Debug, Default)]
struct Standing {
    /// By incident, of those that have any.
    of: HashMap<SubjectId, (Nonce, Vec<Hold>)>,
    kept: Vec<Keep>,
    /// How many were ever kept.
    numbers: u64,
}

/// State as entries before in the same commit leave it.
type Before = HashMap<SubjectId, Loaded>;

impl Standing {
    /// Holds that stand at `at`, with their cases.
    fn at<'a>(&'a self, at: Timestamp, before: &'a Before) -> impl Iterator<Item = (Nonce, &'a Hold)> {
        let changed = before.values().filter_map(|loaded| loaded.person.incident());
        let changed = changed.flat_map(|incident| incident.holds.iter().map(|hold| (incident.id, hold)));
        let current = self.of.iter().filter(|(subject, _)| !before.contains_key(*subject));
        let current = current.flat_map(|(_, (case, holds))| holds.iter().map(|hold| (*case, hold)));
        current.chain(changed).filter(move |(_, hold)| hold.stands(at))
    }
}

impl Holds {
    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An incident as its last statement leaves it; anybody else's row says nothing here.
    pub(in crate::node) fn note(&self, loaded: &Loaded) {
        let Some(incident) = loaded.person.incident() else { return };
        let (mut standing, subject) = (self.lock(), loaded.who.subject);
        if incident.holds.is_empty() {
            standing.of.remove(&subject);
        } else {
            standing.of.insert(subject, (incident.id, incident.holds.clone()));
        }
    }

    /// Which of these records may not be destroyed at `at`.
    fn of(&self, ids: &[StatementId], at: Timestamp, before: &Before) -> Vec<HeldBack> {
        let standing = self.lock();
        let held = standing.at(at, before).filter_map(|(_, hold)| {
            let records: Vec<_> = ids.iter().copied().filter(|id| hold.records.contains(id)).collect();
            let (regulator, until) = (hold.by.clone(), hold.until);
            (!records.is_empty()).then_some(HeldBack { regulator, until, records })
        });
        let mut out: Vec<HeldBack> = held.collect();
        out.sort_unstable_by(|a, b| (a.until, &a.regulator).cmp(&(b.until, &b.regulator)));
        out
    }

    /// The cases that hold a record at `at`, each once.
    fn cases(&self, id: &StatementId, at: Timestamp, before: &Before) -> Vec<Nonce> {
        let standing = self.lock();
        let naming = standing.at(at, before).filter(|(_, hold)| hold.records.contains(id));
        let mut out: Vec<Nonce> = naming.map(|(case, _)| case).collect();
        out.sort_unstable_by_key(|case| case.0);
        out.dedup();
        out
    }

    /// Whether some hold names the record.
    pub(in crate::node) fn names(&self, id: &StatementId, at: Timestamp) -> bool {
        self.lock().at(at, &HashMap::new()).any(|(_, hold)| hold.records.contains(id))
    }

    /// A certificate brought these records and forgot those.
    pub(in crate::node) fn changed(&self, brought: &[Keep], forgotten: &[Pointed]) {
        let mut standing = self.lock();
        standing.numbers = standing.numbers.saturating_add(brought.len() as u64);
        standing.kept.extend_from_slice(brought);
        standing.kept.retain(|keep| !forgotten.contains(&keep.who));
    }

    /// Whether a record is kept for some case.
    pub(in crate::node) fn keeps(&self, id: &StatementId) -> bool {
        self.lock().kept.iter().any(|keep| keep.id == *id)
    }

    /// Kept records that no hold of their case names any more.
    pub(in crate::node) fn over(&self, at: Timestamp) -> Vec<Pointed> {
        let (standing, nothing) = (self.lock(), HashMap::new());
        let held = |keep: &&Keep| {
            standing.at(at, &nothing).any(|(case, hold)| case == keep.case && hold.records.contains(&keep.id))
        };
        standing.kept.iter().filter(|keep| !held(keep)).map(|keep| keep.who).collect()
    }

    /// Where a record is kept, and for which cases whose holds stand.
    fn kept_as(&self, id: &StatementId, at: Timestamp) -> Vec<Keep> {
        let (standing, nothing) = (self.lock(), HashMap::new());
        let holds = |keep: &&Keep| {
            keep.id == *id
                && standing
                    .at(at, &nothing)
                    .any(|(case, hold)| case == keep.case && hold.records.contains(id))
        };
        standing.kept.iter().filter(holds).copied().collect()
    }
}

/// All records that are kept, and how many ever were.
pub(in crate::node) fn kept_in(store: &dyn Store, vault: &Vault) -> Result<(Vec<Keep>, u64), Error> {
    let (mut out, mut number) = (Vec::new(), 0u64);
    loop {
        let name = Record::numbered(number);
        let Some(row) = store.locate(&name)? else { return Ok((out, number)) };
        number = number.saturating_add(1);
        let who = vault.open_name(name_bytes(&name), &row.sealed)?;
        // Overwritten: its hold has ended.
        let Ok(key) = vault.person_key(who) else { continue };
        for id in store.ids(&who.subject)? {
            let Some(body) = store.bodies(&who.subject, &[id])?.pop().flatten() else { continue };
            if let Stored::Held(record) = Stored::open(&key, &who.subject, &id, &body)? {
                out.push(Keep { who, case: record.case, id, index: record.index });
            }
        }
    }
}

impl Inner {
    /// A person, or an incident with what is held for it, as the entries up to `index` leave it.
    pub(in crate::node) fn replace_person(&self, loaded: Loaded, index: LeafIndex) -> Arc<Loaded> {
        self.holds().note(&loaded);
        let loaded = Arc::new(loaded);
        self.people.replace(Arc::clone(&loaded), index);
        self.named.saw(loaded.who, &loaded.person, self.settings.listed);
        loaded
    }

    /// The incidents' holds, once the state is there.
    pub(in crate::node) fn load_holds(&self) -> Result<(), Error> {
        for place in self.incident_places()? {
            self.holds().note(&*self.loaded(place)?);
        }
        Ok(())
    }

    /// What is kept for cases, before anything is replayed.
    pub(in crate::node) fn load_kept(&self) -> Result<(), Error> {
        let (kept, numbers) = kept_in(self.store.as_ref(), &self.vault)?;
        let mut standing = self.holds().lock();
        (standing.kept, standing.numbers) = (kept, numbers);
        Ok(())
    }

    /// The cases that hold a record at `at`.
    pub(in crate::node) fn cases_of(&self, id: &StatementId, at: Timestamp, before: &Before) -> Vec<Nonce> {
        self.holds().cases(id, at, before)
    }

    /// What is kept of one who waits for her erasure: of hers, and of the requests that go with her.
    pub(in crate::node) fn held_from(
        &self,
        subject: &SubjectId,
        at: Timestamp,
    ) -> Result<Vec<HeldBack>, Error> {
        let Some(who) = self.waiting().into_iter().find(|who| who.subject == *subject) else {
            return Ok(Vec::new());
        };
        let mut ids = Vec::new();
        for one in self.with_requests(&[who])? {
            ids.extend(self.store.ids(&one.subject)?);
        }
        Ok(self.holds().of(&ids, at, &HashMap::new()))
    }

    /// What will be kept from the erasure that this statement demanded; nothing if nobody waits for it.
    pub(in crate::node) fn held_back(&self, demand: &StatementId) -> Result<Vec<HeldBack>, Error> {
        for who in self.waiting() {
            if self.loaded(who)?.person.core().erasing == Some(*demand) {
                return self.held_from(&who.subject, self.clock.now());
            }
        }
        Ok(Vec::new())
    }

    /// The records of a plan that cases hold, each sealed for its case: what stands in the commit of the
    /// certificate.
    pub(in crate::node) fn keep_held(
        &self,
        plan: &Plan,
        at: Timestamp,
        before: &Before,
    ) -> Result<Beside, Error> {
        let mut beside = Beside::default();
        let first = self.holds().lock().numbers;
        for gone in &plan.gone {
            let loaded = self.loaded(gone.who)?;
            for (id, index) in &gone.records {
                let cases = self.cases_of(id, at, before);
                for case in &cases {
                    let name = Record::name(case, id);
                    if self.store.locate(&name)?.is_some() {
                        continue;
                    }
                    let others = cases.iter().copied().filter(|other| other != case).collect();
                    let Some(record) = self.record_of(&loaded, id, *index, *case, others)? else { continue };
                    let (who, key) = self.vault.new_person()?;
                    let sealed = key.seal(Sealed::Held, &who.subject, &id.0, &cbor::encode(&record)?)?;
                    beside.bodies.push(Body { subject: who.subject, id: *id, sealed });
                    let number = Record::numbered(first.saturating_add(beside.keeps.len() as u64));
                    for name in [name, number] {
                        let sealed = self.vault.seal_name(name_bytes(&name), who)?;
                        beside.names.push(NameRow { name, sealed, entry: None });
                    }
                    beside.keeps.push(Keep { who, case: *case, id: *id, index: *index });
                }
            }
        }
        Ok(beside)
    }

    fn record_of(
        &self,
        loaded: &Loaded,
        id: &StatementId,
        index: LeafIndex,
        case: Nonce,
        others: Vec<Nonce>,
    ) -> Result<Option<Record>, Error> {
        let subject = &loaded.who.subject;
        let Some(body) = self.store.bodies(subject, &[*id])?.pop().flatten() else { return Ok(None) };
        Ok(match Stored::open(&loaded.key, subject, id, &body)? {
            Stored::Item(item) => {
                let openings = loaded.key.openings(&id.0);
                let (k1, k2) = (ByteArray::new(openings.k1), ByteArray::new(openings.k2));
                Some(Record { k1, k2, case, item: ByteBuf::from(item), index, others })
            }
            // Held for this case as well, since.
            Stored::Held(record) => Some(Record { case, others, ..*record }),
            Stored::Rest(_) => None,
        })
    }

    /// A kept record, for a regulator who sees one of the cases that hold it.
    pub(in crate::node) fn kept_opening(
        &self,
        id: &StatementId,
        party: &PartyId,
    ) -> Result<Option<(LeafIndex, Opening)>, Error> {
        for keep in self.holds().kept_as(id, self.clock.now()) {
            let case = self.case(&keep.case, party)?;
            if !case.is_some_and(|(case, _)| case.sight == Sight::Regulator) {
                continue;
            }
            let subject = &keep.who.subject;
            let Some(body) = self.store.bodies(subject, &[*id])?.pop().flatten() else { continue };
            let key = self.vault.person_key(keep.who)?;
            let Stored::Held(record) = Stored::open(&key, subject, id, &body)? else { continue };
            let opening = Opening::Citizen {
                at: self.commit_of(keep.index)?.at,
                statement: cose::statement_of(&record.item).map_err(identity::Error::from)?,
                k1: record.k1.into_array(),
                proof: cose::proof_of(&record.item).map_err(identity::Error::from)?,
                k2: record.k2.into_array(),
            };
            return Ok(Some((keep.index, opening)));
        }
        Ok(None)
    }
}
