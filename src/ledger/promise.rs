//! Promises: what the log owes for a 201, before any checkpoint covers the entry.
//!
//! A `COSE_Sign1` of the log key, typ `application/naru-promise+cbor`, kid
//! SHA-256(SPKI), over `{at, n, root, first, origin}`: `n` entries from `first`,
//! with `root` over these leaves alone. One signature serves a whole commit; each
//! entry adds its path. Lacks the tree: whether the promise was kept is the
//! business of whoever holds a later checkpoint.

use serde::{Deserialize, Serialize};

use crate::ledger::cbor;
use crate::ledger::chain::LogKeys;
use crate::ledger::cose;
use crate::ledger::hash;
use crate::ledger::hash::Hash;
use crate::ledger::key::Signer;
use crate::ledger::merkle;

/// Why a promise is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not admitted CBOR, or another shape.
    #[error(transparent)]
    Cbor(#[from] cbor::Error),
    /// Not the log's signed item.
    #[error(transparent)]
    Cose(#[from] cose::Error),
    /// The range of indices is empty or leaves 64 bits.
    #[error("promise of {n} entries from {first}")]
    Range {
        /// First index.
        first: u64,
        /// Number of entries.
        n: u64,
    },
    /// The index is not in the promise.
    #[error("index {index} is not promised")]
    Index {
        /// The index.
        index: u64,
    },
    /// The entry is not in the promise.
    #[error(transparent)]
    Merkle(#[from] merkle::Error),
}

/// One commit as the log owes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// Name of the log. The reader compares it with the one it expects.
    pub origin: String,
    /// Index of the first entry.
    pub first: u64,
    /// Number of entries, at least 1.
    pub n: u64,
    /// Commit time in milliseconds, exact.
    pub at: u64,
    /// RFC 9162 root over the leaves of this commit.
    #[serde(with = "serde_bytes")]
    pub root: Hash,
}

impl Promise {
    /// Signs the promise as the log.
    ///
    /// # Errors
    ///
    /// [`Error::Range`]; [`Error::Cose`] if the signer fails.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        self.check_range()?;
        let payload = cbor::encode(self)?;
        Ok(cose::sign(signer, cose::PROMISE, &signer.public().hash(), &payload)?)
    }

    /// Checks that `entry` is owed at `index`.
    ///
    /// # Errors
    ///
    /// [`Error::Index`], [`Error::Merkle`].
    pub fn verify_entry(&self, entry: &[u8], index: u64, path: &[Hash]) -> Result<(), Error> {
        let place = index.checked_sub(self.first).filter(|place| *place < self.n);
        let place = place.ok_or(Error::Index { index })?;
        Ok(merkle::verify_inclusion(&hash::leaf(entry), place, self.n, path, &self.root)?)
    }

    fn check_range(&self) -> Result<(), Error> {
        if self.n == 0 || self.first.checked_add(self.n).is_none() {
            return Err(Error::Range { first: self.first, n: self.n });
        }
        Ok(())
    }
}

/// Signs a promise; see [`Promise::sign`].
///
/// # Errors
///
/// As [`Promise::sign`].
pub fn sign(promise: &Promise, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
    promise.sign(signer)
}

/// Checks the log's signature and opens a promise.
///
/// # Errors
///
/// [`Error::Cose`], [`Error::Cbor`], [`Error::Range`].
pub fn open(bytes: &[u8], keys: &dyn LogKeys) -> Result<Promise, Error> {
    let item = cose::parse(bytes)?;
    if item.typ != cose::PROMISE {
        return Err(cose::Error::Typ { expected: cose::PROMISE }.into());
    }
    let payload = item.payload.as_deref().ok_or(cose::Error::Payload)?;
    let promise: Promise = cbor::decode_exact(payload)?;
    // At this point `first` is a claim: it chooses the keys under which the claim must hold.
    let key = keys.named(&item.kid, promise.first).ok_or(cose::Error::Kid)?;
    item.verify(key)?;
    promise.check_range()?;
    Ok(promise)
}

/// Checks that a promise covers an entry; see [`Promise::verify_entry`].
///
/// # Errors
///
/// As [`Promise::verify_entry`].
pub fn verify_entry(promise: &Promise, entry: &[u8], index: u64, path: &[Hash]) -> Result<(), Error> {
    promise.verify_entry(entry, index, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::key::Ed25519Signer;

    #[test]
    fn a_promise_covers_its_entries_and_no_other() {
        let signer = Ed25519Signer::from_seed([3; 32]);
        let entries: Vec<Vec<u8>> = (0..5u8).map(|byte| vec![byte; 4]).collect();
        let leaves: Vec<_> = entries.iter().map(|entry| hash::leaf(entry)).collect();
        let list = merkle::List::new(&leaves);
        let promise = Promise { origin: "o/1".into(), first: 10, n: 5, at: 7, root: list.root() };
        let opened = open(&promise.sign(&signer).unwrap(), signer.public()).unwrap();
        assert_eq!(opened, promise);
        for (place, entry) in entries.iter().enumerate() {
            let path = list.path(place).unwrap();
            opened.verify_entry(entry, 10 + place as u64, &path).unwrap();
            assert!(opened.verify_entry(entry, 9 + place as u64, &path).is_err());
            assert!(opened.verify_entry(b"other", 10 + place as u64, &path).is_err());
        }
        let stranger = Ed25519Signer::from_seed([4; 32]);
        assert!(open(&promise.sign(&stranger).unwrap(), signer.public()).is_err());
    }

    #[test]
    fn a_statement_is_no_promise() {
        let signer = Ed25519Signer::from_seed([3; 32]);
        let promise = Promise { origin: "o".into(), first: 0, n: 1, at: 7, root: [1; 32] };
        let payload = cbor::encode(&promise).unwrap();
        let key = signer.public();
        for (typ, kid) in [(cose::STATEMENT, key.hash().to_vec()), (cose::PROMISE, key.spki().to_vec())] {
            assert!(open(&cose::sign(&signer, typ, &kid, &payload).unwrap(), key).is_err());
        }
        for (first, n) in [(0, 0), (u64::MAX, 1)] {
            assert!(Promise { first, n, ..promise.clone() }.sign(&signer).is_err());
        }
    }
}
