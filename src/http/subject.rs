//! `/v1/subjects/me/`: what a citizen asks about herself.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web;
use serde::Serialize;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::message;
use crate::http::sort;
use crate::model::id::PartyId;

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
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(Named { ppid: ppid.to_text() }))
}
