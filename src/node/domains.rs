//! Who has a slot with whom: each party's own domain, in an order that says nothing.
//!
//! A projection in memory and nowhere else: for each controller the ppids, in its
//! own domain, of the persons that have a slot with it. Made from the log by the
//! first search after a start, followed by the sequencer from then on. It only
//! grows: what a slot says is read when the search decides, never from here.
//! Lacks, on purpose: names across domains, purposes, states, any count that is told.
//!
//! # Cost
//!
//! The first search reads every entry's name row and every person once. After
//! that a statement that touches a slot costs one HMAC and one insertion, and a
//! row about 25 bytes. [`crate::node::Settings::listed`] bounds the rows: beyond
//! it the projection is given up and searches say so; cohorts need none of it.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::TryLockError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::consent::SlotKey;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::SubjectId;
use crate::model::statement::Scope;
use crate::node::Error;
use crate::node::Inner;
use crate::node::domain::Pairwise;
use crate::node::domain::party_domain;
use crate::node::people::name_bytes;
use crate::store::Name;
use crate::vault::Pointed;

#[derive(Debug, Default)]
struct Book {
    /// By domain: a party's of another epoch is another.
    of: HashMap<String, BTreeSet<[u8; 16]>>,
    rows: usize,
    /// More rows than are kept: nothing is listed until a restart with more room.
    full: bool,
}

/// The projection, and who walks it.
#[derive(Debug, Default)]
pub(in crate::node) struct Domains {
    /// Whether the sequencer tells of every slot it touches.
    following: AtomicBool,
    /// Whether everything before that is in the book, and how often an epoch had been raised then.
    /// Locked while somebody reads the log for it.
    built: Mutex<Option<u64>>,
    book: Mutex<Book>,
    /// Parties with a search under way.
    turns: Mutex<HashSet<PartyId>>,
}

/// Whether a domain can be walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Ready {
    Yes,
    /// Somebody reads the log for it just now.
    Building,
    /// More rows than [`crate::node::Settings::listed`].
    Full,
}

/// One party's turn: it ends when this is dropped.
#[derive(Debug)]
pub(in crate::node) struct Turn<'a> {
    domains: &'a Domains,
    party: PartyId,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.domains.turns.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.party);
    }
}

impl Domains {
    /// The party's turn, unless a search of its own is under way.
    pub(in crate::node) fn turn(&self, party: &PartyId) -> Option<Turn<'_>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.insert(party.clone()).then(|| Turn { domains: self, party: party.clone() })
    }

    /// Adds the person of a slot to its controller's domain; whose it is and how she is called there.
    fn add(
        &self,
        pairwise: &Pairwise<'_>,
        subject: &SubjectId,
        slot: &SlotKey,
        most: usize,
    ) -> Option<(PartyId, Ppid)> {
        let Scope::One(controller) = &slot.controller else { return None };
        let controller = PartyId::parse(controller)?;
        let domain = party_domain(&controller, pairwise.register.epoch_of(&controller));
        let ppid = pairwise.vault.ppid(&domain, subject);
        self.book().add(domain, ppid, most);
        Some((controller, ppid))
    }

    /// Nobody is called so any more.
    pub(in crate::node) fn forget(&self, ppids: &[(String, Ppid)]) {
        let mut book = self.book();
        for (domain, ppid) in ppids {
            let known = book.of.get_mut(domain).is_some_and(|of| of.remove(&ppid.0));
            book.rows -= usize::from(known);
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to `n` ppids of a party's domain in one epoch, in order, after one of them.
    pub(in crate::node) fn after(
        &self,
        (controller, epoch): (&PartyId, u32),
        after: Option<Ppid>,
        n: usize,
    ) -> Vec<Ppid> {
        let book = self.book();
        let Some(domain) = book.of.get(&party_domain(controller, epoch)) else { return Vec::new() };
        let from = after.map_or(Bound::Unbounded, |ppid| Bound::Excluded(ppid.0));
        domain.range((from, Bound::Unbounded)).take(n).copied().map(Ppid).collect()
    }
}

impl Book {
    fn add(&mut self, domain: String, ppid: Ppid, most: usize) {
        if self.full {
            return;
        }
        self.rows += usize::from(self.of.entry(domain).or_default().insert(ppid.0));
        if self.rows > most {
            tracing::warn!(
                most,
                "more persons are in domains than `listed` keeps: searches of persons are off"
            );
            *self = Self { full: true, ..Self::default() };
        }
    }
}

impl Inner {
    /// A slot was touched and is in the node's state.
    pub(in crate::node) fn saw(&self, subject: &SubjectId, slot: Option<&SlotKey>) {
        if let Some(slot) = slot
            && self.domains.following.load(Ordering::SeqCst)
        {
            self.domains.add(&self.pairwise(&self.register()), subject, slot, self.settings.listed);
        }
    }

    /// Makes the projection whole, once an epoch of whatever party; reads the log.
    ///
    /// # Errors
    /// The store: the next search tries again.
    pub(in crate::node) fn domains_ready(&self) -> Result<Ready, Error> {
        let mut built = match self.domains.built.try_lock() {
            Ok(built) => built,
            Err(TryLockError::WouldBlock) => return Ok(Ready::Building),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        };
        let raised = self.register().raised();
        if *built != Some(raised) {
            if built.is_some() && !self.domains.book().full {
                // Ppids of the past take no room. What is told meanwhile is read again below.
                *self.domains.book() = Book::default();
            }
            // First followed, then read to the end: a slot of which the sequencer did not tell was in the
            // node's state, and its entry in the store, before `following` was set.
            self.domains.following.store(true, Ordering::SeqCst);
            self.read_domains()?;
            *built = Some(raised);
        }
        Ok(if self.domains.book().full { Ready::Full } else { Ready::Yes })
    }

    fn read_domains(&self) -> Result<(), Error> {
        let (mut seen, mut unnamed) = (HashSet::new(), Vec::new());
        let mut next = 0;
        loop {
            let commits = self.store.commits(next..u64::MAX)?;
            if commits.is_empty() || self.domains.book().full {
                return Ok(());
            }
            for commit in commits {
                next = commit.first + commit.entries.len() as u64;
                for id in commit.ids {
                    self.read_domains_of(&Name::Statement(id.0), &mut seen, &mut unnamed)?;
                }
            }
            // A new epoch's ppids lead to nobody before somebody asks: now the party does.
            match self.write_names(&std::mem::take(&mut unnamed)) {
                Ok(()) | Err(Error::Stopped(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn read_domains_of(
        &self,
        name: &Name,
        seen: &mut HashSet<SubjectId>,
        unnamed: &mut Vec<(Name, Pointed)>,
    ) -> Result<(), Error> {
        let Some(row) = self.store.locate(name)?.filter(|row| !row.sealed.is_empty()) else { return Ok(()) };
        let who = self.vault.open_name(name_bytes(name), &row.sealed)?;
        if !seen.insert(who.subject) {
            return Ok(());
        }
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let register = self.register();
        let pairwise = self.pairwise(&register);
        for (slot, _) in loaded.person.slots() {
            let Some((party, ppid)) = self.domains.add(&pairwise, &who.subject, slot, self.settings.listed)
            else {
                continue;
            };
            let name = Name::Ppid(ppid.0);
            if register.epoch_of(&party) > 0
                && self.people.locate(&name, self.store.as_ref(), &self.vault)?.is_none()
            {
                unnamed.push((name, who));
            }
        }
        Ok(())
    }
}
