//! Statutory exceptions: what is claimed on a person's data, and what a party claims and owes.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::message;
use crate::model::pack::Confidence;
use crate::node::exception::Claim;
use crate::node::exception::Watched;

/// `GET /v1/subjects/me/exceptions`
pub(in crate::http) async fn mine(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let key = caller::citizen(&request, &shared.node)?;
    let node = Arc::clone(&shared.node);
    let of = message::blocking(move || node.exceptions_on(&key)).await?.ok_or_else(caller::no_person)?;
    let claims = of.claims.iter().map(|(one, stopped)| {
        let mut fields = claim(one);
        fields.insert("stopped_by_objection".into(), json!(stopped));
        fields
    });
    let justifications = of.justifications.iter().map(|j| {
        json!({
            "statement": j.statement.to_string(), "controller": j.party.as_str(), "rule": j.rule,
            "purpose": j.purpose, "class": j.class.as_str(),
            "from": j.from.0, "until": j.until.0, "at": j.at.0,
        })
    });
    Ok(message::uncached().json(json!({
        "exceptions": claims.collect::<Vec<_>>(),
        "to_justify": watched(&of.watched),
        "justifications": justifications.collect::<Vec<_>>(),
    })))
}

/// `GET /v1/parties/{id}/exceptions`
pub(in crate::http) async fn of_party(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let party = caller::party_in_scope(&request, &shared.node)?;
    let node = Arc::clone(&shared.node);
    let name = party.clone();
    let of = message::blocking(move || node.exceptions_of(&name)).await?.ok_or_else(caller::out_of_scope)?;
    Ok(message::uncached().json(json!({
        "party": party.as_str(),
        "exceptions": of.claims.iter().map(claim).collect::<Vec<_>>(),
        "to_justify": watched(&of.watched),
    })))
}

fn claim(c: &Claim) -> Map<String, Value> {
    let value = json!({
        "controller": c.controller.as_str(), "notice": c.notice.to_string(),
        "pack": c.pack, "version": c.version, "rule": c.rule, "article": c.article,
        "ko": c.texts.0, "en": c.texts.1, "source": c.source, "confidence": confidence(c.confidence),
        "purpose": c.purpose, "class": c.class.as_str(),
        "actions": c.actions.iter().map(|a| a.as_str()).collect::<Vec<_>>(),
        "reason": c.reason, "in_force": c.in_force, "justify_within_s": c.justify_within_s,
    });
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Uses without any name of the person: who, by which rule, when, how it stands.
fn watched(w: &Watched) -> Value {
    let uses = w.uses.iter().map(|(standing, one)| {
        json!({
            "controller": one.party.as_str(), "rule": one.rule, "purpose": one.purpose,
            "class": one.class.as_str(), "at": one.at.0, "due": one.due.0,
            "standing": standing.as_str(), "justified_at": standing.justified_at().map(|at| at.0),
        })
    });
    json!({ "watched_from": w.since.0, "complete": w.whole, "uses": uses.collect::<Vec<_>>() })
}

const fn confidence(c: Confidence) -> &'static str {
    match c {
        Confidence::Statute => "statute",
        Confidence::PolicySource => "policy-source",
        Confidence::Reading => "reading",
        Confidence::Unconfirmed => "unconfirmed",
    }
}
