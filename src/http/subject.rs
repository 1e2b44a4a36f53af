//! `/v1/subjects/me/`: what a citizen asks about herself.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::message;
use crate::http::sort;
use crate::model::id::PartyId;
use crate::node::own::Own;
use crate::node::own::OwnSlot;

/// Names the log's own domain.
const OWN: &str = "self";

/// `GET /v1/subjects/me/ppids/{party}`
pub(in crate::http) async fn ppid(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    #[derive(Serialize)]
    struct Named {
        ppid: String,
    }
    let key = caller::citizen(&request, &shared.node)?;
    let unknown = || Problem::new(sort::PARTY_NOT_FOUND, "no party of that name is registered");
    let party = match request.match_info().get("party") {
        Some(OWN) => None,
        Some(name) => Some(PartyId::parse(name).ok_or_else(unknown)?),
        None => return Err(unknown()),
    };
    let node = Arc::clone(&shared.node);
    let ppid = message::blocking(move || node.ppid(&key, party.as_ref())).await?.ok_or_else(unknown)?;
    Ok(message::uncached().json(Named { ppid: ppid.to_text() }))
}

/// `GET /v1/subjects/me`
pub(in crate::http) async fn own(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let key = caller::citizen(&request, &shared.node)?;
    let node = Arc::clone(&shared.node);
    let own = message::blocking(move || node.own(&key)).await?.ok_or_else(caller::no_person)?;
    Ok(message::uncached().json(of(&own)))
}

/// How a rebind that waits is stopped: this act, by any old key, of the new one. Source: design §7.
const STOP: &str = "key.revoke";

fn of(own: &Own) -> Value {
    let keys = own.keys.iter().map(|key| {
        json!({
            "key": key.key.to_string(), "use": key.key_use, "from": key.from, "since": key.since.0,
            "revoked": key.revoked.map(|at| at.0), "live": key.live,
        })
    });
    let waiting = own.waiting.as_ref().map(|rebind| {
        json!({
            "statement": rebind.statement.to_string(), "index": rebind.index, "key": rebind.key.to_string(),
            "due": rebind.due.0, "stop": STOP,
        })
    });
    json!({
        "keys": keys.collect::<Vec<_>>(),
        "keys_over": own.keys_over.map(|id| id.to_string()),
        "recovery": own.has_recovery,
        "rebind": waiting,
        "rebound_until": own.rebound_until.map(|at| at.0),
        "minor_until": own.minor_until.map(|at| at.0),
        "slots": own.slots.iter().map(slot).collect::<Vec<_>>(),
    })
}

fn slot(slot: &OwnSlot) -> Value {
    let terms = slot.terms.as_ref().map(|terms| {
        json!({
            "statement": terms.statement.to_string(), "notice": terms.notice.map(|id| id.to_string()),
            "categories": terms.categories, "recipients": terms.recipients,
            "actions": terms.actions.iter().map(|action| action.as_str()).collect::<Vec<_>>(),
            "fetch_until": terms.fetch_until.0, "keep_until": terms.keep_until.0,
        })
    });
    json!({
        "controller": slot.controller, "purpose": slot.purpose, "class": slot.class.as_str(),
        "state": slot.state, "since": slot.since.0, "over": slot.over.map(|id| id.to_string()),
        "carried_by": slot.carried_by, "terms": terms,
    })
}
