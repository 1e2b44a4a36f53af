//! `/v1/decisions/` and `/v1/subjects/me/uses`: use lines, to whoever may see them.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web;
use serde::Deserialize;
use serde::Serialize;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::caller::Denial;
use crate::http::message;
use crate::http::sort;
use crate::model::id::DecisionId;
use crate::model::use_line::UseAct;
use crate::node::Page;
use crate::node::Seen;
use crate::node::Shown;

/// Lines on one page, if the query does not say.
const USUAL: usize = 100;
/// Most lines on one page.
const MOST: usize = 1_000;

/// `GET /v1/decisions/{id}/evidence`
pub(in crate::http) async fn evidence(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let caller = caller::of(&request, &shared.node)?.ok_or(Denial::NoToken)?;
    let unknown = || Problem::new(sort::NOT_FOUND, "no such decision, or none for this caller");
    let id = request.match_info().get("id").and_then(DecisionId::from_hex).ok_or_else(unknown)?;
    let node = Arc::clone(&shared.node);
    match message::blocking(move || node.decision_evidence(&id, &caller)).await? {
        Shown::Evidence(bytes) => Ok(message::uncached().content_type("application/cbor").body(bytes)),
        Shown::NotYet => {
            let seconds = shared.node.settings().use_batch_ms.div_ceil(1_000).max(1);
            let detail = "the line is kept, but no published use batch covers it yet";
            Err(Problem::new(sort::NOT_YET_PUBLISHED, detail).retry_after(seconds))
        }
        Shown::Nothing => Err(unknown()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    after: Option<String>,
    limit: Option<usize>,
}

/// One line as the person sees it. Times are ms since 1970.
#[derive(Serialize)]
struct Shape {
    id: String,
    act: UseAct,
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<String>,
    at: u64,
    asker: String,
    controller: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ppid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jurisdiction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    use_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    decision: bool,
    told: &'static str,
    reason: &'static str,
    pack: String,
    version: u32,
    rule: String,
    as_of: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    basis: Option<String>,
    /// Number of the use batch that covers it; absent until there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<u64>,
}

impl From<Seen> for Shape {
    fn from(Seen { seen, batch }: Seen) -> Self {
        let reason = seen.reason();
        let line = seen.line;
        Self {
            id: line.id.to_string(),
            act: line.act,
            case: line.case.map(|case| case.to_string()),
            at: line.at.0,
            asker: line.asker.to_string(),
            controller: line.controller.to_string(),
            ppid: line.ppid.map(|ppid| ppid.to_text()),
            action: line.action.map(|action| action.as_str()),
            purpose: line.purpose,
            class: line.class.map(|class| class.as_str()),
            categories: line.categories,
            recipient: line.recipient.map(|party| party.to_string()),
            jurisdiction: line.jurisdiction,
            use_id: line.use_id,
            count: line.count,
            decision: line.told.permits(),
            told: line.told.as_str(),
            reason: reason.as_str(),
            pack: line.pack,
            version: line.version,
            rule: seen.exact.map_or(line.rule, |exact| exact.rule),
            as_of: line.as_of,
            basis: line.basis.map(|id| id.to_string()),
            batch,
        }
    }
}

/// `GET /v1/subjects/me/uses`
pub(in crate::http) async fn uses(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    #[derive(Serialize)]
    struct Uses {
        uses: Vec<Shape>,
        /// Send it as `after` for the next page; absent at the end.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    }
    let key = caller::citizen(&request, &shared.node)?;
    let page = page(&request)?;
    let node = Arc::clone(&shared.node);
    let seen = message::blocking(move || node.uses_of(&key, page)).await?;
    let full = seen.len() == page.most;
    let uses: Vec<Shape> = seen.into_iter().map(Shape::from).collect();
    let next = uses.last().filter(|_| full).map(|last| last.id.clone());
    Ok(message::uncached().json(Uses { uses, next }))
}

fn page(request: &HttpRequest) -> Result<Page, Problem> {
    let wrong =
        || Problem::new(sort::BAD_QUERY, "`after` is the id of a decision, `limit` a number from 1 to 1000");
    let query = web::Query::<Query>::from_query(request.query_string()).map_err(|_| wrong())?.into_inner();
    let after = match query.after {
        None => None,
        Some(text) => Some(DecisionId::from_hex(&text).ok_or_else(wrong)?),
    };
    let most = query.limit.unwrap_or(USUAL);
    if most == 0 || most > MOST { Err(wrong()) } else { Ok(Page { after, most }) }
}
