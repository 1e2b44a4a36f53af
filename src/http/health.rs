//! `/livez`, `/readyz`, `/metrics`: for whoever runs it.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web;
use serde::Serialize;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::message;
use crate::node::Readiness;
use crate::telemetry::Sizes;

/// `GET /livez`
pub(in crate::http) async fn live() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8")).body("ok\n")
}

/// `GET /readyz`
pub(in crate::http) async fn ready(shared: web::Data<Shared>) -> HttpResponse {
    #[derive(Serialize)]
    struct Ready {
        ready: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
    }
    let (status, reason) = match shared.node.readiness() {
        Readiness::Ready => (StatusCode::OK, None),
        Readiness::NotReady(stop) => (StatusCode::SERVICE_UNAVAILABLE, Some(stop.as_str())),
    };
    HttpResponse::build(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(Ready { ready: reason.is_none(), reason })
}

/// `GET /metrics`
pub(in crate::http) async fn metrics(shared: web::Data<Shared>) -> Result<HttpResponse, Problem> {
    let node = Arc::clone(&shared.node);
    // Looking at the disk may block.
    let figures = message::blocking(move || Ok::<_, Problem>(node.figures())).await?;
    let sizes = Sizes {
        published: figures.published,
        sequenced: figures.sequenced,
        in_flight: figures.in_flight,
        disk_bytes: figures.disk_bytes,
        accepted: shared.node.accepted_by_kind(),
    };
    let text = shared.metrics.text(&sizes).map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4")).body(text))
}
