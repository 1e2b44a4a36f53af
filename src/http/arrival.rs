//! Arrivals: what a person expects of another log, and that log's deliveries.
//!
//! The deliveries' addresses, headers and answers are those the carrier calls a receiver by. Who
//! calls is known by the certificate of the connection. Nobody expects it, not that person, not any
//! more: one answer, byte for byte but for the request id.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::json;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::message;
use crate::http::sort;
use crate::model::id::Hash;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::FailCode;
use crate::model::statement::Mode;
use crate::node::Node;
use crate::node::arrival::Arrival;
use crate::node::arrival::Closing;
use crate::node::arrival::Delivery;
use crate::node::arrival::EndState;
use crate::node::arrival::NoArrival;
use crate::node::arrival::RunOf;

/// Echoed, so that the carrier knows to which call it is an answer.
const TRAN_ID: &str = "x-api-tran-id";
/// Longest of it, bytes.
const MAX_TRAN_ID: usize = 64;

impl From<NoArrival> for Problem {
    fn from(no: NoArrival) -> Self {
        let told = no.to_string();
        match no {
            NoArrival::NotReceiving => Self::new(sort::NOT_RECEIVING, told),
            NoArrival::Unexpected => Self::new(sort::NO_ARRIVAL, told),
            NoArrival::Taken => Self::new(sort::ARRIVAL_TAKEN, told),
            NoArrival::TooMany => Self::new(sort::TOO_MANY_ARRIVALS, told),
            NoArrival::Unbounded => Self::new(sort::DELIVERY_FORM, told),
            NoArrival::ViewOnly => Self::new(sort::VIEW_ONLY, told),
            NoArrival::Sealed(_) => Self::new(sort::NOT_OPENED, told),
            NoArrival::Original(_) => Self::new(sort::ORIGINAL_REFUSED, told),
            NoArrival::Differs => Self::new(sort::DELIVERY_DIFFERS, told),
            NoArrival::Full => Self::new(sort::DEPOSITS_FULL, told),
            NoArrival::Node(error) => error.into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    from: String,
    demand: String,
    ppid: String,
    until: Timestamp,
}

impl Told {
    fn arrival(self) -> Option<Arrival> {
        let demand = StatementId::from_hex(&self.demand)?;
        Some(Arrival::new(self.from, Ppid::from_text(&self.ppid)?, self.until, demand))
    }
}

fn row(arrival: &Arrival) -> Value {
    let over = arrival.over.as_ref().map(|over| {
        json!({
            "at": over.at.0, "state": over.state.as_str(), "keep_until": over.keep_until.0,
            "deleted_at": over.deleted.as_ref().map(|said| said.at.0),
        })
    });
    json!({
        "from": arrival.from, "demand": arrival.demand.to_string(), "ppid": arrival.ppid.to_text(),
        "until": arrival.until.0, "over": over,
    })
}

/// `POST /v1/subjects/me/arrivals`
pub(in crate::http) async fn expect(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let key = caller::citizen(&request, &shared.node)?;
    let bad =
        "send `from`: the origin of the log, `demand`, `ppid`: yours there for this service, `until`: ms";
    let told: Told = message::json(&request, payload, bad).await?;
    let arrival = told.arrival().ok_or_else(|| Problem::new(sort::BAD_JSON, bad))?;
    let stands = row(&arrival);
    let node = Arc::clone(&shared.node);
    message::blocking(move || node.expect_arrival(&key, &arrival)).await?;
    Ok(message::uncached().json(&stands))
}

/// `GET /v1/subjects/me/expected`
pub(in crate::http) async fn mine(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let key = caller::citizen(&request, &shared.node)?;
    let node = Arc::clone(&shared.node);
    let all = message::blocking(move || node.arrivals_of(&key)).await?.ok_or_else(caller::no_person)?;
    Ok(message::uncached().json(json!({ "expected": all.iter().map(row).collect::<Vec<_>>() })))
}

fn text<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// The run that is called, and her name at the log that calls.
fn run_of(request: &HttpRequest, log: &str) -> Option<RunOf> {
    of_demand(request, log, request.match_info().get("run")?.parse().ok()?)
}

fn of_demand(request: &HttpRequest, log: &str, run: u64) -> Option<RunOf> {
    Some(RunOf {
        log: log.to_owned(),
        demand: StatementId::from_hex(request.match_info().get("id")?)?,
        run,
        ppid: Ppid::from_text(text(request, "x-naru-ppid")?)?,
    })
}

/// That it is done.
fn ok() -> Value {
    json!({ "rsp_code": "00000", "rsp_msg": "ok" })
}

/// One item, but for its bytes.
fn delivery(request: &HttpRequest, log: &str) -> Option<Delivery> {
    let media = text(request, header::CONTENT_TYPE.as_str())?;
    let mode = match text(request, "x-naru-mode")? {
        "store" => Mode::Store,
        "view" => Mode::View,
        _ => return None,
    };
    Some(Delivery {
        run: run_of(request, log)?,
        item: request.match_info().get("item")?.to_owned(),
        scope: text(request, "x-naru-scope")?.to_owned(),
        sender: PartyId::parse(text(request, "x-naru-sender")?)?,
        purpose: text(request, "x-naru-purpose")?.to_owned(),
        mode,
        keep_until: Timestamp::named(text(request, "x-naru-keep-until")?.parse().ok()?)?,
        sha256: Hash::from_hex(text(request, "x-naru-sha256")?)?,
        media: media.trim().to_owned(),
        bytes: Vec::new(),
    })
}

fn form() -> Problem {
    Problem::new(sort::DELIVERY_FORM, "a header or part of the address is missing, or is none")
}

/// An answer to a carrier, with the id of its call.
fn echoed(request: &HttpRequest, mut answer: HttpResponse) -> HttpResponse {
    let sent = request.headers().get(TRAN_ID).filter(|id| id.len() <= MAX_TRAN_ID);
    if let Some(sent) = sent {
        answer.headers_mut().insert(header::HeaderName::from_static(TRAN_ID), sent.clone());
    }
    answer
}

/// `PUT /v1/transfers/{id}/runs/{run}/items/{item}`
pub(in crate::http) async fn take(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let log = caller::carrier(&request, &shared)?;
    let mut delivery = delivery(&request, log).ok_or_else(form)?;
    delivery.bytes = message::body(&request, payload).await?.to_vec();
    let node = Arc::clone(&shared.node);
    message::blocking(move || node.take_delivery(&delivery)).await?;
    Ok(echoed(&request, message::uncached().json(ok())))
}

/// Has a step of a run signed: what the carrier says of it, held against what has arrived.
async fn step<T: DeserializeOwned + Send + 'static>(
    (request, payload, shared): (HttpRequest, web::Payload, web::Data<Shared>),
    bad: &'static str,
    sign: impl FnOnce(&Node, &RunOf, T) -> Result<Vec<u8>, NoArrival> + Send + 'static,
) -> Result<HttpResponse, Problem> {
    let log = caller::carrier(&request, &shared)?;
    let of = run_of(&request, log).ok_or_else(form)?;
    let said: T = message::json(&request, payload, bad).await?;
    let node = Arc::clone(&shared.node);
    let item = message::blocking(move || sign(&node, &of, said)).await?;
    Ok(signed(&request, item))
}

fn signed(request: &HttpRequest, item: Vec<u8>) -> HttpResponse {
    echoed(request, message::uncached().content_type("application/cose").body(item))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Complete {
    items: u64,
    #[serde(deserialize_with = "Hash::of_text")]
    hash: Hash,
}

/// `POST /v1/transfers/{id}/runs/{run}/complete`
pub(in crate::http) async fn complete(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let bad = "send `items` and `hash` as the sender signed them";
    let sign = |node: &Node, of: &RunOf, said: Complete| node.confirm_delivery(of, said.items, &said.hash);
    step((request, payload, shared), bad, sign).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    code: FailCode,
}

/// `POST /v1/transfers/{id}/runs/{run}/failed`
pub(in crate::http) async fn failed(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let sign = |node: &Node, of: &RunOf, said: Failure| node.fail_delivery(of, said.code);
    step((request, payload, shared), "send `code`: why the run failed", sign).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Over {
    state: EndState,
    keep_until: Timestamp,
    act: Option<String>,
    categories: Option<Vec<String>>,
}

impl Over {
    fn closing(self, of: RunOf) -> Option<Closing> {
        let act = match self.act {
            Some(act) => Some(StatementId::from_hex(&act)?),
            None => None,
        };
        let categories = self.categories.unwrap_or_default();
        Some(Closing { of, state: self.state, keep_until: self.keep_until, act, categories })
    }
}

/// `POST /v1/transfers/{id}/ended`
pub(in crate::http) async fn ended(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let log = caller::carrier(&request, &shared)?;
    let of = of_demand(&request, log, 0).ok_or_else(form)?;
    let bad = "send `state`, `keep_until`, and `act` with `categories` where a declaration is asked for";
    let said: Over = message::json(&request, payload, bad).await?;
    let closing = said.closing(of).ok_or_else(|| Problem::new(sort::BAD_JSON, bad))?;
    let node = Arc::clone(&shared.node);
    match message::blocking(move || node.close_arrival(&closing)).await? {
        Some(item) => Ok(signed(&request, item)),
        None => Ok(echoed(&request, message::uncached().json(ok()))),
    }
}
