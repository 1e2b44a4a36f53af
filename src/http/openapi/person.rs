//! What a person's page reads (notices, exceptions, transfers, what she sees of herself): routes and shapes.

use serde_json::Value;
use serde_json::json;

use crate::http::openapi::about::About;
use crate::http::openapi::about::MISSING;
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
use crate::model::statement::FailCode;

pub(super) const MY_TRANSFERS: About = get(
    "/v1/subjects/me/transfers",
    "myTransfers",
    "The caller's transfer demands, how each stands, and its newest runs.",
    &[],
    &[ok("All of them.", &[shape("MyTransfers")])],
    problems(&[MISSING, SERVER]),
);

pub(super) const TRANSFER: About = get(
    "/v1/transfers/{id}",
    "transfer",
    "A transfer demand, to its sender and its recipient: each with its own ppid of the person.",
    &[path("id", "StatementId", "The `transfer.demand`.")],
    &[ok("The caller's half.", &[shape("TransferHalf")])],
    problems(&[MISSING, SERVER]),
);

pub(super) const MY_EXCEPTIONS: About = get(
    "/v1/subjects/me/exceptions",
    "myExceptions",
    "Statutory exceptions claimed on the caller's data, and uses that must yet be justified.",
    &[],
    &[ok("What is claimed.", &[shape("MyExceptions")])],
    problems(&[MISSING, SERVER]),
);

pub(super) fn notices() -> Value {
    let string = || json!({ "type": "string" });
    let text = closed(&[
        ("locale", string()),
        ("audience", one_of(["adult", "child"])),
        ("media_type", string()),
        ("length", of("Count")),
        ("hash", of("Hash")),
        ("address", string()),
    ]);
    let category = closed(&[
        ("category", of("Category")),
        ("?items", json!({ "type": "array", "items": { "type": "string" } })),
        ("required", json!({ "type": "boolean" })),
        ("reason", string()),
    ]);
    let purpose = closed(&[
        ("purpose", of("Purpose")),
        ("class", of("DataClass")),
        ("categories", json!({ "type": "array", "items": category })),
        ("actions", list("AskedAction")),
        ("recipients", list("PartyId")),
        ("keep-ms", of("Ms")),
    ]);
    json!({
        "Controller": closed(&[("id", of("PartyId")), ("name_ko", string()), ("name_en", string())]),
        "Notice": closed(&[
            ("id", of("StatementId")),
            ("name", string()),
            ("version", of("Count")),
            ("texts", json!({ "type": "array", "items": text })),
            ("purposes", json!({ "type": "array", "items": purpose })),
        ]),
        "PartyNotices": closed(&[
            ("controller", of("Controller")),
            ("jurisdiction", json!({ "anyOf": [of("Text"), { "type": "null" }] })),
            ("notices", list("Notice")),
        ]),
    })
}

pub(super) fn own() -> Value {
    let none_or = |shape: Value| json!({ "anyOf": [shape, { "type": "null" }] });
    let key = closed(&[
        ("key", of("Hash")),
        ("use", one_of(["passkey", "device", "recovery"])),
        ("from", of("Index")),
        ("since", of("Ms")),
        ("revoked", none_or(of("Ms"))),
        ("live", json!({ "type": "boolean" })),
    ]);
    let rebind = closed(&[
        ("statement", of("StatementId")),
        ("index", of("Index")),
        ("key", of("Hash")),
        ("due", of("Ms")),
        ("stop", of("Kind")),
    ]);
    let terms = closed(&[
        ("statement", of("StatementId")),
        ("notice", none_or(of("StatementId"))),
        ("categories", list("Category")),
        ("actions", list("AskedAction")),
        ("recipients", list("PartyId")),
        ("fetch_until", of("Ms")),
        ("keep_until", of("Ms")),
    ]);
    let states =
        ["none", "granted", "attested", "disputed", "paused", "refused", "withdrawn", "objected", "expired"];
    let slot = closed(&[
        ("controller", json!({ "type": "string", "description": "A party, or `*`." })),
        ("purpose", json!({ "type": "string", "description": "A term of DPV, or `*`." })),
        ("class", of("DataClass")),
        ("state", one_of(states)),
        ("since", of("Ms")),
        ("over", none_or(of("StatementId"))),
        ("carried_by", none_or(of("PartyId"))),
        ("terms", none_or(terms)),
    ]);
    let month =
        |help: &str| json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}$", "description": help });
    let months = closed(&[("month", month("Of UTC.")), ("rebinds", of("Count"))]);
    json!({
        "Rebinds": closed(&[
            ("before", month("This month is not told yet.")),
            ("months", json!({ "type": "array", "items": months })),
        ]),
        "MyState": closed(&[
            ("keys", json!({ "type": "array", "items": key })),
            ("keys_over", none_or(of("StatementId"))),
            ("recovery", json!({ "type": "boolean" })),
            ("rebind", none_or(rebind)),
            ("rebound_until", none_or(of("Ms"))),
            ("minor_until", none_or(of("Ms"))),
            ("slots", json!({ "type": "array", "items": slot })),
        ]),
    })
}

pub(super) fn transfers() -> Value {
    let none_or = |shape: Value| json!({ "anyOf": [shape, { "type": "null" }] });
    let cycle = || none_or(json!({ "type": "string", "pattern": "^[1-9][0-9]{0,3}/[dwmy]$" }));
    let target = closed(&[
        ("scope", json!({ "type": "string" })),
        ("asset_list", json!({ "type": "array", "items": { "type": "string" } })),
    ]);
    let run = closed(&[
        ("run", of("Count")),
        ("state", one_of(["delivered", "completed", "partial", "failed"])),
        ("due", none_or(of("Ms"))),
        ("items", none_or(of("Count"))),
        ("delivered_at", none_or(of("Ms"))),
        ("hash", none_or(of("Hash"))),
        ("received", none_or(of("Count"))),
        ("confirmed_at", none_or(of("Ms"))),
        ("failed", none_or(one_of(FailCode::ALL.iter().map(|code| code.as_str())))),
        ("failed_by", none_or(of("PartyId"))),
    ]);
    let carrying = closed(&[
        ("run", of("Count")),
        ("items", none_or(of("Count"))),
        ("fetched", of("Count")),
        ("sent", of("Count")),
        ("tries", of("Count")),
        ("not_before", of("Ms")),
    ]);
    let transfer = [
        ("carrying", none_or(carrying)),
        ("demand", of("StatementId")),
        ("state", one_of(["live", "barred", "stopped", "expired", "done"])),
        ("over", of("StatementId")),
        ("at", of("Ms")),
        ("snd_org_code", of("PartyId")),
        ("rcv_org_code", of("PartyId")),
        ("is_scheduled", json!({ "type": "boolean" })),
        ("fnd_cycle", cycle()),
        ("add_cycle", cycle()),
        ("end_date", of("Ms")),
        ("purpose", of("Purpose")),
        ("period", of("Ms")),
        ("mode", one_of(["view", "store"])),
        ("target_info", json!({ "type": "array", "items": target })),
        ("runs", json!({ "type": "array", "items": run })),
    ];
    let half: Vec<_> = transfer.clone().into_iter().chain([("ppid", of("Ppid"))]).collect();
    json!({
        "Transfer": closed(&transfer),
        "TransferHalf": closed(&half),
        "MyTransfers": closed(&[("transfers", list("Transfer"))]),
    })
}
