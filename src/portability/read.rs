//! Reading an archive that somebody brings: nothing of it is trusted.
//!
//! The manifest's signature is checked first. Then the bytes are read once, from the first to the
//! last: every file is compared with its hash, and what stands around the files with what
//! [`Zipped`] writes around them (the script after the manifest from the manifest itself). So a flipped
//! byte is found wherever it is, also in headers that no unzipper looks at.
//!
//! In memory is one file, where whoever looks wants its content, and of every file its row of the manifest and
//! its place in the zip's directory: some 600 bytes, or 2.4 MB for a million items and their uses.
//! Lacks what files say (`audit`).

use std::cell::Cell;
use std::cell::RefCell;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;

use zip::ZipArchive;

use crate::ledger::chain::LogKeys;
use crate::ledger::hash;
use crate::ledger::hash::Hash;
use crate::ledger::hash::Running;
use crate::portability::Error;
use crate::portability::MANIFEST;
use crate::portability::MAX_FILE;
use crate::portability::archive::Zipped;
use crate::portability::manifest;
use crate::portability::manifest::Head;
use crate::portability::manifest::Listed;
use crate::portability::manifest::Manifest;
use crate::portability::parcel;

/// Where an archive is read from.
pub trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

/// Takes each file, with its content where that is wanted and short enough.
pub type Seen<'a, E> = dyn FnMut(&Listed, Option<&[u8]>) -> Result<(), E> + 'a;

/// Says of which files the content is wanted.
pub type Wanted<'a> = dyn Fn(&Listed) -> bool + 'a;

/// Most bytes of a manifest: about three million files.
const MAX_MANIFEST: u64 = 512 << 20;
/// Bytes read at a time.
const PIECE: usize = 64 << 10;

/// An archive whose manifest is the log's.
pub struct Bag<'a> {
    source: &'a mut dyn Source,
    manifest: Manifest,
    /// Length and SHA-256 of the manifest as it is signed: it is read again where it stands.
    signed: (u64, Hash),
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
        // Its directory goes before the manifest is opened: one of them is in memory at a time.
        let (last, name, bytes) = {
            let mut zip = ZipArchive::new(&mut *source)?;
            let last = zip.len().checked_sub(2).ok_or(Error::Files)?;
            let file = zip.by_index(last)?;
            (last, file.name()?.into_owned(), whole(file, MANIFEST, MAX_MANIFEST)?)
        };
        let manifest = manifest::open(&bytes, log)?;
        if name != manifest.head().path_of(MANIFEST) || manifest.files().count() != last {
            return Err(Error::Files);
        }
        Ok(Self { source, manifest, signed: (bytes.len() as u64, hash::sha256(&[&bytes])) })
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
        let mut zip = ZipArchive::new(&mut *self.source).ok()?;
        let file = zip.by_index(place).ok()?;
        let content = whole(file, path, MAX_FILE).ok()?;
        (hash::sha256(&[&content]) == listed.sha256).then_some(content)
    }

    /// Compares every file and every byte between them. `seen` gets each file, and its content where
    /// that is at most [`MAX_FILE`].
    ///
    /// # Errors
    /// [`Error`]; what `seen` answers.
    pub fn walk<E: From<Error>>(self, seen: &mut Seen<'_, E>) -> Result<(), E> {
        self.walk_for(&|_| true, seen)
    }

    /// The same, where the content of other files than those that are wanted is only compared: the
    /// others are never in memory as a whole.
    ///
    /// # Errors
    /// [`Error`]; what `seen` answers.
    pub fn walk_for<E: From<Error>>(self, wanted: &Wanted<'_>, seen: &mut Seen<'_, E>) -> Result<(), E> {
        let Self { source, manifest, signed } = self;
        source.seek(SeekFrom::Start(0)).map_err(Error::from)?;
        let brought = Brought::new(source);
        let mut beside = Beside(&brought);
        let mut walk = Walk {
            brought: &brought,
            zipped: Zipped::new(&mut beside, manifest.head()),
            piece: vec![0; PIECE],
            content: Vec::new(),
        };
        let mut walked = Ok(());
        for listed in manifest.files() {
            let keeps = wanted(&listed) && listed.bytes <= MAX_FILE;
            walked = walk.file(&listed, keeps);
            if walked.is_err() {
                break;
            }
            seen(&listed, keeps.then_some(walk.content.as_slice()))?;
        }
        match walked.and_then(|()| walk.end(signed)) {
            // Whether a file or what is around it: the zip's own directory tells.
            Err(Error::Container) => Err(altered(brought.into_source(), &manifest).into()),
            walked => Ok(walked?),
        }
    }
}

/// What was brought, read from the first byte to the last, beside what is written again.
struct Brought<'a> {
    source: RefCell<BufReader<&'a mut dyn Source>>,
    /// Bytes that were read as a file's, and are still to be written as such.
    given: Cell<u64>,
    /// Whether what was written was always what was brought.
    same: Cell<bool>,
}

impl<'a> Brought<'a> {
    fn new(source: &'a mut dyn Source) -> Self {
        let source = RefCell::new(BufReader::with_capacity(PIECE, source));
        Self { source, given: Cell::new(0), same: Cell::new(true) }
    }

    fn into_source(self) -> &'a mut dyn Source {
        self.source.into_inner().into_inner()
    }

    /// More of a file's content, as much as fits.
    fn give(&self, piece: &mut [u8]) -> std::io::Result<usize> {
        let n = self.source.borrow_mut().read(piece)?;
        self.given.set(self.given.get() + n as u64);
        Ok(n)
    }

    /// Whether the next bytes are these.
    fn is_next(&self, mut bytes: &[u8]) -> bool {
        let mut source = self.source.borrow_mut();
        while !bytes.is_empty() {
            let n = match source.fill_buf() {
                Ok(next) => next.iter().zip(bytes).take_while(|(next, byte)| next == byte).count(),
                Err(_) => 0,
            };
            // Nothing is left, or it is another byte: the next round says which.
            if n == 0 {
                return false;
            }
            source.consume(n);
            bytes = bytes.get(n..).unwrap_or_default();
        }
        true
    }

    /// Whether nothing is left.
    fn is_over(&self) -> Result<bool, Error> {
        Ok(self.source.borrow_mut().fill_buf()?.is_empty())
    }
}

/// Where an archive is written again: nowhere, but every byte is compared that was not just read.
struct Beside<'b, 'a>(&'b Brought<'a>);

impl Write for Beside<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let Self(brought) = self;
        let given = brought.given.get().min(bytes.len() as u64);
        brought.given.set(brought.given.get() - given);
        let own = usize::try_from(given).ok().and_then(|given| bytes.get(given..)).unwrap_or_default();
        // It goes on after a difference: a zip that cannot be written complains to the terminal.
        if brought.same.get() && !brought.is_next(own) {
            brought.same.set(false);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The way through an archive, file by file.
struct Walk<'w, 'a> {
    brought: &'w Brought<'a>,
    zipped: Zipped<'w>,
    piece: Vec<u8>,
    /// Of the file that was read last, if that was to be kept.
    content: Vec<u8>,
}

impl Walk<'_, '_> {
    /// [`Error::Container`] if what stands before the place that was reached is not what is written there.
    fn same(&self) -> Result<(), Error> {
        if self.brought.same.get() { Ok(()) } else { Err(Error::Container) }
    }

    /// Reads one file, compares it, and writes it again. Of a parcel that is another it names the file in it.
    fn file(&mut self, listed: &Listed, keeps: bool) -> Result<(), Error> {
        self.zipped.begin(&listed.path)?;
        self.same()?;
        self.content.clear();
        if keeps {
            // At most MAX_FILE, as the log says.
            self.content.reserve_exact(usize::try_from(listed.bytes).unwrap_or_default());
        }
        let (mut hash, mut left) = (Running::default(), listed.bytes);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.piece.len());
            let piece = self.piece.get_mut(..most).unwrap_or_default();
            let n = self.brought.give(piece)?;
            let read = piece.get(..n).unwrap_or_default();
            if read.is_empty() {
                return Err(Error::Container);
            }
            left = left.saturating_sub(n as u64);
            hash.update(read);
            self.zipped.write_all(read)?;
            if keeps {
                self.content.extend_from_slice(read);
            }
        }
        if hash.finish() == listed.sha256 {
            return Ok(());
        }
        Err(not_as_listed(listed, keeps.then_some(&self.content)))
    }

    /// The manifest again, what follows from it, and nothing behind that.
    fn end(mut self, (bytes, sha256): (u64, Hash)) -> Result<(), Error> {
        let signed = Listed { path: MANIFEST.to_owned(), bytes, sha256 };
        self.file(&signed, true)?;
        let Self { brought, zipped, content, .. } = self;
        zipped.finish(&content)?;
        if brought.same.get() && brought.is_over()? { Ok(()) } else { Err(Error::Container) }
    }
}

fn not_as_listed(listed: &Listed, content: Option<&Vec<u8>>) -> Error {
    let parcel = content.filter(|_| parcel::is_parcel(&listed.path));
    Error::File {
        path: match parcel.and_then(|parcel| parcel::altered(parcel)) {
            Some(inside) => format!("{}/{inside}", listed.path),
            None => listed.path.clone(),
        },
    }
}

/// What is wrong with an archive whose bytes are not those that its files make: the first file that is
/// not what the manifest says, by the zip's own directory, or what is around them.
fn altered(source: &mut dyn Source, manifest: &Manifest) -> Error {
    let Ok(mut zip) = ZipArchive::new(source) else { return Error::Container };
    let head = manifest.head();
    let other =
        manifest.files().enumerate().find(|(place, listed)| !is_listed(&mut zip, *place, &head, listed));
    match other {
        None => Error::Container,
        Some((place, listed)) => {
            let short = listed.bytes <= MAX_FILE && parcel::is_parcel(&listed.path);
            let content = short.then(|| zip.by_index(place).ok()).flatten();
            // What does not have its checksum: as much of it as there is.
            let content = content.map(|file| {
                let mut out = Vec::new();
                drop(file.take(MAX_FILE).read_to_end(&mut out));
                out
            });
            not_as_listed(&listed, content.as_ref())
        }
    }
}

/// Whether the zip holds a file at its place, by its directory.
fn is_listed(zip: &mut ZipArchive<&mut dyn Source>, place: usize, head: &Head, listed: &Listed) -> bool {
    let Ok(mut file) = zip.by_index(place) else { return false };
    let named = file.name().is_ok_and(|name| name == head.path_of(&listed.path).as_str());
    let mut hashed = Hashed::default();
    // What does not have its checksum is an error of the reader's.
    let read = named && file.size() == listed.bytes && std::io::copy(&mut file, &mut hashed).is_ok();
    read && hashed.finish() == (listed.bytes, listed.sha256)
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
    use crate::portability::Archive;

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
        let mut archive = Archive::bare(&mut bytes, head());
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

    /// The error of an archive that is not what the log wrote.
    fn refused(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn of_what_is_not_as_it_was_the_file_is_named() {
        let bytes = archive(&[("data/a.json", b"first"), ("data/b.json", b"second")]).unwrap();
        let places = |what: &[u8]| -> Vec<usize> {
            (0..bytes.len()).filter(|at| bytes[*at..].starts_with(what)).collect()
        };
        let flipped = |at: usize| {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            refused(&bad)
        };
        // Its content, and its checksum in the directory at the end.
        assert!(flipped(places(b"second")[0]).contains("`data/b.json`"));
        let directory = *places(b"mydata-9/data/b.json").last().unwrap() - 46;
        assert!(bytes[directory..].starts_with(b"PK\x01\x02"));
        assert!(flipped(directory + 16).contains("`data/b.json`"));
        // Around it: its name beside it, its checksum behind it, its mode in the directory.
        let beside = places(b"mydata-9/data/b.json")[0];
        for at in [beside - 30 + 10, places(b"second")[0] + 6 + 4, directory + 38] {
            assert!(flipped(at).contains("bytes around"), "{at}");
        }
        // Packed again by another program, with another file in it.
        let packed = |second: &[u8]| {
            let mut from = ZipArchive::new(Cursor::new(&bytes)).unwrap();
            let mut to = zip::ZipWriter::new(Cursor::new(Vec::new()));
            for place in 0..from.len() {
                let mut file = from.by_index(place).unwrap();
                let name = file.name().unwrap().into_owned();
                let mut content = Vec::new();
                file.read_to_end(&mut content).unwrap();
                to.start_file(name.as_str(), crate::portability::archive::options()).unwrap();
                to.write_all(if name.ends_with("/b.json") { second } else { &content }).unwrap();
            }
            refused(&to.finish().unwrap().into_inner())
        };
        assert!(packed(b"second").contains("bytes around"));
        for other in [&b"sec0nd"[..], b"longer than it was", b""] {
            assert!(packed(other).contains("`data/b.json`"), "{other:?}");
        }
    }

    #[test]
    fn what_is_not_wanted_is_compared_and_not_kept() {
        let long = vec![7; 3 * PIECE + 1];
        let bytes = archive(&[("data/a", &long), ("data/b", b"bb")]).unwrap();
        let walk = |bytes: &[u8]| {
            let (mut source, mut kept) = (Cursor::new(bytes), Vec::new());
            let wanted = |listed: &Listed| listed.path == "data/b";
            let bag = Bag::open(&mut source, signer().public())?;
            bag.walk_for::<Error>(&wanted, &mut |listed, content| {
                kept.extend(content.map(|content| (listed.path.clone(), content.to_vec())));
                Ok(())
            })?;
            Ok::<_, Error>(kept)
        };
        assert_eq!(walk(&bytes).unwrap(), [("data/b".to_owned(), b"bb".to_vec())]);
        let at = bytes.windows(PIECE).position(|w| w.iter().all(|b| *b == 7)).unwrap();
        for at in [at, at + PIECE, at + 3 * PIECE] {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(walk(&bad).unwrap_err().to_string().contains("`data/a`"));
        }
    }

    #[test]
    fn paths_stay_inside_and_differ() {
        for path in ["", "/a", "../a", "a/../b", "a//b", "a/", "a b", "한글", "a\\b", "."] {
            assert!(matches!(archive(&[(path, b"")]), Err(Error::Path { .. })), "{path}");
        }
        assert!(matches!(archive(&[("data/a", b""), ("data/a", b"")]), Err(Error::Path { .. })));
    }
}
