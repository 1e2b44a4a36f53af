//! A use line as the person reads it.

use serde_json::Value;
use serde_json::json;

use crate::model::use_line::Exact;
use crate::model::use_line::UseLine;
use crate::portability::time::instant;

/// One row: who asked, for what, when, what was told and decided. `t` is when it was written, by which rows
/// stand in order, and by `id` within one instant; `batch` is the number of the use batch, `evidence` the path
/// of what proves it.
#[must_use]
pub fn use_row(line: &UseLine, exact: Option<&Exact>, batch: u64, evidence: Option<&str>) -> Value {
    let reason = exact.map_or(line.told, |exact| exact.reason);
    json!({
        "id": line.id.to_string(), "t": line.t.0, "act": line.act, "case": line.case.map(|case| case.to_string()), "time": instant(line.at), "at": line.at.0,
        "asker": line.asker.as_str(), "controller": line.controller.as_str(),
        "ppid": line.ppid.map(|ppid| ppid.to_text()), "action": line.action.map(|a| a.as_str()),
        "purpose": line.purpose, "class": line.class.map(|c| c.as_str()), "categories": line.categories,
        "recipient": line.recipient.as_ref().map(|r| r.as_str()), "jurisdiction": line.jurisdiction,
        "use_id": line.use_id, "count": line.count, "decision": line.told.permits(),
        "told": line.told.as_str(), "reason": reason.as_str(), "pack": line.pack, "version": line.version,
        "rule": exact.map_or(line.rule.as_str(), |exact| exact.rule.as_str()), "as_of": line.as_of,
        "basis": line.basis.map(|id| id.to_string()), "batch": batch,
        "evidence": evidence,
    })
}
