//! Persons in memory: what the sequencer has just replaced, and a bounded cache.
//!
//! A person with entries not yet projected is pinned and never evicted. What was
//! read from the store enters only if nothing of that shard was replaced since
//! the read began. Names (ppids and keys) never change their person, so they are
//! cached without further ado. That a name points at nobody is cached, too: asking
//! about somebody unknown then costs no read, like asking about somebody known. It
//! is believed only as long as no name that might be this one was learnt.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use quick_cache::sync::Cache;

use crate::consent::Person;
use crate::consent::SlotKey;
use crate::ledger::cbor;
use crate::model::id::LeafIndex;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::node::Error;
use crate::store::Name;
use crate::store::Store;
use crate::vault::PersonKey;
use crate::vault::Pointed;
use crate::vault::Sealed;
use crate::vault::Vault;

/// A person with her key.
#[derive(Clone, Debug)]
pub(in crate::node) struct Loaded {
    pub(in crate::node) who: Pointed,
    pub(in crate::node) key: PersonKey,
    pub(in crate::node) person: Person,
}

const SHARDS: usize = 64;
/// Places that names are marked by.
const MARKS: usize = 4_096;

#[derive(Debug)]
struct Shard {
    pinned: HashMap<SubjectId, (Arc<Loaded>, u64)>,
    cached: quick_cache::unsync::Cache<SubjectId, Arc<Loaded>>,
    replaced: u64,
}

/// All persons this node has in memory.
#[derive(Debug)]
pub(in crate::node) struct People {
    shards: Vec<Mutex<Shard>>,
    names: Cache<Name, Pointed>,
    /// Names of nobody, each with the mark of its place before the store was read.
    nobody: Cache<Name, u64>,
    /// How often a name of a place was learnt.
    marks: Vec<AtomicU64>,
    /// Names whose rows were projected and are not visible yet.
    unseen: Mutex<HashMap<Name, Pointed>>,
    /// Whom this process has erased, where and when: what is under way of hers ends there.
    erased: Mutex<HashMap<SubjectId, (LeafIndex, Timestamp)>>,
    /// Projected, but perhaps not visible yet: `(reflects every entry below, whose)`.
    waiting: Mutex<VecDeque<(u64, Vec<SubjectId>)>>,
}

impl People {
    pub(in crate::node) fn new(persons: usize, names: usize) -> Self {
        let shard = || {
            let cached = quick_cache::unsync::Cache::new((persons / SHARDS).max(16));
            Mutex::new(Shard { pinned: HashMap::new(), cached, replaced: 0 })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            names: Cache::new(names.max(64)),
            nobody: Cache::new((names / 8).max(64)),
            marks: (0..MARKS).map(|_| AtomicU64::new(0)).collect(),
            unseen: Mutex::default(),
            erased: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    fn shard(&self, subject: &SubjectId) -> Option<MutexGuard<'_, Shard>> {
        let at = usize::from(subject.0[0]) % SHARDS;
        self.shards.get(at).map(|s| s.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The person, if she is in memory.
    pub(in crate::node) fn current(&self, subject: &SubjectId) -> Option<Arc<Loaded>> {
        let shard = self.shard(subject)?;
        shard.pinned.get(subject).map(|(l, _)| Arc::clone(l)).or_else(|| shard.cached.get(subject).cloned())
    }

    /// The person, from memory or from the store.
    pub(in crate::node) fn load(
        &self,
        who: Pointed,
        store: &dyn Store,
        vault: &Vault,
    ) -> Result<Arc<Loaded>, Error> {
        loop {
            let before = match self.shard(&who.subject) {
                Some(shard) => shard.replaced,
                None => 0,
            };
            if let Some(loaded) = self.current(&who.subject) {
                return Ok(loaded);
            }
            let loaded = Arc::new(read(who, store, vault)?);
            let Some(mut shard) = self.shard(&who.subject) else { return Ok(loaded) };
            if shard.replaced == before && !self.is_erased(&who.subject) {
                shard.cached.insert(who.subject, Arc::clone(&loaded));
                return Ok(loaded);
            }
            if self.is_erased(&who.subject) {
                return Ok(loaded);
            }
        }
    }

    /// Replaces a person by what the sequencer made of her; pinned until her projection is visible.
    pub(in crate::node) fn replace(&self, loaded: Arc<Loaded>, index: u64) {
        let subject = loaded.who.subject;
        if let Some(mut shard) = self.shard(&subject) {
            shard.replaced += 1;
            shard.cached.remove(&subject);
            shard.pinned.insert(subject, (loaded, index));
        }
    }

    /// These persons are projected below `upto`. Whoever's projection is visible to reads may be evicted.
    ///
    /// A store whose state lags says less than was projected: then they stay in memory.
    pub(in crate::node) fn projected(&self, upto: u64, subjects: Vec<SubjectId>, store: &dyn Store) {
        let Some(probe) = subjects.first().copied() else { return };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push_back((upto, subjects));
        // A read that fails says nothing: they wait for the next.
        let Ok(visible) = store.rows(&probe).map(|rows| rows.upto) else { return };
        while waiting.front().is_some_and(|(upto, _)| *upto <= visible) {
            let whose = waiting.pop_front().map(|(_, whose)| whose);
            self.unpin(visible, whose.unwrap_or_default());
        }
    }

    fn unpin(&self, upto: u64, subjects: Vec<SubjectId>) {
        for subject in subjects {
            let Some(mut shard) = self.shard(&subject) else { continue };
            if shard.pinned.get(&subject).is_some_and(|(_, index)| *index < upto)
                && let Some((loaded, _)) = shard.pinned.remove(&subject)
            {
                shard.cached.insert(subject, loaded);
            }
        }
    }

    fn erased(&self) -> MutexGuard<'_, HashMap<SubjectId, (LeafIndex, Timestamp)>> {
        self.erased.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this process has erased her.
    pub(in crate::node) fn is_erased(&self, subject: &SubjectId) -> bool {
        self.erased().contains_key(subject)
    }

    /// By which certificate, and when.
    pub(in crate::node) fn erased_at(&self, subject: &SubjectId) -> Option<(LeafIndex, Timestamp)> {
        self.erased().get(subject).copied()
    }

    /// Drops a person and the names that lead to her; none of them comes back.
    pub(in crate::node) fn forget(&self, subject: &SubjectId, names: &[Name], at: (LeafIndex, Timestamp)) {
        // First: whoever learns a name of hers from here on unlearns it.
        self.erased().insert(*subject, at);
        if let Some(mut shard) = self.shard(subject) {
            shard.replaced += 1;
            shard.pinned.remove(subject);
            shard.cached.remove(subject);
        }
        self.unlearn(names);
    }

    /// Forgets whom names point at: their rows are gone.
    pub(in crate::node) fn unlearn(&self, names: &[Name]) {
        for name in names {
            self.names.remove(name);
            self.unseen().remove(name);
        }
    }

    /// Forgets everything that is not pinned: a test's way to make the store answer.
    pub(in crate::node) fn empty(&self) {
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).cached.clear();
        }
        self.names.clear();
        self.nobody.clear();
    }

    /// Whom a name points at, if memory knows.
    pub(in crate::node) fn known(&self, name: &Name) -> Option<Pointed> {
        self.names.get(name).or_else(|| self.unseen().get(name).copied())
    }

    fn unseen(&self) -> MutexGuard<'_, HashMap<Name, Pointed>> {
        self.unseen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The row of a name was projected: remembered until the store shows it.
    pub(in crate::node) fn named(&self, name: Name, who: Pointed, store: &dyn Store) {
        match store.locate(&name) {
            Ok(Some(_)) => self.learn(name, who),
            Ok(None) | Err(_) => {
                self.unseen().insert(name, who);
                if self.is_erased(&who.subject) {
                    self.unseen().remove(&name);
                }
                self.mark(&name);
            }
        }
    }

    /// Remembers whom a name points at: only once the row is in the store.
    pub(in crate::node) fn learn(&self, name: Name, who: Pointed) {
        self.names.insert(name, who);
        if self.is_erased(&who.subject) {
            self.names.remove(&name);
        }
        self.mark(&name);
    }

    /// The place of a name: names of one place share a mark.
    fn place(&self, name: &Name) -> Option<&AtomicU64> {
        let at = name_bytes(name).iter().take(8).fold(0, |at, byte| at << 8 | u64::from(*byte));
        self.marks.get(usize::try_from(at % MARKS as u64).unwrap_or(0))
    }

    /// A name of this place was learnt: nobody of it is believed to be nobody.
    fn mark(&self, name: &Name) {
        if let Some(place) = self.place(name) {
            place.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whom a name points at: from memory or from the store.
    pub(in crate::node) fn locate(
        &self,
        name: &Name,
        store: &dyn Store,
        vault: &Vault,
    ) -> Result<Option<Pointed>, Error> {
        if let Some(who) = self.known(name) {
            return Ok(Some(who));
        }
        // Read before the store: a name learnt since then makes this mark an old one.
        let mark = self.place(name).map_or(0, |place| place.load(Ordering::SeqCst));
        if self.nobody.get(name) == Some(mark) {
            // Learnt between the first look and the mark?
            return Ok(self.known(name));
        }
        let Some(row) = store.locate(name)?.filter(|row| !row.sealed.is_empty()) else {
            self.nobody.insert(*name, mark);
            return Ok(None);
        };
        let who = vault.open_name(name_bytes(name), &row.sealed)?;
        self.learn(*name, who);
        // Read before she was erased, told after it: she is nobody.
        Ok(Some(who).filter(|who| !self.is_erased(&who.subject)))
    }

    /// Whether a name points at anybody. For a name that is about to be given: who asks keeps nothing of it.
    pub(in crate::node) fn is_given(&self, name: &Name, store: &dyn Store) -> Result<bool, Error> {
        Ok(self.known(name).is_some() || store.locate(name)?.is_some_and(|row| !row.sealed.is_empty()))
    }
}

/// The bytes a name row is sealed under.
pub(in crate::node) fn name_bytes(name: &Name) -> &[u8] {
    match name {
        Name::Ppid(b) => b,
        Name::Key(b) | Name::Statement(b) | Name::Link(b) | Name::Arrival(b) => b,
    }
}

/// Store name of the part of a person's state that holds her keys and delegations.
const CORE: &[u8] = b"core";

/// Store name of a slot's row: opaque, for the controller's name must not stand there.
pub(in crate::node) fn slot_part(key: &PersonKey, slot: &SlotKey) -> Vec<u8> {
    key.record_name([slot.controller.as_str(), slot.purpose.as_str(), slot.class.as_str()]).to_vec()
}

/// Name and ciphertext of one state row.
type SealedPart = (Vec<u8>, Vec<u8>);

/// Seals the core or a slot as a state row.
pub(in crate::node) fn seal_part(
    loaded: &Loaded,
    slot: Option<&SlotKey>,
) -> Result<Option<SealedPart>, Error> {
    let (part, plain) = match slot {
        None => (CORE.to_vec(), cbor::encode(&loaded.person.core())?),
        Some(slot) => {
            let Some(state) = loaded.person.slot(slot) else { return Ok(None) };
            (slot_part(&loaded.key, slot), cbor::encode(&(slot, state))?)
        }
    };
    let sealed = loaded.key.seal(Sealed::State, &loaded.who.subject, &part, &plain)?;
    Ok(Some((part, sealed)))
}

pub(in crate::node) fn read(who: Pointed, store: &dyn Store, vault: &Vault) -> Result<Loaded, Error> {
    let key = vault.person_key(who)?;
    let rows = store.rows(&who.subject)?;
    let mut core = None;
    let mut slots = Vec::new();
    for (part, _, sealed) in rows.rows {
        let plain = key.open(Sealed::State, &who.subject, &part, &sealed)?;
        if part == CORE {
            core = Some(cbor::decode(&plain)?);
        } else {
            slots.push(cbor::decode(&plain)?);
        }
    }
    let person = match core {
        Some(core) => Person::from_parts(who.subject, core, slots),
        None => Person::new(who.subject),
    };
    Ok(Loaded { who, key, person })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;

    #[test]
    fn nobody_is_believed_until_a_name_of_the_place_is_learnt() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::create(dir.path(), &crate::vault::Key::from_slice(&[9; 32]).unwrap()).unwrap();
        let (people, store) = (People::new(64, 512), Memory::new());
        let (who, _) = vault.decoy();
        let names: Vec<Name> = (0..64u8).map(|n| Name::Ppid([n; 16])).collect();
        for name in &names {
            assert_eq!(people.locate(name, &store, &vault).unwrap(), None);
            let mark = people.place(name).unwrap().load(Ordering::SeqCst);
            assert_eq!(people.nobody.get(name), Some(mark), "asked again, no read");
        }
        for name in names {
            // Not yet visible in the store, and forgotten by the cache of names.
            people.named(name, who, &store);
            assert_eq!(people.locate(&name, &store, &vault).unwrap(), Some(who));
            let mark = people.place(&name).unwrap().load(Ordering::SeqCst);
            assert_ne!(people.nobody.get(&name), Some(mark));
        }
    }
}
