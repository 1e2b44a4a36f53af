//! What happened in the year, counted: `summary.json`.
//!
//! Only what follows from the seed: no time, no duration, no id. So two runs
//! write the same bytes. Lacks the live part.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::statement::Kind;
use crate::node::Outcome;
use crate::node::Refusal;
use crate::node::Told;

/// Counts of one year.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Tally {
    /// Statements in the log, by type.
    accepted: BTreeMap<&'static str, u64>,
    /// Statements refused, by why.
    refused: BTreeMap<&'static str, u64>,
    /// Statements that were there before.
    duplicates: u64,
    /// Checks by the reason told to the asker.
    told: BTreeMap<&'static str, u64>,
    permitted: u64,
    denied: u64,
    /// Checks that left a use line.
    use_lines: u64,
}

impl Tally {
    /// Counts what a statement came to.
    pub(super) fn statement(&mut self, kind: Kind, outcome: &Outcome) {
        match outcome {
            Ok(accepted) if accepted.duplicate => self.duplicates += 1,
            Ok(_) => *self.accepted.entry(kind.as_str()).or_default() += 1,
            Err(refusal) => *self.refused.entry(code(refusal)).or_default() += 1,
        }
    }

    /// Counts the statement that began the log.
    pub(super) fn genesis(&mut self) {
        *self.accepted.entry(Kind::LogCreate.as_str()).or_default() += 1;
    }

    /// Counts one answered check.
    pub(super) fn decision(&mut self, told: &Told) {
        let decision = &told.answer.decision;
        self.use_lines += u64::from(told.id.is_some());
        *self.told.entry(decision.told().as_str()).or_default() += 1;
        if decision.permits() {
            self.permitted += 1;
        } else {
            self.denied += 1;
        }
    }

    /// Adds another tally.
    pub(super) fn add(&mut self, other: &Self) {
        let add = |mine: &mut BTreeMap<&'static str, u64>, theirs: &BTreeMap<&'static str, u64>| {
            for (name, n) in theirs {
                *mine.entry(name).or_default() += n;
            }
        };
        add(&mut self.accepted, &other.accepted);
        add(&mut self.refused, &other.refused);
        add(&mut self.told, &other.told);
        self.duplicates += other.duplicates;
        self.permitted += other.permitted;
        self.denied += other.denied;
        self.use_lines += other.use_lines;
    }

    /// Statements in the log.
    pub(super) fn statements(&self) -> u64 {
        self.accepted.values().sum()
    }

    /// Statements refused.
    pub(super) fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Checks that left a use line.
    pub(super) const fn use_lines(&self) -> u64 {
        self.use_lines
    }

    /// Checks answered.
    pub(super) const fn checks(&self) -> u64 {
        self.permitted + self.denied
    }
}

/// The code a refusal is counted under.
pub(super) const fn code(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed(_) => "malformed",
        Refusal::Window { .. } => "window",
        Refusal::Inert(why) => why.as_str(),
        Refusal::Unavailable(stop) => stop.as_str(),
        Refusal::Node(_) => "node",
    }
}

/// Who took part.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Summary {
    /// The number everything was drawn from.
    pub(super) seed: u64,
    /// By which rule choices were drawn.
    pub(super) rule: &'static str,
    /// Persons with a key set.
    pub(super) citizens: u64,
    /// Parties with a key, the operator apart.
    pub(super) parties: Vec<&'static str>,
    /// Terms come from here.
    pub(super) vocabulary: String,
    /// The population, if it was a real one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) people: Option<super::people::Figures>,
    /// What happened.
    #[serde(flatten)]
    pub(super) tally: Tally,
}

impl Summary {
    /// Pretty JSON, keys in order, one newline at the end.
    pub(super) fn to_json(&self) -> Result<String, serde_json::Error> {
        // Through a value: its map keeps keys sorted.
        let value = serde_json::to_value(self)?;
        Ok(format!("{}\n", serde_json::to_string_pretty(&value)?))
    }
}
