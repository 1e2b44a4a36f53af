//! Rights a person claims against a controller, and what it answers.
//!
//! A claim (`right.request`) starts the clock of the packs that apply to the controller; its
//! answer (`right.answer`) is its word and stands with its reason. The same claim again
//! while it waits is the same claim: no clock starts anew. After an answer it is a new one.
//!
//! Lacks: whether the controller did what it says, and anything done when a clock runs out.
//! Source: design §4; PIPA art. 35 to 37-2.
//!
//! Reading: a controller may answer again (a refusal turned into a yes, more than before);
//! the newest answer shows, and the first one is in time or late. A suspended controller
//! owes answers, too.

use serde::{Deserialize, Serialize};

use crate::consent::authority;
use crate::consent::duty::{Clock, Met};
use crate::consent::notice;
use crate::consent::person::Person;
use crate::consent::register::Register;
use crate::consent::{Actor, Touched};
use crate::identity::Recorded;
use crate::model::decision::Why;
use crate::model::id::{PartyId, StatementId, Timestamp};
use crate::model::pack::Trigger;
use crate::model::statement::{Outcome, Right, RightAnswer, RightRequest, Scope};
use crate::model::vocabulary::Role;

/// Most claims of one person that wait for an answer.
const MOST_WAITING: usize = 256;
/// Most claims her row holds; of more, the oldest answered ones go. The log has all of them.
const MOST_HELD: usize = 512;
/// Most repeats of one claim that an answer may name, and most answers to one.
const MOST_REPEATS: usize = 8;
/// Most categories of one claim.
const MOST_CATEGORIES: usize = 64;
/// Longest reason, bytes.
const MAX_REASON: usize = 4_096;

/// A right that is claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RightClaim {
    /// When it was first claimed: the clock starts.
    pub at: Timestamp,
    /// Which right.
    pub right: Right,
    /// What the controller answered, in order.
    pub answers: Vec<RightReply>,
    /// The same again while it waited.
    pub repeats: Vec<StatementId>,
    /// The `right.request`.
    pub request: StatementId,
    /// About which categories; empty means all.
    pub categories: Vec<String>,
    /// Against whom.
    pub controller: PartyId,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RightReply {
    /// When it was recorded.
    pub at: Timestamp,
    /// Why not, or not all.
    pub reason: Option<String>,
    /// What was done.
    pub outcome: Outcome,
    /// The `right.answer`.
    pub statement: StatementId,
}

impl RightClaim {
    /// The answer that shows: the newest.
    #[must_use]
    pub fn answer(&self) -> Option<&RightReply> {
        self.answers.last()
    }

    /// By when an answer is due; none if no pack that applies to the controller says so.
    #[must_use]
    pub fn clock(&self, register: &Register) -> Option<Clock> {
        Clock::of(register, &self.controller, (Trigger::RightRequest, &[Role::Controller]), self.at)
    }

    /// How it stands.
    #[must_use]
    pub fn met(&self, register: &Register, now: Timestamp) -> Met {
        let due = self.clock(register).map(|clock| clock.due);
        Met::of(due, self.answers.first().map(|answer| answer.at), now)
    }

    fn is_named(&self, id: &StatementId) -> bool {
        self.request == *id || self.repeats.contains(id)
    }

    fn says(&self, s: &RightRequest, categories: &[String]) -> bool {
        self.controller == s.controller && self.right == s.right && self.categories == categories
    }
}

impl Person {
    /// Rights she claimed, in order of arrival.
    #[must_use]
    pub fn rights(&self) -> &[RightClaim] {
        &self.core().rights
    }

    /// By herself or her delegate.
    pub(in crate::consent) fn claim_right(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &RightRequest,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        authority::of_person(self, actor, recorded, &Scope::One(s.controller.as_str().to_owned()))?;
        let party = register.party(&s.controller).ok_or(Why::PartyUnknown)?;
        if !party.has_role(Role::Controller) {
            return Err(Why::Role);
        }
        if s.categories.len() > MOST_CATEGORIES || !register.knows_categories(&s.categories) {
            return Err(Why::Vocabulary);
        }
        self.take_claim(recorded, s)
    }

    pub(in crate::consent) fn take_claim(
        &mut self,
        recorded: &Recorded,
        s: &RightRequest,
    ) -> Result<Touched, Why> {
        let mut categories = s.categories.clone();
        categories.sort_unstable();
        categories.dedup();
        if self.rights().iter().any(|claim| claim.is_named(&recorded.id())) {
            return Ok(Touched::Core);
        }
        let same = |claim: &RightClaim| claim.answers.is_empty() && claim.says(s, &categories);
        let waiting = self.rights().iter().filter(|claim| claim.answers.is_empty()).count();
        let held = &mut self.core_mut().rights;
        if let Some(claim) = held.iter_mut().find(|claim| same(claim)) {
            if claim.repeats.len() >= MOST_REPEATS {
                claim.repeats.remove(0);
            }
            claim.repeats.push(recorded.id());
            return Ok(Touched::Core);
        }
        if waiting >= MOST_WAITING {
            return Err(Why::State);
        }
        if held.len() >= MOST_HELD
            && let Some(oldest) = held.iter().position(|claim| !claim.answers.is_empty())
        {
            held.remove(oldest);
        }
        held.push(RightClaim {
            at: recorded.at(),
            right: s.right,
            answers: Vec::new(),
            repeats: Vec::new(),
            request: recorded.id(),
            categories,
            controller: s.controller.clone(),
        });
        Ok(Touched::Core)
    }

    /// By the controller it was claimed against: a claim against others is told like none.
    pub(in crate::consent) fn answer_right(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &RightAnswer,
    ) -> Result<Touched, Why> {
        self.must_exist()?;
        authority::in_own_name(register, actor, recorded, &s.party)?;
        let why = s.reason.as_ref();
        let is_said = why.is_some_and(|why| notice::is_said(why) && why.len() <= MAX_REASON);
        if why.is_some() != is_said || (s.outcome != Outcome::Done && !is_said) {
            return Err(Why::NoticeIncomplete);
        }
        self.take_answer(recorded, s)
    }

    pub(in crate::consent) fn take_answer(
        &mut self,
        recorded: &Recorded,
        s: &RightAnswer,
    ) -> Result<Touched, Why> {
        let its = |claim: &RightClaim| claim.controller == s.party && claim.is_named(&s.request);
        let place = self.rights().iter().position(its).ok_or(Why::NotOwed)?;
        let Some(claim) = self.core_mut().rights.get_mut(place) else { return Err(Why::NotOwed) };
        // What stands already is not said twice.
        if claim.answer().is_some_and(|last| last.outcome == s.outcome && last.reason == s.reason) {
            return Ok(Touched::Core);
        }
        // The first stays: it is in time or late.
        if claim.answers.len() >= MOST_REPEATS {
            claim.answers.remove(1);
        }
        claim.answers.push(RightReply {
            at: recorded.at(),
            reason: s.reason.clone(),
            outcome: s.outcome,
            statement: recorded.id(),
        });
        Ok(Touched::Core)
    }
}
