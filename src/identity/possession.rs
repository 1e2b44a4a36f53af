//! Proofs of possession: whoever shows a token also holds the key it is bound to.
//!
//! A proof is a JWT signed by the key in its own header, for one request. This module reads it;
//! that it is taken once, and that the token names its key, is the node's to see. Lacks nonces of
//! the server: nobody here signs what somebody else chose.
//!
//! Trusted: nothing but the signature. Source: RFC 9449 section 4.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::Serialize;

use crate::identity::Error;
use crate::identity::jwk::Jwk;
use crate::identity::login;
use crate::ledger::hash;
use crate::ledger::key::Alg;
use crate::ledger::key::Signer;
use crate::model::id::Timestamp;

/// How long after it was made a proof is taken, ms.
pub const PROOF_LIFE_MS: u64 = 60_000;
/// Largest proof, bytes.
const MAX_PROOF: usize = 4_096;
/// Its media type.
const TYP: &str = "dpop+jwt";

/// What a proof says. Source: RFC 9449 section 4.2
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Taken once.
    pub jti: String,
    /// Method of the request.
    pub htm: String,
    /// Target of the request, without query and fragment.
    pub htu: String,
    /// Seconds.
    pub iat: u64,
    /// SHA-256 of the token it goes with, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ath: Option<String>,
}

/// The request a proof must be for.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// As sent.
    pub method: &'a str,
    /// Where the public reaches the service, without a slash at its end.
    pub base_url: &'a str,
    /// As sent, without query.
    pub path: &'a str,
}

/// A proof that holds for its request. It is not yet taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Thumbprint of its key.
    pub jkt: String,
    /// To be taken once.
    pub jti: String,
    /// Made at.
    pub iat: Timestamp,
    /// Until then the `jti` must be remembered.
    pub until: Timestamp,
}

/// What `ath` is for a token.
#[must_use]
pub fn token_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(hash::sha256(&[token.as_bytes()]))
}

/// Opens a proof for one request at `now`; with a token, one that goes with it.
///
/// # Errors
/// The caller's fault: malformed, a signature that does not hold, another request, out of time.
pub fn open(proof: &str, place: Place<'_>, token: Option<&str>, now: Timestamp) -> Result<Proven, Error> {
    #[derive(Deserialize)]
    struct Header {
        typ: String,
        alg: String,
        jwk: Jwk,
    }
    if proof.len() > MAX_PROOF {
        return Err(Error::TooLarge { bytes: proof.len(), limit: MAX_PROOF });
    }
    let header = proof.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| Error::Jwt)?;
    let header: Header = serde_json::from_slice(&header).map_err(|_| Error::Jwt)?;
    let key = header.jwk.key()?;
    if header.typ != TYP || header.alg != name_of(key.alg()) {
        return Err(Error::Jwt);
    }
    let claims: Claims = login::open_jwt(proof, &key)?;
    if claims.htm != place.method || !is_at(&claims.htu, place) {
        return Err(Error::OtherAudience);
    }
    if token.is_some_and(|token| claims.ath.as_deref() != Some(token_hash(token).as_str())) {
        return Err(Error::OtherAudience);
    }
    if claims.jti.is_empty() || claims.jti.len() > 128 {
        return Err(Error::Jwt);
    }
    let iat = Timestamp(claims.iat.saturating_mul(1_000));
    let until = iat.plus_ms(PROOF_LIFE_MS);
    if iat > now.plus_ms(login::SKEW_MS) || now >= until {
        return Err(Error::OutOfTime);
    }
    Ok(Proven { jkt: header.jwk.thumbprint(), jti: claims.jti, iat, until })
}

const fn name_of(alg: Alg) -> &'static str {
    match alg {
        Alg::EdDsa => "EdDSA",
        Alg::Es256 => "ES256",
    }
}

/// Scheme and host in any case, the path to the letter, query and fragment apart.
fn is_at(htu: &str, place: Place<'_>) -> bool {
    let htu = htu.split(['?', '#']).next().unwrap_or_default();
    let Some((base, path)) = htu.split_at_checked(place.base_url.len()) else { return false };
    base.eq_ignore_ascii_case(place.base_url) && path == place.path
}

/// Signs a proof.
///
/// # Errors
/// The signer.
pub fn sign(claims: &Claims, signer: &dyn Signer) -> Result<String, Error> {
    let public = signer.public();
    let header = serde_json::json!({ "typ": TYP, "alg": name_of(public.alg()), "jwk": Jwk::of(public) });
    login::sign_compact(&header, claims, signer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::key::Ed25519Signer;
    use crate::ledger::key::P256Signer;

    const NOW: Timestamp = Timestamp(1_764_000_030_500);
    const HERE: Place<'_> = Place { method: "POST", base_url: "https://ledger.kr", path: "/oauth/token" };

    fn claims() -> Claims {
        let htu = "https://ledger.kr/oauth/token".into();
        Claims { jti: "one".into(), htm: "POST".into(), htu, iat: NOW.0 / 1_000, ath: None }
    }

    fn signers() -> [Box<dyn Signer>; 2] {
        use openssl::bn::BigNum;
        use openssl::bn::BigNumContext;
        use openssl::ec::EcGroup;
        use openssl::ec::EcKey;
        use openssl::ec::EcPoint;
        let group = EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
        let (seed, mut point) = (BigNum::from_slice(&[7; 32]).unwrap(), EcPoint::new(&group).unwrap());
        point.mul_generator2(&group, &seed, &mut BigNumContext::new().unwrap()).unwrap();
        let key = EcKey::from_private_components(&group, &seed, &point).unwrap();
        let pem = openssl::pkey::PKey::from_ec_key(key).unwrap().private_key_to_pem_pkcs8().unwrap();
        let pem = String::from_utf8(pem).unwrap();
        [Box::new(Ed25519Signer::from_seed([7; 32])), Box::new(P256Signer::from_pem(&pem).unwrap())]
    }

    #[test]
    fn both_kinds_of_keys_prove_and_are_named_by_their_thumbprint() {
        for signer in signers() {
            let proven = open(&sign(&claims(), signer.as_ref()).unwrap(), HERE, None, NOW).unwrap();
            assert_eq!(proven.jkt, Jwk::of(signer.public()).thumbprint());
            assert_eq!((proven.jti.as_str(), proven.iat), ("one", Timestamp(1_764_000_030_000)));
        }
    }

    #[test]
    fn a_proof_is_for_one_request_one_token_and_one_minute() {
        let [signer, _] = signers();
        let opens = |change: &dyn Fn(&mut Claims), token: Option<&str>| {
            let mut claims = claims();
            change(&mut claims);
            open(&sign(&claims, signer.as_ref()).unwrap(), HERE, token, NOW).is_ok()
        };
        assert!(opens(&|_| (), None));
        assert!(opens(&|c| c.htu = "HTTPS://Ledger.KR/oauth/token?a=b#c".into(), None));
        assert!(opens(&|c| c.ath = Some(token_hash("t")), Some("t")));
        assert!(!opens(&|c| c.ath = Some(token_hash("t")), Some("u")));
        assert!(!opens(&|_| (), Some("t")));
        for htu in
            ["https://ledger.kr", "https://ledger.kr/OAuth/token", "https://other.kr/oauth/token", "", "é"]
        {
            assert!(!opens(&|c| c.htu = htu.into(), None), "{htu}");
        }
        assert!(!opens(&|c| c.htm = "GET".into(), None));
        assert!(!opens(&|c| c.jti.clear(), None));
        assert!(!opens(&|c| c.jti = "j".repeat(129), None));
        assert!(opens(&|c| c.iat -= 59, None) && !opens(&|c| c.iat -= 60, None));
        assert!(opens(&|c| c.iat += 5, None) && !opens(&|c| c.iat += 6, None));
    }

    #[test]
    fn another_header_or_key_is_refused() {
        let [signer, other] = signers();
        let good = sign(&claims(), signer.as_ref()).unwrap();
        let (_, rest) = good.split_once('.').unwrap();
        let (payload, _) = rest.split_once('.').unwrap();
        let jwk = Jwk::of(signer.public());
        let with = |header: serde_json::Value| {
            let body = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header.to_string()));
            let signature = URL_SAFE_NO_PAD.encode(signer.sign(body.as_bytes()).unwrap());
            open(&format!("{body}.{signature}"), HERE, None, NOW).is_ok()
        };
        assert!(with(serde_json::json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk})));
        assert!(!with(serde_json::json!({"typ": "JWT", "alg": "EdDSA", "jwk": jwk})));
        assert!(!with(serde_json::json!({"typ": "dpop+jwt", "alg": "none", "jwk": jwk})));
        assert!(!with(serde_json::json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk})));
        assert!(!with(serde_json::json!({"typ": "dpop+jwt", "alg": "EdDSA"})));
        assert!(!with(
            serde_json::json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": Jwk::of(other.public())})
        ));
        let mut private = serde_json::to_value(&jwk).unwrap();
        private["d"] = "AAAA".into();
        assert!(!with(serde_json::json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": private})));
    }

    proptest! {
        #[test]
        fn any_text_is_refused_without_a_panic(text in ".{0,200}") {
            prop_assert!(open(&text, HERE, None, NOW).is_err());
            let header = URL_SAFE_NO_PAD.encode(&text);
            let three = [header.as_str(); 3].join(".");
            prop_assert!(open(&three, HERE, None, NOW).is_err());
        }
    }
}
