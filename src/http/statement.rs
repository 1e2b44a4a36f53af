//! `/v1/statements`: in, one or many; where one stands; its receipt and evidence.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::rt::time::timeout;
use actix_web::web;
use actix_web::web::Bytes;
use serde::Deserialize;
use serde::Serialize;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::caller::Denial;
use crate::http::limit;
use crate::http::message;
use crate::http::message::Form;
use crate::http::outcome;
use crate::http::outcome::Within;
use crate::http::problem;
use crate::http::sort;
use crate::identity::Unverified;
use crate::ledger::cbor;
use crate::ledger::cbor::Writer;
use crate::model::id::StatementId;
use crate::node::Outcome;
use crate::node::Shown;
use crate::node::clock::Watch;
use crate::telemetry::Act;
use crate::telemetry::Fate;

const COSE: &str = "application/cose";
const CBOR: &str = "application/cbor";
const CBOR_SEQ: &str = "application/cbor-seq";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WaitFor {
    Receipt,
}

#[derive(Deserialize)]
struct Query {
    wait: Option<WaitFor>,
}

/// `POST /v1/statements`
pub(in crate::http) async fn submit(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let watch = Watch::start();
    message::must_be(&request, COSE)?;
    let wait = wait_for(&request)?;
    let item = message::body(&request, payload).await?;
    if item.is_empty() {
        return Err(Problem::new(sort::EMPTY, "send one signed statement"));
    }
    limit::admit_statements(&request, std::iter::once(&item[..])).map_err(Denial::TooMany)?;
    let outcome = shared.node.submit(vec![item.to_vec()]).outcomes().await.pop();
    let outcome = outcome.ok_or_else(|| Problem::internal("a ticket without an outcome"))?;
    count(&shared, &item, &outcome);
    shared.metrics.took(Act::Statement, watch.elapsed());
    let accepted = outcome?;
    until_covered(&shared, wait, Some(accepted.index)).await;
    let mut answer =
        message::uncached_as(StatusCode::from_u16(outcome::status(&accepted)).unwrap_or(StatusCode::OK));
    answer.insert_header((header::LOCATION, format!("/v1/statements/{}", accepted.id)));
    Ok(match Form::wanted(&request) {
        Form::Cbor => {
            let out = Writer::with_capacity(outcome::cbor_size(&accepted));
            answer.content_type(CBOR).body(outcome::accepted_cbor(out, &accepted, Within::Answer).finish())
        }
        Form::Json => answer.json(outcome::accepted_json(&accepted, Within::Answer)),
    })
}

/// `POST /v1/statements:batch`
pub(in crate::http) async fn submit_batch(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let watch = Watch::start();
    message::must_be(&request, CBOR_SEQ)?;
    let wait = wait_for(&request)?;
    let body = message::body(&request, payload).await?;
    let items = split(&body, shared.batch_items)?;
    limit::admit_statements(&request, items.iter().copied()).map_err(Denial::TooMany)?;
    let copies = items.iter().map(|item| item.to_vec()).collect();
    let outcomes = shared.node.submit(copies).outcomes().await;
    for (item, outcome) in items.iter().zip(&outcomes) {
        count(&shared, item, outcome);
    }
    shared.metrics.took(Act::Statements, watch.elapsed());
    let last = outcomes.iter().filter_map(|o| o.as_ref().ok()).map(|accepted| accepted.index).max();
    until_covered(&shared, wait, last).await;
    let results: Vec<_> = outcomes.into_iter().map(|o| o.map_err(Problem::from)).collect();
    let mut answer = message::uncached();
    Ok(match Form::wanted(&request) {
        Form::Cbor => {
            let room = results.iter().flatten().map(outcome::cbor_size).sum();
            let out = results.iter().fold(Writer::with_capacity(room), cbor_result);
            answer.content_type(CBOR_SEQ).body(out.finish())
        }
        Form::Json => answer.json(results.iter().map(json_result).collect::<Vec<_>>()),
    })
}

fn cbor_result(out: Writer, result: &Result<crate::node::Accepted, Problem>) -> Writer {
    match result {
        Ok(accepted) => outcome::accepted_cbor(out, accepted, Within::Batch),
        Err(problem) => outcome::problem_cbor(out, problem),
    }
}

fn json_result(result: &Result<crate::node::Accepted, Problem>) -> outcome::Json<'_> {
    match result {
        Ok(accepted) => outcome::Json::Accepted(Box::new(outcome::accepted_json(accepted, Within::Batch))),
        Err(problem) => outcome::problem_json(problem),
    }
}

/// `GET /v1/statements/{id}`
pub(in crate::http) async fn place(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    #[derive(Serialize)]
    struct Standing {
        id: String,
        index: u64,
        published: bool,
    }
    let id = id_of(&request)?;
    let node = std::sync::Arc::clone(&shared.node);
    let place = message::blocking(move || node.place(&id)).await?.ok_or_else(unknown)?;
    Ok(message::uncached().json(Standing {
        id: id.to_string(),
        index: place.index,
        published: place.published,
    }))
}

/// `GET /v1/statements/{id}/receipt`
pub(in crate::http) async fn receipt(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let id = id_of(&request)?;
    let node = std::sync::Arc::clone(&shared.node);
    let found = message::blocking(move || match node.place(&id)? {
        Some(place) => node.receipt(place.index).map(|receipt| Some((place, receipt))),
        None => Ok(None),
    });
    let (_, receipt) = found.await?.ok_or_else(unknown)?;
    let receipt = receipt.ok_or_else(|| not_yet(&shared))?;
    Ok(message::uncached().content_type(COSE).body(receipt))
}

/// `GET /v1/statements/{id}/evidence`
pub(in crate::http) async fn evidence(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let caller = caller::of(&request, &shared.node)?;
    let id = id_of(&request)?;
    let node = std::sync::Arc::clone(&shared.node);
    match message::blocking(move || node.evidence(&id, caller.as_ref())).await? {
        Shown::Evidence(bytes) => Ok(message::uncached().content_type(CBOR).body(bytes)),
        Shown::NotYet => Err(not_yet(&shared)),
        Shown::Nothing => Err(unknown()),
    }
}

fn id_of(request: &HttpRequest) -> Result<StatementId, Problem> {
    request.match_info().get("id").and_then(StatementId::from_hex).ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::new(sort::NOT_FOUND, "no such statement, or none for this caller")
}

/// A checkpoint comes within a grain and a tick.
fn not_yet(shared: &Shared) -> Problem {
    let settings = shared.node.settings();
    let seconds = settings.grain_ms.saturating_add(settings.tick_ms).div_ceil(1_000).max(1);
    Problem::new(sort::NOT_YET_PUBLISHED, "recorded, but no checkpoint covers it yet").retry_after(seconds)
}

fn wait_for(request: &HttpRequest) -> Result<Option<WaitFor>, Problem> {
    let query = web::Query::<Query>::from_query(request.query_string());
    query
        .map(|q| q.into_inner().wait)
        .map_err(|_| Problem::new(sort::BAD_QUERY, "`wait` is `receipt` or absent"))
}

/// Waits for the checkpoint over `index` if asked to. The statement is in force either way.
async fn until_covered(shared: &Shared, wait: Option<WaitFor>, index: Option<u64>) {
    if let (Some(WaitFor::Receipt), Some(index)) = (wait, index) {
        // Out of patience, the caller gets the promise and can ask for the receipt later.
        let _ = timeout(shared.receipt_patience, shared.node.covered(index)).await;
    }
}

/// The items of a CBOR sequence.
fn split(body: &Bytes, most: usize) -> Result<Vec<&[u8]>, Problem> {
    let (mut items, mut rest) = (Vec::new(), &body[..]);
    while !rest.is_empty() {
        if items.len() == most {
            return Err(Problem::new(sort::TOO_MANY, format!("one batch takes at most {most} items")));
        }
        let (item, after) = cbor::split_first(rest).map_err(|error| {
            let of = problem::of_cbor(&error);
            Problem::new(sort::MALFORMED_CBOR, format!("item {}: {}", items.len(), of.detail()))
        })?;
        items.push(item);
        rest = after;
    }
    if items.is_empty() {
        return Err(Problem::new(sort::EMPTY, "send at least one signed statement"));
    }
    Ok(items)
}

/// Counts what the node does not count itself.
fn count(shared: &Shared, item: &[u8], outcome: &Outcome) {
    let fate = match outcome {
        Ok(accepted) if !accepted.duplicate => return,
        Ok(_) => Fate::Duplicate,
        Err(refusal) => problem::fate(refusal),
    };
    let kind = Unverified::parse(item.to_vec()).ok().map(|item| item.kind());
    shared.metrics.turned_away(kind, fate);
}
