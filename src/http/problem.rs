//! What went wrong, as RFC 9457: the one mapping from the node's errors to HTTP.
//!
//! A problem never carries personal data or keys; what is ours alone goes to the
//! log under the same request id.

use std::borrow::Cow;
use std::fmt;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::HttpResponseBuilder;
use actix_web::ResponseError;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::http::header::HeaderName;
use serde::Serialize;

use crate::http::sort;
use crate::http::sort::Sort;
use crate::identity;
use crate::ledger::cbor;
use crate::ledger::cose;
use crate::model::id::Timestamp;
use crate::node;
use crate::node::Refusal;
use crate::node::Stop;
use crate::telemetry::Fate;

/// A problem on its way to the caller.
#[derive(Debug)]
pub struct Problem {
    sort: &'static Sort,
    detail: Cow<'static, str>,
    header: Option<(HeaderName, Cow<'static, str>)>,
    /// Only for our log.
    cause: Option<String>,
}

/// Seconds after which a caller may try again.
pub(in crate::http) const RETRY_S: u64 = 1;

/// The members of the body.
#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl Problem {
    pub(in crate::http) fn new(sort: &'static Sort, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { sort, detail: detail.into(), header: None, cause: None }
    }

    pub(in crate::http) fn with(self, name: HeaderName, value: impl Into<Cow<'static, str>>) -> Self {
        Self { header: Some((name, value.into())), ..self }
    }

    pub(in crate::http) fn retry_after(self, seconds: u64) -> Self {
        self.with(header::RETRY_AFTER, seconds.to_string())
    }

    /// Ours: the cause stays in our log.
    pub(in crate::http) fn internal(cause: impl fmt::Display) -> Self {
        let told = Self::new(sort::INTERNAL, "the operator finds the cause under this request id");
        Self { cause: Some(cause.to_string()), ..told }
    }

    /// Stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.sort.code
    }

    /// A few words.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        self.sort.title
    }

    /// HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.sort.status
    }

    /// This occurrence.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub(in crate::http) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    pub(in crate::http) fn response(&self, request_id: Option<&str>) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(self.status_code());
        if let Some((name, value)) = &self.header {
            response.insert_header((name.clone(), value.as_ref()));
        }
        response
            .insert_header((header::CONTENT_TYPE, "application/problem+json"))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(Body {
                r#type: format!("/problems/{}", self.sort.code),
                title: self.sort.title,
                status: self.sort.status,
                detail: &self.detail,
                code: self.sort.code,
                request_id,
            })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.sort.code, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.sort.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        self.response(None)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::Malformed(error) => error.into(),
            Refusal::Window { .. } => Self::new(sort::IAT_WINDOW, detail),
            Refusal::Inert(why) => Self::new(sort::of_why(why), detail),
            Refusal::Unavailable(stop) => stop.into(),
            Refusal::Node(error) => error.into(),
        }
    }
}

impl From<Stop> for Problem {
    fn from(stop: Stop) -> Self {
        let sort = match stop {
            Stop::Busy => sort::BUSY,
            Stop::Loading
            | Stop::Anchor
            | Stop::Mark
            | Stop::Lost
            | Stop::Io
            | Stop::Disk
            | Stop::Fixture
            | Stop::OtherLeader
            | Stop::Closing => sort::UNAVAILABLE,
        };
        Self::new(sort, format!("the log takes no statements now: {stop}")).retry_after(RETRY_S)
    }
}

impl From<node::Error> for Problem {
    fn from(error: node::Error) -> Self {
        match error {
            node::Error::Stopped(stop) => stop.into(),
            node::Error::Store(cause) => {
                let told = Self::new(sort::STORE, "the store did not answer").retry_after(RETRY_S);
                Self { cause: Some(cause.to_string()), ..told }
            }
            node::Error::Vault(_)
            | node::Error::Backup(_)
            | node::Error::Damaged(_)
            | node::Error::Identity(_)
            | node::Error::Cbor(_)
            | node::Error::Entry(_)
            | node::Error::Merkle(_)
            | node::Error::Tile(_)
            | node::Error::Checkpoint(_)
            | node::Error::Receipt(_)
            | node::Error::Promise(_)
            | node::Error::Evidence(_)
            | node::Error::Archive(_)
            | node::Error::Key(_)
            | node::Error::File { .. }
            | node::Error::Randomness(_)
            | node::Error::Pack(_)
            | node::Error::Fixture
            | node::Error::Rotating
            | node::Error::Genesis(_) => Self::internal(error),
        }
    }
}

impl From<identity::Error> for Problem {
    fn from(error: identity::Error) -> Self {
        let sort = match &error {
            identity::Error::Cbor(cause) | identity::Error::Cose(cose::Error::Cbor(cause)) => {
                return of_cbor(cause);
            }
            identity::Error::Cose(_) | identity::Error::NoPayload => sort::MALFORMED_ENVELOPE,
            identity::Error::Key(_) | identity::Error::AlgorithmOfOtherKey => sort::BAD_KEY,
            identity::Error::Signature => sort::BAD_SIGNATURE,
            // What it said instead is the sender's text: not repeated.
            identity::Error::Typ { .. } => {
                return Self::new(sort::WRONG_TYP, "the protected header names another media type");
            }
            identity::Error::Spelling => sort::STATEMENT_SHAPE,
            identity::Error::TooManyLayers { .. } => sort::TOO_MANY_LAYERS,
            identity::Error::TooLarge { .. } => sort::TOO_LARGE,
            identity::Error::Passkey(_) => sort::PASSKEY_REFUSED,
            identity::Error::OtherAudience => sort::OTHER_AUDIENCE,
            identity::Error::OutOfTime => sort::OUT_OF_TIME,
            identity::Error::Jwt => sort::NOT_A_JWT,
        };
        Self::new(sort, error.to_string())
    }
}

/// Bytes that are not the CBOR we read. Values of the sender are not repeated, names of fields are.
pub(in crate::http) fn of_cbor(error: &cbor::Error) -> Problem {
    let cbor::Error::Shape(cause) = error else {
        return Problem::new(sort::MALFORMED_CBOR, error.to_string());
    };
    let cause = cause.to_string();
    let names_a_field =
        ["missing field", "unknown field", "duplicate field"].iter().any(|w| cause.starts_with(w));
    if cause.starts_with(Timestamp::TOO_LATE) {
        Problem::new(sort::STATEMENT_SHAPE, Timestamp::TOO_LATE)
    } else if names_a_field {
        Problem::new(sort::STATEMENT_SHAPE, cause)
    } else {
        Problem::new(sort::STATEMENT_SHAPE, "a field has another kind of value than its type has")
    }
}

/// How a refusal is counted.
pub(in crate::http) const fn fate(refusal: &Refusal) -> Fate {
    match refusal {
        Refusal::Malformed(_) | Refusal::Window { .. } => Fate::Malformed,
        Refusal::Inert(_) => Fate::Refused,
        Refusal::Unavailable(_) | Refusal::Node(_) => Fate::Unavailable,
    }
}

/// `GET /problems/{code}`
pub(in crate::http) async fn explain(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let code = request.match_info().get("code").unwrap_or_default();
    let sort = sort::ALL.iter().find(|sort| sort.code == code);
    let sort = sort.ok_or_else(|| Problem::new(sort::NOT_FOUND, "no such problem"))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .body(format!("{} ({})\n\n{}\n", sort.title, sort.status, sort.help)))
}
