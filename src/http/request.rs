//! `/v1/requests/`: what a controller asks by an address, and what it is answered.
//!
//! The address is the right to look: it names a request nobody can guess, and shows
//! what is asked, never who answered. The answer is the controller's alone.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::message;
use crate::http::notice::Controller;
use crate::http::notice::Notice;
use crate::http::sort;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::statement::NoticePurpose;
use crate::node;
use crate::node::Asking;
use crate::node::Caller;
use crate::node::Node;
use crate::node::RequestAnswer;
use crate::node::Shown;

/// Where a person opens a request: what its controller sends her to.
pub(in crate::http) fn address(id: &StatementId) -> String {
    format!("/r/{id}")
}

#[derive(Serialize)]
struct Seen {
    id: String,
    state: &'static str,
    controller: Controller,
    notice: Notice,
    /// What her statements repeat.
    link: String,
    until: u64,
}

#[derive(Serialize)]
struct Reply {
    id: String,
    index: u64,
    r#type: &'static str,
    purpose: String,
    class: &'static str,
    /// The controller's half, once a checkpoint covers it.
    evidence: Option<String>,
}

#[derive(Serialize)]
struct Answered {
    ppid: String,
    /// The mint record: her first statement with the link.
    first: String,
    statements: Vec<Reply>,
}

#[derive(Serialize)]
struct Answer {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Answered>,
}

fn unknown() -> Problem {
    Problem::new(sort::NOT_FOUND, "no such request, or none for this caller")
}

fn id_of(request: &HttpRequest) -> Result<StatementId, Problem> {
    request.match_info().get("id").and_then(StatementId::from_hex).ok_or_else(unknown)
}

/// `GET /v1/requests/{id}`
pub(in crate::http) async fn seen(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let id = id_of(&request)?;
    let node = Arc::clone(&shared.node);
    let asking = message::blocking(move || node.request(&id)).await?.ok_or_else(unknown)?;
    let seen = as_seen(&shared.node, &id, asking).ok_or_else(unknown)?;
    Ok(message::uncached().json(seen))
}

/// What the register says of it.
fn as_seen(node: &Node, id: &StatementId, asking: Asking) -> Option<Seen> {
    let register = node.register();
    let party = register.party(&asking.controller)?;
    let notice = register.notice(&asking.notice)?;
    let asked = |purpose: &NoticePurpose| asking.purposes.contains(&purpose.purpose);
    Some(Seen {
        id: id.to_string(),
        state: asking.standing.as_str(),
        // Of what is asked, the purposes of the request alone.
        notice: Notice::of(asking.notice, &notice.says, asked),
        controller: Controller {
            name_ko: party.name_ko.clone(),
            name_en: party.name_en.clone(),
            id: asking.controller,
        },
        link: URL_SAFE_NO_PAD.encode(asking.link.0),
        until: asking.until.0,
    })
}

/// `GET /v1/requests/{id}/answer`
pub(in crate::http) async fn answer(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let party = caller::party(&request, &shared.node)?;
    let id = id_of(&request)?;
    let node = Arc::clone(&shared.node);
    let answer = message::blocking(move || match node.request_answer(&id, &party)? {
        Some(answer) => as_answer(&node, party, answer).map(Some),
        None => Ok(None),
    });
    let answer = answer.await?.ok_or_else(unknown)?;
    Ok(message::uncached().json(answer))
}

/// With the controller's half of each statement, where a checkpoint covers it.
fn as_answer(node: &Node, party: PartyId, answer: RequestAnswer) -> Result<Answer, node::Error> {
    let state = answer.standing.as_str();
    let Some(given) = answer.given else { return Ok(Answer { state, answer: None }) };
    let caller = Caller::Party(party);
    let mut statements = Vec::with_capacity(given.replies.len());
    for reply in given.replies {
        let evidence = match node.evidence(&reply.statement, Some(&caller))? {
            Shown::Evidence(bytes) => Some(URL_SAFE_NO_PAD.encode(bytes)),
            Shown::NotYet | Shown::Nothing => None,
        };
        statements.push(Reply {
            id: reply.statement.to_string(),
            index: reply.index,
            r#type: reply.kind.as_str(),
            purpose: reply.purpose,
            class: reply.class.as_str(),
            evidence,
        });
    }
    let answer = Answered { ppid: given.ppid.to_text(), first: given.first.to_string(), statements };
    Ok(Answer { state, answer: Some(answer) })
}
