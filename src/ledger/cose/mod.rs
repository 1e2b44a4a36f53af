//! Tagged `COSE_Sign1` (RFC 9052), and the split of a signed item into
//! *statement* (what was said, holds no key) and *proof* (everything that does).
//!
//! Types come from `coset`, behind the gate: `coset` alone accepts indefinite
//! lengths and duplicate keys in nested maps. An item of exactly our shape is read
//! by the ledger's own reader (a sixth of the time; a test holds both against each
//! other); whatever else comes is `coset`'s to name. Lacks unprotected headers, external
//! data, counter-signatures and multiple signers. Trusts nothing: a parsed
//! [`Sign1`] says what the bytes claim, [`Sign1::verify`] whether it is so.

use coset::cbor::Value;
use coset::iana;
use coset::{CoseSign1, Header, HeaderBuilder, Label, ProtectedHeader};
use coset::{RegisteredLabelWithPrivate, TaggedCborSerializable};

use crate::ledger::cbor;
use crate::ledger::key;
use crate::ledger::key::{Alg, PublicKey, Signer};

mod long;
mod passkey;
mod proof;

pub use long::{Long, LongSign1, ROOM, parse_long, sign_long};
pub use passkey::{MAX_DIGESTS, Over, Passkey};
pub use proof::{MAX_LAYERS, join, proof_of, statement_of};

/// `typ` of a signed statement.
pub const STATEMENT: &str = "application/naru-statement+cbor";
/// `typ` of a login.
pub const LOGIN: &str = "application/naru-login+cbor";
/// `typ` of an endorsement: the payload is the item it endorses.
pub const ENDORSED: &str = "application/naru-endorsed+cose";
/// `typ` of a promise of the log.
pub const PROMISE: &str = "application/naru-promise+cbor";
/// `typ` of a receipt of the log.
pub const RECEIPT: &str = "application/naru-receipt+cose";
/// `typ` of a cohort's summary.
pub const COHORT: &str = "application/naru-cohort+cbor";
/// `typ` of the manifest of an archive.
pub const ARCHIVE: &str = "application/naru-archive+cbor";

/// Why an item is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not admitted CBOR, or not the shape of an item.
    #[error(transparent)]
    Cbor(#[from] cbor::Error),
    /// Admitted CBOR, but no `COSE_Sign1`: the reason is `coset`'s.
    #[error("not a cose_sign1: {0}")]
    Cose(coset::CoseError),
    /// The protected header is not exactly alg, kid, typ (and what the format adds).
    #[error("protected header is not as the format has it: {label}")]
    Header {
        /// Label of the parameter that is missing, malformed or not allowed there.
        label: i64,
    },
    /// The unprotected header is not as the format has it.
    #[error("unprotected header is not as the format has it")]
    Unprotected,
    /// The algorithm is not admitted.
    #[error("signature algorithm not admitted")]
    Algorithm,
    /// The item's algorithm is not the key's.
    #[error("signature algorithm is not that of the key")]
    KeyAlgorithm,
    /// The item names another key.
    #[error("item names another key")]
    Kid,
    /// `typ` is another one.
    #[error("item has another typ than `{expected}`")]
    Typ {
        /// What the caller expects.
        expected: &'static str,
    },
    /// The payload is missing (or present where it must be detached).
    #[error("payload is missing, or present where it must be detached")]
    Payload,
    /// More than [`MAX_LAYERS`] layers.
    #[error("more than {MAX_LAYERS} layers")]
    Layers,
    /// The key refuses the signature, or signing failed.
    #[error(transparent)]
    Key(#[from] key::Error),
}

/// What a tagged `COSE_Sign1` with protected `{1: alg, 4: kid, 16: typ}` claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign1 {
    /// Label 1.
    pub alg: Alg,
    /// Label 4: an SPKI, or for the log's own items its SHA-256.
    pub kid: Vec<u8>,
    /// Label 16: one of the constants of this module, not checked here.
    pub typ: String,
    /// The payload, or none if it is detached (`nil`).
    pub payload: Option<Vec<u8>>,
    /// The protected header as received: what is signed.
    pub protected: Vec<u8>,
    /// 64 bytes.
    pub signature: Vec<u8>,
}

impl Sign1 {
    /// Verifies the signature over the received protected bytes and the payload.
    ///
    /// # Errors
    ///
    /// [`Error::KeyAlgorithm`]; [`Error::Kid`] if the kid is neither the key's
    /// SPKI nor its hash; [`Error::Payload`] if it is detached; [`Error::Key`].
    ///
    /// Source: RFC 9052 section 4.4
    pub fn verify(&self, key: &PublicKey) -> Result<(), Error> {
        let payload = self.payload.as_deref().ok_or(Error::Payload)?;
        self.verify_over(payload, key)
    }

    /// As [`Self::verify`], over a payload that came another way.
    ///
    /// # Errors
    ///
    /// As [`Self::verify`]; [`Error::Payload`] if the item carries one.
    pub fn verify_detached(&self, payload: &[u8], key: &PublicKey) -> Result<(), Error> {
        if self.payload.is_some() {
            return Err(Error::Payload);
        }
        self.verify_over(payload, key)
    }

    fn verify_over(&self, payload: &[u8], key: &PublicKey) -> Result<(), Error> {
        is_of(self.alg, &self.kid, key)?;
        Ok(key.verify(&to_be_signed(&self.protected, payload), &self.signature)?)
    }
}

/// Whether an item that names this algorithm and key is the key's.
fn is_of(alg: Alg, kid: &[u8], key: &PublicKey) -> Result<(), Error> {
    if alg != key.alg() {
        return Err(Error::KeyAlgorithm);
    }
    if kid == key.spki() || kid == key.hash() { Ok(()) } else { Err(Error::Kid) }
}

/// Parses a tagged `COSE_Sign1` with protected exactly `{1, 4, 16}` and an empty
/// unprotected header.
///
/// # Errors
///
/// Every variant but the key's.
///
/// Source: RFC 9052 section 4.2, RFC 9596 (typ)
pub fn parse(bytes: &[u8]) -> Result<Sign1, Error> {
    cbor::gate(bytes)?;
    match exact(bytes) {
        Ok(sign1) => Ok(sign1),
        // Of another shape: `coset` says why.
        Err(_) => parse_by_name(bytes),
    }
}

/// What a gated item of exactly our shape holds, where it stands.
struct Exact<'a> {
    alg: Alg,
    kid: &'a [u8],
    typ: &'a str,
    protected: &'a [u8],
    payload: Option<&'a [u8]>,
    signature: &'a [u8],
    /// Offsets of the unprotected header, and of the byte behind the payload.
    unprotected: usize,
    end: usize,
}

/// Reads a gated item of exactly our shape, which nearly all are.
fn exact(bytes: &[u8]) -> Result<Sign1, cbor::Error> {
    let Exact { alg, kid, typ, protected, payload, signature, .. } = Exact::of(bytes)?;
    Ok(Sign1 {
        alg,
        kid: kid.to_vec(),
        typ: typ.to_owned(),
        payload: payload.map(<[u8]>::to_vec),
        protected: protected.to_vec(),
        signature: signature.to_vec(),
    })
}

impl<'a> Exact<'a> {
    /// Reads it left to right.
    fn of(bytes: &'a [u8]) -> Result<Self, cbor::Error> {
        let other = |at| cbor::Error::Unexpected { at, expected: "an item as the format has it" };
        let mut item = cbor::Reader::gated(bytes);
        item.tag(18, "a tagged item")?;
        item.array_of(4, "a `COSE_Sign1`")?;
        let protected = item.bytes()?;
        let unprotected = item.at();
        item.empty_map()?;
        let payload = item.bytes_or_null()?;
        let end = item.at();
        let signature = item.bytes()?;
        item.end()?;
        let mut header = cbor::Reader::new(protected)?;
        header.map_of(3, "alg, kid and typ")?;
        header.literal(&[0x01], "alg")?;
        let at = header.at();
        // −8 EdDSA, −19 Ed25519, −7 ES256.
        let alg = match protected.get(at) {
            Some(0x27 | 0x32) => Alg::EdDsa,
            Some(0x26) => Alg::Es256,
            _ => return Err(other(at)),
        };
        header.skip()?;
        header.literal(&[0x04], "kid")?;
        let kid = header.bytes()?;
        header.literal(&[0x10], "typ")?;
        let typ = header.text()?;
        header.end()?;
        if kid.is_empty() || signature.len() != 64 {
            return Err(other(0));
        }
        Ok(Self { alg, kid, typ, protected, payload, signature, unprotected, end })
    }
}

/// Reads an item parameter by parameter.
fn parse_by_name(bytes: &[u8]) -> Result<Sign1, Error> {
    let raw = Raw::parse(bytes)?;
    if raw.unprotected != Header::default() {
        return Err(Error::Unprotected);
    }
    for (label, _) in &raw.header.rest {
        match label {
            Label::Int(TYP) => {}
            Label::Int(label) => return Err(Error::Header { label: *label }),
            Label::Text(_) => return Err(Error::Header { label: 0 }),
        }
    }
    Ok(raw.sign1)
}

/// Signs a payload: `18([<<{1: alg, 4: kid, 16: typ}>>, {}, payload, signature])`.
///
/// # Errors
///
/// [`Error::Key`] if the signer fails.
pub fn sign(signer: &dyn Signer, typ: &str, kid: &[u8], payload: &[u8]) -> Result<Vec<u8>, Error> {
    let protected = protected(header(signer.public().alg(), kid).value(TYP, typ.into()))?;
    let signature = sign_detached(signer, &protected, payload)?;
    Ok(cbor::Writer::with_capacity(protected.len() + payload.len() + 80)
        .tag(18)
        .array(4)
        .bytes(&protected)
        .map(0)
        .bytes(payload)
        .bytes(&signature)
        .finish())
}

/// Signs a statement as its author: typ [`STATEMENT`], kid the signer's SPKI.
///
/// # Errors
///
/// [`Error::Key`] if the signer fails.
pub fn sign_statement(signer: &dyn Signer, statement: &[u8]) -> Result<Vec<u8>, Error> {
    sign(signer, STATEMENT, signer.public().spki(), statement)
}

/// Endorses an item: typ [`ENDORSED`], kid the signer's SPKI, payload the item.
///
/// # Errors
///
/// [`Error::Key`] if the signer fails.
pub fn endorse(signer: &dyn Signer, item: &[u8]) -> Result<Vec<u8>, Error> {
    sign(signer, ENDORSED, signer.public().spki(), item)
}

/// Signs protected header bytes and a payload that travels elsewhere; answers the
/// signature.
///
/// # Errors
///
/// [`Error::Key`] if the signer fails.
pub fn sign_detached(signer: &dyn Signer, protected: &[u8], payload: &[u8]) -> Result<Vec<u8>, Error> {
    Ok(signer.sign(&to_be_signed(protected, payload))?)
}

/// The bytes that are signed: `["Signature1", protected, h'', payload]`.
///
/// Source: RFC 9052 section 4.4
#[must_use]
pub fn to_be_signed(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    cbor::Writer::with_capacity(protected.len() + payload.len() + 24)
        .array(4)
        .text("Signature1")
        .bytes(protected)
        .bytes(&[])
        .bytes(payload)
        .finish()
}

pub(super) const TYP: i64 = 16;

/// A gated item with its headers still as `coset` has them.
pub(super) struct Raw {
    pub(super) sign1: Sign1,
    pub(super) header: Header,
    pub(super) unprotected: Header,
}

impl Raw {
    /// Gates both layers of CBOR, reads alg, kid and typ, and refuses every
    /// other parameter `coset` knows by name; `header.rest` is the caller's to judge.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        cbor::gate(bytes)?;
        let item = CoseSign1::from_tagged_slice(bytes).map_err(Error::Cose)?;
        let CoseSign1 { protected, unprotected, payload, signature } = item;
        let ProtectedHeader { original_data, header } = protected;
        let protected = original_data.ok_or(Error::Header { label: 1 })?;
        cbor::gate(&protected)?;
        let alg = match &header.alg {
            Some(RegisteredLabelWithPrivate::Assigned(iana::Algorithm::EdDSA | iana::Algorithm::Ed25519)) => {
                Alg::EdDsa
            }
            Some(RegisteredLabelWithPrivate::Assigned(iana::Algorithm::ES256)) => Alg::Es256,
            Some(_) => return Err(Error::Algorithm),
            None => return Err(Error::Header { label: 1 }),
        };
        if header.key_id.is_empty() {
            return Err(Error::Header { label: 4 });
        }
        let named = Header {
            alg: header.alg.clone(),
            key_id: header.key_id.clone(),
            rest: header.rest.clone(),
            ..Header::default()
        };
        if named != header {
            return Err(Error::Header { label: 2 });
        }
        let typ = header.rest.iter().find_map(|(label, value)| match (label, value) {
            (Label::Int(TYP), Value::Text(text)) => Some(text.clone()),
            _ => None,
        });
        let typ = typ.ok_or(Error::Header { label: TYP })?;
        if signature.len() != 64 {
            return Err(key::Error::SignatureLength { length: signature.len() }.into());
        }
        let kid = header.key_id.clone();
        let sign1 = Sign1 { alg, kid, typ, payload, protected, signature };
        Ok(Self { sign1, header, unprotected })
    }
}

/// A header with algorithm and key identifier.
pub(super) fn header(alg: Alg, kid: &[u8]) -> HeaderBuilder {
    let alg = match alg {
        Alg::EdDsa => iana::Algorithm::EdDSA,
        Alg::Es256 => iana::Algorithm::ES256,
    };
    HeaderBuilder::new().algorithm(alg).key_id(kid.to_vec())
}

/// Encodes a protected header whose further parameters were added in order.
pub(super) fn protected(header: HeaderBuilder) -> Result<Vec<u8>, Error> {
    let bytes = coset::CborSerializable::to_vec(header.build()).map_err(Error::Cose)?;
    cbor::gate(&bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
