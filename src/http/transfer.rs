//! Transfer demands: a person's own, and each end's half of one.

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
use crate::http::sort;
use crate::model::id::StatementId;
use crate::node::Demanded;

/// `GET /v1/subjects/me/transfers`
pub(in crate::http) async fn mine(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let key = caller::citizen(&request, &shared.node)?;
    let node = Arc::clone(&shared.node);
    let all = message::blocking(move || node.transfers_of(&key)).await?.ok_or_else(caller::no_person)?;
    let all: Vec<_> = all.iter().map(members).collect();
    Ok(message::uncached().json(json!({ "transfers": all })))
}

/// `GET /v1/transfers/{id}`
pub(in crate::http) async fn half(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let party = caller::party(&request, &shared.node)?;
    let unknown = || Problem::new(sort::NOT_FOUND, "the caller is no end of such a transfer");
    let id = request.match_info().get("id").and_then(StatementId::from_hex).ok_or_else(unknown)?;
    let node = Arc::clone(&shared.node);
    let found = message::blocking(move || node.transfer_of(&id, &party)).await?;
    let (demanded, ppid) = found.ok_or_else(unknown)?;
    let mut half = members(&demanded);
    half.insert("ppid".into(), json!(ppid.to_text()));
    Ok(message::uncached().json(half))
}

/// The demand as its ends may know it; names follow K-MyData where it has them.
fn members(of: &Demanded) -> Map<String, Value> {
    let t = &of.transfer;
    let targets =
        t.targets.iter().map(|target| json!({ "scope": target.scope, "asset_list": target.assets }));
    let runs = t.runs.iter().map(|run| {
        json!({
            "run": run.number,
            "state": run.state().as_str(),
            "due": t.schedule().due(run.number).map(|at| at.0),
            "items": run.delivered.as_ref().map(|d| d.items),
            "delivered_at": run.delivered.as_ref().map(|d| d.at.0),
            "hash": run.delivered.as_ref().map(|d| d.hash.to_string()),
            "received": run.confirmed.as_ref().map(|c| c.received),
            "confirmed_at": run.confirmed.as_ref().map(|c| c.at.0),
            "failed": run.failed.as_ref().map(|f| f.code.as_str()),
            "failed_by": run.failed.as_ref().map(|f| f.by.as_str()),
        })
    });
    let carrying = of.carrying.map(|c| {
        json!({
            "run": c.run, "items": c.items, "fetched": c.fetched, "sent": c.sent,
            "tries": c.tries, "not_before": c.not_before.0,
        })
    });
    let value = json!({
        "carrying": carrying, "demand": t.demand.to_string(), "state": of.standing.as_str(), "over": t.last.to_string(),
        "at": t.at.0, "snd_org_code": t.sender.as_str(), "rcv_org_code": t.recipient.as_str(),
        "is_scheduled": t.scheduled, "fnd_cycle": t.fund_cycle, "add_cycle": t.add_cycle,
        "end_date": t.end.0, "purpose": t.purpose, "period": t.keep_until.0, "mode": t.mode,
        "target_info": targets.collect::<Vec<_>>(), "runs": runs.collect::<Vec<_>>(),
    });
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
