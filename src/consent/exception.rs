//! Exceptions: which are claimed, and what was justified of those that permit first.
//!
//! A claim is public: a notice names an exception of a pack and says why. An
//! exception with `justify-within` permits at once; its controller owes a
//! `duty.justify` for each use. Lacks: the uses themselves (an evaluation writes
//! nothing here; whoever keeps them hands them in as [`Excepted`]).

use serde::{Deserialize, Serialize};

use crate::consent::authority;
use crate::consent::notice::{self, Notice};
use crate::consent::person::Person;
use crate::consent::register::Register;
use crate::consent::{Actor, Touched};
use crate::identity::Recorded;
use crate::model::decision::{Decision, Question, Reason, Why};
use crate::model::id::{PartyId, StatementId, Timestamp};
use crate::model::pack::{Exception, Kept, Pack};
use crate::model::statement::{Claim, DutyJustify};
use crate::model::use_line::{Exact, UseAct, UseLine};
use crate::model::vocabulary::{DataClass, Role};

/// Most justifications one person's state holds; of more, the oldest go. The log has all of them.
const MOST: usize = 1_024;

/// An exception as a controller claims it.
#[derive(Clone, Copy, Debug)]
pub struct Claimed<'a> {
    /// The notice that claims it.
    pub notice: &'a Notice,
    /// The claim: rule, purpose, reason.
    pub claim: &'a Claim,
    /// The pack.
    pub pack: &'a Pack,
    /// The exception in it.
    pub exception: &'a Exception,
    /// A class of data it is claimed for.
    pub class: DataClass,
    /// Whether the pack is in force; else it is adopted and still to come.
    pub in_force: bool,
}

/// What a controller said of uses that were permitted first. Source: `duty.justify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Justification {
    /// When it was recorded.
    pub at: Timestamp,
    /// First instant of the uses.
    pub from: Timestamp,
    /// The exception, `pack#rule`.
    pub rule: String,
    /// Class of data.
    pub class: DataClass,
    /// Who.
    pub party: PartyId,
    /// First instant after.
    pub until: Timestamp,
    /// For which purpose.
    pub purpose: String,
    /// The `duty.justify`.
    pub statement: StatementId,
}

/// One use that an exception permitted before its reasons were given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Excepted {
    /// Who used.
    pub party: PartyId,
    /// The exception, `pack#rule`.
    pub rule: String,
    /// For which purpose.
    pub purpose: String,
    /// Class of data.
    pub class: DataClass,
    /// When.
    pub at: Timestamp,
    /// Reasons are due before this instant.
    pub due: Timestamp,
}

/// How a use stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Not justified, and past due.
    Overdue,
    /// Justified at this instant: too late.
    Late(Timestamp),
    /// Not justified, and not due yet.
    Waiting,
    /// Justified in time.
    Justified(Timestamp),
}

impl Standing {
    /// The spelling in lists.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overdue => "overdue",
            Self::Late(_) => "late",
            Self::Waiting => "waiting",
            Self::Justified(_) => "justified",
        }
    }

    /// When reasons were given, if they were.
    #[must_use]
    pub const fn justified_at(self) -> Option<Timestamp> {
        match self {
            Self::Late(at) | Self::Justified(at) => Some(at),
            Self::Overdue | Self::Waiting => None,
        }
    }
}

impl Excepted {
    /// The use a decision permits, if its exception is one to be justified.
    #[must_use]
    pub fn of(register: &Register, question: &Question, decision: &Decision, at: Timestamp) -> Option<Self> {
        if !decision.is_exception() {
            return None;
        }
        let exception = register.pack(&decision.pack, decision.version)?.exception(&decision.rule)?;
        let within = exception.justify_within?;
        Some(Self {
            party: question.controller.clone(),
            rule: format!("{}#{}", decision.pack, decision.rule),
            purpose: question.purpose.clone(),
            class: question.class,
            at,
            due: at.plus_ms(within.ms()),
        })
    }

    /// The use that a line keeps, if its exception is one to be justified: what [`Self::of`] says of the
    /// decision that made the line.
    #[must_use]
    pub fn of_line(register: &Register, line: &UseLine, exact: Option<&Exact>) -> Option<Self> {
        let (reason, rule) = exact.map_or((line.told, &line.rule), |exact| (exact.reason, &exact.rule));
        if line.act != UseAct::Check || reason != Reason::StatutoryException {
            return None;
        }
        let within = register.pack(&line.pack, line.version)?.exception(rule)?.justify_within?;
        Some(Self {
            party: line.controller.clone(),
            rule: format!("{}#{rule}", line.pack),
            purpose: line.purpose.clone()?,
            class: line.class?,
            at: line.at,
            due: line.at.plus_ms(within.ms()),
        })
    }

    /// How it stands by what is recorded of the person.
    #[must_use]
    pub fn standing(&self, person: &Person, now: Timestamp) -> Standing {
        let covers = |j: &&Justification| {
            j.party == self.party
                && j.rule == self.rule
                && j.purpose == self.purpose
                && j.class == self.class
                && j.from <= self.at
                && self.at < j.until
        };
        match person.justifications().iter().filter(covers).map(|j| j.at).min() {
            Some(at) if at < self.due => Standing::Justified(at),
            Some(at) => Standing::Late(at),
            None if now < self.due => Standing::Waiting,
            None => Standing::Overdue,
        }
    }
}

impl Register {
    /// The exceptions a controller claims in unretired notices: of packs that apply to it, or will.
    #[must_use]
    pub fn claims_of(&self, controller: &PartyId, at: Timestamp) -> Vec<Claimed<'_>> {
        let country = self.party(controller).and_then(|party| party.jurisdiction.as_deref());
        let now = self.packs_in(country, at).unwrap_or_default();
        let all = self.claimable_by(country, at);
        let mut claimed = Vec::new();
        for notice in self.notices().filter(|n| n.says.controller == *controller && n.retired.is_none()) {
            for claim in &notice.says.claims {
                // Those in force come first.
                let found = all.iter().find_map(|pack| Some((*pack, pack.claimed(&claim.rule)?)));
                let Some((pack, exception)) = found else { continue };
                let in_force = now.iter().any(|p| std::ptr::eq(*p, pack));
                let purposes = notice.says.purposes.iter().filter(|p| p.purpose == claim.purpose);
                for class in purposes.map(|p| p.class).filter(|class| exception.classes.contains(class)) {
                    claimed.push(Claimed { notice, claim, pack, exception, class, in_force });
                }
            }
        }
        claimed
    }
}

impl Person {
    /// Reasons for past uses, by the controller itself.
    ///
    /// Reading: of uses that lie before it; late ones are recorded, too, and stay late.
    pub(in crate::consent) fn justify(
        &mut self,
        register: &Register,
        actor: &Actor<'_>,
        recorded: &Recorded,
        s: &DutyJustify,
    ) -> Result<Touched, Why> {
        if !self.is_known() {
            return Err(Why::NotThisSubject);
        }
        authority::of_named_party(register, actor, recorded, &s.party, Role::Controller)?;
        if s.from >= s.until || s.until > recorded.at() {
            return Err(Why::Dates);
        }
        if !notice::is_said(&s.reason) {
            return Err(Why::NoticeIncomplete);
        }
        let owed = |e: &Exception| {
            e.is_owed() && e.classes.contains(&s.class) && e.purposes.iter().any(|p| p.as_str() == s.purpose)
        };
        if !register.all_packs().filter_map(|pack| pack.claimed(&s.rule)).any(owed) {
            return Err(Why::Pack);
        }
        let terms = register.all_packs().filter_map(|pack| pack.term_of(Kept::UseLines));
        let term = terms.map(|t| t.term.ms()).max().unwrap_or(u64::MAX);
        let held = &mut self.core_mut().justifications;
        held.retain(|j| j.until.plus_ms(term) > recorded.at());
        if held.len() >= MOST {
            held.remove(0);
        }
        held.push(Justification {
            statement: recorded.id(),
            party: s.party.clone(),
            rule: s.rule.clone(),
            purpose: s.purpose.clone(),
            class: s.class,
            from: s.from,
            until: s.until,
            at: recorded.at(),
        });
        Ok(Touched::Core)
    }
}
