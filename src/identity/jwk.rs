//! Public keys as JSON Web Keys: one spelling each, and the thumbprint that names them.
//!
//! Lacks: private keys (one with `d` in it is refused), other curves than the log's own.
//! Source: RFC 7517, RFC 8037 section 2, RFC 7638.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::Serialize;

use crate::identity::Error;
use crate::ledger::hash;
use crate::ledger::key::Alg;
use crate::ledger::key::PublicKey;

/// The members that make a key; others say nothing about it and are not read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Jwk {
    /// `OKP` or `EC`.
    pub kty: String,
    /// `Ed25519` or `P-256`.
    pub crv: String,
    /// The point, or its first coordinate; base64url.
    pub x: String,
    /// The second coordinate of P-256; base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// Of a private key. Never written.
    #[serde(default, skip_serializing)]
    d: Option<serde::de::IgnoredAny>,
}

impl Jwk {
    /// A key's one spelling.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match key.alg() {
            Alg::EdDsa => {
                Self { kty: "OKP".into(), crv: "Ed25519".into(), x: text(key.raw()), y: None, d: None }
            }
            Alg::Es256 => {
                // An uncompressed point: 4, then both coordinates.
                let (x, y) =
                    key.raw().get(1..).and_then(|point| point.split_at_checked(32)).unwrap_or_default();
                Self { kty: "EC".into(), crv: "P-256".into(), x: text(x), y: Some(text(y)), d: None }
            }
        }
    }

    /// The key it spells.
    ///
    /// # Errors
    /// A private key, another curve, a point that is none.
    pub fn key(&self) -> Result<PublicKey, Error> {
        let part = |text: &str| -> Result<[u8; 32], Error> {
            let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::Jwt)?;
            bytes.try_into().map_err(|_| Error::Jwt)
        };
        if self.d.is_some() {
            return Err(Error::Jwt);
        }
        match (self.kty.as_str(), self.crv.as_str(), &self.y) {
            ("OKP", "Ed25519", None) => Ok(PublicKey::from_ed25519(&part(&self.x)?)?),
            ("EC", "P-256", Some(y)) => Ok(PublicKey::from_p256(&part(&self.x)?, &part(y)?)?),
            _ => Err(Error::Jwt),
        }
    }

    /// SHA-256 of the required members in their one order, base64url. Source: RFC 7638 section 3
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let Self { kty, crv, x, y, d: _ } = self;
        let y = y.as_ref().map_or_else(String::new, |y| format!(r#","y":"{y}""#));
        let text = format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}"{y}}}"#);
        URL_SAFE_NO_PAD.encode(hash::sha256(&[text.as_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::key::Ed25519Signer;
    use crate::ledger::key::Signer;

    #[test]
    fn the_thumbprint_is_the_one_of_rfc_8037() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let text = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"any"}}"#);
        let jwk: Jwk = serde_json::from_str(&text).unwrap();
        assert_eq!(jwk.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(Jwk::of(&jwk.key().unwrap()), jwk);
    }

    #[test]
    fn a_point_of_p_256_comes_back_and_one_off_the_curve_does_not() {
        // RFC 7517 appendix A.1.
        let (x, y) =
            ("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
        let of = |y: &str| {
            serde_json::from_value::<Jwk>(serde_json::json!({"kty": "EC", "crv": "P-256", "x": x, "y": y}))
                .unwrap()
        };
        assert_eq!(Jwk::of(&of(y).key().unwrap()), of(y));
        assert!(of(x).key().is_err());
    }

    #[test]
    fn private_and_foreign_keys_are_refused() {
        let good = serde_json::to_value(Jwk::of(Ed25519Signer::from_seed([1; 32]).public())).unwrap();
        let with = |name: &str, value: &str| {
            let mut changed = good.clone();
            changed[name] = value.into();
            serde_json::from_value::<Jwk>(changed).unwrap().key()
        };
        assert!(with("use", "sig").is_ok());
        for (name, value) in [("d", "AAAA"), ("crv", "X25519"), ("kty", "RSA"), ("x", "AAAA"), ("y", "AAAA")]
        {
            assert!(with(name, value).is_err(), "{name}");
        }
    }
}
