//! `/v1/cohorts`: one question about many persons, as a job of the asking party.
//!
//! The body is text, one ppid a line, and never held whole; the question stands in
//! the query. Verdicts are JSON lines in the order of the input, the summary is a
//! `COSE_Sign1` of the log (`schemas/naru.cddl`, `cohort`).

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::body::BodySize;
use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::rt::time::timeout;
use actix_web::web;
use actix_web::web::Bytes;
use futures_core::Stream;
use serde::Deserialize;
use serde::Serialize;

use crate::http::Problem;
use crate::http::Route;
use crate::http::Shared;
use crate::http::caller;
use crate::http::message;
use crate::http::sort;
use crate::model::decision::Question;
use crate::model::id::PartyId;
use crate::model::vocabulary::AskedAction;
use crate::model::vocabulary::DataClass;
use crate::node;
use crate::node::CohortId;
use crate::node::CohortStatus;
use crate::node::NoCohort;
use crate::node::Progress;
use crate::node::Upload;
use crate::node::Verdicts;

/// Longest time between two pieces of an input.
const PIECE_TIME: Duration = Duration::from_secs(30);

/// Bytes that go to the disk together.
const BLOCK: usize = 256 << 10;

/// Seconds after which a job may be looked at again.
const LOOK_AGAIN_S: u64 = 1;

impl From<NoCohort> for Problem {
    fn from(no: NoCohort) -> Self {
        match no {
            NoCohort::TooMany => {
                Self::new(sort::TOO_MANY_COHORTS, "this party has as many cohorts as are kept")
            }
            NoCohort::Stopped(stop) => stop.into(),
            NoCohort::Node(error) => error.into(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    controller: Option<String>,
    action: String,
    purpose: String,
    class: String,
    /// Separated by commas.
    #[serde(default)]
    categories: String,
    recipient: Option<String>,
    jurisdiction: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    #[serde(default)]
    after: u64,
}

/// A job as told to its owner.
#[derive(Debug, Serialize)]
struct Told {
    id: String,
    state: &'static str,
    lines: u64,
    done: u64,
    begun: u64,
    expires: u64,
}

impl Told {
    fn new(id: CohortId, status: &CohortStatus) -> Self {
        let CohortStatus { progress, lines, done, begun, expires } = *status;
        Self { id: id.to_string(), state: progress.as_str(), lines, done, begun: begun.0, expires: expires.0 }
    }
}

fn bad(what: &'static str) -> Problem {
    Problem::new(sort::BAD_QUERY, what)
}

fn query<T: serde::de::DeserializeOwned>(request: &HttpRequest, what: &'static str) -> Result<T, Problem> {
    web::Query::<T>::from_query(request.query_string()).map(web::Query::into_inner).map_err(|_| bad(what))
}

/// The question of every line.
fn question(request: &HttpRequest, party: &PartyId) -> Result<Question, Problem> {
    let what = "`action`, `purpose` and `class` are needed; `categories`, `recipient`, `jurisdiction` and `controller` may be";
    let query: Query = query(request, what)?;
    let name = |name: Option<String>| match name {
        Some(name) => {
            PartyId::parse(&name).map(Some).ok_or_else(|| bad("a party is not named as parties are"))
        }
        None => Ok(None),
    };
    let categories = query.categories.split(',').filter(|c| !c.is_empty()).map(str::to_owned).collect();
    let question = Question {
        controller: name(query.controller)?.unwrap_or_else(|| party.clone()),
        action: AskedAction::parse(&query.action).ok_or_else(|| bad("`action` is not in the closed list"))?,
        purpose: query.purpose,
        class: DataClass::parse(&query.class).ok_or_else(|| bad("`class` is not one of the three"))?,
        categories,
        recipient: name(query.recipient)?,
        jurisdiction: query.jurisdiction,
        use_id: None,
    };
    // It stands in a use line for each person.
    if node::is_bounded(&question) {
        Ok(question)
    } else {
        Err(bad("a text has more than 256 bytes, or there are more than 64 categories"))
    }
}

/// `POST /v1/cohorts`
pub(in crate::http) async fn begin(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let party = caller::party(&request, &shared.node)?;
    message::must_be(&request, "text/plain")?;
    let question = question(&request, &party)?;
    if !shared.node.may_ask(&party, &question.controller, Some(&question.purpose)) {
        return Err(Problem::new(sort::WRONG_CALLER, "the token's party may not ask for this controller"));
    }
    let (node, asker) = (Arc::clone(&shared.node), party.clone());
    let upload = message::blocking(move || node.cohort(&asker, &question)).await?;
    let upload = receive(&request, payload, upload).await?;
    let id = message::blocking(move || upload.finish()).await?;
    let status = shared.node.cohort_status(&party, id).ok_or_else(unknown)?;
    Ok(message::uncached_as(StatusCode::ACCEPTED)
        .insert_header((header::LOCATION, format!("/v1/cohorts/{id}")))
        .json(Told::new(id, &status)))
}

/// Takes the body in, piece by piece, up to the route's limit.
async fn receive(
    request: &HttpRequest,
    mut payload: web::Payload,
    mut upload: Upload,
) -> Result<Upload, Problem> {
    let limit = request.app_data::<&'static Route>().map_or(0, |route| route.limit);
    let lost = || Problem::from(message::Refused::Lost);
    let (mut block, mut whole) = (Vec::with_capacity(BLOCK), 0usize);
    loop {
        let next = poll_fn(|context| Pin::new(&mut payload).poll_next(context));
        let piece = timeout(PIECE_TIME, next).await.map_err(|_| lost())?;
        let ended = piece.is_none();
        if let Some(piece) = piece {
            let piece = piece.map_err(|_| lost())?;
            whole = whole.saturating_add(piece.len());
            if whole > limit {
                return Err(message::Refused::TooLarge { limit }.into());
            }
            block.extend_from_slice(&piece);
        }
        if ended || block.len() >= BLOCK {
            let full = std::mem::take(&mut block);
            upload = message::blocking(move || upload.push(&full).map(|()| upload)).await?;
        }
        if ended {
            return Ok(upload);
        }
    }
}

fn unknown() -> Problem {
    Problem::new(sort::NOT_FOUND, "no such cohort, or none of this party")
}

fn id_of(request: &HttpRequest) -> Result<CohortId, Problem> {
    request.match_info().get("id").and_then(CohortId::from_hex).ok_or_else(unknown)
}

/// `GET /v1/cohorts/{id}`
pub(in crate::http) async fn status(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let party = caller::party(&request, &shared.node)?;
    let id = id_of(&request)?;
    let status = shared.node.cohort_status(&party, id).ok_or_else(unknown)?;
    Ok(message::uncached().json(Told::new(id, &status)))
}

/// `GET /v1/cohorts/{id}/verdicts`
pub(in crate::http) async fn verdicts(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let party = caller::party(&request, &shared.node)?;
    let id = id_of(&request)?;
    let After { after } = query(&request, "`after` is the number of a line, or absent")?;
    let node = Arc::clone(&shared.node);
    let verdicts = message::blocking(move || node.cohort_verdicts(&party, id, after)).await?;
    let verdicts = verdicts.ok_or_else(unknown)?;
    Ok(message::uncached()
        .insert_header((header::CONTENT_TYPE, "application/x-ndjson"))
        .body(Body(Some(read(verdicts)))))
}

/// `GET /v1/cohorts/{id}/summary`
pub(in crate::http) async fn summary(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let party = caller::party(&request, &shared.node)?;
    let id = id_of(&request)?;
    let node = Arc::clone(&shared.node);
    let (owner, failed) = (party.clone(), shared.node.cohort_status(&party, id));
    let summary = message::blocking(move || node.cohort_summary(&owner, id)).await?.ok_or_else(unknown)?;
    let not_done = || {
        let words = match failed.map(|status| status.progress) {
            Some(Progress::Failed) => "the job cannot go on: ask again as a new one",
            _ => "verdicts are still being made",
        };
        Problem::new(sort::COHORT_NOT_DONE, words).retry_after(LOOK_AGAIN_S)
    };
    let summary = summary.ok_or_else(not_done)?;
    Ok(message::uncached().insert_header((header::CONTENT_TYPE, "application/cose")).body(summary))
}

type Read = Pin<Box<dyn Future<Output = Result<Option<(Verdicts, Vec<u8>)>, node::Error>>>>;

/// Reads the next verdicts on the blocking pool.
fn read(mut verdicts: Verdicts) -> Read {
    Box::pin(async move {
        let lost = |_| node::Error::Damaged("the blocking pool lost a piece of work".into());
        let (block, verdicts) = web::block(move || (verdicts.next_block(), verdicts)).await.map_err(lost)?;
        Ok(block?.map(|block| (verdicts, block)))
    })
}

/// Verdicts on their way out, one record in memory at a time.
struct Body(Option<Read>);

impl MessageBody for Body {
    type Error = node::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let Some(reading) = &mut self.0 else { return Poll::Ready(None) };
        match reading.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(None)) => {
                self.0 = None;
                Poll::Ready(None)
            }
            Poll::Ready(Ok(Some((verdicts, block)))) => {
                self.0 = Some(read(verdicts));
                Poll::Ready(Some(Ok(block.into())))
            }
            // The body ends without its last chunk: the reader sees that it is not whole.
            Poll::Ready(Err(error)) => {
                tracing::error!(cause = %error, "verdicts of a cohort cannot be read");
                self.0 = None;
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}
