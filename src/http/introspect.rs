//! `POST /oauth/introspect`: is this token good, and what must be shown beside it?
//!
//! For parties that serve resources of their own to holders of our tokens. A token that is expired,
//! foreign, of a party that may not act now, or a citizen's session is not active, and nothing else
//! is told of it: a session of hers is for this log alone.
//!
//! Source: RFC 7662, RFC 9449 section 6.2, RFC 8705 section 3.2.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web;
use serde::Deserialize;
use serde::Serialize;

use crate::http::Problem;
use crate::http::Shared;
use crate::http::caller;
use crate::http::message;
use crate::http::sort;
use crate::node::Claims;

#[derive(Deserialize)]
struct Form {
    token: String,
}

#[derive(Serialize)]
struct Told {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    claims: Option<Claims>,
}

/// `POST /oauth/introspect`
pub(in crate::http) async fn introspect(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> Result<HttpResponse, Problem> {
    caller::party(&request, &shared.node)?;
    message::must_be(&request, "application/x-www-form-urlencoded")?;
    let body = message::body(&request, payload).await?;
    let form = std::str::from_utf8(&body).ok().and_then(|text| web::Query::<Form>::from_query(text).ok());
    let form = form.ok_or_else(|| Problem::new(sort::BAD_QUERY, "send one `token` as a form"))?;
    let claims = shared.node.active_token(&form.token);
    let token_type = claims.as_ref().map(|claims| if claims.cnf.jkt.is_some() { "DPoP" } else { "Bearer" });
    let told = Told { active: claims.is_some(), token_type, claims };
    Ok(message::uncached().json(told))
}
