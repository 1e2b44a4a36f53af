//! `/log/`: the public log as static files. Source: C2SP tlog-tiles.
//!
//! Everything but the checkpoint and the list of rotations never changes, and says so. Only canonical paths
//! are served: one file, one address.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::HttpResponseBuilder;
use actix_web::http::header;
use actix_web::web;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::message;
use crate::http::sort;
use crate::ledger::tile::Path;

/// Anybody's page may read the log.
const ANY_ORIGIN: (header::HeaderName, &str) = (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");

/// The head of an answer that will never be another.
pub(in crate::http) fn immutable() -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header(ANY_ORIGIN)
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"));
    answer
}

/// `GET /log/checkpoint`
pub(in crate::http) async fn checkpoint(shared: web::Data<Shared>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(ANY_ORIGIN)
        .insert_header((header::CACHE_CONTROL, "public, max-age=1"))
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .body(shared.node.published().note.clone())
}

/// `GET /log/rotations`: public evidence of every rotation of the log key, in order.
pub(in crate::http) async fn rotations(shared: web::Data<Shared>) -> Result<HttpResponse, Problem> {
    let node = Arc::clone(&shared.node);
    let list = message::blocking(move || node.rotations()).await?;
    Ok(HttpResponse::Ok()
        .insert_header(ANY_ORIGIN)
        .insert_header((header::CACHE_CONTROL, "public, max-age=1"))
        .insert_header((header::CONTENT_TYPE, "application/cbor"))
        .body(list))
}

/// `GET /log/tile/…`: hashes and entries.
pub(in crate::http) async fn tile(
    request: HttpRequest,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    let unknown =
        || Problem::new(sort::NOT_FOUND, "no such tile at the published size").with(ANY_ORIGIN.0, "*");
    // The path as sent: a percent-encoded one is not canonical.
    let path = request.uri().path().strip_prefix("/log/").and_then(|path| path.parse().ok());
    let path: Path = path.ok_or_else(unknown)?;
    let node = Arc::clone(&shared.node);
    let bytes = message::blocking(move || match path {
        Path::Entries { index, width } => node.bundle(index, partial(width)),
        Path::Tile { level, index, width } => node.tile(level, index, partial(width)),
    });
    Ok(immutable().body(bytes.await?.ok_or_else(unknown)?))
}

/// A width below the full one.
fn partial(width: u16) -> Option<u8> {
    u8::try_from(width).ok()
}
