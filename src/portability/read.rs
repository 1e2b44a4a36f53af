//! Reading an archive that somebody brings: nothing of it is trusted.
//!
//! The manifest's signature is checked first. Then every file is read in order,
//! compared with its length and hash, and written again as [`Archive`] writes it
//! (the script after the manifest from the manifest itself);
//! the bytes that come out must be the bytes that were brought. So a flipped byte
//! is found wherever it is, also in headers that no unzipper looks at.

use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;

use zip::ZipArchive;

use crate::ledger::chain::LogKeys;
use crate::ledger::hash;
use crate::ledger::hash::Hash;
use crate::ledger::hash::Running;
use crate::portability::Archive;
use crate::portability::Error;
use crate::portability::MANIFEST;
use crate::portability::MAX_FILE;
use crate::portability::manifest;
use crate::portability::manifest::Listed;
use crate::portability::manifest::Manifest;
use crate::portability::parcel;

/// Where an archive is read from.
pub trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

/// Takes each file, with its content where that is short enough.
pub type Seen<'a, E> = dyn FnMut(&Listed, Option<&[u8]>) -> Result<(), E> + 'a;

/// Most bytes of a manifest: about three million files.
const MAX_MANIFEST: u64 = 512 << 20;
/// Bytes read at a time.
const PIECE: usize = 64 << 10;

/// An archive whose manifest is the log's.
pub struct Bag<'a> {
    zip: ZipArchive<&'a mut dyn Source>,
    manifest: Manifest,
    signed: Vec<u8>,
}

impl std::fmt::Debug for Bag<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bag").field("head", &self.manifest.head()).finish_non_exhaustive()
    }
}

impl<'a> Bag<'a> {
    /// Opens an archive, and checks that the log signed its manifest and that it holds exactly those files.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(source: &'a mut dyn Source, log: &dyn LogKeys) -> Result<Self, Error> {
        let mut zip = ZipArchive::new(source)?;
        let last = zip.len().checked_sub(2).ok_or(Error::Files)?;
        let (name, signed) = {
            let file = zip.by_index(last)?;
            (file.name()?.into_owned(), whole(file, MANIFEST, MAX_MANIFEST)?)
        };
        let manifest = manifest::open(&signed, log)?;
        if name != manifest.head().path_of(MANIFEST) || manifest.files().count() != last {
            return Err(Error::Files);
        }
        Ok(Self { zip, manifest, signed })
    }

    /// What the log signed.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// One file before the walk; `None` if there is none, if it is longer than [`MAX_FILE`], or if it is not
    /// what the manifest says: then the walk says so.
    pub fn file(&mut self, path: &str) -> Option<Vec<u8>> {
        let (place, listed) = self.manifest.files().enumerate().find(|(_, listed)| listed.path == path)?;
        let file = self.zip.by_index(place).ok()?;
        let content = whole(file, path, MAX_FILE).ok()?;
        (hash::sha256(&[&content]) == listed.sha256).then_some(content)
    }

    /// Compares every file and every byte between them. `seen` gets each file, and its content where
    /// that is at most [`MAX_FILE`].
    ///
    /// # Errors
    /// [`Error`]; what `seen` answers.
    pub fn walk<E: From<Error>>(self, seen: &mut Seen<'_, E>) -> Result<(), E> {
        let Self { mut zip, manifest, signed } = self;
        let mut again = Hashed::default();
        {
            let head = manifest.head();
            let mut copy = Archive::again(&mut again, head.clone());
            for (place, listed) in manifest.files().enumerate() {
                let content = take(&mut zip, (place, head.path_of(&listed.path)), &listed, &mut copy)?;
                seen(&listed, content.as_deref())?;
            }
            copy.seal(&signed)?;
        }
        let source = zip.into_inner();
        let mut brought = Hashed::default();
        source.seek(SeekFrom::Start(0)).map_err(Error::from)?;
        std::io::copy(source, &mut brought).map_err(Error::from)?;
        if brought.finish() == again.finish() { Ok(()) } else { Err(Error::Container.into()) }
    }
}

/// Reads one file, compares it, and writes it again. Of a parcel that is another it names the file in it.
fn take(
    zip: &mut ZipArchive<&mut dyn Source>,
    (place, name): (usize, String),
    listed: &Listed,
    copy: &mut Archive<'_>,
) -> Result<Option<Vec<u8>>, Error> {
    let mut kept = (listed.bytes <= MAX_FILE).then(Vec::new);
    if compare(zip, (place, name), listed, copy, &mut kept)? {
        return Ok(kept);
    }
    let parcel = kept.filter(|_| parcel::is_parcel(&listed.path));
    Err(Error::File {
        path: match parcel.and_then(|parcel| parcel::altered(&parcel)) {
            Some(inside) => format!("{}/{inside}", listed.path),
            None => listed.path.clone(),
        },
    })
}

/// Whether a file is what the manifest says. Nobody has looked at what is kept of another.
fn compare(
    zip: &mut ZipArchive<&mut dyn Source>,
    (place, name): (usize, String),
    listed: &Listed,
    copy: &mut Archive<'_>,
    kept: &mut Option<Vec<u8>>,
) -> Result<bool, Error> {
    let mut file = zip.by_index(place)?;
    if file.name()? != name.as_str() || file.size() != listed.bytes {
        return Ok(false);
    }
    if let Some(kept) = kept {
        // At most MAX_FILE, as both the log and the zip say.
        kept.reserve_exact(usize::try_from(listed.bytes).unwrap_or_default());
    }
    copy.begin(&listed.path)?;
    let (mut hash, mut left) = (Running::default(), listed.bytes);
    let mut piece = vec![0; PIECE];
    loop {
        // What does not have its checksum is an error of the reader's.
        let Ok(n) = file.read(&mut piece) else { return Ok(false) };
        let read = piece.get(..n).unwrap_or_default();
        let Some(rest) = left.checked_sub(n as u64) else { return Ok(false) };
        left = rest;
        if n == 0 {
            break;
        }
        hash.update(read);
        copy.write_all(read)?;
        if let Some(kept) = kept {
            kept.extend_from_slice(read);
        }
    }
    Ok(left == 0 && hash.finish() == listed.sha256)
}

/// Length and hash of what is written to it.
#[derive(Default)]
struct Hashed {
    bytes: u64,
    hash: Running,
}

impl Hashed {
    fn finish(self) -> (u64, Hash) {
        (self.bytes, self.hash.finish())
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn whole(file: impl Read, path: &str, most: u64) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    file.take(most + 1).read_to_end(&mut out).map_err(|_| Error::File { path: path.to_owned() })?;
    if out.len() as u64 > most { Err(Error::TooLarge { path: path.to_owned() }) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::ledger::key::Ed25519Signer;
    use crate::ledger::key::Signer;
    use crate::model::id::Timestamp;
    use crate::portability::Head;

    fn signer() -> Ed25519Signer {
        Ed25519Signer::from_seed([5; 32])
    }

    fn head() -> Head {
        Head { origin: "log.example/1".into(), size: 9, root: [7; 32] }
    }

    fn archive(files: &[(&str, &[u8])]) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        let mut archive = Archive::new(&mut out, head());
        for (path, content) in files {
            archive.file(path, content)?;
        }
        archive.finish(Timestamp(1_764_000_000_123), &signer())?;
        Ok(out)
    }

    fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut source = Cursor::new(bytes);
        let mut out = Vec::new();
        Bag::open(&mut source, signer().public())?.walk::<Error>(&mut |listed, content| {
            out.push((listed.path.clone(), content.unwrap().to_vec()));
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn an_archive_comes_back_and_is_the_same_bytes_twice() {
        let files: [(&str, &[u8]); 3] =
            [("data/a.json", b"{}"), ("data/b/c.cbor", b""), ("data/d", &[9; 99])];
        let bytes = archive(&files).unwrap();
        assert_eq!(bytes, archive(&files).unwrap());
        let back = read(&bytes).unwrap();
        let names: Vec<_> = back.iter().map(|(path, _)| path.as_str()).collect();
        let page = ["view/000001.js", "view/viewer.js", "view/words.js", "view/log.js", "index.html"];
        let tags = ["bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"];
        assert_eq!(names, files.iter().map(|f| f.0).chain(page).chain(tags).collect::<Vec<_>>());
        assert_eq!(back[2].1, [9; 99]);
        let lines = String::from_utf8(back[10].1.clone()).unwrap();
        assert!(lines.contains("  data/b/c.cbor\n") && lines.lines().count() == 3, "{lines}");
        let info = String::from_utf8(back[9].1.clone()).unwrap();
        assert!(
            info.contains("\nBagging-Date: 2025-11-24\nCheckpoint-Time: 2025-11-24T16:00:00.123Z\n"),
            "{info}"
        );
        assert!(info.ends_with("Payload-Oxum: 101.3\n"), "{info}");
        let tagged = String::from_utf8(back[11].1.clone()).unwrap();
        let tagged: Vec<_> = tagged.lines().filter_map(|line| line.split("  ").nth(1)).collect();
        assert_eq!(tagged, [&page[..], &tags[..3]].concat());
    }

    #[test]
    fn any_flipped_byte_and_any_cut_is_found() {
        // Without the page: every byte of a small one.
        let mut bytes = Vec::new();
        let mut archive = Archive::again(&mut bytes, head());
        archive.file("data/a.json", b"{\"a\":1}").unwrap();
        archive.file("data/b", b"bb").unwrap();
        archive.finish(Timestamp(0), &signer()).unwrap();
        assert!(read(&bytes).is_ok());
        for at in 0..bytes.len() {
            for flip in [1, 0x80] {
                let mut bad = bytes.clone();
                bad[at] ^= flip;
                assert!(read(&bad).is_err(), "byte {at}");
            }
        }
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "cut {cut}");
        }
        assert!(read(&[bytes.as_slice(), b"x"].concat()).is_err());
        assert!(read(&[b"x", bytes.as_slice()].concat()).is_err());
        let stranger = Ed25519Signer::from_seed([6; 32]);
        assert!(Bag::open(&mut Cursor::new(&bytes[..]), stranger.public()).is_err());
    }

    #[test]
    fn paths_stay_inside_and_differ() {
        for path in ["", "/a", "../a", "a/../b", "a//b", "a/", "a b", "한글", "a\\b", "."] {
            assert!(matches!(archive(&[(path, b"")]), Err(Error::Path { .. })), "{path}");
        }
        assert!(matches!(archive(&[("data/a", b""), ("data/a", b"")]), Err(Error::Path { .. })));
    }
}
