//! A complaint of hers as she reads it: what she said of whom, and how far it has come.
//!
//! Her own words and who did what when; the documents of the two sides stay with them.

use serde_json::Value;
use serde_json::json;

use crate::model::id::Timestamp;
use crate::portability::time::instant;

/// Path of her complaints.
pub const COMPLAINTS: &str = "data/complaints.json";
/// Path of her complaints as a table.
pub const COMPLAINTS_CSV: &str = "data/complaints.csv";
/// Folder of their evidence and receipts.
pub const COMPLAINT_FILES: &str = "data/complaints/";

/// Path of the evidence of the complaint at an index.
#[must_use]
pub fn complaint_path(index: u64) -> String {
    format!("{COMPLAINT_FILES}{index:012}.cbor")
}

/// Path of the receipt of the complaint at an index.
#[must_use]
pub fn complaint_receipt(index: u64) -> String {
    format!("{COMPLAINT_FILES}{index:012}.cose")
}

/// One step after the complaint.
#[derive(Clone, Debug)]
pub struct ComplaintStep<'a> {
    /// Its type.
    pub kind: &'static str,
    /// Place in the log.
    pub index: u64,
    /// When, ms.
    pub at: Timestamp,
    /// Who signed.
    pub by: &'a str,
}

/// What she is told of one complaint.
#[derive(Clone, Debug)]
pub struct ComplaintRow<'a> {
    /// Name of the incident it became.
    pub incident: String,
    /// Id of her statement.
    pub statement: String,
    /// Place of her statement in the log.
    pub index: u64,
    /// When it was recorded, ms.
    pub at: Timestamp,
    /// Of whom.
    pub party: &'a str,
    /// She, in that party's domain.
    pub ppid: String,
    /// What happened, in her words.
    pub text: &'a str,
    /// Where it stands.
    pub stage: &'static str,
    /// What followed.
    pub steps: Vec<ComplaintStep<'a>>,
}

/// The row.
#[must_use]
pub fn complaint_row(row: &ComplaintRow<'_>) -> Value {
    let step = |step: &ComplaintStep<'_>| {
        json!({
            "type": step.kind, "index": step.index, "at": step.at.0, "time": instant(step.at), "by": step.by,
        })
    };
    json!({
        "incident": row.incident, "statement": row.statement, "index": row.index, "at": row.at.0,
        "time": instant(row.at), "party": row.party, "ppid": row.ppid, "text": row.text, "stage": row.stage,
        "steps": row.steps.iter().map(step).collect::<Vec<_>>(),
        "evidence": complaint_path(row.index), "receipt": complaint_receipt(row.index),
    })
}
