//! Transfer demands as their person and their two parties see them, and what carries them.
//!
//! A person sees all of hers; a party the demands it is an end of, with its own ppid of the
//! person and never the other's. Read from the same state that judges the steps. Lacks: the
//! rules (`consent`), and what was carried (nobody is shown it here).

mod carrier;
mod files;
mod queue;

use std::sync::Arc;
use std::sync::PoisonError;

use crate::consent::Transfer;
use crate::consent::TransferStanding;
use crate::model::id::KeyHash;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::Queue;
use crate::node::people::Loaded;
use crate::outbound::Calls;
use crate::store::Name;
use carrier::Carrier;
pub(in crate::node) use queue::DueQueue;

/// A demand and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demanded {
    /// The demand and its newest runs.
    pub transfer: Transfer,
    /// Whether it is carried.
    pub standing: TransferStanding,
    /// The run under way, if one is.
    pub carrying: Option<Carrying>,
}

/// How far the run under way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carrying {
    /// Its number.
    pub run: u64,
    /// Items, once the sender has listed them.
    pub items: Option<u64>,
    /// Items fetched from the sender.
    pub fetched: u64,
    /// Items the receiver has taken.
    pub sent: u64,
    /// Failures in a row.
    pub tries: u32,
    /// Nothing is tried before.
    pub not_before: Timestamp,
}

impl Inner {
    /// The demands of the person with this key; `None` if there is none.
    ///
    /// # Errors
    /// The store.
    pub fn transfers_of(&self, key: &KeyHash) -> Result<Option<Vec<Demanded>>, Error> {
        let Some(who) = self.person_of_key(key)? else { return Ok(None) };
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let all = loaded.person.transfers().iter().map(|transfer| self.demanded(&loaded, transfer));
        all.collect::<Result<_, _>>().map(Some)
    }

    fn demanded(&self, of: &Loaded, transfer: &Transfer) -> Result<Demanded, Error> {
        let standing = of.person.transfer_stands(transfer, self.now());
        let run = self.read_run(&transfer.demand, of)?.filter(|run| run.over.is_none());
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let carrying = run.map(|run| Carrying {
            run: run.number,
            items: run.items.as_ref().map(|items| count(items.len())),
            fetched: count(run.fetched),
            sent: count(run.sent),
            tries: run.tries,
            not_before: run.not_before,
        });
        Ok(Demanded { transfer: transfer.clone(), standing, carrying })
    }
}

/// One pass of the carrier, if anybody calls parties here; how many steps were done.
pub(in crate::node) fn carry(inner: &Arc<Inner>, intake: &Queue) -> Result<usize, Error> {
    let Some(calls) = inner.calls.get() else { return Ok(0) };
    let _one = inner.carrying.lock().unwrap_or_else(PoisonError::into_inner);
    if inner.stopped().is_some() {
        return Ok(0);
    }
    Carrier { inner, intake, calls: calls.as_ref() }.pass()
}

impl Node {
    /// From now on demands are carried, by whoever calls parties. The first one told stays.
    pub fn carry_with(&self, calls: Arc<dyn Calls>) {
        drop(self.inner.calls.set(calls));
    }

    /// One pass of the carrier by hand; how many steps were done. With the system's clock a thread does it.
    ///
    /// # Errors
    /// The disk, the store.
    pub fn carry(&self) -> Result<usize, Error> {
        carry(&self.inner, &self.intake)
    }

    /// What an end of a demand sees of it, and its own ppid of the person; `None` to anybody else, and
    /// if there is none.
    ///
    /// # Errors
    /// The store; [`Error::Stopped`] if a name must be written and the node does not write.
    pub fn transfer_of(
        &self,
        demand: &StatementId,
        party: &PartyId,
    ) -> Result<Option<(Demanded, Ppid)>, Error> {
        let name = Name::Statement(demand.0);
        let Some(who) = self.people.locate(&name, self.store.as_ref(), &self.vault)? else { return Ok(None) };
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let Some(transfer) = loaded.person.transfer(demand).filter(|transfer| transfer.concerns(party))
        else {
            return Ok(None);
        };
        let ppid = self.name_ppid(who, Some(party))?;
        Ok(Some((self.inner.demanded(&loaded, transfer)?, ppid)))
    }
}
