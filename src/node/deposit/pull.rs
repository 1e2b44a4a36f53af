//! Asked sources: what a holder has of a person, fetched because she asked for it.
//!
//! Each item goes the way of a deposit by that party: the same grant, the same reading,
//! the same place. What is kept already is not fetched again, so a pull that broke off
//! goes on where it was. A holder that lies is left at its first lie; what was kept
//! before it stays. Of a registered party nothing is called but the address in its own record,
//! by the one client outwards. Lacks: sockets, schedules.

use std::sync::TryLockError;

use crate::model::id::KeyHash;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::statement::TransferEnd;
use crate::node::Error;
use crate::node::Node;
use crate::node::deposit::Deposit;
use crate::node::deposit::MOST_ITEMS;
use crate::node::deposit::NoDeposit;
use crate::node::deposit::NotRead;
use crate::node::deposit::Wish;
use crate::outbound::Call;
use crate::outbound::Calls;
use crate::outbound::Method;
use crate::portability::import::MAX_ORIGINAL;
use crate::portability::import::Media;
use crate::portability::pull;
use crate::portability::pull::Lie;
use crate::portability::pull::ListWish;
use crate::portability::pull::Offered;
use crate::portability::pull::OriginalWish;
use crate::portability::pull::Pages;

/// What a holder answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// The bytes.
    pub body: Vec<u8>,
}

/// A data holder that can be asked: `schemas/source.json`, whoever carries it.
pub trait Holder {
    /// Sends a JSON body to a path of the holder's and reads at most so many bytes of its answer; more is
    /// no answer.
    ///
    /// # Errors
    /// Why there is none, in words for a log: nothing of the person.
    fn post(&self, path: &str, body: &[u8], most: u64) -> Result<Answered, String>;
}

/// A registered party as a holder: only its own address is called.
struct Registered<'a> {
    calls: &'a dyn Calls,
    end: TransferEnd,
}

impl Holder for Registered<'_> {
    fn post(&self, path: &str, body: &[u8], most: u64) -> Result<Answered, String> {
        let body = Some(("application/json", body));
        let call = Call { method: Method::Post, path, headers: &[], body, most };
        let reply = self.calls.call(&self.end, &call).map_err(|error| error.to_string())?;
        Ok(Answered { status: reply.status, body: reply.body })
    }
}

/// Originals fetched at most in one pull: a slow holder holds a thread so much longer and no more.
const MOST_FETCHED: u64 = 64;

/// What a pull came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Items kept now.
    pub kept: u64,
    /// Items that were kept before.
    pub before: u64,
    /// Originals fetched now: those kept, and those refused for what they are.
    pub fetched: u64,
    /// Items that were not let in, by the holder's name, and why.
    pub refused: Vec<(String, String)>,
    /// The holder has more: pull again.
    pub more: bool,
}

/// Why a pull ended early. What was kept stays.
#[derive(Debug, thiserror::Error)]
pub enum NoPull {
    /// No person has the key, or no such party is registered.
    #[error("no such person or party")]
    Unknown,
    /// The party has registered no address, or this node calls nobody.
    #[error("that party is not asked from here")]
    NotAsked,
    /// Another pull is under way.
    #[error("another source is being asked")]
    Busy,
    /// The holder did not answer, or said no.
    #[error("the source did not answer: {0}")]
    NoAnswer(String),
    /// The holder lied.
    #[error("the source cannot be believed: {0}")]
    Lie(#[from] Lie),
    /// The node.
    #[error(transparent)]
    Node(#[from] Error),
}

impl Node {
    /// As [`Node::pull`], of a registered party at the address in its record; one at a time.
    ///
    /// # Errors
    /// [`NoPull`].
    pub fn pull_registered(&self, key: &KeyHash, party: &PartyId) -> Result<Pulled, NoPull> {
        let calls = self.inner.calls.get().ok_or(NoPull::NotAsked)?;
        let end = self.inner.register().party(party).and_then(|party| party.transfer.clone());
        let holder = Registered { calls: calls.as_ref(), end: end.ok_or(NoPull::NotAsked)? };
        let _one = match self.inner.pulling.try_lock() {
            Ok(one) => one,
            Err(TryLockError::Poisoned(one)) => one.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(NoPull::Busy),
        };
        self.pull(key, party, &holder)
    }

    /// Fetches what a party has of the person with this key, because she asks for it.
    ///
    /// # Errors
    /// [`NoPull`].
    pub fn pull(&self, key: &KeyHash, party: &PartyId, holder: &dyn Holder) -> Result<Pulled, NoPull> {
        if !self.is_live(party) {
            return Err(NoPull::Unknown);
        }
        let ppid = self.ppid(key, Some(party))?.ok_or(NoPull::Unknown)?;
        let (mut pages, mut pulled, mut after) = (Pages::default(), Pulled::default(), None);
        loop {
            let text = ppid.to_text();
            let wish = ListWish { ppid: &text, after: after.as_deref(), limit: pull::PAGE };
            let page = pages.read(&asked(holder, pull::LIST, &wish, pull::MAX_LIST)?)?;
            for offered in page.items {
                if pulled.fetched >= MOST_FETCHED {
                    pulled.more = true;
                    return Ok(pulled);
                }
                self.pull_one(party, ppid, offered, holder, &mut pulled)?;
            }
            let seen = pulled.kept + pulled.before + pulled.refused.len() as u64;
            after = page.next.filter(|_| seen < MOST_ITEMS);
            if after.is_none() {
                return Ok(pulled);
            }
        }
    }

    fn pull_one(
        &self,
        party: &PartyId,
        ppid: Ppid,
        offered: Offered,
        holder: &dyn Holder,
        pulled: &mut Pulled,
    ) -> Result<(), NoPull> {
        let Offered { item, purpose, class, categories, media_type, bytes, sha256 } = offered;
        let mut wish = Wish {
            controller: party.clone(),
            by: party.clone(),
            ppid,
            item,
            purpose,
            class,
            categories,
            media_type,
            original: Vec::new(),
        };
        let hers = self.hers(&wish)?;
        if let Some(head) = hers.as_ref().map(|loaded| self.before(loaded, &wish)).transpose()?.flatten()
            && head.is_same(&wish, &sha256)
        {
            pulled.before += 1;
            return Ok(());
        }
        // What nothing lets in is not fetched, and does not use up what is fetched in one pull.
        let refused = match Media::parse(&wish.media_type) {
            None => Some(NoDeposit::from(NotRead::Media)),
            Some(_) if !self.lets_in(&wish)? => Some(NoDeposit::NotGranted),
            Some(_) => None,
        };
        if let Some(refused) = refused {
            pulled.refused.push((wish.item, refused.to_string()));
            return Ok(());
        }
        pulled.fetched += 1;
        let text = ppid.to_text();
        let asking = OriginalWish { ppid: &text, item: &wish.item };
        wish.original = asked(holder, pull::ORIGINAL, &asking, MAX_ORIGINAL as u64)?;
        let other =
            wish.original.len() as u64 != bytes || crate::ledger::hash::sha256(&[&wish.original]) != sha256.0;
        if other {
            return Err(Lie::Other.into());
        }
        match self.deposit(&wish) {
            Ok(Deposit::New(_)) => pulled.kept += 1,
            Ok(Deposit::Before(_)) => pulled.before += 1,
            Err(NoDeposit::Node(error)) => return Err(error.into()),
            Err(refused) => pulled.refused.push((wish.item, refused.to_string())),
        }
        Ok(())
    }
}

/// One question: 200, or no answer.
fn asked(
    holder: &dyn Holder,
    path: &str,
    wish: &impl serde::Serialize,
    most: u64,
) -> Result<Vec<u8>, NoPull> {
    let body = serde_json::to_vec(wish).map_err(|e| Error::from(crate::portability::Error::from(e)))?;
    let Answered { status, body } = holder.post(path, &body, most).map_err(NoPull::NoAnswer)?;
    if status != 200 {
        return Err(NoPull::NoAnswer(format!("status {status}")));
    }
    // Whoever carries it keeps the bound; nobody relies on it.
    if body.len() as u64 > most {
        return Err(Lie::Other.into());
    }
    Ok(body)
}
