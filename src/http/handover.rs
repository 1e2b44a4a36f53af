//! `POST /v1/handovers`: by which name a recipient knows a person.
//!
//! Unknown, of another domain, not granted: one answer, byte for byte but for the
//! request id.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web;
use serde::Deserialize;
use serde::Serialize;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::message;
use crate::http::sort;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::model::vocabulary::DataClass;
use crate::node::Wanted;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Whose domain the ppid stands in; the caller's own if it is left out.
    controller: Option<PartyId>,
    ppid: String,
    recipient: PartyId,
    purpose: String,
    class: DataClass,
    #[serde(default)]
    categories: Vec<String>,
}

#[derive(Serialize)]
struct Handed {
    recipient: PartyId,
    ppid: String,
}

/// `POST /v1/handovers`
pub(in crate::http) async fn hand_over(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let party = caller::party(&request, &shared.node)?;
    let bad = "send `ppid`, `recipient`, `purpose`, `class`, and `categories` if any";
    let asked: Asked = message::json(&request, payload, bad).await?;
    let wanted = Wanted {
        ppid: Ppid::from_text(&asked.ppid).ok_or_else(|| Problem::new(sort::BAD_JSON, bad))?,
        controller: asked.controller.unwrap_or_else(|| party.clone()),
        by: party,
        recipient: asked.recipient,
        purpose: asked.purpose,
        class: asked.class,
        categories: asked.categories,
    };
    if !shared.node.may_ask(&wanted.by, &wanted.controller, Some(&wanted.purpose)) {
        return Err(Problem::new(sort::OTHER_DOMAIN, "the token's party does not act for that controller"));
    }
    let node = Arc::clone(&shared.node);
    let recipient = wanted.recipient.clone();
    let ppid = message::blocking(move || node.handover(&wanted)).await?;
    let ppid =
        ppid.ok_or_else(|| Problem::new(sort::NO_HANDOVER, "no live grant of such a person names it"))?;
    Ok(message::uncached().json(Handed { recipient, ppid: ppid.to_text() }))
}
