//! Who calls: the token and what it is bound to, held against the route's roles.

use actix_web::HttpRequest;
use actix_web::http::header;

use crate::http::Problem;
use crate::http::Role;
use crate::http::Route;
use crate::http::Shared;
use crate::http::bound;
use crate::http::bound::Scheme;
use crate::http::limit;
use crate::http::limit::Standing;
use crate::http::sort;
use crate::model::id::KeyHash;
use crate::model::id::PartyId;
use crate::node::Caller;
use crate::node::Node;

/// Why a caller is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Denial {
    /// No token where one is needed.
    NoToken,
    /// A token that is not ours, or over.
    BadToken,
    /// A bound token without what it is bound to.
    BadProof,
    /// A token bound to a certificate, on a connection that did not show it.
    OtherCertificate,
    /// No certificate of a log that delivers here.
    NoCarrier,
    /// A good token of another role.
    WrongRole,
    /// Too many requests of this caller.
    TooMany(Standing),
}

impl Denial {
    /// What `WWW-Authenticate` says. Source: RFC 6750 section 3
    pub(in crate::http) const fn challenge(self) -> Option<&'static str> {
        Some(match self {
            // No scheme is registered for a certificate.
            Self::NoToken | Self::NoCarrier => "Bearer",
            Self::BadToken | Self::OtherCertificate => "Bearer error=\"invalid_token\"",
            Self::BadProof => "DPoP error=\"invalid_dpop_proof\", algs=\"EdDSA ES256\"",
            Self::WrongRole => "Bearer error=\"insufficient_scope\"",
            Self::TooMany(_) => return None,
        })
    }

    pub(in crate::http) const fn message(self) -> &'static str {
        match self {
            Self::NoToken => "a bearer token is needed",
            Self::BadToken => "the bearer token is not valid",
            Self::BadProof => {
                "the token is bound to a key: send it as `DPoP`, with a new proof for this request"
            }
            Self::OtherCertificate => {
                "the token is bound to a client certificate that this connection did not show"
            }
            Self::NoCarrier => "this address is for logs whose certificate is known here",
            Self::WrongRole => "this address is not for the token's role",
            Self::TooMany(_) => "this caller has used up its share for the moment",
        }
    }

    pub(in crate::http) const fn status(self) -> u16 {
        match self {
            Self::NoToken | Self::BadToken | Self::BadProof | Self::OtherCertificate | Self::NoCarrier => 401,
            Self::WrongRole => 403,
            Self::TooMany(_) => 429,
        }
    }
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Self {
        let sort = match denial {
            Denial::NoToken => sort::NO_TOKEN,
            Denial::BadToken => sort::BAD_TOKEN,
            Denial::BadProof => sort::BAD_PROOF,
            Denial::OtherCertificate => sort::OTHER_CERTIFICATE,
            Denial::NoCarrier => sort::NO_CARRIER,
            Denial::WrongRole => sort::WRONG_CALLER,
            Denial::TooMany(standing) => {
                return Self::new(sort::TOO_MANY_REQUESTS, denial.message())
                    .retry_after(standing.retry_after_s());
            }
        };
        let told = Self::new(sort, denial.message());
        match denial.challenge() {
            Some(challenge) => told.with(header::WWW_AUTHENTICATE, challenge),
            None => told,
        }
    }
}

/// The caller, if the route's roles have room for them; `None` for anybody.
pub(in crate::http) fn of(request: &HttpRequest, node: &Node) -> Result<Option<Caller>, Denial> {
    let roles = request.app_data::<&'static Route>().map_or(&[][..], |route| route.roles);
    let Some((scheme, token)) = sent(request)? else {
        return if roles.contains(&Role::Anyone) { Ok(None) } else { Err(Denial::NoToken) };
    };
    let caller = spoken_for(request, node, scheme, token);
    // A token that somebody else shows costs its owner nothing.
    limit::charge(request, caller.as_ref().ok()).map_err(Denial::TooMany)?;
    let caller = caller?;
    let fits = match &caller {
        Caller::Party(party) => {
            roles.contains(&Role::Party) || (roles.contains(&Role::Regulator) && node.is_regulator(party))
        }
        Caller::Citizen(_) => roles.contains(&Role::Citizen),
    };
    if fits { Ok(Some(caller)) } else { Err(Denial::WrongRole) }
}

/// The calling party.
pub(in crate::http) fn party(request: &HttpRequest, node: &Node) -> Result<PartyId, Denial> {
    match of(request, node)? {
        Some(Caller::Party(party)) => Ok(party),
        Some(Caller::Citizen(_)) => Err(Denial::WrongRole),
        None => Err(Denial::NoToken),
    }
}

/// The calling log, by the certificate its connection showed: its origin.
pub(in crate::http) fn carrier<'a>(request: &HttpRequest, shared: &'a Shared) -> Result<&'a str, Denial> {
    let shown = bound::shown(request);
    if let Some(known) = shared.carriers.iter().find(|known| Some(known.certificate.as_str()) == shown) {
        limit::charge_carrier(request, &known.origin).map_err(Denial::TooMany)?;
        return Ok(&known.origin);
    }
    // A good token is of another role, and a bad one is told as anywhere.
    match of(request, &shared.node) {
        Ok(_) => Err(Denial::WrongRole),
        Err(Denial::NoToken) => {
            limit::charge(request, None).map_err(Denial::TooMany)?;
            Err(Denial::NoCarrier)
        }
        Err(denial) => Err(denial),
    }
}

/// The calling citizen, by the key she logged in with.
pub(in crate::http) fn citizen(request: &HttpRequest, node: &Node) -> Result<KeyHash, Denial> {
    match of(request, node)? {
        Some(Caller::Citizen(key)) => Ok(key),
        Some(Caller::Party(_)) => Err(Denial::WrongRole),
        None => Err(Denial::NoToken),
    }
}

/// The calling citizen's key names nobody: she never spoke here, or is forgotten.
pub(in crate::http) fn no_person() -> Problem {
    Problem::new(sort::NOT_FOUND, "no person has this key")
}

/// The party that the address names, if the calling regulator may ask about it.
pub(in crate::http) fn party_in_scope(request: &HttpRequest, node: &Node) -> Result<PartyId, Problem> {
    let regulator = party(request, node)?;
    let named = request.match_info().get("id").and_then(PartyId::parse).ok_or_else(out_of_scope)?;
    if node.register().is_in_scope(&regulator, &named) { Ok(named) } else { Err(out_of_scope()) }
}

/// A party of that name is unknown, or none of the caller's business: one answer.
pub(in crate::http) fn out_of_scope() -> Problem {
    Problem::new(sort::PARTY_NOT_FOUND, "no party of that name is in the caller's scope")
}

/// Whom a token speaks for, if the caller holds what it is bound to.
fn spoken_for(request: &HttpRequest, node: &Node, scheme: Scheme, token: &str) -> Result<Caller, Denial> {
    let bearer = node.bearer(token).ok_or(Denial::BadToken)?;
    bound::holds(request, node, (scheme, token), &bearer)?;
    Ok(bearer.caller)
}

/// The token, if there is one. Another scheme than `Bearer` and `DPoP` is no token of ours.
fn sent(request: &HttpRequest) -> Result<Option<(Scheme, &str)>, Denial> {
    let Some(value) = request.headers().get(header::AUTHORIZATION) else { return Ok(None) };
    let value = value.to_str().map_err(|_| Denial::BadToken)?;
    let (scheme, token) = value.split_once(' ').ok_or(Denial::BadToken)?;
    Scheme::of(scheme).map(|scheme| Some((scheme, token.trim()))).ok_or(Denial::BadToken)
}
