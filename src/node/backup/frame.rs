//! The frames of a backup: written and read as a stream, one frame in memory at a time.
//!
//! Lacks meaning: what frames make a whole is [`super::file`]'s. Not trusted: every
//! byte that is read. A frame has a bounded length, and nothing is believed before the
//! sum over all of it is compared.

use std::io;
use std::io::Read;
use std::io::Write;

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::ledger::cbor;
use crate::model::id::Hash;
use crate::store;
use crate::store::RawRow;
use crate::store::Table;

/// Largest payload of a frame: a commit of 1,024 entries of 65,535 bytes fits.
pub const MAX_FRAME: usize = 96 << 20;
/// Largest part of a file in one frame.
pub const CHUNK: usize = 1 << 20;
/// The version this build writes, and the only one it reads.
pub const VERSION: u32 = 1;

/// What a stream of frames is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Rows and files: everything but keys.
    Backup,
    /// The person keys, wrapped.
    Keys,
    /// Rows from a running service.
    Moment,
}

impl Sort {
    const fn magic(self) -> &'static [u8; 16] {
        match self {
            Self::Backup => b"naru-backup/v1\r\n",
            Self::Keys => b"naru-keys/v1  \r\n",
            Self::Moment => b"naru-moment/v1\r\n",
        }
    }
}

/// Of what log, as of which checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// [`VERSION`].
    pub v: u32,
    /// The log's name.
    pub origin: String,
    /// Entries in it.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// The signed checkpoint that says so.
    pub note: String,
}

/// One part: a table or a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Table, or `file/` and a path.
    pub name: String,
    /// Its frames.
    pub frames: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// SHA-256 over its frames.
    pub hash: Hash,
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub v: u32,
    /// The log's name.
    pub origin: String,
    /// Entries in it.
    pub size: u64,
    /// Their root.
    pub root: Hash,
    /// Every part, in order.
    pub parts: Vec<Part>,
    /// The end frame of the key file that belongs to it.
    pub keys: Hash,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// First.
    Head(Head),
    /// A row of the store.
    Row(RawRow),
    /// A file begins: its path, parts joined by `/`.
    File(String),
    /// Bytes of the file that began last.
    Data(Vec<u8>),
    /// Last but one of a backup.
    Manifest(Manifest),
    /// Last: SHA-256 of everything before.
    End(Hash),
    /// In place of the rest: why a running service gives none.
    Refused(String),
}

/// Why frames are refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system.
    #[error("the stream broke off: {0}")]
    Io(#[from] io::Error),
    /// Another kind of file.
    #[error("it is not a {0:?} file of this version")]
    Magic(Sort),
    /// Not a frame, or not where it belongs.
    #[error("{0} is malformed or out of place")]
    Frame(&'static str),
    /// An encoding.
    #[error("head or manifest: {0}")]
    Cbor(#[from] cbor::Error),
    /// The bytes are not what was written.
    #[error("part `{0}` is damaged")]
    Part(String),
    /// The bytes are not what was written.
    #[error("the file is damaged: its sum is another")]
    Sum,
    /// The service said no.
    #[error("the service gives no rows: {0}")]
    Refused(String),
}

const fn table_code(table: Table) -> u8 {
    match table {
        Table::Commits => b'c',
        Table::Names => b'n',
        Table::Bodies => b'o',
        Table::State => b's',
        Table::Items => b'i',
        Table::Blobs => b'b',
        Table::Meta => b'm',
    }
}

impl Frame {
    /// Kind and payload. Rows are `table (1) ‖ key length (2) ‖ key ‖ value`.
    fn encode(&self) -> Result<(u8, Vec<u8>), Error> {
        Ok(match self {
            Self::Head(head) => (b'H', cbor::encode(head)?),
            Self::Row((table, key, value)) => {
                let length = u16::try_from(key.len()).map_err(|_| Error::Frame("a row"))?;
                let head = [[table_code(*table)].as_slice(), &length.to_be_bytes()].concat();
                (b'R', [head.as_slice(), key, value].concat())
            }
            Self::File(path) => (b'F', path.clone().into_bytes()),
            Self::Data(bytes) => (b'D', bytes.clone()),
            Self::Manifest(manifest) => (b'M', cbor::encode(manifest)?),
            Self::End(sum) => (b'E', sum.0.to_vec()),
            Self::Refused(why) => (b'X', why.clone().into_bytes()),
        })
    }

    fn decode(kind: u8, payload: Vec<u8>) -> Result<Self, Error> {
        let text = |payload| String::from_utf8(payload).map_err(|_| Error::Frame("a text"));
        Ok(match kind {
            b'H' => Self::Head(cbor::decode_exact(&payload)?),
            b'R' => Self::Row(row(&payload).ok_or(Error::Frame("a row"))?),
            b'F' => Self::File(text(payload)?),
            b'D' => Self::Data(payload),
            b'M' => Self::Manifest(cbor::decode_exact(&payload)?),
            b'E' => Self::End(Hash(payload.try_into().map_err(|_| Error::Frame("the end"))?)),
            b'X' => Self::Refused(text(payload)?),
            _ => return Err(Error::Frame("a frame")),
        })
    }

    /// The part it belongs to, if it begins or continues one.
    fn part(&self) -> Option<String> {
        match self {
            Self::Row((table, ..)) => Some(table.name().to_owned()),
            Self::File(path) => Some(format!("file/{path}")),
            _ => None,
        }
    }
}

fn row(payload: &[u8]) -> Option<RawRow> {
    let (code, rest) = payload.split_first()?;
    let table = Table::ALL.into_iter().find(|table| table_code(*table) == *code)?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (key, value) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((table, key.to_vec(), value.to_vec()))
}

/// Sums as frames go by: over everything, and part by part.
#[derive(Debug)]
struct Sums {
    all: Sha256,
    open: Option<(Part, Sha256)>,
    parts: Vec<Part>,
}

impl Sums {
    fn new(magic: &[u8]) -> Self {
        Self { all: Sha256::new_with_prefix(magic), open: None, parts: Vec::new() }
    }

    fn add(&mut self, frame: &Frame, head: [u8; 5], payload: &[u8]) {
        self.all.update(head);
        self.all.update(payload);
        let continues = matches!(frame, Frame::Data(_));
        let name = frame.part();
        let same = continues || self.open.as_ref().map(|(part, _)| &part.name) == name.as_ref();
        if !same {
            self.close();
            let new = |name| (Part { name, frames: 0, bytes: 0, hash: Hash([0; 32]) }, Sha256::new());
            self.open = name.map(new);
        }
        if let Some((part, sum)) = &mut self.open {
            part.frames += 1;
            part.bytes = part.bytes.saturating_add(payload.len() as u64);
            sum.update(head);
            sum.update(payload);
        }
    }

    fn close(&mut self) {
        if let Some((part, sum)) = self.open.take() {
            self.parts.push(Part { hash: Hash(sum.finalize().into()), ..part });
        }
    }

    fn all(&self) -> Hash {
        Hash(self.all.clone().finalize().into())
    }
}

/// Writes frames.
pub struct Writer<'a> {
    out: &'a mut dyn Write,
    sums: Sums,
    /// Bytes written.
    written: u64,
}

impl std::fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("written", &self.written).finish_non_exhaustive()
    }
}

impl<'a> Writer<'a> {
    /// Begins a file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn new(sort: Sort, out: &'a mut dyn Write) -> Result<Self, Error> {
        out.write_all(sort.magic())?;
        Ok(Self { out, sums: Sums::new(sort.magic()), written: 16 })
    }

    /// Writes one frame.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Frame`] if it is too large.
    pub fn put(&mut self, frame: &Frame) -> Result<(), Error> {
        let (kind, payload) = frame.encode()?;
        let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_FRAME);
        let [a, b, c, d] = length.ok_or(Error::Frame("a frame that is too large"))?.to_be_bytes();
        let head = [kind, a, b, c, d];
        self.out.write_all(&head)?;
        self.out.write_all(&payload)?;
        self.sums.add(frame, head, &payload);
        self.written += 5 + payload.len() as u64;
        Ok(())
    }

    /// The parts so far.
    pub fn parts(&mut self) -> &[Part] {
        self.sums.close();
        &self.sums.parts
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Writes the end frame; answers the sum.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn end(mut self) -> Result<Hash, Error> {
        let sum = self.sums.all();
        self.put(&Frame::End(sum))?;
        self.out.flush()?;
        Ok(sum)
    }
}

/// Reads frames.
pub struct Frames<'a> {
    input: &'a mut dyn Read,
    sums: Sums,
    ended: bool,
}

impl std::fmt::Debug for Frames<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl<'a> Frames<'a> {
    /// Begins to read a file of this sort.
    ///
    /// # Errors
    /// [`Error::Magic`], [`Error::Io`].
    pub fn new(sort: Sort, input: &'a mut dyn Read) -> Result<Self, Error> {
        let mut magic = [0u8; 16];
        input.read_exact(&mut magic).map_err(|_| Error::Magic(sort))?;
        if &magic != sort.magic() {
            return Err(Error::Magic(sort));
        }
        Ok(Self { input, sums: Sums::new(&magic), ended: false })
    }

    /// The next frame; `None` after the end frame, whose sum has been compared.
    ///
    /// # Errors
    /// [`Error`]; a stream without an end frame is an error.
    #[expect(clippy::should_implement_trait, reason = "an iterator would hide that it can fail for good")]
    pub fn next(&mut self) -> Result<Option<Frame>, Error> {
        if self.ended {
            return Ok(None);
        }
        let mut head = [0u8; 5];
        self.input.read_exact(&mut head)?;
        let [kind, length @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(Error::Frame("a frame that is too large"));
        }
        // What is not sent is not reserved.
        let mut payload = Vec::new();
        (&mut *self.input).take(length as u64).read_to_end(&mut payload)?;
        if payload.len() != length {
            return Err(Error::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        let frame = Frame::decode(kind, payload.clone())?;
        match &frame {
            Frame::Refused(why) => return Err(Error::Refused(why.clone())),
            Frame::End(sum) => {
                self.sums.close();
                if *sum != self.sums.all() {
                    return Err(Error::Sum);
                }
                self.ended = true;
            }
            frame => self.sums.add(frame, head, &payload),
        }
        Ok(Some(frame))
    }

    /// The parts that have gone by.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.sums.parts
    }
}

impl From<Error> for store::Error {
    fn from(error: Error) -> Self {
        Self::Corrupt { what: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(Sort::Keys, &mut out).unwrap();
        let head = Head {
            v: VERSION,
            origin: "a.kr/log".into(),
            size: 3,
            root: Hash([1; 32]),
            note: "note\n".into(),
        };
        writer.put(&Frame::Head(head)).unwrap();
        for value in [&b""[..], b"value"] {
            writer.put(&Frame::Row((Table::Names, b"key".to_vec(), value.to_vec()))).unwrap();
        }
        writer.put(&Frame::File("a/b".into())).unwrap();
        writer.put(&Frame::Data(vec![7; 9])).unwrap();
        assert_eq!(
            writer.parts().iter().map(|p| (p.name.as_str(), p.frames)).collect::<Vec<_>>(),
            [("names", 2), ("file/a/b", 2)]
        );
        writer.end().unwrap();
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<Frame>, Error> {
        let mut input = bytes;
        let mut frames = Frames::new(Sort::Keys, &mut input)?;
        let mut all = Vec::new();
        while let Some(frame) = frames.next()? {
            all.push(frame);
        }
        Ok(all)
    }

    #[test]
    fn frames_come_back_and_every_flipped_bit_and_every_cut_is_refused() {
        let bytes = written();
        let frames = read(&bytes).unwrap();
        assert_eq!(frames.len(), 6);
        assert_eq!(frames[2], Frame::Row((Table::Names, b"key".to_vec(), b"value".to_vec())));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bad).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "cut {cut}");
        }
        let mut other = bytes.as_slice();
        assert!(matches!(Frames::new(Sort::Backup, &mut other), Err(Error::Magic(Sort::Backup))));
    }

    #[test]
    fn a_length_that_is_not_sent_takes_no_memory() {
        let mut bytes = written()[..16].to_vec();
        bytes.extend([b'D', 0xff, 0xff, 0xff, 0xff]);
        assert!(matches!(read(&bytes), Err(Error::Frame(_))));
    }
}
