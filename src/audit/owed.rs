//! What an archive says is owed, claimed and promised, against what follows from the statements inside.
//!
//! Lacks: clocks (a pack's, which the archive does not hold; how a row stands is checked
//! against the clock it names) and counts of uses (the lines are beside them).

use serde_json::Value;
use serde_json::json;

use crate::consent::Met;
use crate::consent::Obligation;
use crate::consent::Person;
use crate::consent::Register;
use crate::consent::RightClaim;
use crate::consent::Settlement;
use crate::model::id::Timestamp;

fn rows<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// The named fields of a row.
fn fields(row: &Value, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| row.get(*name).cloned().unwrap_or_default()).collect()
}

fn instant(row: &Value, name: &str) -> Option<Timestamp> {
    row.get(name).and_then(Value::as_u64).map(Timestamp)
}

/// Whether a row stands as the clock it names says.
fn stands(row: &Value, met: Option<Timestamp>, as_of: Timestamp) -> bool {
    let due = row.get("clock").and_then(|clock| instant(clock, "due"));
    row.get("standing").and_then(Value::as_str) == Some(Met::of(due, met, as_of).as_str())
}

/// Whether `duties.json` says what follows.
pub(in crate::audit) fn duties(person: &Person, file: &Value, as_of: Timestamp) -> bool {
    let follows = |o: &Obligation| {
        json!([
            o.act.to_string(),
            o.grant.to_string(),
            o.by.as_str(),
            o.since.0,
            o.controller.as_str(),
            o.purpose,
            o.class.as_str(),
            o.categories,
            o.party.as_str(),
            o.acknowledged.map(|at| at.0),
            o.met_at().map(|at| at.0),
            o.left,
        ])
    };
    let of_row = ["act", "grant", "ended_by", "since", "controller", "purpose", "class", "categories"];
    let mut said = Vec::new();
    for row in rows(file, "duties") {
        let mut open = false;
        for part in rows(row, "recipients") {
            open |= rows(part, "left").next().is_some();
            if !stands(part, instant(part, "met_at"), as_of) {
                return false;
            }
            let of_part = fields(part, &["party", "acknowledged_at", "met_at", "left"]);
            said.push(Value::Array([fields(row, &of_row), of_part].concat()));
        }
        if row.get("closed") != Some(&Value::Bool(!open)) {
            return false;
        }
    }
    // No pack is at hand: clocks are none.
    said == person.obligations(&Register::default(), as_of).iter().map(follows).collect::<Vec<_>>()
}

/// Whether `rights.json` says what follows.
pub(in crate::audit) fn rights(person: &Person, file: &Value, as_of: Timestamp) -> bool {
    let follows = |claim: &RightClaim| {
        let answer = claim.answer().map(|a| {
            json!({
                "statement": a.statement.to_string(), "at": a.at.0, "outcome": a.outcome.as_str(),
                "reason": a.reason,
            })
        });
        json!([
            claim.request.to_string(),
            claim.at.0,
            claim.right.as_str(),
            claim.controller.as_str(),
            claim.categories,
            answer,
        ])
    };
    let said = rows(file, "rights");
    let said = said.map(|row| {
        Value::Array(fields(row, &["request", "at", "right", "controller", "categories", "answer"]))
    });
    let stand = rows(file, "rights")
        .zip(person.rights())
        .all(|(row, claim)| stands(row, claim.answers.first().map(|answer| answer.at), as_of));
    stand && said.eq(person.rights().iter().map(follows))
}

/// Whether the grants of `value.json` are what follows.
pub(in crate::audit) fn value(person: &Person, file: &Value, as_of: Timestamp) -> bool {
    let report = |(s, disputed): &(Settlement, bool)| {
        json!({
            "statement": s.statement.to_string(), "at": s.at.0, "from": s.from.0, "until": s.until.0,
            "amount": s.amount, "currency": s.currency, "disputed": disputed,
        })
    };
    let follows = person.worth(as_of).into_iter().map(|one| {
        let reported: Vec<Value> = one.paid.iter().map(report).collect();
        json!([
            one.controller.as_str(),
            one.grant.to_string(),
            one.slot.purpose.as_str(),
            one.slot.class.as_str(),
            one.promised,
            one.ended.map(|at| at.0),
            reported,
        ])
    });
    let names = ["grant", "purpose", "class", "promised", "ended_at", "reported"];
    let said = rows(file, "controllers").flat_map(|row| {
        let controller = fields(row, &["controller"]);
        rows(row, "grants").map(move |g| Value::Array([controller.clone(), fields(g, &names)].concat()))
    });
    said.eq(follows)
}
