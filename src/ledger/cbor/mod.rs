//! Deterministic CBOR: the gate, the only door to `serde_cbor`, and a small
//! reader and writer for Naru's own arrays.
//!
//! The gate admits exactly one encoding of a value (RFC 8949 section 4.2.1) of
//! the subset that Naru uses: integers, byte and text strings, arrays, maps,
//! `false`, `true`, `null`, and tag 18 around the outermost item. It lacks, on
//! purpose, floats, `undefined`, other simple values, other tags and indefinite
//! lengths: nothing of ours needs them, and each is a second spelling.
//!
//! `serde_cbor` is archived (RUSTSEC-2021-0127): it never sees a byte that has
//! not passed the gate. Nothing given to this module is trusted; work and memory
//! are bounded by the length of the input.

use serde::{Deserialize, Serialize};
use serde_cbor::Deserializer;
use serde_cbor::de::SliceRead;

mod gate;
mod wire;

pub use gate::{MAX_DEPTH, gate, split_first};
pub use wire::{Reader, Writer};

use gate::{Tags, scan_all};

/// Why bytes are not an admitted encoding, or not of the expected shape.
///
/// `at` is the offset of the offending byte (of the item's head, where an item
/// as a whole offends).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input ends inside an item.
    #[error("cbor ends inside an item at byte {at}")]
    Truncated {
        /// Offset.
        at: usize,
    },
    /// Bytes follow the item.
    #[error("bytes after the cbor item at byte {at}")]
    Trailing {
        /// Offset.
        at: usize,
    },
    /// An indefinite length, or a break without one.
    #[error("indefinite length at byte {at}")]
    Indefinite {
        /// Offset.
        at: usize,
    },
    /// A head longer than its value needs.
    #[error("head not in shortest form at byte {at}")]
    NotShortest {
        /// Offset.
        at: usize,
    },
    /// A head with reserved additional information (28 to 30).
    #[error("reserved head at byte {at}")]
    Reserved {
        /// Offset.
        at: usize,
    },
    /// A floating-point number.
    #[error("floating-point number at byte {at}")]
    Float {
        /// Offset.
        at: usize,
    },
    /// A simple value other than `false`, `true`, `null`.
    #[error("simple value not admitted at byte {at}")]
    Simple {
        /// Offset.
        at: usize,
    },
    /// A tag that is not admitted here.
    #[error("tag {tag} not admitted at byte {at}")]
    Tag {
        /// Offset.
        at: usize,
        /// The tag.
        tag: u64,
    },
    /// More than [`MAX_DEPTH`] containers inside each other.
    #[error("nested deeper than {MAX_DEPTH} at byte {at}")]
    TooDeep {
        /// Offset.
        at: usize,
    },
    /// A map key smaller than the one before it.
    #[error("map keys not sorted at byte {at}")]
    UnsortedKeys {
        /// Offset.
        at: usize,
    },
    /// A map key equal to the one before it.
    #[error("duplicate map key at byte {at}")]
    DuplicateKey {
        /// Offset.
        at: usize,
    },
    /// A text string that is not UTF-8.
    #[error("text is not utf-8 at byte {at}")]
    Utf8 {
        /// Offset.
        at: usize,
    },
    /// An item of another kind or size than the format has at this place.
    #[error("expected {expected} at byte {at}")]
    Unexpected {
        /// Offset.
        at: usize,
        /// What the format has there.
        expected: &'static str,
    },
    /// Admitted bytes, but not of the expected shape (`serde_cbor` says why).
    #[error("not the expected shape: {0}")]
    Shape(#[from] serde_cbor::Error),
    /// Bytes that decode, but are not what the decoded value encodes to.
    #[error("not the one encoding of its value")]
    NotExact,
}

/// Encodes a value deterministically: map keys sorted, shortest heads.
///
/// # Errors
///
/// What the gate would refuse in the result (floats, duplicate keys, depth), and
/// values `serde_cbor` cannot write.
///
/// # Example
///
/// ```
/// use naru::ledger::cbor;
/// let map = std::collections::BTreeMap::from([("bb", 1), ("a", 2)]);
/// assert_eq!(cbor::encode(&map).unwrap(), b"\xa2\x61a\x02\x62bb\x01");
/// ```
///
/// Source: RFC 8949 section 4.2.1
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut raw = Vec::with_capacity(512);
    let mut serializer = serde_cbor::Serializer::new(serde_cbor::ser::IoWrite::new(&mut raw));
    value.serialize(&mut serializer)?;
    if scan_all(&raw, Tags::Refuse).is_ok() {
        return Ok(raw);
    }
    let sorted = gate::canonical(&raw)?;
    scan_all(&sorted, Tags::Refuse)?;
    Ok(sorted)
}

/// Whether `bytes`, which have passed the gate, are what [`encode`] makes of the value.
///
/// # Errors
///
/// As [`encode`].
pub fn encodes_to<T: Serialize + ?Sized>(value: &T, bytes: &[u8]) -> Result<bool, Error> {
    let mut rest = Expected(bytes);
    let mut serializer = serde_cbor::Serializer::new(serde_cbor::ser::IoWrite::new(&mut rest));
    if value.serialize(&mut serializer).is_ok() && rest.0.is_empty() {
        return Ok(true);
    }
    // Fields out of order: sorted, it may still be equal.
    Ok(encode(value)? == bytes)
}

/// Takes only the bytes it expects: comparing costs no copy.
struct Expected<'a>(&'a [u8]);

impl std::io::Write for Expected<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Decodes one item: the gate first, then `serde_cbor`.
///
/// Tags are refused, and unsigned integers as map keys: `serde_cbor` would take
/// them for the numbers of a struct's fields.
///
/// `serde` itself is lenient in ways the gate cannot see (unknown fields, a
/// struct written as an array, bytes written as an array of numbers): where a
/// second spelling matters, use [`decode_exact`].
///
/// # Errors
///
/// The gate's, and [`Error::Shape`].
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    decode_as(bytes, |deserializer| T::deserialize(deserializer))
}

/// Decodes one item and refuses bytes the value would not be encoded to.
///
/// # Errors
///
/// As [`decode`], and [`Error::NotExact`].
pub fn decode_exact<'a, T: Deserialize<'a> + Serialize>(bytes: &'a [u8]) -> Result<T, Error> {
    let value: T = decode(bytes)?;
    if encodes_to(&value, bytes)? { Ok(value) } else { Err(Error::NotExact) }
}

/// Drives a decode by hand after the gate, for custom visitors and seeds.
///
/// # Errors
///
/// The gate's, what `f` answers, and bytes `f` has left.
pub fn decode_as<'a, R>(
    bytes: &'a [u8],
    f: impl FnOnce(&mut Deserializer<SliceRead<'a>>) -> Result<R, serde_cbor::Error>,
) -> Result<R, Error> {
    scan_all(bytes, Tags::Refuse)?;
    let mut deserializer = Deserializer::from_slice(bytes).disable_packed_format().disable_legacy_enums();
    let value = f(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

#[cfg(test)]
mod tests;
