//! Entries: what the tree holds.
//!
//! Shape, `t` in milliseconds rounded down to the log's grain:
//!
//! ```text
//! [1, t, 0, bstr .cbor COSE_Sign1]   public: the signed item itself
//! [1, t, 1, commitment]              sealed: 32 bytes, which need an opening
//! ```
//!
//! Lacks any idea of who may write what. A sealed entry says nothing until
//! somebody brings the openings; then [`commitment`] decides.

use crate::ledger::cbor;
use crate::ledger::cbor::{Reader, Writer};
use crate::ledger::hash;

/// Largest entry: the bundle's length prefix has 16 bits.
pub const MAX_ENTRY: usize = 65_535;

/// Why bytes are no entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not admitted CBOR, or another shape.
    #[error(transparent)]
    Cbor(#[from] cbor::Error),
    /// Longer than [`MAX_ENTRY`].
    #[error("entry has {length} bytes, more than {MAX_ENTRY}")]
    Length {
        /// Its length.
        length: usize,
    },
}

/// One leaf of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A signed item for everybody to read.
    Public {
        /// Commit time, rounded down.
        t: u64,
        /// A tagged `COSE_Sign1`, as received.
        item: Vec<u8>,
    },
    /// A commitment to a statement and its proof.
    Sealed {
        /// Commit time, rounded down.
        t: u64,
        /// See [`commitment`].
        commitment: [u8; 32],
    },
}

impl Entry {
    /// Commit time in milliseconds, rounded down to the grain.
    #[must_use]
    pub fn t(&self) -> u64 {
        match self {
            Self::Public { t, .. } | Self::Sealed { t, .. } => *t,
        }
    }

    /// Encodes the entry.
    ///
    /// # Errors
    ///
    /// [`Error::Length`]; [`Error::Cbor`] if a public item is not one tagged
    /// `COSE_Sign1` in deterministic encoding: [`Self::parse`] would refuse it.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let bytes = match self {
            Self::Public { t, item } => {
                tagged(item)?;
                Writer::with_capacity(item.len() + 16).array(4).uint(1).uint(*t).uint(0).bytes(item).finish()
            }
            Self::Sealed { t, commitment } => {
                Writer::with_capacity(48).array(4).uint(1).uint(*t).uint(1).bytes(commitment).finish()
            }
        };
        bounded(&bytes)?;
        Ok(bytes)
    }

    /// Parses an entry: the exact inverse of [`Self::encode`].
    ///
    /// # Errors
    ///
    /// [`Error::Length`], [`Error::Cbor`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        bounded(bytes)?;
        let mut reader = Reader::new(bytes)?;
        reader.array_of(4, "an entry of 4 members")?;
        let at = reader.at();
        if reader.uint()? != 1 {
            return Err(cbor::Error::Unexpected { at, expected: "entry version 1" }.into());
        }
        let t = reader.uint()?;
        let at = reader.at();
        let entry = match reader.uint()? {
            0 => {
                let item = reader.bytes()?;
                tagged(item)?;
                Self::Public { t, item: item.to_vec() }
            }
            1 => Self::Sealed { t, commitment: reader.hash()? },
            _ => return Err(cbor::Error::Unexpected { at, expected: "entry kind 0 or 1" }.into()),
        };
        reader.end()?;
        Ok(entry)
    }
}

/// The commitment of a sealed entry:
/// `SHA-256("naru-commit/v1" ‖ 0 ‖ at ‖ h1 ‖ h2)`, `at` as 8 bytes big-endian.
///
/// `h1` = HMAC(k₁, statement), `h2` = HMAC(k₂, proof): see [`opening`]. Each half
/// is shown without the other.
#[must_use]
pub fn commitment(at: u64, h1: &[u8; 32], h2: &[u8; 32]) -> [u8; 32] {
    hash::sha256(&[b"naru-commit/v1", &[0], &at.to_be_bytes(), h1, h2])
}

/// One half of a commitment: HMAC-SHA-256 of a statement or a proof under a key
/// of exactly 32 bytes (a shorter one and its zero-padded form would be equal).
#[must_use]
pub fn opening(key: &[u8; 32], half: &[u8]) -> [u8; 32] {
    hash::hmac(key, &[half])
}

/// The id of a statement:
/// `SHA-256("naru-id/v1" ‖ 0 ‖ SHA-256(SPKI) ‖ SHA-256(statement))`.
///
/// Over statement and signer, never over the signature, which is malleable.
#[must_use]
pub fn statement_id(spki_hash: &[u8; 32], statement: &[u8]) -> [u8; 32] {
    hash::sha256(&[b"naru-id/v1", &[0], spki_hash, &hash::sha256(&[statement])])
}

fn bounded(bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > MAX_ENTRY { Err(Error::Length { length: bytes.len() }) } else { Ok(()) }
}

fn tagged(item: &[u8]) -> Result<(), cbor::Error> {
    Reader::new(item)?.tag(18, "a tagged cose_sign1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::cose;
    use crate::ledger::key::Ed25519Signer;

    fn item(payload: &[u8]) -> Vec<u8> {
        cose::sign_statement(&Ed25519Signer::from_seed([1; 32]), payload).unwrap()
    }

    #[test]
    fn both_kinds_survive_their_bytes() {
        let public = Entry::Public { t: 1_760_000_000_000, item: item(b"s") };
        let sealed = Entry::Sealed { t: 0, commitment: [7; 32] };
        for entry in [public, sealed] {
            let bytes = entry.encode().unwrap();
            assert_eq!(Entry::parse(&bytes).unwrap(), entry);
            for cut in 0..bytes.len() {
                assert!(Entry::parse(&bytes[..cut]).is_err());
            }
        }
        assert_eq!(
            Entry::Sealed { t: 5, commitment: [7; 32] }.encode().unwrap()[..6],
            *b"\x84\x01\x05\x01\x58\x20"
        );
    }

    #[test]
    fn other_shapes_are_refused() {
        let write = |count, version, kind, body: &[u8]| {
            Writer::new().array(count).uint(version).uint(5).uint(kind).item(body).finish()
        };
        let hash = Writer::new().bytes(&[7; 32]).finish();
        Entry::parse(&write(4, 1, 1, &hash)).unwrap();
        assert!(Entry::parse(&write(4, 2, 1, &hash)).is_err());
        assert!(Entry::parse(&write(4, 1, 2, &hash)).is_err());
        assert!(Entry::parse(&write(4, 1, 0, &hash)).is_err());
        assert!(Entry::parse(&write(4, 1, 1, b"\x41a")).is_err());
        assert!(Entry::parse(&write(4, 1, 1, b"\xf6")).is_err());
        let untagged = Writer::new().bytes(&item(b"s")[1..]).finish();
        assert!(Entry::parse(&write(4, 1, 0, &untagged)).is_err());
        assert!(Entry::Public { t: 0, item: item(b"s")[1..].to_vec() }.encode().is_err());
    }

    #[test]
    fn an_entry_has_at_most_65535_bytes() {
        let around = Entry::Public { t: 0, item: item(&[0; 60_000]) }.encode().unwrap().len() - 60_000;
        let largest = Entry::Public { t: 0, item: item(&vec![0; MAX_ENTRY - around]) };
        assert_eq!(largest.encode().unwrap().len(), MAX_ENTRY);
        let larger = Entry::Public { t: 0, item: item(&vec![0; MAX_ENTRY - around + 1]) };
        assert!(matches!(larger.encode(), Err(Error::Length { length: 65_536 })));
        assert!(matches!(Entry::parse(&[0; 65_536]), Err(Error::Length { .. })));
    }

    #[test]
    fn commitment_and_id_bind_each_part() {
        let good = commitment(1, &[2; 32], &[3; 32]);
        for other in [commitment(2, &[2; 32], &[3; 32]), commitment(1, &[3; 32], &[2; 32])] {
            assert_ne!(good, other);
        }
        let by_hand = hash::sha256(&[b"naru-commit/v1\0\0\0\0\0\0\0\0\x01", &[2; 32], &[3; 32]]);
        assert_eq!(good, by_hand);
        let id = statement_id(&[1; 32], b"s");
        assert_eq!(id, hash::sha256(&[b"naru-id/v1\0", &[1; 32], &hash::sha256(&[b"s"])]));
        assert_ne!(id, statement_id(&[2; 32], b"s"));
    }
}
