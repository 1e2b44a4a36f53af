//! The shapes of deposits: what a party brings, and what the person sees of it.

use serde_json::Value;
use serde_json::json;

use crate::http::openapi::shape::closed;
use crate::http::openapi::shape::list;
use crate::http::openapi::shape::of;
use crate::http::openapi::shape::one_of;

pub(super) fn deposits() -> Value {
    let string = || json!({ "type": "string" });
    let none_or = |shape: Value| json!({ "anyOf": [shape, { "type": "null" }] });
    let profile = || one_of(["kmydata-bank", "kmydata-card", "fhir-r4", "csv"]);
    let item = json!({ "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[ -~]+$" });
    let media = json!({ "type": "string", "description": "One of the media types that are taken." });
    let form = closed(&[("profile", profile()), ("items", of("Count"))]);
    json!({
        "LinkWish": closed(&[("?at", of("Index"))]),
        "LinkId": { "type": "string", "pattern": "^[A-Za-z0-9_-]{1,256}$" },
        "ExportLink": closed(&[("address", string()), ("size", of("Count")), ("until", of("Ms"))]),
        "Record": { "type": "string", "pattern": "^[0-9a-f]{32}$", "description": "Name of an item among hers." },
        "DepositLimit": { "type": "integer", "minimum": 1, "maximum": 500 },
        "Brought": closed(&[
            ("?controller", of("PartyId")),
            ("ppid", of("Ppid")),
            ("item", item),
            ("purpose", of("Purpose")),
            ("class", of("DataClass")),
            ("?categories", list("Category")),
            ("media_type", media),
            ("original", of("Base64url")),
        ]),
        "Kept": closed(&[
            ("item", string()),
            ("at", of("Ms")),
            ("bytes", of("Count")),
            ("sha256", of("Hash")),
            ("form", none_or(form)),
        ]),
        "Deposit": closed(&[
            ("record", of("Record")),
            ("party", of("PartyId")),
            ("by", of("PartyId")),
            ("item", string()),
            ("at", of("Ms")),
            ("time", string()),
            ("media_type", string()),
            ("bytes", of("Count")),
            ("sha256", none_or(of("Hash"))),
            ("purpose", of("Purpose")),
            ("class", of("DataClass")),
            ("categories", list("Category")),
            ("basis", none_or(of("StatementId"))),
            ("from", none_or(of("CarriedBy"))),
            ("sealed_to", one_of(["service", "person"])),
            ("over", none_or(of("Over"))),
            ("original", none_or(string())),
            ("form", none_or(string())),
            ("profile", none_or(profile())),
            ("items", none_or(of("Count"))),
        ]),
        "Deposits": closed(&[
            ("key", none_or(of("AgeRecipient"))),
            ("deposits", list("Deposit")),
            ("next", none_or(of("Record"))),
        ]),
        "SourceWish": closed(&[("party", of("PartyId"))]),
        "Pulled": closed(&[
            ("kept", of("Count")),
            ("before", of("Count")),
            ("more", json!({ "type": "boolean" })),
            ("refused", json!({ "type": "array", "items": closed(&[("item", string()), ("why", string())]) })),
        ]),
        "DepositKey": closed(&[("age", none_or(of("AgeRecipient")))]),
    })
}
