//! Evidence of one decision: the use line, opened, under a batch that the log holds.
//!
//! ```text
//! asker:  v, k, line, path, batch, sides
//! person: v, k, line, path, batch, exact, sides, k-exact
//! ```
//! The line says what was asked and told; `HMAC(k, line)` is a leaf; `path` and
//! `sides` lead to the root that the `use.batch` statement in `batch` (public
//! evidence: entry, receipt, checkpoint) signs. So it *is* the signed decision. It
//! proves that the line was there, not that none is missing. Whether the signer is
//! the log's operator, genesis says: the verifier names the key. Lacks network and
//! keys of persons; nothing handed in is trusted but log key and origin.
//!
//! Source: design section 6; `schemas/naru.cddl`, `decision-evidence`.

use serde::Deserialize;
use serde::Serialize;
use serde_bytes::ByteArray;
use serde_bytes::ByteBuf;

use crate::identity;
use crate::ledger::cbor;
use crate::ledger::chain::LogKeys;
use crate::ledger::evidence;
use crate::ledger::hash;
use crate::ledger::merkle;
use crate::model::id::KeyHash;
use crate::model::statement::Statement;
use crate::model::statement::UseBatch;
use crate::model::statement::V1;
use crate::model::use_line::Exact;
use crate::model::use_line::UseLine;

/// Why evidence of a decision proves nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not admitted CBOR, or another shape.
    #[error(transparent)]
    Cbor(#[from] cbor::Error),
    /// The batch's own evidence does not hold.
    #[error("the batch: {0}")]
    Batch(#[from] evidence::Error),
    /// The batch's signature does not hold.
    #[error("the batch: {0}")]
    Signature(#[from] identity::Error),
    /// The entry is another statement.
    #[error("the entry is no use batch")]
    NoBatch,
    /// The line was not written within the batch's interval, or before it was decided.
    #[error("the line's time {t} is not within the batch")]
    Time {
        /// Of the line.
        t: u64,
    },
    /// The path is malformed.
    #[error(transparent)]
    Merkle(#[from] merkle::Error),
    /// The line is not under the root.
    #[error("the line does not lead to the batch's root")]
    Root,
    /// One half of the exact reason without the other, or not the one the line holds.
    #[error("the exact reason is not the one the line holds")]
    Exact,
}

/// Evidence of one decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Opens the line.
    pub k: ByteArray<32>,
    /// Format version.
    pub v: V1,
    /// The line's bytes.
    pub line: ByteBuf,
    /// Siblings from the leaf to the root.
    pub path: Vec<ByteArray<32>>,
    /// Public evidence of the `use.batch` statement.
    pub batch: ByteBuf,
    /// Bytes of the exact reason: the person's form alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<ByteBuf>,
    /// Bit `i` is set if sibling `i` stands on the left.
    pub sides: u64,
    /// Opens the exact reason.
    #[serde(rename = "k-exact", default, skip_serializing_if = "Option::is_none")]
    pub k_exact: Option<ByteArray<32>>,
}

/// What evidence of a decision has proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The line: what was asked and told.
    pub line: UseLine,
    /// What was decided, where the form has it.
    pub exact: Option<Exact>,
    /// The batch it stands in.
    pub batch: UseBatch,
    /// Who signed the batch: compare with the operator's key in genesis.
    pub signer: KeyHash,
    /// The batch's place in the log.
    pub opened: evidence::Opened,
}

/// A batch that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batched {
    /// What its statement says.
    pub batch: UseBatch,
    /// Who signed it: compare with the operator's key in genesis.
    pub signer: KeyHash,
    /// Its place in the log.
    pub opened: evidence::Opened,
}

/// The leaf of a line: RFC 9162 over its HMAC.
#[must_use]
pub fn leaf(k: &[u8; 32], line: &[u8]) -> [u8; 32] {
    hash::leaf(&hash::hmac(k, &[line]))
}

impl Evidence {
    /// Parses evidence: the exact inverse of [`Self::encode`].
    ///
    /// # Errors
    /// [`Error::Cbor`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Ok(cbor::decode_exact(bytes)?)
    }

    /// Encodes the evidence.
    ///
    /// # Errors
    /// [`Error::Cbor`].
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        Ok(cbor::encode(self)?)
    }

    /// Verifies everything: line, path, batch, receipt, signature of the batch.
    ///
    /// # Errors
    /// Every variant.
    pub fn verify(&self, log: &dyn LogKeys, origin: &str, grain_ms: Option<u64>) -> Result<Proven, Error> {
        let under = self.batch(log, origin, grain_ms)?;
        let (line, exact) = self.verify_under(&under)?;
        let Batched { batch, signer, opened } = under;
        Ok(Proven { line, exact, batch, signer, opened })
    }

    /// Verifies the batch alone: many lines stand under one.
    ///
    /// # Errors
    /// Those of the batch.
    pub fn batch(&self, log: &dyn LogKeys, origin: &str, grain_ms: Option<u64>) -> Result<Batched, Error> {
        let opened = evidence::Evidence::parse(&self.batch)?.verify(log, origin, grain_ms)?;
        let item = opened.item.as_deref().ok_or(Error::NoBatch)?;
        let verified = identity::open(item)?;
        let Statement::UseBatch(batch) = verified.value() else { return Err(Error::NoBatch) };
        Ok(Batched { batch: batch.as_ref().clone(), signer: verified.signer(), opened })
    }

    /// Verifies the line under a batch that was verified, and is the one in `batch`: the caller sees to that.
    ///
    /// # Errors
    /// Those of the line.
    pub fn verify_under(&self, under: &Batched) -> Result<(UseLine, Option<Exact>), Error> {
        let batch = &under.batch;
        let line: UseLine = cbor::decode_exact(&self.line)?;
        if line.t < batch.from || line.t >= batch.until || line.at > line.t {
            return Err(Error::Time { t: line.t.0 });
        }
        let path: Vec<_> = self.path.iter().map(|hash| hash.into_array()).collect();
        let root = merkle::root_from_sides(&leaf(&self.k, &self.line), self.sides, &path)?;
        if root != batch.root.0 {
            return Err(Error::Root);
        }
        let exact = match (&self.exact, &self.k_exact) {
            (None, None) => None,
            (Some(exact), Some(k)) => {
                if line.exact.map(|hash| hash.0) != Some(hash::hmac(k.as_slice(), &[exact])) {
                    return Err(Error::Exact);
                }
                Some(cbor::decode_exact(exact)?)
            }
            (Some(_), None) | (None, Some(_)) => return Err(Error::Exact),
        };
        Ok((line, exact))
    }
}
