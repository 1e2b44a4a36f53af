//! `POST /oauth/token`: parties by a signed assertion, citizens by a signed login. With a `DPoP`
//! proof the token is bound to its key; a party's, else, to the certificate its connection shows.
//!
//! Errors have the shape of RFC 6749 section 5.2, not of RFC 9457: OAuth libraries
//! read them.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::Serialize;

use crate::http::Shared;
use crate::http::bound;
use crate::http::message;
use crate::node::Denied;
use crate::node::Node;
use crate::node::TOKEN_LIFE_S;
use crate::node::token::Confirmation;

/// Grant of a party. Source: RFC 6749 section 4.4
const CLIENT_CREDENTIALS: &str = "client_credentials";
/// Grant of a citizen.
const LOGIN: &str = "urn:naru:login";
/// Source: RFC 7523 section 2.2
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

#[derive(Deserialize)]
struct Form {
    grant_type: Option<String>,
    client_assertion_type: Option<String>,
    client_assertion: Option<String>,
    login: Option<String>,
}

/// What is asked, once the form is understood.
enum Wanted {
    Party(String),
    Citizen(Vec<u8>),
}

/// An error as OAuth libraries read it.
struct Fault {
    status: StatusCode,
    error: &'static str,
    description: &'static str,
}

impl Fault {
    const fn of(status: StatusCode, error: &'static str, description: &'static str) -> Self {
        Self { status, error, description }
    }

    const fn request(description: &'static str) -> Self {
        Self::of(StatusCode::BAD_REQUEST, "invalid_request", description)
    }
}

/// `POST /oauth/token`
pub(in crate::http) async fn issue(
    request: HttpRequest,
    payload: web::Payload,
    shared: web::Data<Shared>,
) -> HttpResponse {
    #[derive(Serialize)]
    struct Token {
        access_token: String,
        token_type: &'static str,
        expires_in: u64,
        /// Of a login that named no key: the passkey's public key, DER in base64url.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    }
    #[derive(Serialize)]
    struct Error {
        error: &'static str,
        error_description: &'static str,
    }
    match token(&request, payload, &shared).await {
        Ok(((access_token, key), token_type)) => {
            message::uncached().json(Token { access_token, token_type, expires_in: TOKEN_LIFE_S, key })
        }
        Err(Fault { status, error, description }) => {
            let mut answer = message::uncached_as(status);
            if status == StatusCode::UNAUTHORIZED {
                answer.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            if status == StatusCode::SERVICE_UNAVAILABLE {
                answer.insert_header((header::RETRY_AFTER, "1"));
            }
            answer.json(Error { error, error_description: description })
        }
    }
}

async fn token(
    request: &HttpRequest,
    payload: web::Payload,
    shared: &Shared,
) -> Result<(Given, &'static str), Fault> {
    if !message::is(request, "application/x-www-form-urlencoded") {
        return Err(Fault::request("send `Content-Type: application/x-www-form-urlencoded`"));
    }
    let body = message::body(request, payload).await;
    let body = body.map_err(|_| Fault::request("the body is too large or did not arrive whole"))?;
    let wanted = wanted(&body)?;
    let bound = bound::confirmation(request, &shared.node).map_err(|denied| {
        let why = match denied {
            Denied::Replayed => "the proof was used before, or made before this service started",
            _ => "the `DPoP` proof is malformed, wrongly signed, for another request, or out of time",
        };
        Fault::of(StatusCode::BAD_REQUEST, "invalid_dpop_proof", why)
    })?;
    if shared.bound_tokens && bound.is_none() && matches!(wanted, Wanted::Party(_)) {
        let needed = "a party's token is bound: send a `DPoP` proof, or connect with a client certificate";
        return Err(Fault::request(needed));
    }
    let token_type = if bound.jkt.is_some() { "DPoP" } else { "Bearer" };
    let node = Arc::clone(&shared.node);
    match web::block(move || give(&node, &wanted, bound)).await {
        Ok(given) => given.map(|token| (token, token_type)),
        Err(_) => Err(Fault::of(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "an internal error")),
    }
}

/// Understands the form.
fn wanted(body: &[u8]) -> Result<Wanted, Fault> {
    let text = std::str::from_utf8(body).map_err(|_| Fault::request("the form is not UTF-8"))?;
    let form = web::Query::<Form>::from_query(text);
    let form =
        form.map_err(|_| Fault::request("the form does not parse, or repeats a parameter"))?.into_inner();
    match form.grant_type.as_deref() {
        Some(CLIENT_CREDENTIALS) => {
            if form.client_assertion_type.as_deref() != Some(JWT_BEARER) {
                return Err(Fault::request("`client_assertion_type` must be jwt-bearer"));
            }
            form.client_assertion.map(Wanted::Party).ok_or(Fault::request("`client_assertion` is missing"))
        }
        Some(LOGIN) => {
            let login = form.login.ok_or(Fault::request("`login` is missing"))?;
            let item = URL_SAFE_NO_PAD.decode(login.trim_end_matches('='));
            item.map(Wanted::Citizen).map_err(|_| Fault::request("`login` is not base64url"))
        }
        Some(_) => {
            let known = "`grant_type` is `client_credentials` or `urn:naru:login`";
            Err(Fault::of(StatusCode::BAD_REQUEST, "unsupported_grant_type", known))
        }
        None => Err(Fault::request("`grant_type` is missing")),
    }
}

/// A token, and the key that a login did not name.
type Given = (String, Option<String>);

fn give(node: &Node, wanted: &Wanted, bound: Confirmation) -> Result<Given, Fault> {
    let (given, status, error) = match wanted {
        Wanted::Party(assertion) => {
            let given = node.bound_for_assertion(assertion, bound).map(|token| (token, None));
            (given, StatusCode::UNAUTHORIZED, "invalid_client")
        }
        Wanted::Citizen(item) => {
            // A browser may show a certificate today and none tomorrow: only her key binds a citizen.
            let bound = Confirmation { certificate: None, ..bound };
            let given = node.session_for_login(item, bound);
            let given = given.map(|(token, key)| (token, key.map(|spki| URL_SAFE_NO_PAD.encode(spki))));
            (given, StatusCode::BAD_REQUEST, "invalid_grant")
        }
    };
    given.map_err(|denied| match denied {
        Denied::Identity(_) => Fault::of(
            status,
            error,
            "malformed, wrongly signed, for another service, or out of time; make a new one",
        ),
        Denied::Replayed => Fault::of(status, error, "used before, or made before this service started"),
        // Told alike: whether a name or key is registered is not for everybody.
        Denied::Unknown => Fault::of(status, error, "nobody is registered under this name or key"),
        Denied::Suspended => Fault::of(status, error, "the party is suspended or closed"),
        Denied::Node(cause) => {
            tracing::error!(%cause, "a token could not be given");
            Fault::of(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again later")
        }
    })
}
