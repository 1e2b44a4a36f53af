//! What must be shown beside a token: the key of a DPoP proof, or the certificate of the connection.
//!
//! A token bound to a key is worth nothing without a proof by that key for this very request; one
//! bound to a certificate, nothing on a connection that did not show it. Lacks nonces of the server
//! (they would be a challenge somebody else chose), and certificates told by a proxy.
//!
//! Source: RFC 9449, RFC 8705 section 3.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use actix_web::web;

use crate::http::Shared;
use crate::http::caller::Denial;
use crate::http::tls::Shown;
use crate::identity::possession::Place;
use crate::node::Denied;
use crate::node::Node;
use crate::node::token::Bearer;
use crate::node::token::Confirmation;

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The scheme a token came under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Scheme {
    /// By itself.
    Bearer,
    /// With a proof of possession.
    Dpop,
}

impl Scheme {
    pub(in crate::http) fn of(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("bearer") {
            Some(Self::Bearer)
        } else if text.eq_ignore_ascii_case("dpop") {
            Some(Self::Dpop)
        } else {
            None
        }
    }
}

/// What the caller of the token endpoint shows, for its token to be bound to.
pub(in crate::http) fn confirmation(request: &HttpRequest, node: &Node) -> Result<Confirmation, Denied> {
    let jkt = match proof(request) {
        Proof::None => None,
        Proof::One(proof) => Some(node.possession(proof, place(request, shared(request)), None)?),
        Proof::Unclear => return Err(Denied::Identity(crate::identity::Error::Jwt)),
    };
    // Who shows both has chosen the key: a certificate may be there for another reason.
    let certificate = if jkt.is_none() { shown(request).map(str::to_owned) } else { None };
    Ok(Confirmation { jkt, certificate })
}

/// Whether the caller holds what its token is bound to.
pub(in crate::http) fn holds(
    request: &HttpRequest,
    node: &Node,
    (scheme, token): (Scheme, &str),
    bearer: &Bearer,
) -> Result<(), Denial> {
    let certificate = bearer.bound.certificate.as_deref();
    if certificate.is_some() && certificate != shown(request) {
        return Err(Denial::OtherCertificate);
    }
    let Some(jkt) = &bearer.bound.jkt else {
        // A proof for a token that asks for none: the caller takes it for another.
        return if scheme == Scheme::Bearer { Ok(()) } else { Err(Denial::BadToken) };
    };
    let (Scheme::Dpop, Proof::One(proof)) = (scheme, proof(request)) else { return Err(Denial::BadProof) };
    let shown = node.possession(proof, place(request, shared(request)), Some(token));
    match shown {
        Ok(shown) if shown == *jkt => Ok(()),
        Ok(_) | Err(_) => Err(Denial::BadProof),
    }
}

/// The certificate the connection's client showed, by its hash.
pub(in crate::http) fn shown(request: &HttpRequest) -> Option<&str> {
    request.conn_data::<Shown>().map(|shown| shown.0.as_str())
}

enum Proof<'a> {
    None,
    One(&'a str),
    /// Two, or one that is no text.
    Unclear,
}

fn proof(request: &HttpRequest) -> Proof<'_> {
    let mut sent = request.headers().get_all(DPOP);
    match (sent.next(), sent.next()) {
        (None, _) => Proof::None,
        (Some(one), None) => one.to_str().map_or(Proof::Unclear, Proof::One),
        (Some(_), Some(_)) => Proof::Unclear,
    }
}

fn shared(request: &HttpRequest) -> Option<&Shared> {
    request.app_data::<web::Data<Shared>>().map(|shared| shared.as_ref())
}

fn place<'a>(request: &'a HttpRequest, shared: Option<&'a Shared>) -> Place<'a> {
    let base_url = shared.map_or("", |shared| shared.base_url.as_str());
    Place { method: request.method().as_str(), base_url, path: request.path() }
}
