//! What stands around handlers: request ids, problems with the id in them, headers.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::body::MessageBody;
use actix_web::dev::ServiceRequest;
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::http::header::HeaderName;
use actix_web::http::header::HeaderValue;
use actix_web::middleware::Next;
use actix_web::web;

use crate::http::Problem;
use crate::http::Route;
use crate::http::Shared;
use crate::http::caller::Denial;
use crate::http::limit;
use crate::http::sort;
use crate::node::clock;

/// The request id, as AuthZEN 1.0 and most proxies spell it.
pub(in crate::http) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is taken over.
const MAX_ID: usize = 128;

/// Makes request ids that differ within and between starts.
#[derive(Debug)]
pub(in crate::http) struct Ids {
    start: u64,
    next: AtomicU64,
}

impl Ids {
    pub(in crate::http) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { start: u64::from_be_bytes(clock::random()?), next: AtomicU64::new(1) })
    }

    fn next(&self) -> String {
        format!("{:016x}-{}", self.start, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// The caller's id if it is fit to be logged, else one of ours.
fn request_id(request: &HttpRequest) -> String {
    let fit = |id: &&str| !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|b| b.is_ascii_graphic());
    let sent = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(fit);
    match (sent, request.app_data::<web::Data<Shared>>()) {
        (Some(id), _) => id.to_owned(),
        (None, Some(shared)) => shared.ids.next(),
        (None, None) => String::from("-"),
    }
}

/// Around every handler that is not bare.
pub(in crate::http) async fn around(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let id = request_id(request.request());
    let watch = clock::Watch::start();
    let answer = match limit::admit(request.request()) {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(standing) => {
            request.into_response(HttpResponse::from_error(Problem::from(Denial::TooMany(standing))))
        }
    };
    let problem = answer.response().error().and_then(|e| e.as_error::<Problem>());
    let problem = problem.map(|p| noted(p, answer.request(), &id));
    let mut answer = match problem {
        Some(response) => answer.into_response(response),
        None => answer,
    };
    answered(answer.request(), answer.status(), &id, Some(watch.elapsed()));
    let told = limit::told(answer.request());
    let headers = answer.headers_mut();
    for (name, value) in told.into_iter().flatten() {
        headers.insert(name, value);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(answer)
}

/// Counts an answer, and logs it if the operator wants to see each (`NARU_LOG=naru=debug`).
///
/// The route's pattern stands in both, never the path: a path may name a statement.
pub(in crate::http) fn answered(request: &HttpRequest, status: StatusCode, id: &str, took: Option<Duration>) {
    let Some(shared) = request.app_data::<web::Data<Shared>>() else { return };
    let route = request.app_data::<&'static Route>();
    let place = route.and_then(|route| shared.routes.iter().position(|of| std::ptr::eq(*of, *route)));
    shared.metrics.answered(place.unwrap_or(usize::MAX), status.as_u16());
    let took_us = took.map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    let (method, path) = route.map_or(("-", "-"), |route| (route.method.as_str(), route.path));
    tracing::debug!(request_id = id, method, route = path, status = status.as_u16(), took_us, "answered");
}

/// The response of a problem; ours are logged.
fn noted(problem: &Problem, request: &HttpRequest, id: &str) -> HttpResponse {
    if let Some(cause) = problem.cause() {
        // The pattern, not the path: a path may name a statement.
        let route = request.match_pattern().unwrap_or_default();
        tracing::error!(request_id = id, route, code = problem.code(), cause, "a request failed");
    }
    problem.response(Some(id))
}

/// A problem outside the envelope, with the id in it and beside it.
fn told(problem: &Problem, request: &HttpRequest) -> HttpResponse {
    let id = request_id(request);
    let mut response = problem.response(Some(&id));
    answered(request, response.status(), &id, None);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// No route has this path.
pub(in crate::http) async fn no_route(request: HttpRequest) -> HttpResponse {
    told(&Problem::new(sort::NO_ROUTE, "no such address"), &request)
}

/// The path is a route's, the method is not.
pub(in crate::http) async fn no_method(request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(other_method(&request))
}

/// The same on a route without an envelope.
pub(in crate::http) async fn no_method_bare(request: HttpRequest) -> HttpResponse {
    told(&other_method(&request), &request)
}

fn other_method(request: &HttpRequest) -> Problem {
    let allow = request.app_data::<&'static Route>().map_or("", |route| match route.method {
        crate::http::Method::Get => "GET, HEAD",
        crate::http::Method::Post => "POST",
        crate::http::Method::Put => "PUT",
    });
    Problem::new(sort::NO_METHOD, "the address takes another method").with(header::ALLOW, allow)
}
