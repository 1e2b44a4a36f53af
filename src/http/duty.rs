//! What is owed over HTTP: to the person, by a party to itself, and for the regulator in scope.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web;
use serde_json::Value;
use serde_json::json;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::message;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::node::owed::OwedBy;
use crate::node::owed::row;

/// `GET /v1/subjects/me/duties`
pub(in crate::http) async fn mine(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let key = caller::citizen(&request, &shared.node)?;
    let node = Arc::clone(&shared.node);
    let owed = message::blocking(move || node.duties_to(&key)).await?.ok_or_else(caller::no_person)?;
    Ok(message::uncached().json(json!({ "duties": row::duties(&owed) })))
}

/// `GET /v1/subjects/me/rights`
pub(in crate::http) async fn my_rights(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let key = caller::citizen(&request, &shared.node)?;
    let node = Arc::clone(&shared.node);
    let claimed = message::blocking(move || node.rights_of(&key)).await?.ok_or_else(caller::no_person)?;
    Ok(message::uncached().json(json!({ "rights": claimed.iter().map(row::right).collect::<Vec<_>>() })))
}

/// `GET /v1/subjects/me/value`
pub(in crate::http) async fn my_value(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let key = caller::citizen(&request, &shared.node)?;
    let node = Arc::clone(&shared.node);
    let value = message::blocking(move || node.value_to(&key)).await?.ok_or_else(caller::no_person)?;
    let rows = row::value(&value.worth, &value.used).into_iter().map(|(_, row)| row);
    Ok(message::uncached()
        .json(json!({ "uses_counted": value.counted, "controllers": rows.collect::<Vec<_>>() })))
}

/// `GET /v1/duties`
pub(in crate::http) async fn own(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let party = caller::party(&request, &shared.node)?;
    let (node, name) = (Arc::clone(&shared.node), party.clone());
    let owed = message::blocking(move || node.owes(&name)).await?;
    Ok(message::uncached().json(list(&party, &owed)))
}

/// `GET /v1/parties/{id}/duties`
pub(in crate::http) async fn of_party(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let party = caller::party_in_scope(&request, &shared.node)?;
    let (node, name) = (Arc::clone(&shared.node), party.clone());
    let owed = message::blocking(move || node.owed_by(&name)).await?.ok_or_else(caller::out_of_scope)?;
    Ok(message::uncached().json(list(&party, &owed)))
}

fn list(party: &PartyId, owed: &OwedBy) -> Value {
    let duties = owed.duties.iter().map(|one| named(row::duty(&one.what, one.met), one.ppid));
    let rights = owed.rights.iter().map(|one| named(row::right(&one.what), one.ppid));
    json!({
        "party": party.as_str(), "complete": owed.whole,
        "duties": duties.collect::<Vec<_>>(), "rights": rights.collect::<Vec<_>>(),
    })
}

/// The party's own name of the person, where the party asks.
fn named(mut row: Value, ppid: Option<Ppid>) -> Value {
    if let (Some(fields), Some(ppid)) = (row.as_object_mut(), ppid) {
        fields.insert("ppid".into(), ppid.to_text().into());
    }
    row
}
