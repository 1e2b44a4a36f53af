//! The manifest: every file with its length and hash, and the checkpoint, signed by the log.
//!
//! A `COSE_Sign1` of the log key, typ `application/naru-archive+cbor`, kid
//! SHA-256(SPKI). It says that the log made these files, not that they are all. It is as long as there are
//! files, so who writes it has it in memory once, and so has who reads it, until its signature is verified: then its
//! rows are read again where they stand, one at a time, and are the same as their hash is.

use crate::ledger::cbor;
use crate::ledger::chain::LogKeys;
use crate::ledger::cose;
use crate::ledger::cose::Long;
use crate::ledger::hash;
use crate::ledger::hash::Hash;
use crate::ledger::hash::Running;
use crate::ledger::key::Signer;
use crate::portability::Error;
use crate::portability::archive::is_path;
use crate::portability::read::Source;
use crate::portability::rows::Names;
use crate::portability::rows::Rows;
use crate::portability::window::Window;

/// Keys of the payload, in the order of deterministic CBOR, each with what follows up to its value's content.
const V: &[u8] = b"\x61v\x01";
const ROOT: &[u8] = b"\x64root";
const SIZE: &[u8] = b"\x64size";
const FILES: &[u8] = b"\x65files";
const ORIGIN: &[u8] = b"\x66origin";
/// Bytes of an item behind its payload: the head of the signature, and the signature.
const BEHIND: usize = 2 + 64;
/// Bytes of a row of the longest path, at most.
const LONGEST_ROW: usize = 1 + (3 + 256) + 9 + (2 + 32);
/// Bytes of rows read at a time.
const PIECE: usize = 16 << 10;

/// Which log, at which checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Name of the log. The reader compares it with the one it expects.
    pub origin: String,
    /// Entries under the checkpoint.
    pub size: u64,
    /// Its RFC 9162 root.
    pub root: Hash,
}

impl Head {
    /// Where a file of the bag stands in the zip: below one folder.
    pub(in crate::portability) fn path_of(&self, path: &str) -> String {
        format!("mydata-{}/{path}", self.size)
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it stands in the archive.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Hash,
}

impl Listed {
    pub(in crate::portability) fn hex(&self) -> String {
        self.sha256.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Appends its row of the manifest.
    fn row(&self, out: Vec<u8>) -> Vec<u8> {
        cbor::Writer::behind(out).array(3).text(&self.path).uint(self.bytes).bytes(&self.sha256).finish()
    }

    /// The row that comes next.
    fn read(row: &mut cbor::Reader<'_>) -> Result<Self, cbor::Error> {
        row.array_of(3, "path, bytes and SHA-256")?;
        Ok(Self { path: row.text()?.to_owned(), bytes: row.uint()?, sha256: row.hash()? })
    }
}

/// Writes and signs the manifest of these files as the log.
///
/// # Errors
/// The signer.
pub(in crate::portability) fn sign(head: &Head, rows: &Rows, signer: &dyn Signer) -> Result<Long, Error> {
    let before = cbor::Writer::new().map(5).item(V).item(ROOT).bytes(&head.root).item(SIZE).uint(head.size);
    let before = before.item(FILES).array(rows.len()).finish();
    let behind = cbor::Writer::new().item(ORIGIN).text(&head.origin).finish();
    // Once for the length: a row is in memory at a time, and the room is taken once.
    let mut row = Vec::new();
    let mut length = before.len() + behind.len();
    for (listed, _) in rows.iter() {
        row.clear();
        row = listed.row(row);
        length += row.len();
    }
    let mut write = |out: &mut Vec<u8>| {
        out.extend_from_slice(&before);
        let whole = rows.iter().fold(std::mem::take(out), |out, (listed, _)| listed.row(out));
        *out = whole;
        out.extend_from_slice(&behind);
    };
    Ok(cose::sign_long(signer, (cose::ARCHIVE, &signer.public().hash()), length, &mut write)?)
}

/// What the log signed, without its rows: where they stand and what their hash is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::portability) struct Manifest {
    /// Which log, at which checkpoint.
    pub(in crate::portability) head: Head,
    /// How many files it names.
    pub(in crate::portability) files: u64,
    /// Length and SHA-256 of the item as it is signed.
    pub(in crate::portability) signed: (u64, Hash),
    /// Where in the archive the rows begin and end.
    rows: (u64, u64),
    sha256: Hash,
}

impl Manifest {
    /// Every file but the manifest itself and its script, in the order of the archive.
    pub(in crate::portability) fn listing(&self) -> Listing {
        let (begin, end) = self.rows;
        Listing { window: Window::new(begin, end, PIECE), left: self.files, read: Running::default() }
    }

    /// Whether a listing that is read to its end was what the log signed.
    pub(in crate::portability) fn was(&self, listing: Listing) -> bool {
        listing.left == 0 && listing.read.finish() == self.sha256
    }
}

/// The rows, read again one at a time.
#[derive(Debug)]
pub(in crate::portability) struct Listing {
    window: Window,
    left: u64,
    read: Running,
}

impl Listing {
    /// The next file.
    ///
    /// # Errors
    /// The source; it is not what it was.
    pub(in crate::portability) fn next(&mut self, source: &mut dyn Source) -> Result<Option<Listed>, Error> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        let (row, _) = cbor::split_first(self.window.next(source, LONGEST_ROW)?)?;
        let listed = Listed::read(&mut cbor::Reader::new(row)?)?;
        self.read.update(row);
        let passed = row.len();
        self.window.pass(passed);
        self.left = left;
        Ok(Some(listed))
    }
}

/// Checks the log's signature and opens a manifest that begins at a place of an archive. Paths that are none or
/// are there twice are refused: of the files nothing is kept by which the walk could tell.
///
/// # Errors
/// [`Error::Cose`], [`Error::Cbor`], [`Error::Path`].
pub(in crate::portability) fn open(bytes: Vec<u8>, at: u64, keys: &dyn LogKeys) -> Result<Manifest, Error> {
    let signed = (bytes.len() as u64, hash::sha256(&[&bytes]));
    let item = cose::parse_long(bytes)?;
    if item.typ != cose::ARCHIVE {
        return Err(cose::Error::Typ { expected: cose::ARCHIVE }.into());
    }
    let payload = item.payload();
    let mut reader = cbor::Reader::new(payload)?;
    reader.map_of(5, "a manifest")?;
    reader.literal(V, "version 1")?;
    reader.literal(ROOT, "the root")?;
    let root = reader.hash()?;
    reader.literal(SIZE, "the size")?;
    let size = reader.uint()?;
    reader.literal(FILES, "the files")?;
    let files = reader.array()?;
    // At this point the size is a claim: it chooses the keys under which the claim must hold.
    item.verify(keys.named(&item.kid, size).ok_or(cose::Error::Kid)?)?;
    let (begin, mut names) = (reader.at(), Names::default());
    // Each has bytes: no more are read than there are.
    for _ in 0..files {
        let listed = Listed::read(&mut reader)?;
        if !is_path(&listed.path) || names.take(&listed.path).is_none() {
            return Err(Error::Path { path: listed.path });
        }
    }
    let rows = payload.get(begin..reader.at()).unwrap_or_default();
    let sha256 = hash::sha256(&[rows]);
    reader.literal(ORIGIN, "the origin")?;
    let origin = reader.text()?.to_owned();
    reader.end()?;
    // The payload is all that stands before the signature.
    let before = (signed.0).saturating_sub((payload.len() + BEHIND) as u64).saturating_add(begin as u64);
    let begin = at.saturating_add(before);
    let rows = (begin, begin.saturating_add(rows.len() as u64));
    Ok(Manifest { head: Head { origin, size, root }, files, signed, rows, sha256 })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use serde::Serialize;
    use serde_bytes::ByteArray;

    use super::*;
    use crate::ledger::key::Ed25519Signer;
    use crate::model::statement::V1;
    use crate::portability::rows::Row;

    /// The same by `serde`.
    #[derive(Serialize)]
    struct Whole<'a> {
        v: V1,
        origin: &'a str,
        size: u64,
        root: ByteArray<32>,
        files: Vec<(String, u64, ByteArray<32>)>,
    }

    fn signer() -> Ed25519Signer {
        Ed25519Signer::from_seed([5; 32])
    }

    fn head(size: u64) -> Head {
        Head { origin: "log.example/1".into(), size, root: [7; 32] }
    }

    fn signed(head: &Head, files: &[(String, u64, ByteArray<32>)]) -> Vec<u8> {
        let (v, root, files) = (V1, ByteArray::new(head.root), files.to_vec());
        let payload = cbor::encode(&Whole { v, origin: &head.origin, size: head.size, root, files }).unwrap();
        cose::sign(&signer(), cose::ARCHIVE, &signer().public().hash(), &payload).unwrap()
    }

    #[test]
    fn a_manifest_is_what_serde_makes_and_is_read_again_row_by_row() {
        for count in [0, 1, 23, 24, 300, 3_000u32] {
            let (mut rows, mut files) = (Rows::default(), Vec::new());
            for n in 0..count {
                let path = format!("data/{}{n:06}.zip", "long/".repeat((n % 40) as usize));
                let bytes = u64::from(n).pow(4);
                let name = rows.names.take(&path).unwrap();
                rows.push(Row { sha256: [n.to_le_bytes()[0]; 32], bytes, crc: 0, name });
                files.push((path, bytes, ByteArray::new([n.to_le_bytes()[0]; 32])));
            }
            let head = head(u64::from(count) * 1_000);
            let made = sign(&head, &rows, &signer()).unwrap().pieces().concat();
            assert_eq!(made, signed(&head, &files));
            // Where it stands in something longer.
            let mut archive = Cursor::new([&[0; 99][..], &made, &[0; 9]].concat());
            let manifest = open(made.clone(), 99, signer().public()).unwrap();
            assert_eq!((&manifest.head, manifest.files), (&head, u64::from(count)));
            let mut listing = manifest.listing();
            for (path, bytes, sha256) in &files {
                let listed = listing.next(&mut archive).unwrap().unwrap();
                assert_eq!((&listed.path, listed.bytes, listed.sha256), (path, *bytes, sha256.into_array()));
            }
            assert!(listing.next(&mut archive).unwrap().is_none() && manifest.was(listing));
            assert!(count == 0 || !manifest.was(manifest.listing()), "not read to its end");
            // Another one in its place, of the same length.
            let Some((path, ..)) = files.first() else { continue };
            let place = archive.get_ref().windows(path.len()).position(|w| w == path.as_bytes()).unwrap();
            archive.get_mut()[place] = b'e';
            let mut listing = manifest.listing();
            while listing.next(&mut archive).unwrap().is_some() {}
            assert!(!manifest.was(listing));
        }
    }

    #[test]
    fn paths_that_are_none_or_are_there_twice_are_refused_though_the_log_signed_them() {
        let file = |path: &str| (path.to_owned(), 1, ByteArray::new([0; 32]));
        let opened = |files: &[&str]| {
            open(signed(&head(9), &files.iter().map(|f| file(f)).collect::<Vec<_>>()), 0, signer().public())
        };
        assert!(opened(&["a/000001.zip", "a/000002.zip", "a"]).is_ok());
        for bad in [&["a", "a"][..], &["a/000001.zip", "a/000001.zip"], &["../a"], &[""], &["a", "b", "c d"]]
        {
            assert!(matches!(opened(bad), Err(Error::Path { .. })), "{bad:?}");
        }
    }

    #[test]
    fn whatever_is_changed_in_a_manifest_is_refused() {
        let good = signed(&head(9), &[("a".into(), 1, ByteArray::new([0; 32]))]);
        assert!(open(good.clone(), 0, signer().public()).is_ok());
        for at in 0..good.len() {
            for flip in [1, 0x20, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                assert!(open(bad, 0, signer().public()).is_err(), "byte {at}");
            }
            assert!(open(good[..at].to_vec(), 0, signer().public()).is_err(), "cut {at}");
        }
        // Signed, and of another shape.
        for payload in [
            cbor::encode(&(1, 2)).unwrap(),
            cbor::encode(&serde_json::json!({"v": 2, "root": 1, "size": 1, "files": [], "origin": ""}))
                .unwrap(),
        ] {
            let item = cose::sign(&signer(), cose::ARCHIVE, &signer().public().hash(), &payload).unwrap();
            assert!(open(item, 0, signer().public()).is_err());
        }
    }
}
