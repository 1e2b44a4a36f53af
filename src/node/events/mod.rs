//! What a party is told of the persons it knows: who acted, on which slot, at which index.
//!
//! A feed without an outbox. An event is an entry of the log as one party may see
//! it: index, type, its own ppid of the person, purpose and class, or the transfer demand. It is a hint to
//! ask again, never the state itself. The feed is resumed by index, so nothing is
//! missed over a restart of either side, and read from 0 again it names everybody
//! by the ppid of today: after an epoch was raised, the index joins the old to the
//! new. Lacks: recipients (told by their controllers), terms, webhooks.
//!
//! # Design
//!
//! The newest acts stand in memory ([`tail`]): reading them costs one look at each
//! act since. What is older is walked: of each sealed entry the name row, then the
//! person, and only if the party knows her the body. That is O(log) for a party that
//! begins at 0 or was away longer than the tail reaches, once, in bounded pages; no
//! row is written for it. The tail holds no act recorded without effect, the walk
//! cannot tell (it takes a second writer to make one).
//!
//! Reading: an act on `*` and the end of a delegation are told to a party that knows
//! the person when it reads.

mod tail;

use std::sync::PoisonError;

use tokio::sync::watch;

use crate::identity;
use crate::ledger::entry::Entry;
use crate::model::id::LeafIndex;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;
use crate::model::statement::Kind;
use crate::model::statement::SignalAct;
use crate::model::vocabulary::DataClass;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::erase::Stored;
use crate::node::people::name_bytes;
use crate::store::Name;
use crate::vault::Pointed;

pub(in crate::node) use tail::Tail;
pub(in crate::node) use tail::Told;

/// Most entries one page walks. A longer way is gone in several.
pub const WALK: u64 = 4_096;

/// One act of one person, as one party is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where it stands in the log.
    pub index: LeafIndex,
    /// When, rounded down to the log's grain.
    pub at: Timestamp,
    /// The type of her statement.
    pub kind: Kind,
    /// The act a signal carries.
    pub act: Option<SignalAct>,
    /// She, in the party's domain of today.
    pub ppid: Ppid,
    /// The slot's purpose, `*` for all; none for the end of a delegation.
    pub purpose: Option<String>,
    /// The slot's class; none for the end of a delegation.
    pub class: Option<DataClass>,
    /// The transfer demand it is about: the party is an end of it.
    pub demand: Option<StatementId>,
}

/// A stretch of a party's feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Events in order of their index.
    pub events: Vec<Event>,
    /// Everything below this index was looked at: go on from here.
    pub next: TreeSize,
    /// Entries there were when it began: below it nothing more is to come once `next` is there.
    pub as_of: TreeSize,
}

/// A page on its way, with whom its events name.
struct Drawn {
    page: Page,
    whose: Vec<Pointed>,
}

impl Inner {
    /// Tells of growth: the number of entries sequenced.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<TreeSize> {
        self.head.subscribe()
    }

    /// Whether anything sequenced from `from` on may concern a party: from memory alone, and rather yes than no.
    #[must_use]
    pub fn may_concern(&self, party: &PartyId, from: TreeSize) -> bool {
        let until = self.sequenced();
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.since(from, until, party).is_none_or(|mut told| told.next().is_some())
    }

    /// The acts of one commit, before anybody is answered.
    pub(in crate::node) fn announce(
        &self,
        first: TreeSize,
        next: TreeSize,
        told: impl IntoIterator<Item = Told>,
    ) {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).push(first, next, told);
    }

    fn draw(&self, party: &PartyId, from: TreeSize, most: usize) -> Result<Drawn, Error> {
        // Before the tail: what came later is the next page's.
        let as_of = self.sequenced();
        let page = Page { events: Vec::new(), next: from, as_of };
        let mut drawn = Drawn { page, whose: Vec::new() };
        let begins = self.tail.lock().unwrap_or_else(PoisonError::into_inner).from();
        let until = begins.min(as_of).min(from.saturating_add(WALK));
        while drawn.page.next < until && drawn.page.events.len() < most {
            self.walk(&mut drawn, until, party, most)?;
        }
        if drawn.page.events.len() < most {
            self.recent(&mut drawn, party, most)?;
        }
        Ok(drawn)
    }

    /// What the tail has, if the page has come so far.
    fn recent(&self, drawn: &mut Drawn, party: &PartyId, most: usize) -> Result<(), Error> {
        let (from, until) = (drawn.page.next, drawn.page.as_of);
        let room = most.saturating_sub(drawn.page.events.len());
        let told: Option<Vec<Told>> = {
            let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
            // One more than there is room for says whether all of them are here.
            tail.since(from, until, party).map(|told| told.take(room + 1).cloned().collect())
        };
        let Some(told) = told else { return Ok(()) };
        let whole = told.len() <= room;
        for one in told.into_iter().take(room) {
            drawn.page.next = one.index + 1;
            self.add(drawn, one, party)?;
        }
        if whole {
            drawn.page.next = drawn.page.next.max(until);
        }
        Ok(())
    }

    /// Looks at entries from the page's `next` on, as many commits as the store gives at once.
    fn walk(&self, drawn: &mut Drawn, until: TreeSize, party: &PartyId, most: usize) -> Result<(), Error> {
        let from = drawn.page.next;
        let missing = || Error::Damaged(format!("entry {from} is missing"));
        let grain = self.settings.grain_ms;
        for commit in self.store.commits(from..until)? {
            let at = Timestamp(commit.at).rounded_to(grain);
            for (index, (entry, id)) in (commit.first..).zip(commit.entries.iter().zip(&commit.ids)) {
                if index < drawn.page.next {
                    continue;
                }
                if index >= until || drawn.page.events.len() >= most {
                    return Ok(());
                }
                if let Entry::Sealed { .. } = Entry::parse(entry)?
                    && let Some(told) = self.told_of(*id, index, at, party)?
                {
                    self.add(drawn, told, party)?;
                }
                drawn.page.next = index + 1;
            }
        }
        if drawn.page.next > from { Ok(()) } else { Err(missing()) }
    }

    /// The act of one sealed entry, if its person is known to the party; nothing of the erased.
    fn told_of(
        &self,
        id: StatementId,
        index: LeafIndex,
        at: Timestamp,
        party: &PartyId,
    ) -> Result<Option<Told>, Error> {
        let name = Name::Statement(id.0);
        let Some(row) = self.store.locate(&name)?.filter(|row| !row.sealed.is_empty()) else {
            return Ok(None);
        };
        let who = self.vault.open_name(name_bytes(&name), &row.sealed)?;
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let is_end = loaded.person.transfers().iter().any(|transfer| transfer.concerns(party));
        if !is_end && !loaded.person.is_acquainted(party) {
            return Ok(None);
        }
        let Some(body) = self.store.bodies(&who.subject, &[id])?.pop().flatten() else { return Ok(None) };
        let item = Stored::open(&loaded.key, &who.subject, &id, &body)?.item();
        let Some(item) = item else { return Ok(None) };
        let (statement, _) = identity::reload(&item)?;
        Ok(Told::of((&statement, id), index, at, who).filter(|told| told.may_concern(party)))
    }

    /// Adds an act, if its person is known to the party.
    fn add(&self, drawn: &mut Drawn, told: Told, party: &PartyId) -> Result<(), Error> {
        let Told { index, at, kind, act, who, concerns, purpose, class, demand } = told;
        let load = || self.people.load(who, self.store.as_ref(), &self.vault);
        let concerned = match concerns {
            tail::Concerns::One(_) | tail::Concerns::Both(_) => true,
            tail::Concerns::Acquainted => load()?.person.is_acquainted(party),
            tail::Concerns::Ends => {
                let person = &load()?.person;
                let transfer = demand.and_then(|demand| person.transfer(&demand));
                transfer.is_some_and(|transfer| transfer.concerns(party))
            }
        };
        if !concerned {
            return Ok(());
        }
        let ppid = self.pairwise(&self.register()).ppid(Some(party), &who.subject);
        drawn.page.events.push(Event { index, at, kind, act, ppid, purpose, class, demand });
        drawn.whose.push(who);
        Ok(())
    }
}

impl Node {
    /// A party's events from an index on, at most `most`: a bounded stretch, perhaps without any.
    ///
    /// Whoever it names, the party can ask about: rows that lead from a ppid to its person are written
    /// where a new epoch has none.
    ///
    /// # Errors
    /// The store, or damage.
    pub fn events(&self, party: &PartyId, from: TreeSize, most: usize) -> Result<Page, Error> {
        let Drawn { page, whose } = self.draw(party, from, most)?;
        let mut named: Vec<(Name, Pointed)> = Vec::new();
        for (event, who) in page.events.iter().zip(whose) {
            let name = Name::Ppid(event.ppid.0);
            let known = named.iter().any(|(other, _)| *other == name)
                || self.people.locate(&name, self.store.as_ref(), &self.vault)?.is_some();
            if !known {
                named.push((name, who));
            }
        }
        self.write_names(&named).or_else(|error| match error {
            // A node that does not write still tells what there is.
            Error::Stopped(_) => Ok(()),
            error => Err(error),
        })?;
        Ok(page)
    }
}
