//! `GET /v1/parties/{id}/jwks.json`: the key a party signs with now, as the register has it.
//!
//! For whoever checks what a party signed outside the log, and follows it when it rotates. A party
//! that may not act now has no keys here; those it had stand in the log's public entries.
//!
//! Source: RFC 7517 section 5.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web;
use serde::Serialize;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::message;
use crate::http::sort;
use crate::identity::jwk::Jwk;
use crate::ledger::key::Alg;
use crate::ledger::key::PublicKey;
use crate::model::id::PartyId;

#[derive(Serialize)]
struct Key {
    #[serde(flatten)]
    jwk: Jwk,
    alg: &'static str,
    r#use: &'static str,
    kid: String,
}

impl Key {
    fn of(key: &PublicKey) -> Self {
        let jwk = Jwk::of(key);
        let alg = match key.alg() {
            Alg::EdDsa => "EdDSA",
            Alg::Es256 => "ES256",
        };
        Self { alg, r#use: "sig", kid: jwk.thumbprint(), jwk }
    }
}

#[derive(Serialize)]
struct Keys {
    keys: Vec<Key>,
}

/// `GET /v1/parties/{id}/jwks.json`
pub(in crate::http) async fn keys(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let unknown = || Problem::new(sort::PARTY_NOT_FOUND, "no party of that name is registered");
    let party = request.match_info().get("id").and_then(PartyId::parse).ok_or_else(unknown)?;
    let node = Arc::clone(&shared.node);
    let keys = message::blocking(move || node.keys_of(&party)).await?.ok_or_else(unknown)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/jwk-set+json"))
        // A rotation is in force at once: a copy older than a minute is nobody's excuse.
        .insert_header((header::CACHE_CONTROL, "public, max-age=60"))
        .json(Keys { keys: keys.iter().map(Key::of).collect() }))
}
