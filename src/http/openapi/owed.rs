//! What is owed, claimed and promised: what its routes answer, and the shapes.

use serde_json::Value;
use serde_json::json;

use crate::http::openapi::about::About;
use crate::http::openapi::about::MISSING;
use crate::http::openapi::about::PARTY;
use crate::http::openapi::about::SERVER;
use crate::http::openapi::about::get;
use crate::http::openapi::about::ok;
use crate::http::openapi::about::path;
use crate::http::openapi::about::problems;
use crate::http::openapi::about::shape;
use crate::http::openapi::shape::closed;
use crate::http::openapi::shape::list;
use crate::http::openapi::shape::of;
use crate::http::openapi::shape::one_of;
use crate::model::statement::Outcome;
use crate::model::statement::Right;

pub(super) const MY_DUTIES: About = get(
    "/v1/subjects/me/duties",
    "myDuties",
    "What is owed to the caller since grants of hers ended: by whom, by when, and what each declared.",
    &[],
    &[ok("All of it.", &[shape("MyDuties")])],
    problems(&[MISSING, SERVER]),
);

pub(super) const MY_RIGHTS: About = get(
    "/v1/subjects/me/rights",
    "myRights",
    "Rights the caller claimed, by when each is answered, and the answers.",
    &[],
    &[ok("All of them.", &[shape("MyRights")])],
    problems(&[MISSING, SERVER]),
);

pub(super) const MY_VALUE: About = get(
    "/v1/subjects/me/value",
    "myValue",
    "By controller: what was promised for the caller's data, how often it was used, and what is reported as paid.",
    &[],
    &[ok("All of it.", &[shape("MyValue")])],
    problems(&[MISSING, SERVER]),
);

pub(super) const OWN: About = get(
    "/v1/duties",
    "duties",
    "What the calling party owes and has not met: deletions and answers, the most urgent first.",
    &[],
    &[ok("Its list.", &[shape("PartyDuties")])],
    problems(&[SERVER]),
);

pub(super) const OF_PARTY: About = get(
    "/v1/parties/{id}/duties",
    "partyDuties",
    "What a party owes and has not met, or met too late; without any name of a person.",
    &[path("id", "PartyId", "The party.")],
    &[ok("Its list.", &[shape("PartyDuties")])],
    problems(&[PARTY, SERVER]),
);

fn none_or(shape: Value) -> Value {
    json!({ "anyOf": [shape, { "type": "null" }] })
}

fn array(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// What every row says of how it stands.
fn standing() -> [(&'static str, Value); 2] {
    let clock =
        closed(&[("due", of("Ms")), ("pack", of("Text")), ("version", of("Count")), ("rule", of("Text"))]);
    [("standing", one_of(["overdue", "late", "waiting", "done"])), ("clock", none_or(clock))]
}

fn with(fields: &[(&'static str, Value)], more: &[(&'static str, Value)]) -> Value {
    closed(&[fields, more].concat())
}

pub(super) fn duties() -> Value {
    let deleted = closed(&[
        ("statement", of("StatementId")),
        ("at", of("Ms")),
        ("on", of("Ms")),
        ("categories", list("Category")),
    ]);
    let recipient = [
        ("party", of("PartyId")),
        ("acknowledged_at", none_or(of("Ms"))),
        ("met_at", none_or(of("Ms"))),
        ("deleted", array(deleted)),
        ("left", list("Category")),
    ];
    let end = [
        ("act", of("StatementId")),
        ("ended_by", one_of(["closing-act", "grant-end"])),
        ("since", of("Ms")),
        ("controller", of("PartyId")),
        ("purpose", of("Purpose")),
        ("class", of("DataClass")),
    ];
    let receipt = [
        ("receipt", json!({ "type": "string", "description": "Address of the act's receipt." })),
        ("grant", of("StatementId")),
        ("categories", list("Category")),
        ("closed", json!({ "type": "boolean" })),
        ("recipients", array(with(&recipient, &standing()))),
    ];
    let debt = [
        ("acknowledged_at", none_or(of("Ms"))),
        ("left", list("Category")),
        ("?ppid", json!({ "allOf": [of("Ppid")], "description": "In the caller's own list." })),
    ];
    json!({
        "MyDuties": closed(&[("duties", array(with(&end, &receipt)))]),
        "PartyDuties": closed(&[
            ("party", of("PartyId")),
            ("complete", json!({ "type": "boolean" })),
            ("duties", array(with(&[end.as_slice(), &debt].concat(), &standing()))),
            ("rights", list("RightOwed")),
        ]),
    })
}

pub(super) fn rights() -> Value {
    let outcomes = [Outcome::Done, Outcome::Partly, Outcome::Refused].map(Outcome::as_str);
    let reply = closed(&[
        ("statement", of("StatementId")),
        ("at", of("Ms")),
        ("outcome", one_of(outcomes)),
        ("reason", json!({ "type": ["string", "null"] })),
    ]);
    let claim = [
        ("request", of("StatementId")),
        ("at", of("Ms")),
        ("right", one_of(Right::ALL.map(Right::as_str))),
        ("controller", of("PartyId")),
        ("categories", list("Category")),
        ("answer", none_or(reply)),
    ];
    let owed = [claim.as_slice(), &standing()].concat();
    json!({
        "Right": closed(&owed),
        "RightOwed": with(&owed, &[("?ppid", of("Ppid"))]),
        "MyRights": closed(&[("rights", list("Right"))]),
    })
}

pub(super) fn value() -> Value {
    let report = closed(&[
        ("statement", of("StatementId")),
        ("at", of("Ms")),
        ("from", of("Ms")),
        ("until", of("Ms")),
        ("amount", json!({ "type": "integer", "minimum": 0, "description": "Minor units." })),
        ("currency", json!({ "type": "string", "pattern": "^[A-Z]{3}$" })),
        ("disputed", json!({ "type": "boolean" })),
    ]);
    let grant = closed(&[
        ("grant", of("StatementId")),
        ("purpose", of("Purpose")),
        ("class", of("DataClass")),
        ("promised", json!({ "type": ["string", "null"] })),
        ("ended_at", none_or(of("Ms"))),
        ("reported", array(report)),
    ]);
    let uses = closed(&[
        ("purpose", of("Purpose")),
        ("class", of("DataClass")),
        ("permitted", of("Count")),
        ("first_at", of("Ms")),
        ("last_at", of("Ms")),
    ]);
    let controller =
        closed(&[("controller", of("PartyId")), ("grants", array(grant)), ("uses", array(uses))]);
    json!({
        "MyValue": closed(&[
            ("uses_counted", json!({ "type": "boolean" })),
            ("controllers", array(controller)),
        ]),
    })
}
