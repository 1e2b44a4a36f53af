//! What is owed, claimed and promised as rows: the same in an answer and in an archive.
//!
//! Times are milliseconds, ids as everywhere. Lacks any name of a person.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use crate::consent::Clock;
use crate::consent::Declared;
use crate::consent::Met;
use crate::consent::Obligation;
use crate::consent::RightReply;
use crate::consent::Settlement;
use crate::consent::Worth;
use crate::model::id::PartyId;
use crate::model::id::Timestamp;
use crate::node::owed::Claimed;
use crate::node::owed::tally::Tally;

/// Obligations, one row for each grant that ended: who owes, and what each declared.
///
/// A row is the person's receipt of the end: it is `closed` once everybody has declared all.
#[must_use]
pub fn duties(owed: &[(Obligation, Met)]) -> Value {
    let same = |a: &(Obligation, Met), b: &(Obligation, Met)| a.0.act == b.0.act && a.0.grant == b.0.grant;
    let rows = owed.chunk_by(same).filter_map(|all| {
        let (first, _) = all.first()?;
        Some(json!({
            "act": first.act.to_string(), "ended_by": first.by.as_str(), "since": first.since.0,
            "receipt": format!("/v1/statements/{}/receipt", first.act),
            "grant": first.grant.to_string(), "controller": first.controller.as_str(),
            "purpose": first.purpose, "class": first.class.as_str(), "categories": first.categories,
            "closed": all.iter().all(|(owed, _)| owed.left.is_empty()),
            "recipients": all.iter().map(|(owed, met)| debtor(owed, *met)).collect::<Vec<_>>(),
        }))
    });
    Value::Array(rows.collect())
}

/// One party's part of an obligation.
fn debtor(owed: &Obligation, met: Met) -> Value {
    let deleted = |said: &Declared| {
        let deleted = said.deleted.as_ref()?;
        Some(json!({
            "statement": said.statement.to_string(), "at": said.at.0, "on": deleted.on.0,
            "categories": deleted.categories,
        }))
    };
    json!({
        "party": owed.party.as_str(), "standing": met.as_str(), "clock": clock(owed.clock.as_ref()),
        "acknowledged_at": owed.acknowledged.map(|at| at.0), "met_at": owed.met_at().map(|at| at.0),
        "deleted": owed.said.iter().filter_map(deleted).collect::<Vec<_>>(), "left": owed.left,
    })
}

/// One obligation as its party or a regulator reads it.
#[must_use]
pub fn duty(owed: &Obligation, met: Met) -> Value {
    json!({
        "act": owed.act.to_string(), "ended_by": owed.by.as_str(), "since": owed.since.0,
        "controller": owed.controller.as_str(), "purpose": owed.purpose, "class": owed.class.as_str(),
        "standing": met.as_str(), "clock": clock(owed.clock.as_ref()),
        "acknowledged_at": owed.acknowledged.map(|at| at.0), "left": owed.left,
    })
}

/// One claim, its clock and its answer.
#[must_use]
pub fn right(claimed: &Claimed) -> Value {
    let claim = &claimed.claim;
    let answer = |reply: &RightReply| {
        json!({
            "statement": reply.statement.to_string(), "at": reply.at.0,
            "outcome": reply.outcome.as_str(), "reason": reply.reason,
        })
    };
    json!({
        "request": claim.request.to_string(), "at": claim.at.0, "right": claim.right.as_str(),
        "controller": claim.controller.as_str(), "categories": claim.categories,
        "standing": claimed.met.as_str(), "clock": clock(claimed.clock.as_ref()),
        "answer": claim.answer().map(answer),
    })
}

fn clock(clock: Option<&Clock>) -> Value {
    clock.map_or(Value::Null, |clock| {
        json!({
            "due": clock.due.0, "pack": clock.pack, "version": clock.version, "rule": clock.rule,
        })
    })
}

/// By controller: what was promised, how often it used, what it reports as paid.
#[must_use]
pub fn value(worth: &[Worth], used: &Tally) -> Vec<(PartyId, Value)> {
    let mut by: BTreeMap<PartyId, (Vec<Value>, Vec<Value>)> = BTreeMap::new();
    for one in worth {
        by.entry(one.controller.clone()).or_default().0.push(grant(one));
    }
    for ((controller, purpose, class), uses) in used.rows() {
        let row = json!({
            "purpose": purpose, "class": class.as_str(), "permitted": uses.permitted,
            "first_at": uses.first.0, "last_at": uses.last.0,
        });
        by.entry(controller.clone()).or_default().1.push(row);
    }
    let row = |(controller, (grants, uses)): (PartyId, _)| {
        let value = json!({ "controller": controller.as_str(), "grants": grants, "uses": uses });
        (controller, value)
    };
    by.into_iter().map(row).collect()
}

fn grant(worth: &Worth) -> Value {
    let report = |(paid, disputed): &(Settlement, bool)| {
        json!({
            "statement": paid.statement.to_string(), "at": paid.at.0, "from": paid.from.0,
            "until": paid.until.0, "amount": paid.amount, "currency": paid.currency, "disputed": disputed,
        })
    };
    json!({
        "grant": worth.grant.to_string(), "purpose": worth.slot.purpose.as_str(),
        "class": worth.slot.class.as_str(), "promised": worth.promised,
        "ended_at": worth.ended.map(|at: Timestamp| at.0),
        "reported": worth.paid.iter().map(report).collect::<Vec<_>>(),
    })
}
