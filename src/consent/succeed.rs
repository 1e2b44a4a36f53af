//! Succession: who holds what was granted to a party that ends.
//!
//! `party.succeed` is the ending party's word, endorsed by the operator. From its
//! date the party is as if closed: it asks nothing, publishes nothing, is granted
//! nothing. The successor asks in its place and in its domain, and is permitted
//! only what a grant or an attestation of before permits, for the purpose it
//! names: no default, no exception and nothing new comes with the succession.
//! Every closing act of the person in those slots counts as before.
//!
//! Lacks: the party's place as a recipient of others (a grant names whom it names),
//! its processors (the successor engages its own), and a way back.

use serde::{Deserialize, Serialize};

use crate::consent::party::Party;
use crate::consent::register::Register;
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{PartyId, Timestamp};
use crate::model::statement::PartySucceed;
use crate::model::vocabulary::Role;

/// Who follows a party, and from when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Succession {
    /// From this instant on.
    pub from: Timestamp,
    /// Who.
    pub successor: PartyId,
}

impl Register {
    /// By the party that ends, endorsed by the operator. Source: design §4.
    ///
    /// Reading: once and for good, never back in time (public time, so that a stranger's replay says the
    /// same). The successor is a live controller of the same country, or the data would cross a border
    /// that no grant names, and has no successor itself: so nobody follows in a circle.
    pub(in crate::consent) fn succeed(&mut self, s: &PartySucceed, recorded: &Recorded) -> Result<(), Why> {
        let at = recorded.at();
        let party = self.signed_by(&s.party, recorded)?;
        self.endorsed_by_operator(recorded)?;
        let successor = self.party(&s.successor).ok_or(Why::PartyUnknown)?;
        if !party.is_live(at) || !successor.is_live(at) {
            return Err(Why::PartySuspended);
        }
        let controllers = [party, successor].iter().all(|party| party.has_role(Role::Controller));
        if !controllers || s.party == s.successor {
            return Err(Why::Role);
        }
        if party.jurisdiction != successor.jurisdiction {
            return Err(Why::Pack);
        }
        if party.succeeded.is_some() || successor.succeeded.is_some() {
            return Err(Why::State);
        }
        if s.from < at.rounded_to(self.grain().unwrap_or(1)) {
            return Err(Why::Dates);
        }
        let succession = Succession { from: s.from, successor: s.successor.clone() };
        self.change(&s.party, |party| party.succeeded = Some(succession))
    }

    /// Who holds at an instant what was granted to a party: itself while it is live, then its successor;
    /// `None` if nobody may use it.
    ///
    /// Reading: a succession is no way out of a suspension.
    #[must_use]
    pub fn holder(&self, party: &PartyId, at: Timestamp) -> Option<&Party> {
        let mut holder = self.party(party)?;
        // INVARIANT: no circle; the bound is for whoever reads a row that is none of ours.
        for _ in 0..=self.parties.len() {
            if holder.is_live(at) {
                return Some(holder);
            }
            let next = holder.succession_at(at).filter(|_| !holder.is_suspended(at))?;
            holder = self.party(&next.successor)?;
        }
        None
    }

    /// Whether a party has ended by succession at an instant.
    #[must_use]
    pub fn is_succeeded(&self, party: &PartyId, at: Timestamp) -> bool {
        self.party(party).is_some_and(|party| party.succession_at(at).is_some())
    }
}

impl Party {
    /// Who follows it at an instant, if somebody does.
    #[must_use]
    pub fn succession_at(&self, at: Timestamp) -> Option<&Succession> {
        self.succeeded.as_ref().filter(|s| s.from <= at)
    }
}
