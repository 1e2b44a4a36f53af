//! Transfer demands as their person and their two parties see them, and what carries them.
//!
//! A person sees all of hers; a party the demands it is an end of, with its own ppid of the
//! person and never the other's. Read from the same state that judges the steps. Lacks: the
//! rules (`consent`), and what was carried (nobody is shown it here).

mod carrier;
mod files;

use std::sync::Arc;
use std::sync::PoisonError;

use crate::consent::Transfer;
use crate::consent::TransferStanding;
use crate::model::id::KeyHash;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::Queue;
use crate::outbound::Calls;
use crate::store::Name;
use carrier::Carrier;

/// A demand and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demanded {
    /// The demand and its newest runs.
    pub transfer: Transfer,
    /// Whether it is carried.
    pub standing: TransferStanding,
}

impl Inner {
    /// The demands of the person with this key; `None` if there is none.
    ///
    /// # Errors
    /// The store.
    pub fn transfers_of(&self, key: &KeyHash) -> Result<Option<Vec<Demanded>>, Error> {
        let Some(who) = self.person_of_key(key)? else { return Ok(None) };
        let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
        let now = self.now();
        let demanded = |transfer: &Transfer| Demanded {
            standing: loaded.person.transfer_stands(transfer, now),
            transfer: transfer.clone(),
        };
        Ok(Some(loaded.person.transfers().iter().map(demanded).collect()))
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
        let standing = loaded.person.transfer_stands(transfer, self.now());
        let ppid = self.name_ppid(who, Some(party))?;
        Ok(Some((Demanded { transfer: transfer.clone(), standing }, ppid)))
    }
}
