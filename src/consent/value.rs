//! What was promised for the use of data, and what is reported as paid.
//!
//! A grant may name a consideration (대가): the controller's promise, in its words. What it
//! says it paid (`consideration.settle`) is its word, for one grant and one period. Her
//! `consent.dispute` in the grant's slot disputes every report made for that slot until
//! then; a later report is a new word. No money moves, and nothing is decided here.
//!
//! Lacks: uses (the use log has them), sums (periods and currencies are the controller's),
//! and who is right. Source: design §4.

use serde::{Deserialize, Serialize};

use crate::consent::authority;
use crate::consent::person::Person;
use crate::consent::register::Register;
use crate::consent::{Actor, SlotKey, Touched, one};
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{PartyId, StatementId, Timestamp};
use crate::model::statement::ConsiderationSettle;
use crate::model::vocabulary::Role;

/// Most reports one person's state holds; of more, the oldest go. The log has all of them.
const MOST: usize = 1_024;

/// What a controller says it paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Settlement {
    /// When it was recorded.
    pub at: Timestamp,
    /// First instant of the period.
    pub from: Timestamp,
    /// The grant.
    pub grant: StatementId,
    /// Who.
    pub party: PartyId,
    /// First instant after the period.
    pub until: Timestamp,
    /// In minor units.
    pub amount: u64,
    /// ISO 4217.
    pub currency: String,
    /// The `consideration.settle`.
    pub statement: StatementId,
}

/// One grant, what was promised for it and what is reported as paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worth {
    /// The slot.
    pub slot: SlotKey,
    /// Whose promise.
    pub controller: PartyId,
    /// The grant.
    pub grant: StatementId,
    /// What was promised; none if nothing was.
    pub promised: Option<String>,
    /// When it ended, if it has.
    pub ended: Option<Timestamp>,
    /// What is reported as paid, and whether she disputes it.
    pub paid: Vec<(Settlement, bool)>,
}

impl Person {
    /// Every grant of hers that is held and promises something or has a report, by slot, the oldest first.
    #[must_use]
    pub fn worth(&self, now: Timestamp) -> Vec<Worth> {
        let mut out = Vec::new();
        for (key, slot) in self.slots() {
            let Some(controller) = one(&key.controller).and_then(PartyId::parse) else { continue };
            let past = slot.ended.iter().map(|e| (e.grant, e.consideration.clone(), Some(e.at)));
            let standing = slot.grant.as_ref().map(|terms| {
                let end = terms.fetch_until.max(terms.keep_until);
                (terms.statement, terms.consideration.clone(), (end <= now).then_some(end))
            });
            for (grant, promised, ended) in past.chain(standing) {
                let of = self.core().settled.iter().filter(|s| s.grant == grant);
                let disputed = |s: &Settlement| slot.disputed.is_some_and(|at| s.at <= at);
                let paid: Vec<_> = of.map(|s| (s.clone(), disputed(s))).collect();
                if promised.is_some() || !paid.is_empty() {
                    let (slot, controller) = (key.clone(), controller.clone());
                    out.push(Worth { slot, controller, grant, promised, ended, paid });
                }
            }
        }
        out
    }

    /// By the controller of the grant. The same period again is the newest word of it; one that
    /// overlaps another is refused.
    pub(in crate::consent) fn report_paid(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &ConsiderationSettle,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        authority::of_named_party(register, actor, recorded, &s.party, Role::Controller)?;
        if s.currency.len() != 3 || !s.currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(Why::Vocabulary);
        }
        self.take_settled(recorded, s)
    }

    pub(in crate::consent) fn take_settled(
        &mut self,
        recorded: &Recorded,
        s: &ConsiderationSettle,
    ) -> Result<Touched, Why> {
        let is_its = |key: &SlotKey| one(&key.controller) == Some(s.party.as_str());
        let known = self.slots().filter(|(key, _)| is_its(key)).any(|(_, slot)| {
            slot.grant.as_ref().is_some_and(|terms| terms.statement == s.grant)
                || slot.ended.iter().any(|ended| ended.grant == s.grant)
        });
        if !known {
            return Err(Why::NotOwed);
        }
        if s.from >= s.until || s.until > recorded.at() {
            return Err(Why::Dates);
        }
        let same = |old: &Settlement| old.grant == s.grant && old.from == s.from && old.until == s.until;
        let overlaps =
            |old: &Settlement| old.grant == s.grant && old.from < s.until && s.from < old.until && !same(old);
        if self.core().settled.iter().any(overlaps) {
            return Err(Why::Dates);
        }
        let is_said = |old: &Settlement| same(old) && old.amount == s.amount && old.currency == s.currency;
        if self.core().settled.iter().any(is_said) {
            return Ok(Touched::Core);
        }
        let held = &mut self.core_mut().settled;
        held.retain(|old| !same(old));
        if held.len() >= MOST {
            held.remove(0);
        }
        held.push(Settlement {
            at: recorded.at(),
            from: s.from,
            grant: s.grant,
            party: s.party.clone(),
            until: s.until,
            amount: s.amount,
            currency: s.currency.clone(),
            statement: recorded.id(),
        });
        Ok(Touched::Core)
    }
}
