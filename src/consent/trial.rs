//! What a pack that is not in force would have answered: past decisions, made again.
//!
//! A [`Trial`] takes past questions one by one, each with the register and the
//! person as they were, decides it once under the packs of its day and once with
//! the candidate among them, and counts what differs. Pure; where the questions
//! come from is the caller's (use lines, or the acts of a log).
//!
//! Lacks: what a candidate would refuse to *record* (grants and notices that stand
//! already are taken as they stand). Keeps nothing of a person: rows name party,
//! purpose, class and action, and decisions only by names that the node alone can read.

use std::collections::BTreeMap;

use crate::consent::decide::{counted, decide_all};
use crate::consent::notice::Notice;
use crate::consent::person::Person;
use crate::consent::register::Register;
use crate::consent::{SlotKey, one};
use crate::model::decision::{Decision, Question, Reason};
use crate::model::id::{DecisionId, Timestamp};
use crate::model::pack::Pack;
use crate::model::vocabulary::{Action, AskedAction, DataClass};

/// One question of the past.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// The register as it was at the question's index.
    pub register: &'a Register,
    /// The person as she was; `None` is one nobody knew.
    pub person: Option<&'a Person>,
    /// What was asked.
    pub question: &'a Question,
    /// When.
    pub at: Timestamp,
    /// Whether its use was counted then: a limit it was within denies nothing.
    pub counted: bool,
    /// Name of the decision, if a use line keeps it.
    pub decision: Option<DecisionId>,
}

/// An answer without anything of the person in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// Why.
    pub reason: Reason,
    /// Name of the pack that decided.
    pub pack: String,
    /// Its version.
    pub version: u32,
    /// The rule in it.
    pub rule: String,
}

impl From<Decision> for Outcome {
    fn from(d: Decision) -> Self {
        Self { reason: d.reason, pack: d.pack.to_string(), version: d.version, rule: d.rule.to_string() }
    }
}

/// What changes, and for which questions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Whose domain.
    pub controller: String,
    /// For which purpose.
    pub purpose: String,
    /// Class of data.
    pub class: DataClass,
    /// Which action, as asked.
    pub action: &'static str,
    /// The answer of the day.
    pub before: Outcome,
    /// The answer with the candidate.
    pub after: Outcome,
}

/// A candidate pack under trial.
#[derive(Debug)]
pub struct Trial<'a> {
    candidate: &'a Pack,
    without: Vec<String>,
    asked: u64,
    changed: BTreeMap<Change, Changed>,
}

/// How often something changes, and for example where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Changed {
    times: u64,
    sample: Vec<DecisionId>,
}

/// Most decisions named for one change.
const SAMPLE: usize = 3;

impl<'a> Trial<'a> {
    /// Tries a pack beside the packs of each day, in place of older versions of itself.
    #[must_use]
    pub const fn of(candidate: &'a Pack) -> Self {
        Self { candidate, without: Vec::new(), asked: 0, changed: BTreeMap::new() }
    }

    /// Leaves packs of this name out of the answers with the candidate.
    #[must_use]
    pub fn instead_of(mut self, name: &str) -> Self {
        self.without.push(name.to_owned());
        self
    }

    /// Decides one past question again.
    pub fn ask(&mut self, past: Past<'_>) {
        let Past { register, person, question, at, counted: was_counted, decision } = past;
        let then = register.packs_of(&question.controller, at).unwrap_or_default();
        let name = self.candidate.name();
        let mut with: Vec<&Pack> = then
            .iter()
            .copied()
            .filter(|p| p.name() != name && !self.without.iter().any(|w| **w == **p.name()))
            .collect();
        if register.reaches_party(self.candidate, &question.controller) {
            with.push(self.candidate);
        }
        let decide = |packs: &[&Pack]| -> Outcome {
            let decision = decide_all(register, person, packs, question, at);
            if was_counted { counted(decision).into() } else { decision.into() }
        };
        let (before, after) = (decide(&then), decide(&with));
        self.asked += 1;
        // Another pack that says the same for the same reason changes nothing for anybody.
        if before.reason == after.reason {
            return;
        }
        let change = Change {
            controller: question.controller.as_str().to_owned(),
            purpose: question.purpose.clone(),
            class: question.class,
            action: question.action.as_str(),
            before,
            after,
        };
        let changed = self.changed.entry(change).or_default();
        changed.times += 1;
        if changed.sample.len() < SAMPLE {
            changed.sample.extend(decision);
        }
    }

    /// Questions decided so far.
    #[must_use]
    pub const fn asked(&self) -> u64 {
        self.asked
    }

    /// What differs, and how often.
    pub fn changes(&self) -> impl Iterator<Item = (&Change, u64)> {
        self.changed.iter().map(|(change, changed)| (change, changed.times))
    }

    /// Some decisions that a change would have been made of: the first that were asked again.
    #[must_use]
    pub fn sample_of(&self, change: &Change) -> &[DecisionId] {
        self.changed.get(change).map_or(&[], |changed| &changed.sample)
    }

    /// The same by rule and reason alone: the answer of the day, the answer with the candidate, how often.
    #[must_use]
    pub fn by_rule(&self) -> BTreeMap<(&Outcome, &Outcome), u64> {
        let mut out = BTreeMap::new();
        for (change, times) in self.changes() {
            *out.entry((&change.before, &change.after)).or_default() += times;
        }
        out
    }
}

/// The questions that a slot's notices suggest: every action a live notice names for it.
///
/// What an act in the slot was about, where no use line says what was really asked.
#[must_use]
pub fn questions_of(register: &Register, slot: &SlotKey) -> Vec<Question> {
    let mut questions: Vec<Question> = Vec::new();
    for notice in register.notices().filter(|n| n.retired.is_none()) {
        if one(&slot.controller).is_none_or(|c| c == notice.says.controller.as_str()) {
            for question in asked_by(notice, slot) {
                if !questions.contains(&question) {
                    questions.push(question);
                }
            }
        }
    }
    questions
}

fn asked_by<'n>(notice: &'n Notice, slot: &'n SlotKey) -> impl Iterator<Item = Question> + 'n {
    let purposes = notice.says.purposes.iter().filter(|p| p.class == slot.class);
    purposes.filter(|p| one(&slot.purpose).is_none_or(|name| name == p.purpose)).flat_map(|p| {
        p.actions.iter().map(|action| Question {
            controller: notice.says.controller.clone(),
            action: AskedAction::Grantable(*action),
            purpose: p.purpose.clone(),
            class: p.class,
            categories: p.categories.iter().filter(|c| c.required).map(|c| c.category.clone()).collect(),
            recipient: match action {
                Action::Share | Action::TransferAbroad => p.recipients.first().cloned(),
                Action::Collect | Action::Use | Action::Profile | Action::Combine | Action::Anonymise => None,
            },
            jurisdiction: match (action, &notice.says.abroad) {
                (Action::TransferAbroad, Some(abroad)) => Some(abroad.country.clone()),
                _ => None,
            },
            use_id: None,
        })
    })
}
