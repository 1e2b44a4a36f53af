//! An incident as the person reads it: what was found in her own uses, and how far it has come.
//!
//! It names her decisions and nobody else's, and no number of persons. Who is accused
//! stands there only from a regulator's word on; documents stay with the two sides.

use serde_json::Value;
use serde_json::json;

use crate::model::id::Timestamp;
use crate::portability::time::instant;

/// One step after the flag.
#[derive(Clone, Debug)]
pub struct IncidentStep<'a> {
    /// Its type.
    pub kind: &'static str,
    /// Place in the log.
    pub index: u64,
    /// When, ms.
    pub at: Timestamp,
    /// Who signed, as far as it may be said.
    pub by: Option<&'a str>,
}

/// What she is told of one incident.
#[derive(Clone, Debug)]
pub struct IncidentRow<'a> {
    /// Its name.
    pub id: String,
    /// Which detector, and what that finds in Korean and English.
    pub detector: (&'static str, (&'static str, &'static str)),
    /// `D` or `S`.
    pub strength: &'static str,
    /// Place of the flag in the log.
    pub index: u64,
    /// When it was flagged, ms.
    pub at: Timestamp,
    /// Where it stands.
    pub stage: &'static str,
    /// The purpose or release of her uses.
    pub about: &'a str,
    /// The accused, once a regulator holds it for true.
    pub accused: Option<&'a str>,
    /// What followed.
    pub steps: Vec<IncidentStep<'a>>,
    /// Her decisions that the finding quotes.
    pub decisions: Vec<String>,
    /// Her decisions like those, where the finding counts more than it quotes: the first of them.
    pub alike: Vec<String>,
    /// How many more like them there are.
    pub more: u64,
    /// Statements of hers that the finding rests on.
    pub statements: Vec<String>,
}

/// The row. Decisions lead to the list of uses, statements to that of statements.
#[must_use]
pub fn incident_row(row: &IncidentRow<'_>) -> Value {
    let (detector, (ko, en)) = row.detector;
    let step = |step: &IncidentStep<'_>| {
        json!({
            "type": step.kind, "index": step.index, "at": step.at.0, "time": instant(step.at), "by": step.by,
        })
    };
    json!({
        "incident": row.id, "detector": detector, "ko": ko, "en": en, "strength": row.strength,
        "index": row.index, "at": row.at.0, "time": instant(row.at), "stage": row.stage,
        "about": row.about, "accused": row.accused, "steps": row.steps.iter().map(step).collect::<Vec<_>>(),
        "decisions": row.decisions, "alike": row.alike, "alike_more": row.more, "statements": row.statements,
    })
}
