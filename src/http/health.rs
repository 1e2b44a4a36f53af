//! `/livez`, `/readyz`, `/metrics`: for whoever runs it. `/.well-known/naru-rebinds`: for everybody.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web;
use serde::Serialize;
use serde_json::json;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::message;
use crate::node;
use crate::node::Readiness;
use crate::node::Stop;
use crate::telemetry::Sizes;
use crate::telemetry::Spread;

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
    message::uncached_as(status).json(Ready { ready: reason.is_none(), reason })
}

/// Counts of whole numbers, in units of which `unit` make one of Prometheus's.
#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floats; exact below 2^53")]
fn spread(of: &node::Spread, unit: f64) -> Spread {
    let upto = of.upto.iter().map(|(bound, count)| (*bound as f64 / unit, *count)).collect();
    Spread { upto, count: of.count, sum: of.sum as f64 / unit }
}

/// `GET /metrics`
pub(in crate::http) async fn metrics(shared: web::Data<Shared>) -> Result<HttpResponse, Problem> {
    let node = Arc::clone(&shared.node);
    // Looking at the disk may block.
    let figures = message::blocking(move || Ok::<_, Problem>(node.figures())).await?;
    let (commits, readiness) = (shared.node.commits(), shared.node.readiness());
    let sizes = Sizes {
        published: figures.published,
        sequenced: figures.sequenced,
        in_flight: figures.in_flight,
        disk_bytes: figures.disk_bytes,
        rebinds_last_month: shared.node.rebinds().last,
        accepted: shared.node.accepted_by_kind(),
        checkpoint_age_ms: figures.checkpoint_age_ms,
        commit_entries: spread(&commits.entries, 1.0),
        commit_seconds: spread(&commits.micros, 1e6),
        stops: Stop::ALL
            .iter()
            .map(|stop| (stop.as_str(), readiness == Readiness::NotReady(*stop)))
            .collect(),
    };
    let text = shared.metrics.text(&sizes).map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4")).body(text))
}

/// How long the counts of rebinds may be kept, s.
const REBINDS_FRESH_S: u32 = 3_600;

/// `GET /.well-known/naru-rebinds`: how often a key set was bound anew, by month. Source: design §7.
pub(in crate::http) async fn rebinds(shared: web::Data<Shared>) -> HttpResponse {
    let monthly = shared.node.rebinds();
    let months = monthly.months.iter().map(|(month, rebinds)| json!({ "month": month, "rebinds": rebinds }));
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, format!("public, max-age={REBINDS_FRESH_S}")))
        .json(json!({ "before": monthly.before, "months": months.collect::<Vec<_>>() }))
}
