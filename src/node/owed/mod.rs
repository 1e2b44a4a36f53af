//! What is owed: to a person, by a party, and what is overdue for a regulator to see.
//!
//! Read from the same state that judges the words (`consent`). For a party's list the node
//! must know whose grants and claims name it: a book in memory and nowhere else, made from
//! the name rows by the first list after a start and followed by the sequencer from then
//! on. It only grows, and leads to persons, never to what they said. Lacks: anything done
//! when a clock runs out.
//!
//! # Cost
//!
//! The first list reads every name row and every person once. After that a statement costs
//! one look at each slot of its person; a list reads the persons that name the party.
//! [`crate::node::Settings::listed`] bounds the book: beyond it a list says that it is not whole.

pub mod row;
mod tally;

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::consent::Clock;
use crate::consent::Met;
use crate::consent::Obligation;
use crate::consent::Person;
use crate::consent::Register;
use crate::consent::RightClaim;
use crate::consent::Worth;
use crate::model::id::KeyHash;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::people::name_bytes;
use crate::store::Name;
use crate::vault::Pointed;
pub use tally::Tally;

/// Most rows of one list.
const MOST: usize = 4_096;
/// Name rows read at a time.
const STRIDE: usize = 1_024;

/// Whose grants and claims name whom.
#[derive(Debug, Default)]
pub(in crate::node) struct Named {
    /// Whether the sequencer tells of every person it replaces.
    following: AtomicBool,
    /// Whether everything before that is in the book; locked while somebody reads the rows for it.
    built: Mutex<bool>,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    of: HashMap<PartyId, HashMap<SubjectId, Pointed>>,
    rows: usize,
    full: bool,
}

impl Named {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A person is in the node's state as she is now.
    pub(in crate::node) fn saw(&self, who: Pointed, person: &Person, most: usize) {
        if self.following.load(Ordering::SeqCst) {
            self.add(who, person, most);
        }
    }

    fn add(&self, who: Pointed, person: &Person, most: usize) {
        let mut book = self.book();
        for party in person.debtors() {
            if book.full {
                return;
            }
            if book.of.entry(party).or_default().insert(who.subject, who).is_none() {
                book.rows += 1;
            }
            if book.rows > most {
                tracing::warn!(most, "more persons name parties than `listed` keeps: lists are not whole");
                *book = Book { full: true, ..Book::default() };
            }
        }
    }

    /// Nothing leads to the erased.
    pub(in crate::node) fn forget(&self, subject: &SubjectId) {
        let mut book = self.book();
        let gone: usize = book.of.values_mut().map(|of| usize::from(of.remove(subject).is_some())).sum();
        book.rows -= gone;
    }
}

/// A claim, its clock and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The claim and its answers.
    pub claim: RightClaim,
    /// By when.
    pub clock: Option<Clock>,
    /// How it stands.
    pub met: Met,
}

impl Claimed {
    /// Every claim of a person, as it stands then.
    pub(in crate::node) fn all(person: &Person, register: &Register, now: Timestamp) -> Vec<Self> {
        let of = |claim: &RightClaim| Self {
            clock: claim.clock(register),
            met: claim.met(register, now),
            claim: claim.clone(),
        };
        person.rights().iter().map(of).collect()
    }
}

/// Obligations to a person, as they stand then.
pub(in crate::node) fn obligations(
    person: &Person,
    register: &Register,
    now: Timestamp,
) -> Vec<(Obligation, Met)> {
    let of = |owed: Obligation| {
        let met = owed.met(now);
        (owed, met)
    };
    person.obligations(register, now).into_iter().map(of).collect()
}

/// What was promised for her data, how often it was used, and what is reported as paid.
#[derive(Clone, Debug)]
pub struct Value {
    /// Her grants that promise something or have a report.
    pub worth: Vec<Worth>,
    /// Permitted uses.
    pub used: Tally,
    /// Whether this node keeps a use log: else nothing was counted.
    pub counted: bool,
}

/// Something owed, and the party's own name of the person, if the party asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed<T> {
    /// What.
    pub what: T,
    /// How it stands.
    pub met: Met,
    /// Who, in the party's own domain; only in its own list.
    pub ppid: Option<Ppid>,
}

/// What one party owes: the most urgent first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwedBy {
    /// Whether everything is in it.
    pub whole: bool,
    /// Deletions.
    pub duties: Vec<Owed<Obligation>>,
    /// Answers.
    pub rights: Vec<Owed<Claimed>>,
}

/// The lists, with whom each row is about.
#[derive(Default)]
struct Drawn {
    duties: Vec<(Pointed, Obligation, Met)>,
    rights: Vec<(Pointed, Claimed)>,
}

impl Inner {
    /// What is owed to the person with this key, and how it stands; `None` if there is none.
    ///
    /// # Errors
    /// The store.
    pub fn duties_to(&self, key: &KeyHash) -> Result<Option<Vec<(Obligation, Met)>>, Error> {
        let Some(who) = self.person_of_key(key)? else { return Ok(None) };
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        Ok(Some(obligations(&loaded.person, &self.register(), self.now())))
    }

    /// The rights that the person with this key claimed; `None` if there is none.
    ///
    /// # Errors
    /// The store.
    pub fn rights_of(&self, key: &KeyHash) -> Result<Option<Vec<Claimed>>, Error> {
        let Some(who) = self.person_of_key(key)? else { return Ok(None) };
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        Ok(Some(Claimed::all(&loaded.person, &self.register(), self.now())))
    }

    /// What the data of the person with this key is worth to whom; `None` if there is none. Reads each of
    /// her use lines.
    ///
    /// # Errors
    /// The store, the disk, damage.
    pub fn value_to(&self, key: &KeyHash) -> Result<Option<Value>, Error> {
        let Some(who) = self.person_of_key(key)? else { return Ok(None) };
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let mut used = Tally::default();
        self.each_use_of(who, &loaded.key, &mut |seen| used.see(&seen.line, seen.exact.as_ref()))?;
        let (worth, counted) = (loaded.person.worth(self.now()), self.uses_synced().is_some());
        Ok(Some(Value { worth, used, counted }))
    }

    /// What a party owes and has not met, or met too late, without any name of a person; `None` if
    /// nobody of that name is registered.
    ///
    /// # Errors
    /// The store.
    pub fn owed_by(&self, party: &PartyId) -> Result<Option<OwedBy>, Error> {
        if self.register().party(party).is_none() {
            return Ok(None);
        }
        let (drawn, whole) = self.draw_owed(party, |met| !matches!(met, Met::InTime(_)))?;
        let duties = drawn.duties.into_iter().map(|(_, what, met)| Owed { what, met, ppid: None });
        let rights = drawn.rights.into_iter().map(|(_, what)| Owed { met: what.met, what, ppid: None });
        Ok(Some(OwedBy { whole, duties: duties.collect(), rights: rights.collect() }))
    }

    fn draw_owed(&self, party: &PartyId, keep: impl Fn(Met) -> bool) -> Result<(Drawn, bool), Error> {
        self.read_named()?;
        let (mut persons, full) = {
            let book = self.named.book();
            let of = book.of.get(party).map(|of| of.values().copied().collect::<Vec<_>>());
            (of.unwrap_or_default(), book.full)
        };
        persons.sort_unstable_by_key(|who| who.subject.0);
        let (register, now) = (self.register(), self.now());
        let mut drawn = Drawn::default();
        for who in persons {
            let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
            let owed = obligations(&loaded.person, &register, now).into_iter();
            let mine = owed.filter(|(owed, met)| owed.party == *party && keep(*met));
            drawn.duties.extend(mine.map(|(owed, met)| (who, owed, met)));
            let claims = Claimed::all(&loaded.person, &register, now).into_iter();
            let mine = claims.filter(|c| c.claim.controller == *party && keep(c.met));
            drawn.rights.extend(mine.map(|claimed| (who, claimed)));
        }
        let whole = !full && drawn.duties.len() <= MOST && drawn.rights.len() <= MOST;
        // An order that says nothing of who it is: by urgency, then by time.
        drawn.duties.sort_by(|(_, a, x), (_, b, y)| (x, &a.clock, a.since).cmp(&(y, &b.clock, b.since)));
        drawn.rights.sort_by_key(|(_, one)| (one.met, one.claim.at));
        drawn.duties.truncate(MOST);
        drawn.rights.truncate(MOST);
        Ok((drawn, whole))
    }

    /// Makes the book whole, once: reads the name rows.
    fn read_named(&self) -> Result<(), Error> {
        let mut built = self.named.built.lock().unwrap_or_else(PoisonError::into_inner);
        if *built {
            return Ok(());
        }
        // First followed, then read to the end: who was replaced before that is in the node's state.
        self.named.following.store(true, Ordering::SeqCst);
        let (mut seen, mut after) = (HashSet::new(), None);
        loop {
            let rows = self.store.names(after.as_ref(), STRIDE)?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(*last);
            // Every person has a key.
            let keys =
                rows.iter().filter(|(name, row)| matches!(name, Name::Key(_)) && !row.sealed.is_empty());
            for (name, row) in keys {
                let who = self.vault.open_name(name_bytes(name), &row.sealed)?;
                if seen.insert(who.subject) && !self.people.is_erased(&who.subject) {
                    let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
                    self.named.add(who, &loaded.person, self.settings.listed);
                }
            }
        }
        *built = true;
        Ok(())
    }
}

impl Node {
    /// What a party owes, met in time or not, with its own ppid of each person: to itself.
    ///
    /// # Errors
    /// The store; [`Error::Stopped`] if a name must be written and the node does not write.
    pub fn owes(&self, party: &PartyId) -> Result<OwedBy, Error> {
        let (drawn, whole) = self.draw_owed(party, |met| matches!(met, Met::Overdue | Met::Waiting))?;
        let mut out = OwedBy { whole, duties: Vec::new(), rights: Vec::new() };
        for (who, what, met) in drawn.duties {
            let ppid = Some(self.name_ppid(who, Some(party))?);
            out.duties.push(Owed { what, met, ppid });
        }
        for (who, what) in drawn.rights {
            let ppid = Some(self.name_ppid(who, Some(party))?);
            out.rights.push(Owed { met: what.met, what, ppid });
        }
        Ok(out)
    }
}
