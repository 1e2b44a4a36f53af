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

    /// Reads a P-256 key from its two coordinates.
    ///
    /// # Errors
    ///
    /// [`Error::Point`].
    pub fn from_p256(x: &[u8; 32], y: &[u8; 32]) -> Result<Self, Error> {
        Self::from_spki(&[P256_PREFIX, x, y].concat())
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

#[cfg(test)]
mod tests {
    use super::*;
    use p256::pkcs8::{EncodePrivateKey, EncodePublicKey};

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn ed25519_vectors_of_rfc_8032() {
        let vectors = [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
        ];
        for (seed, public, message, signature) in vectors {
            let signer = Ed25519Signer::from_seed(hex(seed).try_into().unwrap());
            assert_eq!(signer.public().ed25519().unwrap().to_vec(), hex(public));
            assert_eq!(signer.sign(&hex(message)).unwrap(), hex(signature));
            let key = PublicKey::from_ed25519(&hex(public).try_into().unwrap()).unwrap();
            key.verify(&hex(message), &hex(signature)).unwrap();
            assert!(key.verify(b"other", &hex(signature)).is_err());
        }
    }

    #[test]
    fn a_signature_with_a_small_r_is_refused() {
        // Made by the owner of the key with R = identity: holds without `strict`,
        // and says nothing about the nonce, so that it can be denied later.
        let signer = Ed25519Signer::from_seed([1; 32]);
        let mut signature = [0; 64];
        signature[0] = 1;
        signature[32..]
            .copy_from_slice(&hex("324a58ccc042d3ab39bbdc26597fb39827a159256aed3c62b396d4c6830c0808"));
        let loose = ed25519_dalek::Signature::from_bytes(&signature);
        ed25519_dalek::Verifier::verify(&signer.key.verifying_key(), b"m", &loose).unwrap();
        assert!(matches!(signer.public().verify(b"m", &signature), Err(Error::Signature)));
    }

    #[test]
    fn points_that_are_no_keys() {
        let weak = [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            // y = p + 1 and y = p + 3: second spellings.
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        ];
        for raw in weak {
            let raw = hex(raw).try_into().unwrap();
            assert!(matches!(PublicKey::from_ed25519(&raw), Err(Error::Point)), "{raw:02x?}");
        }
        let mut spki = p256_key().verifying_key().to_public_key_der().unwrap().into_vec();
        spki[90] ^= 1;
        assert!(matches!(PublicKey::from_spki(&spki), Err(Error::Point)), "off the curve");
    }

    fn p256_key() -> p256::ecdsa::SigningKey {
        p256::ecdsa::SigningKey::from_slice(&[0x42; 32]).unwrap()
    }

    #[test]
    fn es256_agrees_with_p256() {
        let oracle = p256_key();
        let pem = oracle.to_pkcs8_pem(p256::pkcs8::LineEnding::LF).unwrap();
        let signer = P256Signer::from_pem(&pem).unwrap();
        let spki = oracle.verifying_key().to_public_key_der().unwrap().into_vec();
        assert_eq!(signer.public().spki(), spki);
        for message in [&b""[..], b"m", &[7; 1000]] {
            let theirs: p256::ecdsa::Signature = oracle.sign(message);
            let mut raw = theirs.to_bytes().to_vec();
            signer.public().verify(message, &raw).unwrap();
            let ours = signer.sign(message).unwrap();
            use p256::ecdsa::signature::Verifier as _;
            let ours = p256::ecdsa::Signature::from_slice(&ours).unwrap();
            oracle.verifying_key().verify(message, &ours).unwrap();
            raw[40] ^= 1;
            assert!(matches!(signer.public().verify(message, &raw), Err(Error::Signature)));
        }
        for raw in [[0u8; 64], [0xff; 64]] {
            assert!(signer.public().verify(b"m", &raw).is_err());
        }
        assert!(matches!(signer.public().verify(b"m", &[1; 63]), Err(Error::SignatureLength { .. })));
    }

    #[test]
    fn one_encoding_a_key() {
        let ed = Ed25519Signer::from_seed([1; 32]);
        let oracle = p256_key();
        let point = oracle.verifying_key();
        let p256 = point.to_public_key_der().unwrap().into_vec();
        for spki in [ed.public().spki(), &p256] {
            let key = PublicKey::from_spki(spki).unwrap();
            assert_eq!(PublicKey::from_pem(&key.to_pem()).unwrap(), key);
            assert_eq!(key.hash(), hash::sha256(&[spki]));
            for at in 0..spki.len() {
                assert!(PublicKey::from_spki(&spki[..at]).is_err());
            }
            assert!(PublicKey::from_spki(&[spki, &[0]].concat()).is_err());
            assert!(PublicKey::from_spki(&[&[0], spki].concat()).is_err());
        }
        // Compressed point: valid DER for OpenSSL, not for us.
        let short = [&hex("3039301306072a8648ce3d020106082a8648ce3d030107032200")[..], &[2; 33]].concat();
        assert!(PublicKey::from_spki(&short).is_err());
        assert!(
            point.to_public_key_pem(p256::pkcs8::LineEnding::LF).unwrap()
                == PublicKey::from_spki(&p256).unwrap().to_pem()
        );
    }

    #[test]
    fn signers_survive_their_pem() {
        let ed = Ed25519Signer::from_seed([9; 32]);
        let p256 =
            P256Signer::from_pem(&p256_key().to_pkcs8_pem(p256::pkcs8::LineEnding::LF).unwrap()).unwrap();
        for (pem, public) in [(ed.to_pem().unwrap(), ed.public()), (p256.to_pem().unwrap(), p256.public())] {
            let signer = signer_from_pem(&pem).unwrap();
            assert_eq!(signer.public(), public);
            public.verify(b"m", &signer.sign(b"m").unwrap()).unwrap();
        }
        // Version 2 (with the public key inside), as ed25519-dalek writes it.
        use ed25519_dalek::pkcs8::EncodePrivateKey as _;
        let pem = ed.key.to_pkcs8_pem(ed25519_dalek::pkcs8::spki::der::pem::LineEnding::LF).unwrap();
        let _ = Ed25519Signer::from_pem(&pem).map(|signer| assert_eq!(signer.public(), ed.public()));
        let rsa = openssl::rsa::Rsa::generate(1024).unwrap();
        let rsa = PKey::from_rsa(rsa).unwrap().private_key_to_pem_pkcs8().unwrap();
        let sec1 = p256.key.private_key_to_pem().unwrap();
        let locked = PKey::from_ec_key(p256.key.clone()).unwrap();
        let cipher = openssl::symm::Cipher::aes_128_cbc();
        let locked = locked.private_key_to_pem_pkcs8_passphrase(cipher, b"secret").unwrap();
        for pem in [&rsa[..], &sec1, &locked, b"", b"-----BEGIN PRIVATE KEY-----"] {
            assert!(signer_from_pem(std::str::from_utf8(pem).unwrap()).is_err());
        }
        assert!(!format!("{ed:?}{p256:?}").contains("0909"));
    }

    #[test]
    fn cose_numbers_of_the_algorithms() {
        assert_eq!(
            [-8, -19, -7, -35, 8].map(Alg::from_cose),
            [Some(Alg::EdDsa), Some(Alg::EdDsa), Some(Alg::Es256), None, None]
        );
        assert_eq!((Alg::EdDsa.to_cose(), Alg::Es256.to_cose()), (-8, -7));
    }
}
