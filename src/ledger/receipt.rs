//! COSE receipts (RFC 9942): an entry is in the tree, a tree extends another.
//!
//! ```text
//! 18([<<{1: alg, 4: SHA-256(SPKI), 15: {1: origin, 2: "naru.receipt.v1", "size": n},
//!        16: "application/naru-receipt+cose", 395: 1}>>,
//!     {396: {-1: [<<[n, index, [*path]]>>]}},   or {-2: [<<[old, n, [*path]]>>]}
//!     nil, signature])
//! ```
//!
//! RFC 9942 signs the root only; size and origin stand in our protected header, so
//! that nobody can relabel a proof. Nothing in the protected header depends on the
//! entry: one signature per checkpoint serves every receipt. Lacks receipts at
//! size 0 and 1 and between equal sizes. Trusts the key and origin it is given,
//! and an older root only if the verifier brings it.

use coset::Label;
use coset::cbor::Value;

use crate::ledger::cbor;
use crate::ledger::cbor::{Reader, Writer};
use crate::ledger::cose;
use crate::ledger::cose::Raw;
use crate::ledger::hash;
use crate::ledger::hash::Hash;
use crate::ledger::key::{PublicKey, Signer};
use crate::ledger::merkle;

/// Subject claim of every receipt.
pub const SUBJECT: &str = "naru.receipt.v1";
/// Most hashes in a path: one a bit of the size, and one.
pub const MAX_PATH: u64 = 65;

/// Why a receipt is refused or cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not admitted CBOR.
    #[error(transparent)]
    Cbor(#[from] cbor::Error),
    /// Not a receipt's COSE, or its signature.
    #[error(transparent)]
    Cose(#[from] cose::Error),
    /// The proof does not fit.
    #[error(transparent)]
    Merkle(#[from] merkle::Error),
    /// It is of another log.
    #[error("receipt of another origin than `{expected}`")]
    Origin {
        /// The expected origin.
        expected: String,
    },
    /// The proof is for another size than the signed one.
    #[error("proof for size {proof} under a signature for size {signed}")]
    Size {
        /// Size in the proof.
        proof: u64,
        /// Size in the protected header.
        signed: u64,
    },
    /// There are no receipts at this size.
    #[error("no receipts at size {size}")]
    TooSmall {
        /// The size.
        size: u64,
    },
    /// The older tree is not the one the verifier brought.
    #[error("consistency from size {proof}, not from size {expected}")]
    OldSize {
        /// Size in the proof.
        proof: u64,
        /// Size the verifier brought.
        expected: u64,
    },
}

/// What an inclusion receipt has proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Size of the tree.
    pub size: u64,
    /// Index of the entry.
    pub index: u64,
    /// Root of the tree.
    pub root: Hash,
}

/// What a consistency receipt has proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    /// Size of the older tree.
    pub old: u64,
    /// Size of the newer tree.
    pub size: u64,
    /// Root of the newer tree.
    pub root: Hash,
}

/// The one signature that serves every receipt of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointSignature {
    size: u64,
    root: Hash,
    protected: Vec<u8>,
    signature: Vec<u8>,
}

impl CheckpointSignature {
    /// Signs a root.
    ///
    /// # Errors
    ///
    /// [`Error::TooSmall`] at size 0 and 1; [`Error::Cose`] if the signer fails.
    pub fn new(signer: &dyn Signer, origin: &str, size: u64, root: Hash) -> Result<Self, Error> {
        if size < 2 {
            return Err(Error::TooSmall { size });
        }
        let public = signer.public();
        let claims = vec![
            (Value::from(1), Value::from(origin)),
            (Value::from(2), Value::from(SUBJECT)),
            (Value::from("size"), Value::from(size)),
        ];
        let header = cose::header(public.alg(), &public.hash())
            .value(CLAIMS, Value::Map(claims))
            .value(cose::TYP, Value::from(cose::RECEIPT))
            .value(VDS, Value::from(RFC9162_SHA256));
        let protected = cose::protected(header)?;
        let signature = cose::sign_detached(signer, &protected, &root)?;
        Ok(Self { size, root, protected, signature })
    }

    /// Size of the tree it is for.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree it is for.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The receipt of the entry at `index`.
    #[must_use]
    pub fn inclusion(&self, index: u64, path: &[Hash]) -> Vec<u8> {
        self.receipt(INCLUSION_BYTE, self.size, index, path)
    }

    /// The receipt that this tree extends the one of `old` leaves.
    ///
    /// # Errors
    ///
    /// [`Error::Merkle`] unless `1 <= old < size`.
    pub fn consistency(&self, old: u64, path: &[Hash]) -> Result<Vec<u8>, Error> {
        if old == 0 || old >= self.size {
            return Err(merkle::Error::Sizes { old, new: self.size }.into());
        }
        Ok(self.receipt(CONSISTENCY_BYTE, old, self.size, path))
    }

    fn receipt(&self, kind: u8, first: u64, second: u64, path: &[Hash]) -> Vec<u8> {
        let proof = Writer::with_capacity(24 + path.len() * 34).array(3).uint(first).uint(second);
        let proof = path.iter().fold(proof.array(path.len()), |proof, hash| proof.bytes(hash)).finish();
        Writer::with_capacity(self.protected.len() + proof.len() + 96)
            .tag(18)
            .array(4)
            .bytes(&self.protected)
            .map(1)
            .uint(VDP)
            .map(1)
            .item(&[kind])
            .array(1)
            .bytes(&proof)
            .null()
            .bytes(&self.signature)
            .finish()
    }
}

/// Verifies that `entry` is in the log `origin`, as `key` signed.
///
/// # Errors
///
/// Every variant but [`Error::OldSize`].
///
/// Source: RFC 9942 section 4.3; RFC 9162 section 2.1.3.2
pub fn verify_inclusion(
    receipt: &[u8],
    entry: &[u8],
    key: &PublicKey,
    origin: &str,
) -> Result<Verified, Error> {
    let receipt = Receipt::parse(receipt, INCLUSION, origin)?;
    let Proof { first: size, second: index, path } = &receipt.proof;
    receipt.check_size(*size)?;
    let root = merkle::root_from_inclusion(&hash::leaf(entry), *index, *size, path)?;
    receipt.cose.verify_detached(&root, key)?;
    Ok(Verified { size: *size, index: *index, root })
}

/// Verifies that the log `origin`, as `key` signed, extends the tree the verifier
/// knows: `old` leaves with `old_root`, from a checkpoint it checked itself.
///
/// # Errors
///
/// Every variant.
///
/// Source: RFC 9942 section 4.4; RFC 9162 section 2.1.4.2
pub fn verify_consistency(
    receipt: &[u8],
    key: &PublicKey,
    origin: &str,
    old: u64,
    old_root: &Hash,
) -> Result<Extended, Error> {
    let receipt = Receipt::parse(receipt, CONSISTENCY, origin)?;
    let Proof { first, second: size, path } = &receipt.proof;
    receipt.check_size(*size)?;
    if *first != old {
        return Err(Error::OldSize { proof: *first, expected: old });
    }
    let root = merkle::root_from_consistency(old, *size, old_root, path)?;
    receipt.cose.verify_detached(&root, key)?;
    Ok(Extended { old, size: *size, root })
}

struct Proof {
    first: u64,
    second: u64,
    path: Vec<Hash>,
}

struct Receipt {
    cose: cose::Sign1,
    size: u64,
    proof: Proof,
}

impl Receipt {
    /// Parses a receipt of one kind and checks everything but root and signature.
    fn parse(bytes: &[u8], kind: i64, origin: &str) -> Result<Self, Error> {
        let Raw { sign1, header, unprotected } = Raw::parse(bytes)?;
        if sign1.typ != cose::RECEIPT {
            return Err(cose::Error::Typ { expected: cose::RECEIPT }.into());
        }
        if sign1.payload.is_some() {
            return Err(cose::Error::Payload.into());
        }
        // Sorted by the gate: claims, typ, vds and nothing else.
        let [(Label::Int(CLAIMS), claims), (Label::Int(cose::TYP), _), (Label::Int(VDS), vds)] =
            header.rest.as_slice()
        else {
            return Err(cose::Error::Header { label: VDS }.into());
        };
        if *vds != Value::from(RFC9162_SHA256) {
            return Err(cose::Error::Header { label: VDS }.into());
        }
        let (signed_origin, size) = claims_of(claims).ok_or(cose::Error::Header { label: CLAIMS })?;
        if signed_origin != origin {
            return Err(Error::Origin { expected: origin.to_owned() });
        }
        if size < 2 {
            return Err(Error::TooSmall { size });
        }
        let bare = coset::Header { rest: unprotected.rest.clone(), ..coset::Header::default() };
        let proof = proof_in(&unprotected.rest, kind).filter(|_| bare == unprotected);
        let proof = parse_proof(proof.ok_or(cose::Error::Unprotected)?)?;
        Ok(Self { cose: sign1, size, proof })
    }

    fn check_size(&self, proof: u64) -> Result<(), Error> {
        if proof == self.size { Ok(()) } else { Err(Error::Size { proof, signed: self.size }) }
    }
}

/// Origin and size from exactly `{1: origin, 2: SUBJECT, "size": n}`.
fn claims_of(claims: &Value) -> Option<(&str, u64)> {
    let [(one, origin), (two, subject), (name, size)] = claims.as_map()?.as_slice() else { return None };
    let labels = *one == Value::from(1) && *two == Value::from(2) && *name == Value::from("size");
    if !labels || subject.as_text() != Some(SUBJECT) {
        return None;
    }
    Some((origin.as_text()?, u64::try_from(size.as_integer()?).ok()?))
}

/// The one proof in exactly `{396: {kind: [bstr]}}`.
fn proof_in(rest: &[(Label, Value)], kind: i64) -> Option<&[u8]> {
    let [(Label::Int(VDP_LABEL), proofs)] = rest else { return None };
    let [(label, list)] = proofs.as_map()?.as_slice() else { return None };
    let [proof] = list.as_array()?.as_slice() else { return None };
    if *label == Value::from(kind) { proof.as_bytes().map(Vec::as_slice) } else { None }
}

/// `[first, second, [*path]]`.
fn parse_proof(bytes: &[u8]) -> Result<Proof, cbor::Error> {
    let mut reader = Reader::new(bytes)?;
    reader.array_of(3, "a proof of 3 members")?;
    let (first, second) = (reader.uint()?, reader.uint()?);
    let at = reader.at();
    let length = reader.array()?;
    if length > MAX_PATH {
        return Err(cbor::Error::Unexpected { at, expected: "a path of at most 65 hashes" });
    }
    let path = (0..length).map(|_| reader.hash()).collect::<Result<_, _>>()?;
    reader.end()?;
    Ok(Proof { first, second, path })
}

/// CWT claims (RFC 9597).
const CLAIMS: i64 = 15;
/// Verifiable data structure (RFC 9942).
const VDS: i64 = 395;
const RFC9162_SHA256: i64 = 1;
/// Verifiable data structure proofs (RFC 9942).
const VDP: u64 = 396;
const VDP_LABEL: i64 = 396;
const INCLUSION: i64 = -1;
const INCLUSION_BYTE: u8 = 0x20;
const CONSISTENCY: i64 = -2;
const CONSISTENCY_BYTE: u8 = 0x21;
