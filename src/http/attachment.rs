//! Long texts that statements name by their hash: stored by parties, read by anybody.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web;
use serde::Serialize;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::log;
use crate::http::message;
use crate::http::sort;
use crate::model::id::Hash;

/// `POST /v1/attachments`
pub(in crate::http) async fn store(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    #[derive(Serialize)]
    struct Stored {
        hash: String,
    }
    let party = caller::party(&request, &shared.node)?;
    if !shared.node.is_live(&party) {
        return Err(Problem::new(sort::W_PARTY_SUSPENDED, "the party is suspended or closed"));
    }
    let bytes = message::body(&request, payload).await?;
    if bytes.is_empty() {
        return Err(Problem::new(sort::EMPTY, "send the bytes of the attachment"));
    }
    let node = Arc::clone(&shared.node);
    let hash = message::blocking(move || node.attach(&bytes)).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/log/attachments/{hash}")))
        .json(Stored { hash: hash.to_string() }))
}

/// `GET /log/attachments/{hash}`
pub(in crate::http) async fn serve(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let unknown = || Problem::new(sort::NOT_FOUND, "no such attachment");
    let hash = request.match_info().get("hash").and_then(Hash::from_hex).ok_or_else(unknown)?;
    let node = Arc::clone(&shared.node);
    let bytes = message::blocking(move || node.attachment(&hash)).await?.ok_or_else(unknown)?;
    // Whoever stored it chose the bytes: they are data, never a page of this origin.
    Ok(log::immutable()
        .insert_header((header::CONTENT_DISPOSITION, "attachment"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "sandbox"))
        .body(bytes))
}
