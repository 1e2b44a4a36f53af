//! Arrivals: what a person expects of another log, and how that log delivers: routes and shapes.

use serde_json::Value;
use serde_json::json;

use crate::http::openapi::about::About;
use crate::http::openapi::about::BODY;
use crate::http::openapi::about::COSE;
use crate::http::openapi::about::MEDIA;
use crate::http::openapi::about::MISSING;
use crate::http::openapi::about::Media;
use crate::http::openapi::about::Param;
use crate::http::openapi::about::SERVER;
use crate::http::openapi::about::cddl;
use crate::http::openapi::about::get;
use crate::http::openapi::about::header;
use crate::http::openapi::about::ok;
use crate::http::openapi::about::path;
use crate::http::openapi::about::plain;
use crate::http::openapi::about::post;
use crate::http::openapi::about::problems;
use crate::http::openapi::about::put;
use crate::http::openapi::about::shape;
use crate::http::openapi::shape::closed;
use crate::http::openapi::shape::list;
use crate::http::openapi::shape::of;
use crate::http::openapi::shape::one_of;
use crate::http::sort;
use crate::http::sort::Sort;
use crate::model::statement::FailCode;
use crate::node::arrival::EndState;
use crate::node::deposit::OverBy;

const DEMAND: Param = path("id", "StatementId", "The `transfer.demand` at the log that calls.");
const RUN: Param = path("run", "Count", "Number of the run, from 0.");
const PPID: Param = header("x-naru-ppid", "Ppid", "The person, in this service's domain at that log.");
/// Why a log is turned away, whoever it is about.
const TURNED: &[&Sort] =
    &[sort::DELIVERY_FORM, sort::NOT_RECEIVING, sort::NO_ARRIVAL, sort::DELIVERY_DIFFERS];
const SIGNED: &[Media] = &[cddl(COSE, "item")];

pub(super) const EXPECTED: About = get(
    "/v1/subjects/me/expected",
    "myArrivals",
    "The demands at other logs of which the caller has deliveries taken here.",
    &[],
    &[ok("All that she has told, those that are over among them.", &[shape("Arrivals")])],
    problems(&[MISSING, SERVER]),
);

pub(super) const EXPECT: About = post(
    "/v1/subjects/me/arrivals",
    "expectArrival",
    "Tells that deliveries of a demand at another log are for the caller, and until when; a time that has passed ends it.",
    &[shape("Arrival")],
    &[ok("What stands.", &[shape("Expected")])],
    problems(&[
        MEDIA,
        BODY,
        &[
            sort::BAD_JSON,
            sort::NOT_RECEIVING,
            sort::NO_ARRIVAL,
            sort::ARRIVAL_TAKEN,
            sort::TOO_MANY_ARRIVALS,
        ],
        SERVER,
    ]),
);

pub(super) const TAKE: About = put(
    "/v1/transfers/{id}/runs/{run}/items/{item}",
    "deliverItem",
    "Brings one item of a run, against what its person has told; once or again, it is kept once.",
    &[plain("application/jose"), plain("application/json")],
    &[ok("It is kept, durable.", &[shape("Taken")])],
    problems(&[
        BODY,
        TURNED,
        &[sort::VIEW_ONLY, sort::NOT_OPENED, sort::ORIGINAL_REFUSED, sort::DEPOSITS_FULL],
        SERVER,
    ]),
)
.asking(&[
    DEMAND,
    RUN,
    path("item", "RunItem", "Name of the item in the run."),
    PPID,
    header("x-naru-scope", "Scope", "K-MyData scope of the item."),
    header("x-naru-sender", "PartyId", "Who sent it, as the log names it."),
    header("x-naru-purpose", "Purpose", "Why, as the demand says."),
    header("x-naru-mode", "DeliveryMode", "How the recipient may have it."),
    header("x-naru-keep-until", "Ms", "The recipient keeps it no longer."),
    header("x-naru-sha256", "Hash", "SHA-256 of the bytes."),
]);

pub(super) const COMPLETE: About = post(
    "/v1/transfers/{id}/runs/{run}/complete",
    "confirmDelivery",
    "Has signed how many items of a run have arrived. The same question gets the same bytes.",
    &[shape("Complete")],
    &[ok("A signed `transfer.confirm`.", SIGNED)],
    problems(&[MEDIA, BODY, &[sort::BAD_JSON], TURNED, SERVER]),
)
.asking(&[DEMAND, RUN, PPID]);

pub(super) const FAILED: About = post(
    "/v1/transfers/{id}/runs/{run}/failed",
    "failDelivery",
    "Has signed that a run has failed, for a reason that is not the receiver's.",
    &[shape("Failure")],
    &[ok("A signed `transfer.fail`.", SIGNED)],
    problems(&[MEDIA, BODY, &[sort::BAD_JSON], TURNED, SERVER]),
)
.asking(&[DEMAND, RUN, PPID]);

pub(super) const ENDED: About = post(
    "/v1/transfers/{id}/ended",
    "endArrival",
    "Tells that a demand has ended: nothing more of it is taken, and what has arrived goes when it may be kept no longer. Then it has signed that it has, if `act` says what for.",
    &[shape("DemandEnd")],
    &[ok("Noted; or, everything being deleted, a signed `duty.deleted`.", &[shape("Taken"), cddl(COSE, "item")])],
    problems(&[
        MEDIA,
        BODY,
        &[sort::BAD_JSON, sort::DELIVERY_FORM, sort::NOT_RECEIVING, sort::NO_ARRIVAL],
        SERVER,
    ]),
)
.asking(&[DEMAND, PPID]);

pub(super) fn shapes() -> Value {
    let string = |most: u32| json!({ "type": "string", "minLength": 1, "maxLength": most });
    let none_or = |shape: Value| json!({ "anyOf": [shape, { "type": "null" }] });
    let carried = [
        ("log", string(256)),
        ("demand", of("StatementId")),
        ("run", of("Count")),
        ("scope", of("Scope")),
        ("keep_until", of("Ms")),
        ("keep_until_time", string(64)),
    ];
    json!({
        "Arrival": closed(&[
            ("from", string(256)),
            ("demand", of("StatementId")),
            ("ppid", of("Ppid")),
            ("until", of("Ms")),
        ]),
        "Expected": closed(&[
            ("from", string(256)),
            ("demand", of("StatementId")),
            ("ppid", of("Ppid")),
            ("until", of("Ms")),
            ("over", none_or(of("ArrivalEnd"))),
        ]),
        "ArrivalEnd": closed(&[
            ("at", of("Ms")),
            ("state", of("EndState")),
            ("keep_until", of("Ms")),
            ("deleted_at", none_or(of("Ms"))),
        ]),
        "EndState": one_of(EndState::ALL.iter().map(|state| state.as_str())),
        "DemandEnd": closed(&[
            ("state", of("EndState")),
            ("keep_until", of("Ms")),
            ("act", none_or(of("StatementId"))),
            ("categories", none_or(json!({
                "type": "array", "items": { "$ref": "#/components/schemas/Scope" }, "maxItems": 32,
            }))),
        ]),
        "Arrivals": closed(&[("expected", list("Expected"))]),
        "RunItem": { "type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,95}$" },
        "Scope": { "type": "string", "pattern": "^[!-~]{1,64}$" },
        "DeliveryMode": one_of(["store", "view"]),
        "Taken": closed(&[("rsp_code", one_of(["00000"])), ("rsp_msg", one_of(["ok"]))]),
        "Complete": closed(&[("items", of("Count")), ("hash", of("Hash"))]),
        "Failure": closed(&[("code", one_of(FailCode::ALL.iter().map(|code| code.as_str())))]),
        "CarriedBy": closed(&carried),
        "Over": closed(&[
            ("at", of("Ms")),
            ("time", string(64)),
            ("by", one_of(OverBy::ALL.iter().map(|by| by.as_str()))),
        ]),
    })
}
