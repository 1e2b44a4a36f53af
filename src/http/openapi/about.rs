//! What can be said of a route that the table of routes does not say, and the words for it.
//!
//! Lacks, on purpose: roles and limits (the table of routes has them), the shapes of
//! bodies (`shape`), the routes themselves (`table`).

use crate::http::Method;
use crate::http::sort;
use crate::http::sort::Sort;

/// One route in words and names.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    pub(super) method: Method,
    /// As in the table.
    pub(super) path: &'static str,
    /// Name of the operation.
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) params: &'static [Param],
    /// Bodies it takes, by media type; none for a read.
    pub(super) takes: &'static [Media],
    pub(super) answers: &'static [Answer],
    pub(super) errors: Errors,
}

/// A parameter in the path or the query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) place: Place,
    /// Name of its shape.
    pub(super) shape: &'static str,
    pub(super) needed: bool,
    pub(super) help: &'static str,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

/// A body of one media type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Media {
    pub(super) media: &'static str,
    pub(super) content: Content,
}

/// What a body is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    /// JSON, or a form, of a named shape.
    Shape(&'static str),
    /// Binary, of a rule of `schemas/naru.cddl`; of a sequence, its items.
    Cddl(&'static str),
    /// Text, or bytes that are not ours.
    Plain,
}

/// A good answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) help: &'static str,
    pub(super) media: &'static [Media],
    pub(super) located: bool,
}

/// How a route says that something is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Errors {
    /// RFC 9457, of these sorts; what every route of its roles can answer comes by itself.
    Problems { of: &'static [&'static [&'static Sort]], acts: bool },
    /// A message in plain text (AuthZEN 1.0), and problems where no certification case wants text.
    Message { statuses: &'static [u16], problems: &'static [&'static Sort] },
    /// Source: RFC 6749 section 5.2
    OAuth(&'static [u16]),
}

/// What may go wrong behind every route that reads or writes the log.
pub(super) const SERVER: &[&Sort] = &[sort::BUSY, sort::UNAVAILABLE, sort::STORE, sort::INTERNAL];
/// What may be wrong with a body.
pub(super) const BODY: &[&Sort] = &[sort::TOO_LARGE, sort::BODY_LOST];
pub(super) const MEDIA: &[&Sort] = &[sort::MEDIA_TYPE];
pub(super) const EMPTY: &[&Sort] = &[sort::EMPTY];
pub(super) const QUERY: &[&Sort] = &[sort::BAD_QUERY];
pub(super) const MISSING: &[&Sort] = &[sort::NOT_FOUND];
pub(super) const NOT_YET: &[&Sort] = &[sort::NOT_YET_PUBLISHED];
pub(super) const PARTY: &[&Sort] = &[sort::PARTY_NOT_FOUND];

/// What may be wrong with a signed item.
pub(super) const ITEM: &[&Sort] = &[
    sort::MALFORMED_CBOR,
    sort::MALFORMED_ENVELOPE,
    sort::STATEMENT_SHAPE,
    sort::BAD_KEY,
    sort::BAD_SIGNATURE,
    sort::WRONG_TYP,
    sort::TOO_MANY_LAYERS,
    sort::PASSKEY_REFUSED,
    sort::TOO_LARGE,
    sort::IAT_WINDOW,
    sort::BUSY,
    sort::UNAVAILABLE,
    sort::STORE,
    sort::INTERNAL,
];

pub(super) const JSON: &str = "application/json";
pub(super) const CBOR: &str = "application/cbor";
pub(super) const COSE: &str = "application/cose";
pub(super) const BYTES: &str = "application/octet-stream";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

pub(super) const fn shape(name: &'static str) -> Media {
    Media { media: JSON, content: Content::Shape(name) }
}

pub(super) const fn cddl(media: &'static str, rule: &'static str) -> Media {
    Media { media, content: Content::Cddl(rule) }
}

pub(super) const fn plain(media: &'static str) -> Media {
    Media { media, content: Content::Plain }
}

pub(super) const fn ok(help: &'static str, media: &'static [Media]) -> Answer {
    Answer { status: 200, help, media, located: false }
}

pub(super) const fn located(status: u16, help: &'static str, media: &'static [Media]) -> Answer {
    Answer { status, help, media, located: true }
}

pub(super) const fn path(name: &'static str, shape: &'static str, help: &'static str) -> Param {
    Param { name, place: Place::Path, shape, needed: true, help }
}

pub(super) const fn query(name: &'static str, shape: &'static str, help: &'static str) -> Param {
    Param { name, place: Place::Query, shape, needed: false, help }
}

pub(super) const fn header(name: &'static str, shape: &'static str, help: &'static str) -> Param {
    Param { name, place: Place::Header, shape, needed: true, help }
}

pub(super) const fn needed(param: Param) -> Param {
    Param { needed: true, ..param }
}

pub(super) const fn problems(of: &'static [&'static [&'static Sort]]) -> Errors {
    Errors::Problems { of, acts: false }
}

pub(super) const fn get(
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    params: &'static [Param],
    answers: &'static [Answer],
    errors: Errors,
) -> About {
    About { method: Method::Get, path, name, summary, params, takes: &[], answers, errors }
}

pub(super) const fn post(
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    takes: &'static [Media],
    answers: &'static [Answer],
    errors: Errors,
) -> About {
    About { method: Method::Post, path, name, summary, params: &[], takes, answers, errors }
}

pub(super) const fn put(
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    takes: &'static [Media],
    answers: &'static [Answer],
    errors: Errors,
) -> About {
    About { method: Method::Put, ..post(path, name, summary, takes, answers, errors) }
}

impl About {
    pub(super) const fn asking(self, params: &'static [Param]) -> Self {
        Self { params, ..self }
    }
}
