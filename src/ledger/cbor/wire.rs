//! A reader and a writer for arrays whose shape is known, without `serde`.
//!
//! The reader lacks look-ahead on purpose, and of maps it knows those whose keys
//! are fixed: all others go through `serde`. Everything is read once, left to
//! right. Gate first, read then.

use super::Error;
use super::gate::{Head, head, string_end};

/// Appends a head in shortest form.
pub(super) fn put_head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    let bytes = argument.to_be_bytes();
    let (info, width) = match argument {
        0..=23 => {
            let [.., low] = bytes;
            out.push(major | low);
            return;
        }
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    out.push(major | info);
    out.extend(bytes.iter().skip(8 - width));
}

/// Writes deterministic CBOR, item by item.
///
/// # Example
///
/// ```
/// use naru::ledger::cbor::Writer;
/// let bytes = Writer::new().array(2).uint(1).bytes(b"ab").finish();
/// assert_eq!(bytes, b"\x82\x01\x42ab");
/// ```
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for `bytes` bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// A writer that goes on behind `out`: room that was there is used again.
    #[must_use]
    pub const fn behind(out: Vec<u8>) -> Self {
        Self(out)
    }

    /// Head of an array of `count` items, which the caller writes next.
    #[must_use]
    pub fn array(mut self, count: usize) -> Self {
        put_head(&mut self.0, 4, count as u64);
        self
    }

    /// Head of a map of `count` pairs, which the caller writes next, sorted.
    #[must_use]
    pub fn map(mut self, count: usize) -> Self {
        put_head(&mut self.0, 5, count as u64);
        self
    }

    /// A tag, around the item the caller writes next.
    #[must_use]
    pub fn tag(mut self, tag: u64) -> Self {
        put_head(&mut self.0, 6, tag);
        self
    }

    /// An unsigned integer.
    #[must_use]
    pub fn uint(mut self, value: u64) -> Self {
        put_head(&mut self.0, 0, value);
        self
    }

    /// A byte string.
    #[must_use]
    pub fn bytes(mut self, value: &[u8]) -> Self {
        put_head(&mut self.0, 2, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Head of a byte string of so many bytes, which the caller writes next.
    #[must_use]
    pub fn bytes_of(mut self, count: usize) -> Self {
        put_head(&mut self.0, 2, count as u64);
        self
    }

    /// A text string.
    #[must_use]
    pub fn text(mut self, value: &str) -> Self {
        put_head(&mut self.0, 3, value.len() as u64);
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    /// `null`.
    #[must_use]
    pub fn null(mut self) -> Self {
        self.0.push(0xf6);
        self
    }

    /// Bytes that are an encoded item already.
    #[must_use]
    pub fn item(mut self, encoded: &[u8]) -> Self {
        self.0.extend_from_slice(encoded);
        self
    }

    /// The bytes written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads gated CBOR of a known shape, left to right.
///
/// Each method refuses an item of another kind and leaves the reader where it was.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Gates `bytes` and reads them from the start.
    ///
    /// # Errors
    ///
    /// As [`super::gate()`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        super::gate(bytes)?;
        Ok(Self { bytes, at: 0 })
    }

    /// Reads bytes that have passed the gate.
    pub(in crate::ledger) const fn gated(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset of the next item.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Reads an array's head; answers its length.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`].
    pub fn array(&mut self) -> Result<u64, Error> {
        Ok(self.take(4, "an array")?.argument)
    }

    /// Reads the head of an array of exactly `count` items.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`].
    pub fn array_of(&mut self, count: u64, expected: &'static str) -> Result<(), Error> {
        let at = self.at;
        if self.array()? == count {
            return Ok(());
        }
        self.at = at;
        Err(Error::Unexpected { at, expected })
    }

    /// Reads the head of an empty map.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`].
    pub fn empty_map(&mut self) -> Result<(), Error> {
        self.map_of(0, "an empty map")
    }

    /// Reads a map's head; answers the number of its pairs.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`].
    pub fn map(&mut self) -> Result<u64, Error> {
        Ok(self.take(5, "a map")?.argument)
    }

    /// Reads the head of a map of exactly `count` pairs.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`].
    pub fn map_of(&mut self, count: u64, expected: &'static str) -> Result<(), Error> {
        let at = self.at;
        if self.take(5, expected)?.argument == count {
            return Ok(());
        }
        self.at = at;
        Err(Error::Unexpected { at, expected })
    }

    /// Reads exactly these encoded bytes, for instance a known key.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`].
    pub fn literal(&mut self, encoded: &[u8], expected: &'static str) -> Result<(), Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(encoded) {
            return Err(Error::Unexpected { at: self.at, expected });
        }
        self.at += encoded.len();
        Ok(())
    }

    /// Skips one item, whatever it is.
    ///
    /// # Errors
    ///
    /// As the gate.
    pub fn skip(&mut self) -> Result<(), Error> {
        self.at += super::gate::item_len(self.bytes.get(self.at..).unwrap_or_default())?;
        Ok(())
    }

    /// Reads a given tag.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`].
    pub fn tag(&mut self, tag: u64, expected: &'static str) -> Result<(), Error> {
        let at = self.at;
        if self.take(6, expected)?.argument == tag {
            return Ok(());
        }
        self.at = at;
        Err(Error::Unexpected { at, expected })
    }

    /// Reads an unsigned integer.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`].
    pub fn uint(&mut self) -> Result<u64, Error> {
        Ok(self.take(0, "an unsigned integer")?.argument)
    }

    /// Reads a byte string.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`].
    pub fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let at = self.at;
        let head = self.take(2, "a byte string")?;
        let end = string_end(self.bytes, at, head)?;
        self.at = end;
        self.bytes.get(head.end..end).ok_or(Error::Truncated { at })
    }

    /// Reads a text string.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`].
    pub fn text(&mut self) -> Result<&'a str, Error> {
        let at = self.at;
        let head = self.take(3, "a text string")?;
        let end = string_end(self.bytes, at, head)?;
        self.at = end;
        let text = self.bytes.get(head.end..end).ok_or(Error::Truncated { at })?;
        std::str::from_utf8(text).map_err(|error| Error::Utf8 { at: head.end + error.valid_up_to() })
    }

    /// Reads a byte string of 32 bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`].
    pub fn hash(&mut self) -> Result<[u8; 32], Error> {
        let at = self.at;
        let bytes = self.bytes()?;
        bytes.try_into().map_err(|_| {
            self.at = at;
            Error::Unexpected { at, expected: "32 bytes" }
        })
    }

    /// Reads a byte string, or `null` as `None`.
    ///
    /// # Errors
    ///
    /// [`Error::Unexpected`].
    pub fn bytes_or_null(&mut self) -> Result<Option<&'a [u8]>, Error> {
        if self.bytes.get(self.at) == Some(&0xf6) {
            self.at += 1;
            return Ok(None);
        }
        self.bytes().map(Some)
    }

    /// Ends reading.
    ///
    /// # Errors
    ///
    /// [`Error::Trailing`] if items are left.
    pub fn end(self) -> Result<(), Error> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(Error::Trailing { at: self.at }) }
    }

    fn take(&mut self, major: u8, expected: &'static str) -> Result<Head, Error> {
        let at = self.at;
        let head = head(self.bytes, at)?;
        if head.major != major {
            return Err(Error::Unexpected { at, expected });
        }
        self.at = head.end;
        Ok(head)
    }
}
