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
use crate::ledger::chain::LogKeys;
use crate::ledger::cose;
use crate::ledger::cose::Raw;
use crate::ledger::hash;
use crate::ledger::hash::Hash;
use crate::ledger::key::Signer;
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

/// Verifies that `entry` is in the log `origin`, as one of its keys signed that may speak of that size.
///
/// # Errors
///
/// Every variant but [`Error::OldSize`].
///
/// Source: RFC 9942 section 4.3; RFC 9162 section 2.1.3.2
pub fn verify_inclusion(
    receipt: &[u8],
    entry: &[u8],
    keys: &dyn LogKeys,
    origin: &str,
) -> Result<Verified, Error> {
    let receipt = Receipt::parse(receipt, INCLUSION, origin)?;
    let Proof { first: size, second: index, path } = &receipt.proof;
    receipt.check_size(*size)?;
    let root = merkle::root_from_inclusion(&hash::leaf(entry), *index, *size, path)?;
    receipt.verify(&root, keys)?;
    Ok(Verified { size: *size, index: *index, root })
}

/// Verifies that the log `origin`, as one of its keys signed, extends the tree the verifier
/// knows: `old` leaves with `old_root`, from a checkpoint it checked itself.
///
/// # Errors
///
/// Every variant.
///
/// Source: RFC 9942 section 4.4; RFC 9162 section 2.1.4.2
pub fn verify_consistency(
    receipt: &[u8],
    keys: &dyn LogKeys,
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
    receipt.verify(&root, keys)?;
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
    /// The signature, by the key it names, if that may speak of the size.
    fn verify(&self, root: &Hash, keys: &dyn LogKeys) -> Result<(), Error> {
        let key = keys.named(&self.cose.kid, self.size).ok_or(cose::Error::Kid)?;
        Ok(self.cose.verify_detached(root, key)?)
    }

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
        if sign1.kid.len() != 32 {
            return Err(cose::Error::Kid.into());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::key::Ed25519Signer;
    use crate::ledger::merkle::{List, root};

    const ORIGIN: &str = "log.example/1";

    fn entries(count: u8) -> Vec<Vec<u8>> {
        (0..count).map(|byte| vec![byte; 9]).collect()
    }

    fn leaves(entries: &[Vec<u8>]) -> Vec<Hash> {
        entries.iter().map(|entry| hash::leaf(entry)).collect()
    }

    fn signed(count: u8) -> (Ed25519Signer, Vec<Vec<u8>>, List, CheckpointSignature) {
        let signer = Ed25519Signer::from_seed([5; 32]);
        let entries = entries(count);
        let list = List::new(&leaves(&entries));
        let signature = CheckpointSignature::new(&signer, ORIGIN, count.into(), list.root()).unwrap();
        (signer, entries, list, signature)
    }

    #[test]
    fn one_signature_serves_every_receipt() {
        let (signer, entries, list, signature) = signed(11);
        for (index, entry) in entries.iter().enumerate() {
            let receipt = signature.inclusion(index as u64, &list.path(index).unwrap());
            let proven = verify_inclusion(&receipt, entry, signer.public(), ORIGIN).unwrap();
            assert_eq!(proven, Verified { size: 11, index: index as u64, root: list.root() });
            assert!(verify_inclusion(&receipt, b"other", signer.public(), ORIGIN).is_err());
            for at in 0..receipt.len() {
                let mut other = receipt.clone();
                other[at] ^= 1;
                assert!(verify_inclusion(&other, entry, signer.public(), ORIGIN).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn size_origin_and_key_are_bound() {
        let (signer, entries, list, signature) = signed(8);
        let key = signer.public();
        let path = list.path(5).unwrap();
        // RFC 9942 alone would take the proof of leaf 5 under size 7 as well.
        let relabelled = CheckpointSignature { size: 7, ..signature.clone() }.inclusion(5, &path);
        let error = verify_inclusion(&relabelled, &entries[5], key, ORIGIN).unwrap_err();
        assert!(matches!(error, Error::Size { proof: 7, signed: 8 }), "{error}");
        let receipt = signature.inclusion(5, &path);
        let error = verify_inclusion(&receipt, &entries[5], key, "log.example/2").unwrap_err();
        assert!(matches!(error, Error::Origin { .. }));
        let other = Ed25519Signer::from_seed([6; 32]);
        assert!(verify_inclusion(&receipt, &entries[5], other.public(), ORIGIN).is_err());
        let foreign = CheckpointSignature::new(&signer, "log.example/2", 8, list.root()).unwrap();
        assert!(verify_inclusion(&foreign.inclusion(5, &path), &entries[5], key, ORIGIN).is_err());
    }

    #[test]
    fn consistency_starts_from_the_root_the_verifier_brought() {
        let (signer, entries, list, signature) = signed(8);
        let key = signer.public();
        let all = leaves(&entries);
        // 6 of 8: [MTH(4,6), MTH(6,8), MTH(0,4)].
        let path = [root(&all[4..6]), root(&all[6..8]), root(&all[..4])];
        let receipt = signature.consistency(6, &path).unwrap();
        let old_root = root(&all[..6]);
        let proven = verify_consistency(&receipt, key, ORIGIN, 6, &old_root).unwrap();
        assert_eq!(proven, Extended { old: 6, size: 8, root: list.root() });
        assert!(verify_consistency(&receipt, key, ORIGIN, 6, &root(&all[..5])).is_err());
        assert!(matches!(
            verify_consistency(&receipt, key, ORIGIN, 5, &old_root),
            Err(Error::OldSize { proof: 6, expected: 5 })
        ));
        for at in 0..receipt.len() {
            let mut other = receipt.clone();
            other[at] ^= 1;
            assert!(verify_consistency(&other, key, ORIGIN, 6, &old_root).is_err(), "byte {at}");
        }
        // The two kinds are never taken for each other.
        assert!(verify_inclusion(&receipt, &entries[6], key, ORIGIN).is_err());
        let inclusion = signature.inclusion(6, &list.path(6).unwrap());
        assert!(verify_consistency(&inclusion, key, ORIGIN, 6, &old_root).is_err());
    }

    #[test]
    fn none_where_there_is_nothing_to_prove() {
        let (signer, .., signature) = signed(8);
        for size in [0, 1] {
            assert!(matches!(
                CheckpointSignature::new(&signer, ORIGIN, size, [0; 32]),
                Err(Error::TooSmall { .. })
            ));
        }
        for old in [0, 8, 9] {
            assert!(signature.consistency(old, &[]).is_err());
        }
    }

    #[test]
    fn nothing_else_may_stand_in_a_receipt() {
        let (signer, entries, list, signature) = signed(8);
        let path = list.path(5).unwrap();
        let good = signature.inclusion(5, &path);
        let rebuild = |protected: &[u8], unprotected: &[u8], payload: &[u8]| {
            let bytes = cose::sign_detached(&signer, protected, &list.root()).unwrap();
            let writer = Writer::new().tag(18).array(4).bytes(protected).item(unprotected);
            writer.item(payload).bytes(&bytes).finish()
        };
        let refused = |bytes: &[u8]| verify_inclusion(bytes, &entries[5], signer.public(), ORIGIN).is_err();
        let proof =
            path.iter().fold(Writer::new().array(3).uint(8).uint(5).array(3), |out, hash| out.bytes(hash));
        let proof = Writer::new().bytes(&proof.finish()).finish();
        let one =
            |label: &[u8]| Writer::new().map(1).uint(396).map(1).item(label).array(1).item(&proof).finish();
        assert_eq!(rebuild(&signature.protected, &one(b"\x20"), b"\xf6"), good);
        assert!(refused(&rebuild(&signature.protected, &one(b"\x20"), b"\x41a")), "payload");
        assert!(refused(&rebuild(&signature.protected, &one(b"\x21"), b"\xf6")), "other kind");
        assert!(refused(&rebuild(&signature.protected, b"\xa0", b"\xf6")), "no proof");
        let two =
            Writer::new().map(1).uint(396).map(1).item(b"\x20").array(2).item(&proof).item(&proof).finish();
        assert!(refused(&rebuild(&signature.protected, &two, b"\xf6")), "two proofs");
        let more = Writer::new().map(2).uint(4).bytes(b"k").item(&one(b"\x20")[1..]).finish();
        assert!(refused(&rebuild(&signature.protected, &more, b"\xf6")), "kid in the unprotected header");
        let public = signer.public();
        let header = |sub: &str, vds: u64, kid: &[u8], extra: bool| {
            let mut claims =
                vec![(1.into(), ORIGIN.into()), (2.into(), sub.into()), ("size".into(), 8.into())];
            if extra {
                claims.insert(2, (3.into(), "aud".into()));
            }
            let header = cose::header(public.alg(), kid).value(CLAIMS, Value::Map(claims));
            let header = header.value(cose::TYP, Value::from(cose::RECEIPT)).value(VDS, Value::from(vds));
            rebuild(&cose::protected(header).unwrap(), &one(b"\x20"), b"\xf6")
        };
        assert_eq!(header(SUBJECT, 1, &public.hash(), false), good);
        assert!(refused(&header("other", 1, &public.hash(), false)));
        assert!(refused(&header(SUBJECT, 2, &public.hash(), false)));
        assert!(refused(&header(SUBJECT, 1, public.spki(), false)));
        assert!(refused(&header(SUBJECT, 1, &[0; 32], false)));
        assert!(refused(&header(SUBJECT, 1, &public.hash(), true)));
    }
}
