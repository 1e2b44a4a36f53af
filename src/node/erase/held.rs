//! What a hold stops: nobody is forgotten while a record of hers is held.
//!
//! One key seals all of a person, so while one record of hers is held no certificate
//! names her: after her demand she is nobody to everybody, and waits. The wait ends by
//! itself at the hold's date, by the log's clock, or when it is lifted. What
//! stands is kept in memory, from the incidents themselves; only the sequencer writes it.
//! Lacks: forgetting the rest of her meanwhile; opening anything to a regulator.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::consent::Hold;
use crate::model::id::LeafIndex;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::node::Error;
use crate::node::Inner;
use crate::node::people::Loaded;
use crate::vault::Pointed;

/// What of a person is held back from her erasure, and for whom; of the case she is told nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// Which regulator holds it.
    pub regulator: PartyId,
    /// Until when at the latest.
    pub until: Timestamp,
    /// Her records that it names, or of a request that she answered.
    pub records: Vec<StatementId>,
}

/// Holds that were placed and not lifted.
#[derive(Debug, Default)]
pub(in crate::node) struct Holds(Mutex<Standing>);

#[derive(Debug, Default)]
struct Standing {
    /// By incident, of those that have any.
    of: HashMap<SubjectId, Vec<Hold>>,
    /// Who waits because of one, and until when unless something changes.
    waits: HashMap<SubjectId, Timestamp>,
}

impl Holds {
    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An incident as its last statement leaves it; anybody else's row says nothing here.
    pub(in crate::node) fn note(&self, loaded: &Loaded) {
        let Some(incident) = loaded.person.incident() else { return };
        let mut standing = self.lock();
        let subject = loaded.who.subject;
        let known = standing.of.get(&subject).map_or(&[][..], Vec::as_slice);
        if known == incident.holds.as_slice() {
            return;
        }
        // Whoever waits is looked at again.
        standing.waits.clear();
        if incident.holds.is_empty() {
            standing.of.remove(&subject);
        } else {
            standing.of.insert(subject, incident.holds.clone());
        }
    }

    /// Which of these records may not be destroyed at `at`, as entries before in the same commit leave it.
    fn of(&self, ids: &[StatementId], at: Timestamp, before: &HashMap<SubjectId, Loaded>) -> Vec<HeldBack> {
        let standing = self.lock();
        let changed = before.values().filter_map(|loaded| loaded.person.incident());
        let current = standing.of.iter().filter(|(subject, _)| !before.contains_key(*subject));
        let all = current.flat_map(|(_, holds)| holds).chain(changed.flat_map(|incident| &incident.holds));
        let mut out: Vec<HeldBack> = all
            .filter(|hold| hold.stands(at))
            .filter_map(|hold| {
                let records: Vec<_> = ids.iter().copied().filter(|id| hold.records.contains(id)).collect();
                let (regulator, until) = (hold.by.clone(), hold.until);
                (!records.is_empty()).then_some(HeldBack { regulator, until, records })
            })
            .collect();
        out.sort_unstable_by(|a, b| (a.until, &a.regulator).cmp(&(b.until, &b.regulator)));
        out
    }
}

impl Inner {
    /// A person, or an incident with what is held for it, as the entries up to `index` leave it.
    pub(in crate::node) fn replace_person(&self, loaded: Loaded, index: LeafIndex) -> Arc<Loaded> {
        self.holds().note(&loaded);
        let loaded = Arc::new(loaded);
        self.people.replace(Arc::clone(&loaded), index);
        loaded
    }

    /// The incidents' holds, once the state is there.
    pub(in crate::node) fn load_holds(&self) -> Result<(), Error> {
        for place in self.incident_places()? {
            self.holds().note(&*self.loaded(place)?);
        }
        Ok(())
    }

    /// Which of these records may not be destroyed at `at`.
    pub(in crate::node) fn held(
        &self,
        ids: &[StatementId],
        at: Timestamp,
        before: &HashMap<SubjectId, Loaded>,
    ) -> Vec<HeldBack> {
        self.holds().of(ids, at, before)
    }

    /// What holds back the erasure of one person: of hers, and of the requests that go with her.
    fn held_of(&self, who: Pointed, at: Timestamp) -> Result<Vec<HeldBack>, Error> {
        let mut ids = Vec::new();
        for one in self.with_requests(&[who])? {
            ids.extend(self.store.ids(&one.subject)?);
        }
        Ok(self.held(&ids, at, &HashMap::new()))
    }

    /// Who waits for her erasure and may be forgotten at `at`.
    pub(in crate::node) fn may_be_erased(&self, at: Timestamp) -> Result<Vec<Pointed>, Error> {
        let mut out = Vec::new();
        for who in self.waiting() {
            if self.holds().lock().waits.get(&who.subject).is_some_and(|until| at < *until) {
                continue;
            }
            let held = self.held_of(who, at)?;
            match held.iter().map(|held| held.until).max() {
                Some(until) => drop(self.holds().lock().waits.insert(who.subject, until)),
                None => {
                    self.holds().lock().waits.remove(&who.subject);
                    out.push(who);
                }
            }
        }
        Ok(out)
    }

    /// What holds back the erasure of one who waits for it.
    pub(in crate::node) fn held_from(
        &self,
        subject: &SubjectId,
        at: Timestamp,
    ) -> Result<Vec<HeldBack>, Error> {
        match self.waiting().into_iter().find(|who| who.subject == *subject) {
            Some(who) => self.held_of(who, at),
            None => Ok(Vec::new()),
        }
    }

    /// What holds back the erasure that this statement demanded; nothing if nobody waits for it.
    pub(in crate::node) fn held_back(&self, demand: &StatementId) -> Result<Vec<HeldBack>, Error> {
        for who in self.waiting() {
            if self.loaded(who)?.person.core().erasing == Some(*demand) {
                return self.held_of(who, self.clock.now());
            }
        }
        Ok(Vec::new())
    }
}
