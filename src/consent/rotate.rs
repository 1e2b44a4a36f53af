//! A party's key, the epoch of its domain, and its end of transfers.
//!
//! `party.rotate` brings one of them anew, or more. What is carried is called for at the new
//! address from the next call on; what a sender has sealed for the key before it has to be
//! opened with that one. The epoch is part of the
//! domain in which a party knows persons (`<party>/<epoch>`): raising it gives every
//! person another ppid there, and the old ones name nobody any more. Lacks: ppids
//! themselves (the node's and the vault's), and a date from which it holds: its
//! index is that.

use std::sync::Arc;

use crate::consent::party::FormerKey;
use crate::consent::register::Register;
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{KeyHash, PartyId};
use crate::model::statement::PartyRotate;

impl Register {
    /// By the party's present key, endorsed by the operator, then by the new key. Source: design §4, §7.
    ///
    /// Reading: an epoch may be raised and an end moved by itself, under the present key; then nobody else
    /// endorses.
    /// It is named, not counted, so that one statement raises it once.
    pub(in crate::consent) fn rotate(&mut self, s: &PartyRotate, recorded: &Recorded) -> Result<(), Why> {
        let party = self.signed_by(&s.party, recorded)?;
        self.endorsed_by_operator(recorded)?;
        if !party.is_live(recorded.at()) {
            return Err(Why::PartySuspended);
        }
        let old = party.key;
        if s.transfer.as_ref().is_some_and(|end| !end.is_sound()) {
            return Err(Why::NoticeIncomplete);
        }
        let moves = s.transfer.is_some() && s.transfer != party.transfer;
        let next = match s.epoch {
            None if s.new == old && !moves => return Err(Why::State),
            None => party.epoch,
            Some(epoch) if party.epoch.checked_add(1) == Some(epoch) => epoch,
            Some(_) => return Err(Why::Superseded),
        };
        if s.new != old {
            if recorded.signed().endorsers.get(1) != Some(&s.new) {
                return Err(Why::Endorsement);
            }
            if self.is_key_taken(&s.new) {
                return Err(Why::KeyTaken);
            }
            Arc::make_mut(&mut self.keys).insert(s.new, s.party.clone());
        }
        let index = recorded.index();
        self.change(&s.party, |party| {
            party.epoch = next;
            if s.transfer.is_some() {
                party.transfer.clone_from(&s.transfer);
            }
            if s.new != old {
                party.former.push(FormerKey { key: old, index: party.keyed.unwrap_or(party.index) });
                party.key = s.new;
                party.keyed = Some(index);
            }
        })
    }

    /// The party that signs with this key now.
    #[must_use]
    pub fn party_of_key(&self, key: &KeyHash) -> Option<&PartyId> {
        self.party_that_held(key).filter(|id| self.party(id).is_some_and(|party| party.key == *key))
    }

    /// The party that signs or once signed with this key: a key stands in one party for ever.
    #[must_use]
    pub fn party_that_held(&self, key: &KeyHash) -> Option<&PartyId> {
        self.keys.get(key)
    }

    /// How often an epoch was raised, in all.
    #[must_use]
    pub fn raised(&self) -> u64 {
        self.parties().map(|party| u64::from(party.epoch)).sum()
    }

    /// The epoch of a party's domain; 0 for one that is not registered.
    #[must_use]
    pub fn epoch_of(&self, party: &PartyId) -> u32 {
        self.party(party).map_or(0, |party| party.epoch)
    }
}
