//! A statement of hers as the list of them says it.

use serde_json::Value;
use serde_json::json;

use crate::identity::Recorded;
use crate::portability::Terms;
use crate::portability::time::instant;

/// One row: where it stands in the log, what it is, and where its evidence and its receipt are.
#[must_use]
pub fn statement_row(recorded: &Recorded, evidence: &str, receipt: &str) -> Value {
    let (index, at) = (recorded.index(), recorded.at());
    let notice = Terms::of(recorded.statement(), at).and_then(|terms| terms.notice);
    json!({
        "index": index, "id": recorded.id().to_string(), "type": recorded.statement().kind().as_str(),
        "at": at.0, "time": instant(at), "evidence": evidence, "receipt": receipt,
        "notice": notice.map(|(id, hash, _)| json!({ "id": id, "sha256": hash })),
    })
}
