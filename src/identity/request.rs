//! The signature of a request (RFC 9421), in the one form this log takes.
//!
//! ```text
//! Content-Digest: sha-256=:<base64>:
//! Signature-Input: <label>=("@method" "@target-uri" "content-digest");created=<s>;keyid="<hex>"
//! Signature: <label>=:<base64>:
//! ```
//! One signature, exactly these components in this order, `created` and `keyid` (the
//! SHA-256 of the key's SPKI) always, `alg` and `nonce` if wanted, nothing else. The
//! algorithm is the key's: Ed25519, or ECDSA P-256 with SHA-256 as r ‖ s.
//!
//! What is kept with a use line is all that is needed to verify again: so the body is
//! kept too, up to [`MAX_KEPT`], and the line must be one of the questions in it. A
//! signature that stands under another question, or was made at another time, proves
//! nothing about the line. Lacks: clock, the register, other components and profiles.
//!
//! Source: RFC 9421 section 2.5, 3.2, 3.3.4, 3.3.6; RFC 9530 section 2.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};
use serde_json::Value;

use crate::ledger::cbor;
use crate::ledger::hash;
use crate::ledger::key::{Alg, PublicKey, Signer};
use crate::model::id::{KeyHash, Ppid, Timestamp};
use crate::model::statement::V1;
use crate::model::use_line::UseLine;

/// A signature made this far from the line proves nothing about it, ms.
pub const SKEW_MS: u64 = 5 * 60_000;
/// Largest body that is kept with a line, bytes: of a larger one nothing is kept.
pub const MAX_KEPT: usize = 4_096;
/// Longest header value that is read, bytes.
const MAX_HEADER: usize = 1_024;
const COMPONENTS: &str = "(\"@method\" \"@target-uri\" \"content-digest\")";

/// Why a request signature is not taken: always the asker's fault.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// A header is missing, or not of the one form.
    #[error("`{header}` is missing or not of the one form that is taken")]
    Form {
        /// Which.
        header: &'static str,
    },
    /// The digest is of another body.
    #[error("`Content-Digest` is not the SHA-256 of the body")]
    Digest,
    /// Another key, or an algorithm that is not the key's.
    #[error("`keyid` or `alg` is not of the party's registered key")]
    Key,
    /// Too old, or of the future.
    #[error("`created` is more than five minutes from the log's clock")]
    Time,
    /// It does not hold.
    #[error("the request signature does not hold")]
    Signature,
    /// The bytes kept are no request signature.
    #[error("the bytes kept are no request signature")]
    Kept,
    /// The signed body does not ask what the line says.
    #[error("the signed request does not ask what the line says")]
    OtherQuestion,
}

/// The three headers of a signed request, as they came.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    /// `Content-Digest`
    pub digest: Option<&'a str>,
    /// `Signature-Input`
    pub input: Option<&'a str>,
    /// `Signature`
    pub signature: Option<&'a str>,
}

/// What was signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Such as `POST`.
    pub method: &'a str,
    /// The whole URI as the asker wrote it.
    pub target: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// A signed request, as it is kept with a use line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Format version.
    pub v: V1,
    /// The signature.
    sig: ByteArray<64>,
    /// The body.
    body: ByteBuf,
    /// The method.
    method: String,
    /// The signature's parameters, as they came.
    params: String,
    /// The whole URI.
    target: String,
}

/// The parameters, read.
struct Params<'a> {
    created: Timestamp,
    keyid: &'a str,
    alg: Option<&'a str>,
}

impl Signed {
    /// Reads the headers of a request; `None` if it carries no signature.
    ///
    /// Nothing is verified but the digest and the form.
    ///
    /// # Errors
    /// [`Error::Form`], [`Error::Digest`].
    pub fn read(headers: Headers<'_>, request: Request<'_>) -> Result<Option<Self>, Error> {
        let form = |header| move || Error::Form { header };
        let (input, signature) = match (headers.input, headers.signature) {
            (None, None) => return Ok(None),
            (input, signature) => {
                (input.ok_or_else(form("Signature-Input"))?, signature.ok_or_else(form("Signature"))?)
            }
        };
        let digest = headers.digest.ok_or_else(form("Content-Digest"))?;
        if input.len().max(signature.len()).max(digest.len()) > MAX_HEADER {
            return Err(Error::Form { header: "Signature-Input" });
        }
        if !digest.starts_with("sha-256=:") {
            return Err(Error::Form { header: "Content-Digest" });
        }
        if digest != digest_of(request.body) {
            return Err(Error::Digest);
        }
        let (label, params) =
            input.split_once('=').filter(|(l, _)| is_label(l)).ok_or_else(form("Signature-Input"))?;
        Params::parse(params)?;
        let sig = signature
            .strip_prefix(label)
            .and_then(|rest| rest.strip_prefix("=:"))
            .and_then(|rest| rest.strip_suffix(':'))
            .and_then(|text| STANDARD.decode(text).ok())
            .and_then(|bytes| <[u8; 64]>::try_from(bytes).ok())
            .ok_or_else(form("Signature"))?;
        Ok(Some(Self {
            v: V1,
            sig: ByteArray::new(sig),
            body: ByteBuf::from(request.body),
            method: request.method.to_owned(),
            params: params.to_owned(),
            target: request.target.to_owned(),
        }))
    }

    /// Reads what was kept with a line.
    ///
    /// # Errors
    /// [`Error::Kept`].
    pub fn parse(kept: &[u8]) -> Result<Self, Error> {
        cbor::decode_exact(kept).map_err(|_| Error::Kept)
    }

    /// The bytes to keep with a line; `None` if the body is too large to be kept.
    #[must_use]
    pub fn kept(&self) -> Option<Vec<u8>> {
        if self.body.len() > MAX_KEPT { None } else { cbor::encode(self).ok() }
    }

    /// The bytes of the signature itself.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.sig.as_slice()
    }

    /// The key it claims to be made with: hex of the SHA-256 of the SPKI.
    #[must_use]
    pub fn claimed_key(&self) -> Option<KeyHash> {
        Params::parse(&self.params).ok().and_then(|p| KeyHash::from_hex(p.keyid))
    }

    /// Verifies the signature under the party's key, near an instant.
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::Time`], [`Error::Signature`].
    pub fn verify(&self, key: &PublicKey, at: Timestamp) -> Result<(), Error> {
        let params = Params::parse(&self.params)?;
        let alg = match key.alg() {
            Alg::EdDsa => "ed25519",
            Alg::Es256 => "ecdsa-p256-sha256",
        };
        if KeyHash::from_hex(params.keyid) != Some(KeyHash(key.hash()))
            || params.alg.is_some_and(|a| a != alg)
        {
            return Err(Error::Key);
        }
        if params.created.0.abs_diff(at.0) > SKEW_MS {
            return Err(Error::Time);
        }
        let base = base(&self.method, &self.target, &digest_of(&self.body), &self.params);
        key.verify(base.as_bytes(), self.sig.as_slice()).map_err(|_| Error::Signature)
    }

    /// Verifies that it is the asker's own request for this very line.
    ///
    /// # Errors
    /// As [`Signed::verify`]; [`Error::OtherQuestion`].
    pub fn verify_line(&self, key: &PublicKey, line: &UseLine) -> Result<(), Error> {
        self.verify(key, line.at)?;
        if self.asks(line) { Ok(()) } else { Err(Error::OtherQuestion) }
    }

    /// Whether one of the body's questions is the line's.
    fn asks(&self, line: &UseLine) -> bool {
        let Ok(body) = serde_json::from_slice::<Value>(&self.body) else { return false };
        match body.get("evaluations").and_then(Value::as_array).filter(|items| !items.is_empty()) {
            None => is_question(&|member| body.get(member), line),
            Some(items) => {
                items.iter().any(|item| is_question(&|m| item.get(m).or_else(|| body.get(m)), line))
            }
        }
    }
}

/// Whether the members of one evaluation say what the line says.
fn is_question<'a>(member: &dyn Fn(&str) -> Option<&'a Value>, line: &UseLine) -> bool {
    let text = |of: &str, path: &str| member(of)?.pointer(path)?.as_str();
    let about = match (text("resource", "/type"), text("resource", "/id")) {
        (Some("person"), Some(id)) => line.ppid.is_some() && Ppid::from_text(id) == line.ppid,
        (Some("release"), Some(id)) => line.release.as_deref() == Some(id),
        _ => false,
    };
    let class = match (text("resource", "/properties/class"), line.class) {
        (Some(said), Some(class)) => said == class.as_str(),
        (None, _) => line.release.is_some(),
        (Some(_), None) => false,
    };
    about
        && class
        && text("subject", "/id") == Some(line.controller.as_str())
        && line.action.is_some_and(|action| text("action", "/name") == Some(action.as_str()))
        && text("action", "/properties/purpose") == line.purpose.as_deref()
}

impl<'a> Params<'a> {
    fn parse(text: &'a str) -> Result<Self, Error> {
        Self::try_parse(text).ok_or(Error::Form { header: "Signature-Input" })
    }

    fn try_parse(text: &'a str) -> Option<Self> {
        let mut rest = text.strip_prefix(COMPONENTS)?;
        let (mut created, mut keyid, mut alg, mut nonce) = (None, None, None, None);
        while !rest.is_empty() {
            let (name, value) = rest.strip_prefix(';')?.split_once('=')?;
            let end = value.find(';').unwrap_or(value.len());
            let (value, after) = value.split_at_checked(end)?;
            rest = after;
            let place = match name {
                "created" => {
                    let digits = value.len() <= 12 && value.bytes().all(|b| b.is_ascii_digit());
                    let seconds = digits.then(|| value.parse::<u64>().ok()).flatten()?;
                    if created.replace(Timestamp(seconds.saturating_mul(1_000))).is_some() {
                        return None;
                    }
                    continue;
                }
                "keyid" => &mut keyid,
                "alg" => &mut alg,
                "nonce" => &mut nonce,
                _ => return None,
            };
            let string = value.strip_prefix('"')?.strip_suffix('"').filter(|s| is_plain(s))?;
            if place.replace(string).is_some() {
                return None;
            }
        }
        Some(Self { created: created?, keyid: keyid?, alg })
    }
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b);
    text.len() <= 32 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(inner)
}

/// No quotes, no semicolons, nothing that would need an escape.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/+=-".contains(&b))
}

fn digest_of(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(hash::sha256(&[body])))
}

fn base(method: &str, target: &str, digest: &str, params: &str) -> String {
    format!(
        "\"@method\": {method}\n\"@target-uri\": {target}\n\"content-digest\": {digest}\n\"@signature-params\": {params}"
    )
}

/// Signs a request: the values of `Content-Digest`, `Signature-Input` and `Signature`.
///
/// # Errors
/// The key.
pub fn sign(
    request: Request<'_>,
    created: Timestamp,
    signer: &dyn Signer,
) -> Result<[String; 3], crate::ledger::key::Error> {
    let digest = digest_of(request.body);
    let keyid = KeyHash(signer.public().hash());
    let params = format!("{COMPONENTS};created={};keyid=\"{keyid}\"", created.0 / 1_000);
    let sig = signer.sign(base(request.method, request.target, &digest, &params).as_bytes())?;
    Ok([digest, format!("sig1={params}"), format!("sig1=:{}:", STANDARD.encode(sig))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::key::Ed25519Signer;

    const AT: Timestamp = Timestamp(1_764_000_000_000);
    const REQUEST: Request<'static> =
        Request { method: "POST", target: "https://naru.test/access/v1/evaluation", body: b"{}" };

    fn read(headers: &[String; 3], request: Request<'_>) -> Result<Option<Signed>, Error> {
        let [digest, input, signature] = headers;
        let headers = Headers { digest: Some(digest), input: Some(input), signature: Some(signature) };
        Signed::read(headers, request)
    }

    #[test]
    fn a_signed_request_verifies_and_nothing_else_does() {
        let signer = Ed25519Signer::from_seed([1; 32]);
        let headers = sign(REQUEST, AT, &signer).unwrap();
        let signed = read(&headers, REQUEST).unwrap().unwrap();
        let key = signer.public();
        assert_eq!(signed.verify(key, AT.plus_ms(SKEW_MS)), Ok(()));
        assert_eq!(signed.verify(key, AT.plus_ms(SKEW_MS + 1_000)), Err(Error::Time));
        assert_eq!(signed.verify(Ed25519Signer::from_seed([2; 32]).public(), AT), Err(Error::Key));
        for other in [
            Request { method: "PUT", ..REQUEST },
            Request { target: "https://naru.test/access/v1/evaluations", ..REQUEST },
        ] {
            assert_eq!(read(&headers, other).unwrap().unwrap().verify(key, AT), Err(Error::Signature));
        }
        assert_eq!(read(&headers, Request { body: b"{ }", ..REQUEST }), Err(Error::Digest));
        let kept = signed.kept().unwrap();
        assert_eq!(Signed::parse(&kept).unwrap(), signed);
        for at in 0..kept.len() {
            let mut other = kept.clone();
            other[at] ^= 1;
            assert!(Signed::parse(&other).and_then(|s| s.verify(key, AT)).is_err(), "byte {at}");
        }
    }

    #[test]
    fn only_the_one_form_is_read() {
        let signer = Ed25519Signer::from_seed([1; 32]);
        let good = sign(REQUEST, AT, &signer).unwrap();
        let changes: [(usize, &str, &str); 9] = [
            (1, "\"@target-uri\" ", ""),
            (1, "\"@method\"", "\"@path\""),
            (1, ";created", ";expires=1;created"),
            (1, ";keyid", ";created=1;keyid"),
            (1, "created=", "created=-"),
            (1, "sig1=", "sig1=x, sig2="),
            (2, "sig1=:", "sig2=:"),
            (2, "=:", "=:AA"),
            (0, "sha-256", "sha-512"),
        ];
        for (which, from, to) in changes {
            let mut bad = good.clone();
            bad[which] = bad[which].replacen(from, to, 1);
            assert!(read(&bad, REQUEST).is_err(), "{from} -> {to}");
        }
        let none = Headers { digest: None, input: None, signature: None };
        assert_eq!(Signed::read(none, REQUEST), Ok(None));
        let half = Headers { digest: None, input: Some(&good[1]), signature: None };
        assert!(Signed::read(half, REQUEST).is_err());
        let large = vec![b' '; MAX_KEPT + 1];
        let request = Request { body: &large, ..REQUEST };
        let signed = read(&sign(request, AT, &signer).unwrap(), request).unwrap().unwrap();
        assert_eq!((signed.verify(signer.public(), AT), signed.kept()), (Ok(()), None));
    }
}
