//! `/.well-known/gpc.json`: this service takes `Sec-GPC: 1` for what it is, a demand to stop.
//!
//! The log meets no browsers of visitors itself: a party that sees the header sends a
//! `consent.signal`, which closes and needs no key of hers.
//!
//! Source: Global Privacy Control, section 4; design section 4 (closing acts).

use actix_web::HttpResponse;
use actix_web::http::header;
use serde::Serialize;

/// When this began to hold.
const SINCE: &str = "2026-11-25";

/// `GET /.well-known/gpc.json`
pub(in crate::http) async fn support() -> HttpResponse {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Support {
        gpc: bool,
        last_update: &'static str,
    }
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .json(Support { gpc: true, last_update: SINCE })
}
