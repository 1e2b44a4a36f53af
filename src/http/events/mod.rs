//! `GET /v1/events`: what a party is told of the persons it knows.
//!
//! One feed in two shapes: JSON pages, which may wait for news, and server-sent
//! events. Both go on from an index, so that nothing is missed however the last
//! connection ended.

mod listeners;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::http::header::HeaderName;
use actix_web::rt::time::timeout;
use actix_web::web;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::watch;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::message;
use crate::http::sort;
use crate::model::id::LeafIndex;
use crate::model::id::PartyId;
use crate::model::id::TreeSize;
use crate::model::statement::Kind;
use crate::model::statement::SignalAct;
use crate::node::Event;
use crate::node::EventPage as Page;
use crate::node::clock::Watch;

pub(in crate::http) use listeners::Listeners;

/// Most events in one page.
const MOST: usize = 500;
/// Events in one page where nobody says how many.
const USUAL: usize = 100;
/// Where a client of server-sent events goes on. Source: HTML, section 9.2.4
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const EVENT_STREAM: &str = "text/event-stream";

/// How feeds are kept.
#[derive(Clone, Copy, Debug)]
pub struct Feeding {
    /// Longest wait of one page; `wait` above it counts as it.
    pub wait: Duration,
    /// A stream without news gives a sign of life so often.
    pub heartbeat: Duration,
    /// A listener that takes nothing for so long is let go.
    pub patience: Duration,
    /// A stream ends after so long, as its token does.
    pub life: Duration,
    /// Listeners of one party at once.
    pub per_party: usize,
    /// Listeners in all.
    pub listeners: usize,
}

impl Default for Feeding {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            patience: Duration::from_secs(30),
            life: Duration::from_secs(crate::node::TOKEN_LIFE_S),
            per_party: 8,
            listeners: 256,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    /// The last index the caller has seen.
    after: Option<LeafIndex>,
    limit: Option<usize>,
    /// Seconds.
    wait: Option<u64>,
    /// Whose feed; the caller's own if absent. Another's is its successor's.
    controller: Option<PartyId>,
    only: Option<Only>,
}

/// Who listens, and whose feed it is.
#[derive(Clone)]
struct Listener {
    party: PartyId,
    of: PartyId,
    only: Option<Only>,
}

impl Listener {
    /// Whether it may listen now.
    fn may(&self, shared: &Shared) -> bool {
        self.party == self.of || shared.node.holds_for(&self.party, &self.of)
    }
}

/// What a caller wants to be told of; everything, if it does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Only {
    /// Objections, whoever carried them, and what lifts them.
    Objections,
}

impl Only {
    const fn wants(self, event: &Event) -> bool {
        match self {
            Self::Objections => match event.kind {
                Kind::ConsentObject | Kind::ConsentLift => true,
                Kind::ConsentSignal => matches!(event.act, Some(SignalAct::Object)),
                _ => false,
            },
        }
    }
}

/// One event on the wire.
#[derive(Serialize)]
struct Told<'a> {
    index: u64,
    at: u64,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<SignalAct>,
    ppid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    demand: Option<String>,
}

impl<'a> From<&'a Event> for Told<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            index: event.index,
            at: event.at.0,
            r#type: event.kind.as_str(),
            act: event.act,
            ppid: event.ppid.to_text(),
            purpose: event.purpose.as_deref(),
            class: event.class.map(|class| class.as_str()),
            demand: event.demand.map(|id| id.to_string()),
        }
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    events: Vec<Told<'a>>,
    /// What `after` is next time.
    after: u64,
    /// Entries the log had.
    as_of: u64,
}

/// `GET /v1/events`
pub(in crate::http) async fn feed(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let party = caller::party(&request, &shared.node)?;
    if !shared.node.is_live(&party) {
        return Err(Problem::new(sort::W_PARTY_SUSPENDED, "the party is suspended or closed"));
    }
    let query = asked(&request)?;
    let of = query.controller.clone().unwrap_or_else(|| party.clone());
    let listener = Listener { party, of, only: query.only };
    if !listener.may(&shared) {
        return Err(Problem::new(
            sort::OTHER_DOMAIN,
            "the token's party has not succeeded to that controller",
        ));
    }
    let streams = wants_stream(&request);
    let after = if streams { last_seen(&request)?.or(query.after) } else { query.after };
    let from = after.map_or(0, |after| after.saturating_add(1));
    if from > shared.node.sequenced() {
        return Err(Problem::new(sort::INDEX_AHEAD, "the log has no entry at `after`"));
    }
    let listening = shared.listeners.listen(&listener.party);
    let listening = listening
        .ok_or_else(|| Problem::new(sort::TOO_MANY_LISTENERS, "close one, or wait").retry_after(1))?;
    if streams {
        let body = stream::begin(&shared, listener, from, listening);
        return Ok(message::uncached()
            .insert_header((header::CONTENT_TYPE, EVENT_STREAM))
            // A proxy that gathers before it passes on would hold withdrawals back.
            .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
            .body(body));
    }
    let page = poll(&shared, &listener.of, from, &query).await?;
    let events = page.events.iter().map(Told::from).collect();
    let answer = Answer { events, after: page.next.saturating_sub(1), as_of: page.as_of };
    Ok(message::uncached().json(answer))
}

fn asked(request: &HttpRequest) -> Result<Query, Problem> {
    let detail =
        "`after`, `limit` and `wait` are whole numbers, `controller` is a party, `only` is `objections`";
    let query = web::Query::<Query>::from_query(request.query_string());
    Ok(query.map_err(|_| Problem::new(sort::BAD_QUERY, detail))?.into_inner())
}

fn wants_stream(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let mut ranges = accept.unwrap_or_default().split(',').filter_map(|range| range.split(';').next());
    ranges.any(|range| range.trim().eq_ignore_ascii_case(EVENT_STREAM))
}

fn last_seen(request: &HttpRequest) -> Result<Option<LeafIndex>, Problem> {
    let Some(value) = request.headers().get(LAST_EVENT_ID) else { return Ok(None) };
    let index = value.to_str().ok().and_then(|text| text.parse().ok());
    index.map(Some).ok_or_else(|| Problem::new(sort::BAD_QUERY, "`Last-Event-ID` is not an index of ours"))
}

/// One page, waited for if it is asked for.
async fn poll(
    shared: &web::Data<Shared>,
    party: &PartyId,
    mut from: TreeSize,
    query: &Query,
) -> Result<Page, Problem> {
    let watch = Watch::start();
    let wait = Duration::from_secs(query.wait.unwrap_or(0)).min(shared.feeding.wait);
    let most = query.limit.unwrap_or(USUAL).clamp(1, MOST);
    let mut news = shared.node.news();
    loop {
        let page = page(shared, party, from, most, query.only).await?;
        let left = wait.saturating_sub(watch.elapsed());
        if !page.events.is_empty() || left.is_zero() {
            return Ok(page);
        }
        from = page.next;
        let all = page.next >= page.as_of;
        if all && !matches!(timeout(left, concerned(shared, &mut news, party, from)).await, Ok(true)) {
            return Ok(page);
        }
    }
}

/// A stretch of the feed, read where blocking is allowed.
async fn page(
    shared: &web::Data<Shared>,
    party: &PartyId,
    from: TreeSize,
    most: usize,
    only: Option<Only>,
) -> Result<Page, Problem> {
    let (node, party) = (Arc::clone(&shared.node), party.clone());
    let mut page = message::blocking(move || node.events(&party, from, most)).await?;
    if let Some(only) = only {
        // What is left out is passed over: `next` stays as far as was looked.
        page.events.retain(|event| only.wants(event));
    }
    Ok(page)
}

/// Waits until something from `from` on may concern the party; `false` if node or server end first.
async fn concerned(
    shared: &Shared,
    news: &mut watch::Receiver<TreeSize>,
    party: &PartyId,
    from: TreeSize,
) -> bool {
    let mut closing = shared.closing.clone();
    loop {
        if shared.node.may_concern(party, from) {
            return true;
        }
        let grew = tokio::select! {
            grew = news.changed() => grew.is_ok(),
            _ = closing.wait_for(|closing| *closing) => false,
        };
        if !grew {
            return false;
        }
    }
}
