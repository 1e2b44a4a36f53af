//! Holds: named records that may not be destroyed while a regulator needs them. Source: design §4, §8.
//!
//! A hold stands under the incident it is for, in whose row and under whose key it is
//! sealed. `case` is the incident's name, 32 hex digits. It is placed by a regulator in whose
//! scope the accused is, while the case is open; it ends at its date, at the instant no longer,
//! or when the regulator that placed it lifts it, which it may whatever became of the case.
//!
//! Lacks: whose the records are, and whether they are here at all (no answer tells); what is
//! stopped, and what is kept of somebody erased and shown to the case, is the node's
//! (`node::erase`). A hold opens nothing of the living.

use serde::{Deserialize, Serialize};

use crate::consent::incident::{Incident, Stage};
use crate::consent::person::Person;
use crate::consent::register::Register;
use crate::consent::{Actor, Touched};
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{Nonce, PartyId, StatementId, Timestamp};
use crate::model::statement::{HoldLift, HoldPlace};

/// A hold that was placed and not lifted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Hold {
    /// Which regulator.
    pub by: PartyId,
    /// Until when, at the instant no longer.
    pub until: Timestamp,
    /// Which records.
    pub records: Vec<StatementId>,
    /// The `hold.place`.
    pub statement: StatementId,
}

impl Hold {
    /// Whether it stops destruction at that instant.
    #[must_use]
    pub fn stands(&self, at: Timestamp) -> bool {
        at < self.until
    }
}

/// Most records that the standing holds of one case name together: they are part of its row.
const MOST_RECORDS: usize = 4_096;

impl Person {
    /// By a regulator in scope, while the case is open.
    ///
    /// Reading: a closed case takes no hold, as it takes no step; one placed before stands on to its end.
    pub(in crate::consent) fn place_hold(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &HoldPlace,
    ) -> Result<Touched, Why> {
        let incident = self.incident_of(&s.case)?;
        register.regulator_over(actor, recorded, &s.regulator, &incident.party)?;
        let standing = incident.holds.iter().filter(|hold| hold.stands(recorded.at()));
        let named: usize = standing.map(|hold| hold.records.len()).sum();
        if incident.stage == Stage::Closed
            || s.records.is_empty()
            || named.saturating_add(s.records.len()) > MOST_RECORDS
        {
            return Err(Why::State);
        }
        let hold = Hold {
            by: s.regulator.clone(),
            until: s.until,
            records: s.records.clone(),
            statement: recorded.id(),
        };
        if !hold.stands(recorded.at()) {
            return Err(Why::Dates);
        }
        if let Some(incident) = &mut self.core_mut().incident {
            // What has ended says nothing any more.
            incident.holds.retain(|hold| hold.stands(recorded.at()));
            incident.holds.push(hold);
        }
        Ok(Touched::Core)
    }

    /// By the regulator that placed them: all its holds of that case end.
    pub(in crate::consent) fn lift_hold(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &HoldLift,
    ) -> Result<Touched, Why> {
        let incident = self.incident_of(&s.case)?;
        register.regulator_over(actor, recorded, &s.regulator, &incident.party)?;
        let is_its = |hold: &Hold| hold.by == s.regulator && hold.stands(recorded.at());
        if !incident.holds.iter().any(is_its) {
            return Err(Why::State);
        }
        if let Some(incident) = &mut self.core_mut().incident {
            incident.holds.retain(|hold| hold.by != s.regulator && hold.stands(recorded.at()));
        }
        Ok(Touched::Core)
    }

    /// The incident, if the case is its.
    fn incident_of(&self, case: &str) -> Result<&Incident, Why> {
        let id = Nonce::from_hex(case);
        self.incident().filter(|incident| Some(incident.id) == id).ok_or(Why::NotThisSubject)
    }
}
