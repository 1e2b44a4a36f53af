//! `/v1/incidents`: to the regulator in scope and the accused; to a person how her complaints stand.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::message;
use crate::http::sort;
use crate::model::id::Hash;
use crate::model::id::Nonce;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::statement::Strength;
use crate::model::vocabulary::DataClass;
use crate::node::Caller;
use crate::node::incidents::Built;
use crate::node::incidents::CASE_FORMAT;
use crate::node::incidents::Case;
use crate::node::incidents::Due;
use crate::node::incidents::Incident;
use crate::node::incidents::MOST_OPENED;
use crate::node::incidents::Opened;
use crate::node::incidents::Sight;

fn unknown() -> Problem {
    Problem::new(sort::NOT_FOUND, "no such incident, or none for this caller")
}

fn named(request: &HttpRequest) -> Result<Nonce, Problem> {
    request.match_info().get("id").and_then(Nonce::from_hex).ok_or_else(unknown)
}

/// `GET /v1/incidents`
pub(in crate::http) async fn list(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let caller = caller::of(&request, &shared.node)?.ok_or(caller::Denial::NoToken)?;
    let node = Arc::clone(&shared.node);
    let incidents: Vec<Value> = message::blocking(move || {
        Ok::<_, crate::node::Error>(match caller {
            Caller::Party(party) => node.incidents_for(&party)?.iter().map(shape).collect(),
            Caller::Citizen(key) => node.complaints_of(&key)?.iter().map(complained).collect(),
        })
    })
    .await?;
    Ok(message::uncached().json(json!({ "incidents": incidents })))
}

/// `GET /v1/incidents/{id}`
pub(in crate::http) async fn one(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let party = caller::party(&request, &shared.node)?;
    let incident = named(&request)?;
    let node = Arc::clone(&shared.node);
    let case = message::blocking(move || node.incident_for(&incident, &party)).await?.ok_or_else(unknown)?;
    let mut value = shape(&case);
    if let Some(object) = value.as_object_mut() {
        object.insert("finding".into(), finding(&case));
        object.insert("complaint".into(), complaint(&case));
    }
    Ok(message::uncached().json(&value))
}

/// `POST /v1/incidents/{id}/documents`
pub(in crate::http) async fn keep(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let party = caller::party(&request, &shared.node)?;
    let incident = named(&request)?;
    let bytes = message::body(&request, payload).await?;
    if bytes.is_empty() {
        return Err(Problem::new(sort::EMPTY, "send the bytes of the document"));
    }
    let node = Arc::clone(&shared.node);
    let kept = message::blocking(move || node.keep_incident_document(&incident, &bytes, &party)).await?;
    let hash = kept.ok_or_else(unknown)?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/v1/incidents/{incident}/documents/{hash}")))
        .json(json!({ "hash": hash.to_string() })))
}

/// `GET /v1/incidents/{id}/documents/{hash}`
pub(in crate::http) async fn document(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let party = caller::party(&request, &shared.node)?;
    let incident = named(&request)?;
    let hash = request.match_info().get("hash").and_then(Hash::from_hex).ok_or_else(unknown)?;
    let node = Arc::clone(&shared.node);
    let bytes = message::blocking(move || node.incident_document(&incident, &hash, &party)).await?;
    // Whatever it is, it is not run in this server's name.
    Ok(message::uncached()
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_DISPOSITION, "attachment"))
        .content_type("application/octet-stream")
        .body(bytes.ok_or_else(unknown)?))
}

/// `GET /v1/incidents/{id}/dossier`
pub(in crate::http) async fn dossier(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let regulator: PartyId = caller::party(&request, &shared.node)?;
    let incident = named(&request)?;
    let html = match request.query_string() {
        "" | "format=json" => false,
        "format=html" => true,
        _ => return Err(Problem::new(sort::BAD_QUERY, "`format` is `json` or `html`")),
    };
    let node = Arc::clone(&shared.node);
    let built = message::blocking(move || {
        let built = node.dossier(&incident, &regulator)?;
        Ok::<_, crate::node::Error>((built.page().filter(|_| html), built))
    });
    match built.await? {
        (Some(page), _) => Ok(message::uncached().content_type("text/html; charset=utf-8").body(page)),
        (None, Built::Dossier(dossier)) => Ok(message::uncached().json(&dossier)),
        (None, Built::NotYet) => {
            let seconds = shared.node.settings().use_batch_ms.div_ceil(1_000).max(1);
            let detail = "a line or statement of the incident is under no published checkpoint yet";
            Err(Problem::new(sort::NOT_YET_PUBLISHED, detail).retry_after(seconds))
        }
        (None, Built::Nothing) => Err(unknown()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wished {
    /// Ids of statements.
    records: Vec<String>,
}

/// `POST /v1/incidents/{id}/openings`
pub(in crate::http) async fn openings(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let regulator = caller::party(&request, &shared.node)?;
    let incident = named(&request)?;
    let bad = format!("send `records`: 1 to {MOST_OPENED} ids of statements");
    let wished: Wished = message::json(&request, payload, bad.clone()).await?;
    let records: Option<Vec<_>> = wished.records.iter().map(|id| StatementId::from_hex(id)).collect();
    let records = records.filter(|all| (1..=MOST_OPENED).contains(&all.len()));
    let records = records.ok_or_else(|| Problem::new(sort::BAD_JSON, bad))?;
    let node = Arc::clone(&shared.node);
    let opened = message::blocking(move || node.openings(&incident, &regulator, &records)).await?;
    let records: Vec<Value> = opened.ok_or_else(unknown)?.iter().map(opening).collect();
    Ok(message::uncached().json(json!({
        "format": CASE_FORMAT, "origin": shared.node.settings().origin, "case": incident.to_string(),
        "records": records,
    })))
}

fn opening((id, opened): &(StatementId, Opened)) -> Value {
    let (told, evidence) = match opened {
        Opened::Given(evidence) => ("given", Some(URL_SAFE_NO_PAD.encode(evidence))),
        Opened::NotYet => ("not-yet", None),
        Opened::Denied => ("denied", None),
    };
    json!({ "statement": id.to_string(), "told": told, "evidence": evidence })
}

const fn strength(strength: Strength) -> &'static str {
    match strength {
        Strength::D => "D",
        Strength::S => "S",
    }
}

fn shape(case: &Case) -> Value {
    let incident = &case.incident;
    let steps = incident.steps.iter().map(|step| {
        json!({
            "type": step.kind.as_str(), "by": step.by.as_str(), "at": step.at.0,
            "statement": step.statement.to_string(), "document": step.document.to_string(),
        })
    });
    json!({
        "incident": incident.id.to_string(), "party": incident.party.as_str(),
        "detector": incident.detector, "strength": strength(incident.strength),
        "stage": incident.stage.as_str(), "flagged_at": incident.at.0, "flag": incident.flag.to_string(),
        "steps": steps.collect::<Vec<_>>(), "due": case.due.iter().map(due).collect::<Vec<_>>(),
    })
}

fn due(due: &Due) -> Value {
    let met = due.met.iter().map(|(kind, at)| json!({ "type": kind.as_str(), "at": at.map(|at| at.0) }));
    json!({
        "pack": due.pack, "version": due.version, "duty": due.duty, "ko": due.words.0, "en": due.words.1,
        "source": due.source, "until": due.until.0, "met": met.collect::<Vec<_>>(),
    })
}

/// Her own complaint: who did what when, and no document of the two.
fn complained(incident: &Incident) -> Value {
    let steps = incident
        .steps
        .iter()
        .map(|step| json!({ "type": step.kind.as_str(), "by": step.by.as_str(), "at": step.at.0 }));
    json!({
        "incident": incident.id.to_string(), "party": incident.party.as_str(),
        "detector": incident.detector, "strength": strength(incident.strength),
        "stage": incident.stage.as_str(), "flagged_at": incident.at.0, "flag": incident.flag.to_string(),
        "steps": steps.collect::<Vec<_>>(), "due": [],
    })
}

/// What a person complains of: the regulator's alone.
fn complaint(case: &Case) -> Value {
    let said = case.incident.complaint.as_ref().filter(|_| case.sight == Sight::Regulator);
    said.map_or(Value::Null, |said| json!({ "ppid": said.ppid.to_text(), "text": said.text }))
}

/// What was found; the accused is not told in whose domain a ppid stands.
fn finding(case: &Case) -> Value {
    let Some(finding) = &case.finding else { return Value::Null };
    let lines = finding.lines.iter().map(|line| {
        let domain = line.domain.as_ref().filter(|_| case.sight == Sight::Regulator);
        json!({
            "decision": line.id.to_string(), "at": line.at.0, "signed": line.signed,
            "domain": domain.map(PartyId::as_str),
        })
    });
    json!({
        "day": finding.day, "about": finding.about, "class": finding.class.map(DataClass::as_str),
        "count": finding.count, "persons": finding.persons, "lines": lines.collect::<Vec<_>>(),
    })
}
