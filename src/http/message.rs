//! Bodies in, media types in and out, and the way to the blocking pool.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::HttpResponseBuilder;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::rt::time::timeout;
use actix_web::web;
use actix_web::web::Bytes;
use actix_web::web::BytesMut;
use futures_core::Stream;
use serde::de::DeserializeOwned;

use crate::http::Problem;
use crate::http::Route;
use crate::http::sort;

/// Longest time a body may take.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Why a body is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Refused {
    /// It broke off, or came too slowly.
    Lost,
    /// More bytes than the route's limit.
    TooLarge {
        /// That limit.
        limit: usize,
    },
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Lost => Self::new(sort::BODY_LOST, "the body did not arrive whole"),
            Refused::TooLarge { limit } => {
                Self::new(sort::TOO_LARGE, format!("the body has more than {limit} bytes"))
            }
        }
    }
}

/// Reads a body up to the route's limit.
pub(in crate::http) async fn body(request: &HttpRequest, payload: web::Payload) -> Result<Bytes, Refused> {
    let limit = request.app_data::<&'static Route>().map_or(0, |route| route.limit);
    let too_large = Refused::TooLarge { limit };
    let said = request.headers().get(header::CONTENT_LENGTH).and_then(|l| l.to_str().ok()?.parse().ok());
    if said.is_some_and(|length: usize| length > limit) {
        return Err(too_large);
    }
    // The timer is made only if the body is not here yet.
    let whole = timeout(BODY_TIME, gather(payload, said.unwrap_or(0), limit)).await;
    whole.unwrap_or(Err(Refused::Lost))
}

/// Joins the pieces of a body. One that came in one piece is not copied.
async fn gather(mut payload: web::Payload, said: usize, limit: usize) -> Result<Bytes, Refused> {
    let mut whole = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(piece) = poll_fn(|context| Pin::new(&mut payload).poll_next(context)).await {
        let piece = piece.map_err(|_| Refused::Lost)?;
        if whole.len() + joined.len() + piece.len() > limit {
            return Err(Refused::TooLarge { limit });
        }
        if whole.is_empty() && joined.is_empty() {
            whole = piece;
            continue;
        }
        if joined.is_empty() {
            joined.reserve(said.clamp(whole.len() + piece.len(), limit));
            joined.extend_from_slice(&std::mem::take(&mut whole));
        }
        joined.extend_from_slice(&piece);
    }
    Ok(if joined.is_empty() { whole } else { joined.freeze() })
}

/// Whether `Content-Type` is `media`, parameters apart.
pub(in crate::http) fn is(request: &HttpRequest, media: &str) -> bool {
    let sent = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    sent.and_then(|value| value.split(';').next()).is_some_and(|m| m.trim().eq_ignore_ascii_case(media))
}

/// Refuses every `Content-Type` but `media`.
pub(in crate::http) fn must_be(request: &HttpRequest, media: &'static str) -> Result<(), Problem> {
    if is(request, media) {
        return Ok(());
    }
    Err(Problem::new(sort::MEDIA_TYPE, format!("send `Content-Type: {media}`")))
}

/// Reads a body that must be JSON of one shape; `bad` says what to send instead of another.
pub(in crate::http) async fn json<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
    bad: impl Into<Cow<'static, str>>,
) -> Result<T, Problem> {
    must_be(request, "application/json")?;
    let body = body(request, payload).await?;
    serde_json::from_slice(&body).map_err(|_| Problem::new(sort::BAD_JSON, bad))
}

/// Begins an answer that no cache keeps: it is its caller's alone, or another the next moment.
pub(in crate::http) fn uncached_as(status: StatusCode) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer.insert_header((header::CACHE_CONTROL, "no-store"));
    answer
}

/// The same, where nothing stands against it.
pub(in crate::http) fn uncached() -> HttpResponseBuilder {
    uncached_as(StatusCode::OK)
}

/// In what form a result is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Form {
    Cbor,
    Json,
}

impl Form {
    /// JSON if `Accept` names it before CBOR, else CBOR.
    pub(in crate::http) fn wanted(request: &HttpRequest) -> Self {
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let names = accept.unwrap_or_default().split(',').filter_map(|range| range.split(';').next());
        let mut forms = names.filter_map(|name| match name.trim() {
            "application/json" => Some(Self::Json),
            "application/cbor" | "application/cbor-seq" => Some(Self::Cbor),
            _ => None,
        });
        forms.next().unwrap_or(Self::Cbor)
    }
}

/// Runs what may block on the blocking pool.
pub(in crate::http) async fn blocking<T, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Problem>
where
    T: Send + 'static,
    E: Into<Problem> + Send + 'static,
{
    match web::block(work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(Problem::internal("the blocking pool lost a piece of work")),
    }
}
