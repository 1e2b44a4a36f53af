//! Public keys, signatures and signers: Ed25519 and ES256 (P-256 with SHA-256).
//!
//! A key *is* its DER `SubjectPublicKeyInfo`, in exactly one encoding each, so
//! that its hash is its name. Lacks key generation and batch verification: batch
//! verification accepts what single verification refuses. Trusts `ed25519-dalek`
//! (always `verify_strict`) and OpenSSL (ES256, PEM).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use openssl::bn::BigNum;
use openssl::ec::EcKey;
use openssl::ecdsa::EcdsaSig;
use openssl::pkey::{Id, PKey, Private, Public};
use zeroize::Zeroizing;

use crate::ledger::hash;

/// Why a key or a signature is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not one of the two admitted SPKI encodings.
    #[error("not an admitted public key ({length} bytes)")]
    Spki {
        /// Length of what was given.
        length: usize,
    },
    /// Right shape, but no point of the curve that may be a key.
    #[error("public key is not a usable point of its curve")]
    Point,
    /// The signature is not 64 bytes.
    #[error("signature has {length} bytes, not 64")]
    SignatureLength {
        /// Length of what was given.
        length: usize,
    },
    /// The signature does not verify.
    #[error("signature does not verify")]
    Signature,
    /// Not a PKCS#8 PEM of an admitted key.
    #[error("not a pkcs#8 pem of an ed25519 or p-256 private key")]
    Pem,
    /// The crypto library failed.
    #[error("crypto library failed: {0}")]
    Library(#[from] openssl::error::ErrorStack),
}

/// Signature algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alg {
    /// EdDSA over Ed25519. COSE −8 is emitted, −8 and −19 are accepted.
    EdDsa,
    /// ECDSA over P-256 with SHA-256. COSE −7.
    Es256,
}

impl Alg {
    /// The algorithm a COSE header names, if it is admitted.
    ///
    /// Source: RFC 9053 section 2, RFC 9864
    #[must_use]
    pub fn from_cose(label: i64) -> Option<Self> {
        match label {
            -8 | -19 => Some(Self::EdDsa),
            -7 => Some(Self::Es256),
            _ => None,
        }
    }

    /// The COSE identifier we emit.
    #[must_use]
    pub fn to_cose(self) -> i64 {
        match self {
            Self::EdDsa => -8,
            Self::Es256 => -7,
        }
    }
}

/// A public key, checked to be a usable point.
///
/// Shape: DER `SubjectPublicKeyInfo`, Ed25519 44 bytes (RFC 8410) or P-256 with
/// an uncompressed point 91 bytes (RFC 5480). Two keys are equal if these bytes are.
#[derive(Clone)]
pub struct PublicKey {
    spki: Box<[u8]>,
    point: Point,
}

#[derive(Clone)]
enum Point {
    Ed25519(VerifyingKey),
    P256(EcKey<Public>),
}

impl PublicKey {
    /// Reads a key from its SPKI.
    ///
    /// # Errors
    ///
    /// [`Error::Spki`] for any other encoding; [`Error::Point`] for a point that
    /// is off the curve, of small order, or spelt non-canonically.
    pub fn from_spki(spki: &[u8]) -> Result<Self, Error> {
        let point = if let Some(raw) = spki.strip_prefix(ED25519_PREFIX) {
            let raw = raw.try_into().map_err(|_| Error::Spki { length: spki.len() })?;
            Point::Ed25519(ed25519_point(raw)?)
        } else if spki.starts_with(P256_PREFIX) && spki.len() == P256_SPKI {
            Point::P256(EcKey::public_key_from_der(spki).map_err(|_| Error::Point)?)
        } else {
            return Err(Error::Spki { length: spki.len() });
        };
        Ok(Self { spki: spki.into(), point })
    }

    /// Reads an Ed25519 key from its 32 raw bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Point`].
    pub fn from_ed25519(raw: &[u8; 32]) -> Result<Self, Error> {
        Self::from_spki(&[ED25519_PREFIX, raw].concat())
    }

    /// Reads a key from a PEM `PUBLIC KEY` block.
    ///
    /// # Errors
    ///
    /// [`Error::Pem`], and those of [`Self::from_spki`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let body = pem
            .trim()
            .strip_prefix("-----BEGIN PUBLIC KEY-----")
            .and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"))
            .ok_or(Error::Pem)?;
        let body: String = body.split_ascii_whitespace().collect();
        Self::from_spki(&STANDARD.decode(body).map_err(|_| Error::Pem)?)
    }

    /// The key as a PEM `PUBLIC KEY` block.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let body = STANDARD.encode(&self.spki);
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        for (count, symbol) in body.chars().enumerate() {
            if count > 0 && count % 64 == 0 {
                pem.push('\n');
            }
            pem.push(symbol);
        }
        pem.push_str("\n-----END PUBLIC KEY-----\n");
        pem
    }

    /// Its DER `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Its name: SHA-256 of the SPKI.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        hash::sha256(&[&self.spki])
    }

    /// The algorithm it verifies.
    #[must_use]
    pub fn alg(&self) -> Alg {
        match self.point {
            Point::Ed25519(_) => Alg::EdDsa,
            Point::P256(_) => Alg::Es256,
        }
    }

    /// The key itself: the 32 bytes of Ed25519, or the 65 of an uncompressed point.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        let length = match self.alg() {
            Alg::EdDsa => 32,
            Alg::Es256 => 65,
        };
        self.spki.get(self.spki.len() - length..).unwrap_or_default()
    }

    /// Its 32 raw bytes, if it is an Ed25519 key.
    #[must_use]
    pub fn ed25519(&self) -> Option<[u8; 32]> {
        match &self.point {
            Point::Ed25519(key) => Some(key.to_bytes()),
            Point::P256(_) => None,
        }
    }

    /// Verifies a signature of 64 bytes: `R ‖ S`, or `r ‖ s` for ES256.
    ///
    /// # Errors
    ///
    /// [`Error::SignatureLength`], [`Error::Signature`].
    ///
    /// Source: RFC 8032 section 5.1.7 (strict, cofactorless), RFC 9053 section 2.1
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let raw: &[u8; 64] =
            signature.try_into().map_err(|_| Error::SignatureLength { length: signature.len() })?;
        match &self.point {
            Point::Ed25519(key) => {
                let signature = ed25519_dalek::Signature::from_bytes(raw);
                key.verify_strict(message, &signature).map_err(|_| Error::Signature)
            }
            Point::P256(key) => {
                let (r, s) = raw.split_at(32);
                let signature =
                    EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
                let digest = hash::sha256(&[message]);
                match signature.verify(&digest, key) {
                    Ok(true) => Ok(()),
                    Ok(false) | Err(_) => Err(Error::Signature),
                }
            }
        }
    }
}

fn ed25519_point(raw: &[u8; 32]) -> Result<VerifyingKey, Error> {
    // y ≥ p would be a second spelling of the same point.
    let [low, middle @ .., high] = raw;
    if high & 0x7f == 0x7f && middle.iter().all(|byte| *byte == 0xff) && *low >= 0xed {
        return Err(Error::Point);
    }
    let key = VerifyingKey::from_bytes(raw).map_err(|_| Error::Point)?;
    if key.is_weak() { Err(Error::Point) } else { Ok(key) }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl std::hash::Hash for PublicKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.spki.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?}, ", self.alg())?;
        self.hash().iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

/// Something that holds a private key and signs with it.
pub trait Signer: Send + Sync {
    /// The public half.
    fn public(&self) -> &PublicKey;

    /// Signs `message`; 64 bytes, as [`PublicKey::verify`] takes them.
    ///
    /// # Errors
    ///
    /// [`Error::Library`]; never for Ed25519 in memory.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error>;
}

impl fmt::Debug for dyn Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({:?})", self.public())
    }
}

/// An Ed25519 key in memory. The seed is overwritten when it is dropped.
pub struct Ed25519Signer {
    key: SigningKey,
    public: PublicKey,
}

impl Ed25519Signer {
    /// Makes a signer from its 32-byte seed.
    ///
    /// # Panics
    ///
    /// Never: a key made from a seed is a valid point.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        let key = SigningKey::from_bytes(&seed);
        let point = key.verifying_key();
        let spki = [ED25519_PREFIX, point.as_bytes()].concat().into();
        Self { key, public: PublicKey { spki, point: Point::Ed25519(point) } }
    }

    /// Reads a PKCS#8 PEM.
    ///
    /// # Errors
    ///
    /// [`Error::Pem`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let key = pkcs8(pem)?;
        if key.id() != Id::ED25519 {
            return Err(Error::Pem);
        }
        let raw = Zeroizing::new(key.raw_private_key().map_err(|_| Error::Pem)?);
        let seed = raw.as_slice().try_into().map_err(|_| Error::Pem)?;
        Ok(Self::from_seed(seed))
    }

    /// The private key as a PKCS#8 PEM (version 1, which OpenSSL reads too).
    ///
    /// # Errors
    ///
    /// [`Error::Library`].
    pub fn to_pem(&self) -> Result<Zeroizing<String>, Error> {
        let key = PKey::private_key_from_raw_bytes(self.key.as_bytes(), Id::ED25519)?;
        private_pem(&key)
    }
}

impl Signer for Ed25519Signer {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.key.sign(message).to_bytes().to_vec())
    }
}

impl fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519Signer({:?})", self.public)
    }
}

/// A P-256 key in memory; OpenSSL overwrites it when it is freed.
pub struct P256Signer {
    key: EcKey<Private>,
    public: PublicKey,
}

impl P256Signer {
    /// Reads a PKCS#8 PEM.
    ///
    /// # Errors
    ///
    /// [`Error::Pem`].
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let key = pkcs8(pem)?;
        let spki = key.public_key_to_der()?;
        let public = PublicKey::from_spki(&spki).map_err(|_| Error::Pem)?;
        if public.alg() != Alg::Es256 {
            return Err(Error::Pem);
        }
        let key = key.ec_key()?;
        key.check_key().map_err(|_| Error::Pem)?;
        Ok(Self { key, public })
    }

    /// The private key as a PKCS#8 PEM.
    ///
    /// # Errors
    ///
    /// [`Error::Library`].
    pub fn to_pem(&self) -> Result<Zeroizing<String>, Error> {
        private_pem(&PKey::from_ec_key(self.key.clone())?)
    }
}

impl Signer for P256Signer {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = EcdsaSig::sign(&hash::sha256(&[message]), &self.key)?;
        let mut raw = signature.r().to_vec_padded(32)?;
        raw.extend(signature.s().to_vec_padded(32)?);
        Ok(raw)
    }
}

impl fmt::Debug for P256Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P256Signer({:?})", self.public)
    }
}

/// Reads a PKCS#8 PEM of either kind.
///
/// # Errors
///
/// [`Error::Pem`].
pub fn signer_from_pem(pem: &str) -> Result<Box<dyn Signer>, Error> {
    match Ed25519Signer::from_pem(pem) {
        Ok(signer) => Ok(Box::new(signer)),
        Err(_) => Ok(Box::new(P256Signer::from_pem(pem)?)),
    }
}

fn pkcs8(pem: &str) -> Result<PKey<Private>, Error> {
    if !pem.trim_start().starts_with("-----BEGIN PRIVATE KEY-----") {
        return Err(Error::Pem);
    }
    // The callback answers "no passphrase": without one OpenSSL would ask the terminal.
    PKey::private_key_from_pem_callback(pem.as_bytes(), |_| Ok(0)).map_err(|_| Error::Pem)
}

fn private_pem(key: &PKey<Private>) -> Result<Zeroizing<String>, Error> {
    let pem = Zeroizing::new(key.private_key_to_pem_pkcs8()?);
    let text = std::str::from_utf8(&pem).map_err(|_| Error::Pem)?;
    Ok(Zeroizing::new(text.to_owned()))
}

const ED25519_PREFIX: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
const P256_PREFIX: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\
    \x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04";
const P256_SPKI: usize = 91;
