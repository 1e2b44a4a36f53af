//! `/access/v1`: AuthZEN 1.0, the permission check as its field writes it.
//!
//! Denial is HTTP 200. On these paths an error is a message in plain text, and a
//! wrong content type is 400: so the certification cases want it. Unknown members
//! are ignored. Requests are parsed into borrowed fields, once. A request signature that
//! is not taken is told as a problem: the cases know none.
//!
//! Source: AuthZEN Authorization API 1.0; design section 6.

mod fixture;
mod search;
mod shape;
mod signed;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::HttpResponseBuilder;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web;
use actix_web::web::Bytes;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::caller::Denial;
use crate::http::envelope;
use crate::http::envelope::REQUEST_ID;
use crate::http::limit;
use crate::http::message;
use crate::http::message::Refused;
use crate::http::sort;
use crate::http::sort::Sort;
use crate::model::id::PartyId;
use crate::node::Asked;
use crate::node::Asker;
use crate::node::Caller;
use crate::node::Told;
use crate::node::clock::Watch;
use crate::telemetry::Act;

pub(in crate::http) use fixture::Fixture;
pub(in crate::http) use search::action as search_action;
pub(in crate::http) use search::resource as search_resource;
pub(in crate::http) use search::subject as search_subject;

use shape::Evaluation;
use shape::Semantic;
use signed::Kept;

const JSON: &str = "application/json";
/// Bytes that a single answer fits in.
const ANSWER: usize = 512;
const TEXT: &str = "text/plain; charset=utf-8";

/// Why a request gets no decision.
#[derive(Debug)]
struct Fault {
    status: u16,
    message: String,
    challenge: Option<&'static str>,
    /// Told as a problem of this sort, where no certification case wants plain text.
    sort: Option<&'static Sort>,
    /// When to try again, s.
    retry_after_s: Option<u64>,
}

impl Fault {
    fn bad(message: impl Into<String>) -> Self {
        Self { status: 400, message: message.into(), challenge: None, sort: None, retry_after_s: None }
    }

    /// Ours, and perhaps over soon.
    fn later(message: impl Into<String>) -> Self {
        Self { status: 503, message: message.into(), challenge: None, sort: None, retry_after_s: Some(1) }
    }
}

impl From<Denial> for Fault {
    fn from(denial: Denial) -> Self {
        let message = denial.message().to_owned();
        let retry_after_s = match denial {
            Denial::TooMany(standing) => Some(standing.retry_after_s()),
            Denial::NoToken
            | Denial::BadToken
            | Denial::BadProof
            | Denial::OtherCertificate
            | Denial::NoCarrier
            | Denial::WrongRole => None,
        };
        let sort = retry_after_s.map(|_| sort::TOO_MANY_REQUESTS);
        Self { status: denial.status(), message, challenge: denial.challenge(), sort, retry_after_s }
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Lost => Self::bad("the body did not arrive whole"),
            Refused::TooLarge { limit } => Self {
                status: 413,
                message: format!("the body has more than {limit} bytes"),
                challenge: None,
                sort: None,
                retry_after_s: None,
            },
        }
    }
}

/// The caller and the body, both as the route wants them.
async fn asked(
    request: &HttpRequest,
    payload: web::Payload,
    shared: &Shared,
) -> Result<(PartyId, Bytes), Fault> {
    let party = match caller::of(request, &shared.node)? {
        Some(Caller::Party(party)) => party,
        Some(Caller::Citizen(_)) => return Err(Denial::WrongRole.into()),
        None => return Err(Denial::NoToken.into()),
    };
    if !message::is(request, JSON) {
        return Err(Fault::bad("send `Content-Type: application/json`"));
    }
    let body = message::body(request, payload).await?;
    if body.is_empty() {
        return Err(Fault::bad("the body is empty"));
    }
    Ok((party, body))
}

/// One answer, its use line written: from memory on this worker, else from the blocking pool.
async fn answer(shared: &web::Data<Shared>, party: &PartyId, signed: Option<&Kept>, asked: Asked) -> Told {
    let asker = Asker { party, signed: signed.map(|kept| kept.as_slice()) };
    if let Some(held) = shared.node.hold_in_memory(asker, &asked) {
        if held.waits() {
            // Whatever else this worker has to answer in this turn joins the write of the line.
            tokio::task::yield_now().await;
        }
        return shared.node.release(held, &asked);
    }
    let node = std::sync::Arc::clone(&shared.node);
    let failed = shared.node.told(shared.node.unavailable(), &asked);
    let (party, signed) = (party.clone(), signed.cloned());
    let tell = move || {
        let asker = Asker { party: &party, signed: signed.as_ref().map(|kept| kept.as_slice()) };
        node.tell(asker, &asked)
    };
    web::block(tell).await.unwrap_or(failed)
}

/// Whether the token's party may ask in the controller's domain for a purpose.
fn may_ask(shared: &Shared, party: &PartyId, controller: &PartyId, purpose: &str) -> Result<(), Fault> {
    if shared.node.may_ask(party, controller, Some(purpose)) {
        return Ok(());
    }
    let message = "the token's party may not ask for this subject".to_owned();
    Err(Fault { status: 403, message, challenge: None, sort: None, retry_after_s: None })
}

/// Decides one well-formed question of a party that may ask it.
async fn decide(
    shared: &web::Data<Shared>,
    party: &PartyId,
    signed: Option<&Kept>,
    evaluation: &Evaluation<'_>,
) -> Result<shape::Decided, Fault> {
    if let Some(fixture) = &shared.fixture {
        return Ok(fixture.decide(evaluation));
    }
    let asked = evaluation.to_asked().map_err(Fault::bad)?;
    may_ask(shared, party, &asked.question.controller, &asked.question.purpose)?;
    let told = answer(shared, party, signed, asked).await;
    shared.metrics.decided(told.answer.decision.told());
    Ok(shape::Decided::new(told))
}

fn response(request: &HttpRequest, status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    if let Some(id) = request.headers().get(REQUEST_ID) {
        response.insert_header((REQUEST_ID, id.clone()));
    }
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response
}

fn finish(request: &HttpRequest, outcome: Result<Vec<u8>, Fault>) -> HttpResponse {
    let mut response = write(request, outcome);
    for (name, value) in limit::told(request).into_iter().flatten() {
        response.headers_mut().insert(name, value);
    }
    let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    envelope::answered(request, response.status(), id.unwrap_or("-"), None);
    response
}

fn write(request: &HttpRequest, outcome: Result<Vec<u8>, Fault>) -> HttpResponse {
    match outcome {
        Ok(body) => response(request, StatusCode::OK).insert_header((header::CONTENT_TYPE, JSON)).body(body),
        Err(Fault { sort: Some(sort), message, retry_after_s, .. }) => {
            let id = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
            let problem = Problem::new(sort, message);
            match retry_after_s {
                Some(seconds) => problem.retry_after(seconds).response(id),
                None => problem.response(id),
            }
        }
        Err(fault) => {
            let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::BAD_REQUEST);
            let mut response = response(request, status);
            if let Some(challenge) = fault.challenge {
                response.insert_header((header::WWW_AUTHENTICATE, challenge));
            }
            if let Some(seconds) = fault.retry_after_s {
                response.insert_header((header::RETRY_AFTER, seconds));
            }
            response.insert_header((header::CONTENT_TYPE, TEXT)).body(fault.message)
        }
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, Fault> {
    let failed = |_| Fault {
        status: 500,
        message: "the answer could not be written".into(),
        challenge: None,
        sort: None,
        retry_after_s: None,
    };
    let mut out = Vec::with_capacity(ANSWER);
    serde_json::to_writer(&mut out, value).map_err(failed)?;
    Ok(out)
}

/// What the work of a route comes to, its time noted under its act.
async fn answered(
    request: &HttpRequest,
    shared: &Shared,
    act: Act,
    work: impl Future<Output = Result<Vec<u8>, Fault>>,
) -> HttpResponse {
    let watch = Watch::start();
    let outcome = work.await;
    shared.metrics.took(act, watch.elapsed());
    finish(request, outcome)
}

/// `POST /access/v1/evaluation`
pub(in crate::http) async fn evaluation(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> HttpResponse {
    answered(&request, &shared, Act::Evaluation, one(&request, payload, &shared)).await
}

async fn one(
    request: &HttpRequest,
    payload: web::Payload,
    shared: &web::Data<Shared>,
) -> Result<Vec<u8>, Fault> {
    let (party, body) = asked(request, payload, shared).await?;
    let signed = signed::of(request, &party, &body, shared).await?;
    let evaluation: Evaluation<'_> = shape::parse(&body).map_err(Fault::bad)?;
    json(&decide(shared, &party, signed.as_ref(), &evaluation).await?)
}

/// `POST /access/v1/evaluations`
pub(in crate::http) async fn evaluations(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> HttpResponse {
    answered(&request, &shared, Act::Evaluations, many(&request, payload, &shared)).await
}

async fn many(
    request: &HttpRequest,
    payload: web::Payload,
    shared: &web::Data<Shared>,
) -> Result<Vec<u8>, Fault> {
    let (party, body) = asked(request, payload, shared).await?;
    let signed = signed::of(request, &party, &body, shared).await?;
    let signed = signed.as_ref();
    let batch: shape::Evaluations<'_> = shape::parse(&body).map_err(Fault::bad)?;
    let semantic = batch.semantic().map_err(Fault::bad)?;
    let Some(items) = batch.evaluations.as_ref().filter(|items| !items.is_empty()) else {
        // A batch without items is a single evaluation of its defaults.
        let evaluation = batch.default_evaluation().map_err(Fault::bad)?;
        return json(&decide(shared, &party, signed, &evaluation).await?);
    };
    if items.len() > shared.batch_items {
        return Err(Fault::bad(format!("at most {} evaluations in one request", shared.batch_items)));
    }
    let mut results = Vec::with_capacity(items.len());
    for item in items {
        let result = match batch.item(item) {
            Ok(evaluation) => match decide(shared, &party, signed, &evaluation).await {
                Ok(decided) => shape::Item::Decided(Box::new(decided)),
                Err(fault) => shape::Item::error(fault.status, fault.message),
            },
            Err(message) => shape::Item::error(400, message),
        };
        let permits = result.permits();
        results.push(result);
        match semantic {
            Semantic::DenyOnFirstDeny if !permits => break,
            Semantic::PermitOnFirstPermit if permits => break,
            Semantic::ExecuteAll | Semantic::DenyOnFirstDeny | Semantic::PermitOnFirstPermit => {}
        }
    }
    json(&shape::Results { evaluations: results })
}

/// `GET /.well-known/authzen-configuration`
pub(in crate::http) async fn metadata(shared: web::Data<Shared>) -> HttpResponse {
    let base = &shared.base_url;
    let mut metadata = serde_json::json!({
        "policy_decision_point": base,
        "access_evaluation_endpoint": format!("{base}/access/v1/evaluation"),
        "access_evaluations_endpoint": format!("{base}/access/v1/evaluations"),
        "search_subject_endpoint": format!("{base}/access/v1/search/subject"),
        "search_resource_endpoint": format!("{base}/access/v1/search/resource"),
        "search_action_endpoint": format!("{base}/access/v1/search/action"),
    });
    // Nobody shall take the fixture for a ledger.
    if let (Some(_), Some(object)) = (&shared.fixture, metadata.as_object_mut()) {
        object.insert("danger_authzen_fixture".into(), true.into());
    }
    HttpResponse::Ok().json(metadata)
}
