//! Login statements and client assertions: who calls, not what is agreed.
//!
//! Nobody signs a server's challenge. A citizen's login is a statement of its own
//! media type `{v, origin, nonce, iat, exp}`, built by the client and taken once;
//! it never verifies as a consent statement, nor the other way round: signed by a
//! passkey, the challenge has another prefix. A party's
//! client assertion is a JWT of RFC 7523. Time is an argument.

use serde::Deserialize;
use serde::Serialize;

use crate::identity::Error;
use crate::identity::passkey;
use crate::identity::passkey::Assertion as Ceremony;
use crate::identity::passkey::Place;
use crate::identity::passkey::Relying;
use crate::ledger::cbor;
use crate::ledger::cose;
use crate::ledger::cose::LOGIN;
use crate::ledger::cose::Over;
use crate::ledger::cose::Passkey;
use crate::ledger::hash;
use crate::ledger::key::Alg;
use crate::ledger::key::PublicKey;
use crate::ledger::key::Signer;
use crate::model::id::KeyHash;
use crate::model::id::Nonce;
use crate::model::id::Timestamp;
use crate::model::statement::V1;

/// Longest life of a login or an assertion, ms.
pub const MAX_LIFE_MS: u64 = 60_000;
/// How far a client's clock may be ahead, ms.
pub const SKEW_MS: u64 = 5_000;
/// Largest login item, bytes.
const MAX_LOGIN: usize = 2_048;

/// What a citizen signs to log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Format version.
    pub v: V1,
    /// The log it is for.
    pub origin: String,
    /// Taken once.
    pub nonce: Nonce,
    /// Signed at.
    pub iat: Timestamp,
    /// Not valid from here on; at most 60 s after `iat`.
    pub exp: Timestamp,
}

/// A login whose signature held, in time, for this log. The nonce is not yet taken.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// Who.
    pub key: KeyHash,
    /// Where the login named no key: all that may have signed it, with the key (SPKI DER). `key` is the first.
    pub possible: Vec<(KeyHash, Vec<u8>)>,
    /// To be taken once.
    pub nonce: Nonce,
    /// Until then the nonce must be remembered.
    pub exp: Timestamp,
}

/// Signs a login.
///
/// # Errors
/// The encoder.
pub fn sign_login(login: &Login, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
    Ok(cose::sign(signer, LOGIN, signer.public().spki(), &cbor::encode(login)?)?)
}

/// Opens a login for `origin` at `now`; one by a passkey is of `relying`.
///
/// # Errors
/// The caller's fault: malformed, a signature that does not hold, another log, out of time.
pub fn open_login(item: &[u8], origin: &str, relying: &Relying, now: Timestamp) -> Result<LoggedIn, Error> {
    if item.len() > MAX_LOGIN {
        return Err(Error::TooLarge { bytes: item.len(), limit: MAX_LOGIN });
    }
    let (key, possible, payload) = if Passkey::is_meant_by(item) {
        let (keys, payload) = of_passkey(item, relying)?;
        let first = keys.first().map(|(key, _)| *key).ok_or(Error::Passkey(passkey::Refused::Key))?;
        (first, if keyless(item)? { keys } else { Vec::new() }, payload)
    } else {
        let (key, payload) = of_cose(item)?;
        (key, Vec::new(), payload)
    };
    let login: Login = cbor::decode(&payload)?;
    if login.origin != origin {
        return Err(Error::OtherAudience);
    }
    in_time(login.iat, login.exp, now)?;
    Ok(LoggedIn { key, possible, nonce: login.nonce, exp: login.exp })
}

fn of_cose(item: &[u8]) -> Result<(KeyHash, Vec<u8>), Error> {
    let message = cose::parse(item)?;
    if message.typ != LOGIN {
        return Err(Error::Typ { found: message.typ });
    }
    let key = PublicKey::from_spki(&message.kid)?;
    if key.alg() != message.alg {
        return Err(Error::AlgorithmOfOtherKey);
    }
    message.verify(&key).map_err(|_| Error::Signature)?;
    Ok((KeyHash(key.hash()), message.payload.ok_or(Error::NoPayload)?))
}

/// Keys with their SPKI, and what they signed.
type BySome = (Vec<(KeyHash, Vec<u8>)>, Vec<u8>);

/// A login is alone in its ceremony. Without a key it is of each that may have signed it.
fn of_passkey(item: &[u8], relying: &Relying) -> Result<BySome, Error> {
    let parts = Passkey::parse(item)?;
    if parts.over != Over::Statements || parts.digests.len() != 1 {
        return Err(Error::Passkey(passkey::Refused::Digest));
    }
    let spkis = if parts.spki.is_empty() { passkey::possible_keys(&parts) } else { vec![parts.spki.clone()] };
    let (mut keys, mut refused) = (Vec::new(), passkey::Refused::Key);
    for spki in spkis {
        let of = Passkey { spki: spki.clone(), ..parts.clone() };
        let (login, assertion) = Ceremony::of(of).ok_or(Error::NoPayload)?;
        let verified = assertion.verify(&login, passkey::LOGIN, Place::Of(relying), &|spki| {
            PublicKey::from_spki(spki).map(std::sync::Arc::new)
        });
        match verified {
            Ok(()) => keys.push((KeyHash(hash::sha256(&[&spki])), spki)),
            Err(why) => refused = why,
        }
    }
    if keys.is_empty() {
        return Err(Error::Passkey(refused));
    }
    Ok((keys, parts.statement.ok_or(Error::NoPayload)?))
}

/// Whether a passkey's login names no key.
fn keyless(item: &[u8]) -> Result<bool, Error> {
    Ok(Passkey::parse(item)?.spki.is_empty())
}

fn in_time(iat: Timestamp, exp: Timestamp, now: Timestamp) -> Result<(), Error> {
    let alive = iat <= now.plus_ms(SKEW_MS) && now < exp && exp.0.saturating_sub(iat.0) <= MAX_LIFE_MS;
    if alive { Ok(()) } else { Err(Error::OutOfTime) }
}

/// Claims of a client assertion. Source: RFC 7523 section 3; `aud` is the issuer alone (FAPI 2.0).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// The party.
    pub iss: String,
    /// The party again.
    pub sub: String,
    /// The issuer of access tokens: this log's origin.
    pub aud: String,
    /// Taken once.
    pub jti: String,
    /// Seconds.
    pub iat: u64,
    /// Seconds; at most 60 after `iat`.
    pub exp: u64,
}

fn jwt_alg(alg: Alg) -> jsonwebtoken::Algorithm {
    match alg {
        Alg::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Alg::Es256 => jsonwebtoken::Algorithm::ES256,
    }
}

/// The party an assertion says it is from, unchecked: only to find the key to check with.
///
/// # Errors
/// Not a JWT, or not these claims.
pub fn claimed_party(assertion: &str) -> Result<String, Error> {
    let token = jsonwebtoken::dangerous::insecure_decode::<Assertion>(assertion).map_err(|_| Error::Jwt)?;
    Ok(token.claims.iss)
}

/// Checks an assertion with the party's key.
///
/// # Errors
/// The caller's fault: a signature that does not hold, another audience, out of time.
pub fn open_assertion(
    assertion: &str,
    key: &PublicKey,
    issuer: &str,
    now: Timestamp,
) -> Result<Assertion, Error> {
    let claims: Assertion = open_jwt(assertion, key)?;
    if claims.aud != issuer || claims.iss != claims.sub {
        return Err(Error::OtherAudience);
    }
    let ms = |s: u64| Timestamp(s.saturating_mul(1_000));
    in_time(ms(claims.iat), ms(claims.exp), now)?;
    if claims.jti.is_empty() || claims.jti.len() > 128 {
        return Err(Error::Jwt);
    }
    Ok(claims)
}

/// Opens a JWT with one key; claims of time are the caller's to check, with the time it was given.
///
/// # Errors
/// Not a JWT, another algorithm than the key's, a signature that does not hold, other claims.
pub fn open_jwt<T: serde::de::DeserializeOwned + Clone>(token: &str, key: &PublicKey) -> Result<T, Error> {
    let decoding = match key.alg() {
        Alg::EdDsa => jsonwebtoken::DecodingKey::from_ed_der(key.raw()),
        Alg::Es256 => jsonwebtoken::DecodingKey::from_ec_der(key.raw()),
    };
    let mut rules = jsonwebtoken::Validation::new(jwt_alg(key.alg()));
    rules.validate_exp = false;
    rules.validate_nbf = false;
    rules.validate_aud = false;
    rules.required_spec_claims.clear();
    jsonwebtoken::decode(token, &decoding, &rules).map(|t| t.claims).map_err(|_| Error::Jwt)
}

/// Signs a JWT of media type `typ` by hand: header and claims, then the signer.
///
/// # Errors
/// The signer.
pub fn sign_jwt<T: Serialize>(claims: &T, typ: &str, signer: &dyn Signer) -> Result<String, Error> {
    let mut header = jsonwebtoken::Header::new(jwt_alg(signer.public().alg()));
    header.typ = Some(typ.to_owned());
    sign_compact(&header, claims, signer)
}

/// Signs header and claims as a compact JWS. Source: RFC 7515 section 7.1
pub(in crate::identity) fn sign_compact(
    header: &impl Serialize,
    claims: &impl Serialize,
    signer: &dyn Signer,
) -> Result<String, Error> {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let part = |bytes: Result<Vec<u8>, serde_json::Error>| bytes.map(|b| URL_SAFE_NO_PAD.encode(b));
    let header = part(serde_json::to_vec(header)).map_err(|_| Error::Jwt)?;
    let claims = part(serde_json::to_vec(claims)).map_err(|_| Error::Jwt)?;
    let body = format!("{header}.{claims}");
    let signature = signer.sign(body.as_bytes())?;
    Ok(format!("{body}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
