//! Processors: who may ask in a controller's domain, and until when.
//!
//! `party.engage` is the controller's word that a processor works for it,
//! `party.disengage` either side's that it no longer does. Lacks: what the contract
//! says beyond purposes and end; sub-processors (each is engaged by the controller
//! itself).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::consent::register::Register;
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{PartyId, Timestamp};
use crate::model::statement::{PartyDisengage, PartyEngage};
use crate::model::vocabulary::Role;

/// What stands between a controller and one processor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Engagement {
    /// Who works for the controller.
    pub processor: PartyId,
    /// For which purposes; empty means all of the controller's.
    pub purposes: Vec<String>,
    /// Ends here, at the instant no longer; none is open.
    pub until: Option<Timestamp>,
    /// Neither side has ended it.
    pub stands: bool,
    /// Public time of the last `party.disengage`: nothing signed before it engages again.
    pub ended: Option<Timestamp>,
}

impl Engagement {
    /// Whether it covers a purpose at an instant; `None` asks for all of the controller's.
    #[must_use]
    pub fn holds(&self, purpose: Option<&str>, at: Timestamp) -> bool {
        let within =
            self.purposes.is_empty() || purpose.is_some_and(|p| self.purposes.iter().any(|x| x == p));
        self.stands && within && self.until.is_none_or(|until| at < until)
    }
}

impl Register {
    /// By the controller, endorsed by the operator. Source: design §4, §7.
    ///
    /// Reading: the controller signs, for it opens its own domain; a later one replaces the earlier
    /// whole. "Nothing old or late reopens what was closed": one signed before the last
    /// disengagement is superseded, in public time, so that a stranger's replay says the same.
    pub(in crate::consent) fn engage(&mut self, s: &PartyEngage, recorded: &Recorded) -> Result<(), Why> {
        let at = recorded.at();
        let controller = self.signed_by(&s.controller, recorded)?;
        self.endorsed_by_operator(recorded)?;
        let processor = self.party(&s.processor).ok_or(Why::PartyUnknown)?;
        if !controller.has_role(Role::Controller)
            || !processor.has_role(Role::Processor)
            || controller.id == processor.id
        {
            return Err(Why::Role);
        }
        if !controller.is_live(at) || !processor.is_live(at) {
            return Err(Why::PartySuspended);
        }
        let ended = self.engagement(&s.controller, &s.processor).and_then(|old| old.ended);
        if ended.is_some_and(|ended| s.iat <= ended) {
            return Err(Why::Superseded);
        }
        if !s.purposes.iter().all(|purpose| self.knows(purpose, &[])) {
            return Err(Why::Vocabulary);
        }
        if s.until.is_some_and(|until| until <= at) {
            return Err(Why::Dates);
        }
        let new = Engagement {
            processor: s.processor.clone(),
            purposes: s.purposes.clone(),
            until: s.until,
            stands: true,
            ended,
        };
        self.put_engagement(&s.controller, new)
    }

    /// By either side, endorsed by the operator. Closing: whatever their status, and with nothing to end, too.
    pub(in crate::consent) fn disengage(
        &mut self,
        s: &PartyDisengage,
        recorded: &Recorded,
    ) -> Result<(), Why> {
        self.party(&s.controller).ok_or(Why::PartyUnknown)?;
        self.party(&s.processor).ok_or(Why::PartyUnknown)?;
        self.signed_by(&s.controller, recorded).or_else(|_| self.signed_by(&s.processor, recorded))?;
        self.endorsed_by_operator(recorded)?;
        let old = self.engagement(&s.controller, &s.processor);
        let ended = recorded.at().rounded_to(self.grain().unwrap_or(1));
        let ended = old.and_then(|old| old.ended).map_or(ended, |before| before.max(ended));
        let new = Engagement {
            processor: s.processor.clone(),
            purposes: old.map(|old| old.purposes.clone()).unwrap_or_default(),
            until: old.and_then(|old| old.until),
            stands: false,
            ended: Some(ended),
        };
        self.put_engagement(&s.controller, new)
    }

    /// What stands between a controller and a processor.
    #[must_use]
    pub fn engagement(&self, controller: &PartyId, processor: &PartyId) -> Option<&Engagement> {
        self.party(controller)?.processors.iter().find(|e| e.processor == *processor)
    }

    /// Whether `asker` may ask in the controller's domain for a purpose; `None` asks for all of them.
    ///
    /// The controller itself while it is live; a processor while both are and the engagement holds; the
    /// successor, once there is one, and then nobody else.
    #[must_use]
    pub fn acts_for(
        &self,
        asker: &PartyId,
        controller: &PartyId,
        purpose: Option<&str>,
        at: Timestamp,
    ) -> bool {
        let Some(holder) = self.holder(controller, at) else { return false };
        let live = |id: &PartyId| self.party(id).is_some_and(|party| party.is_live(at));
        let engaged = || self.engagement(controller, asker).is_some_and(|e| e.holds(purpose, at));
        holder.id == *asker || (holder.id == *controller && live(asker) && engaged())
    }

    fn put_engagement(&mut self, controller: &PartyId, new: Engagement) -> Result<(), Why> {
        let party = Arc::make_mut(&mut self.parties).get_mut(controller).ok_or(Why::PartyUnknown)?;
        let party = Arc::make_mut(party);
        party.processors.retain(|old| old.processor != new.processor);
        party.processors.push(new);
        Ok(())
    }
}
