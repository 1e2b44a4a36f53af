//! Reading an archive that somebody brings: nothing of it is trusted.
//!
//! The manifest's signature is checked first. Then the bytes are read once, from the first to the
//! last: every file is compared with its hash, and what stands around the files with what
//! [`zip`](crate::portability::zip) makes around them (the script after the manifest from the manifest itself). So a
//! flipped byte is found wherever it is, also in headers that no unzipper looks at.
//!
//! In memory is one file, where whoever looks wants its content, and a piece of each of the manifest and the
//! zip's directory: both are read beside the files, row by row, so of a file nothing stays. Only before the
//! walk, while its signature is verified, the manifest is in memory as a whole: 90 bytes a file, once.
//! Lacks what files say (`audit`).

use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Crc;
use zip::ZipArchive;

use crate::ledger::chain::LogKeys;
use crate::ledger::cose;
use crate::ledger::hash;
use crate::ledger::hash::Hash;
use crate::ledger::hash::Running;
use crate::portability::Error;
use crate::portability::MANIFEST;
use crate::portability::MANIFEST_JS;
use crate::portability::MAX_FILE;
use crate::portability::manifest;
use crate::portability::manifest::Head;
use crate::portability::manifest::Listed;
use crate::portability::manifest::Manifest;
use crate::portability::page;
use crate::portability::parcel;
use crate::portability::window::Window;
use crate::portability::zip::Claimed;
use crate::portability::zip::Directory;
use crate::portability::zip::around;
use crate::portability::zip::descriptor;
use crate::portability::zip::local;

/// Where an archive is read from.
pub trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

/// Takes each file, with its content where that is wanted and short enough.
pub type Seen<'a, E> = dyn FnMut(&Listed, Option<&[u8]>) -> Result<(), E> + 'a;

/// Says of which files the content is wanted.
pub type Wanted<'a> = dyn Fn(&Listed) -> bool + 'a;

/// Most bytes of a manifest: about three million files.
const MAX_MANIFEST: u64 = 512 << 20;
/// Bytes read at a time; a whole number of groups of base64.
const PIECE: usize = 60 << 10;
/// Bytes of the directory read at a time.
const ENTRIES: usize = 16 << 10;

/// An archive whose manifest is the log's.
pub struct Bag<'a> {
    source: &'a mut dyn Source,
    manifest: Manifest,
    claimed: Claimed,
}

impl std::fmt::Debug for Bag<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bag").field("head", &self.manifest.head).finish_non_exhaustive()
    }
}

impl<'a> Bag<'a> {
    /// Opens an archive, and checks that the log signed its manifest and that it holds exactly those files.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(source: &'a mut dyn Source, log: &dyn LogKeys) -> Result<Self, Error> {
        let claimed = Claimed::read(source)?;
        let (files, found) = claimed.last_but_one(source)?;
        let at = found.content(source)?;
        let broken = || Error::File { path: MANIFEST.to_owned() };
        let bytes = found.bytes.ok_or_else(broken)?;
        // Nobody has taken room for what is only claimed.
        if bytes > MAX_MANIFEST {
            return Err(Error::TooLarge { path: MANIFEST.to_owned() });
        }
        if at.checked_add(bytes).is_none_or(|end| end > claimed.at) {
            return Err(broken());
        }
        let manifest = manifest::open(part(source, at, bytes)?.ok_or_else(broken)?, at, log)?;
        if found.name != manifest.head.path_of(MANIFEST) || manifest.files.checked_add(2) != Some(files) {
            return Err(Error::Files);
        }
        Ok(Self { source, manifest, claimed })
    }

    /// Which log, at which checkpoint.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.manifest.head
    }

    /// One file before the walk; `None` if there is none, if it is longer than [`MAX_FILE`], or if it is not
    /// what the manifest says: then the walk says so.
    pub fn file(&mut self, path: &str) -> Option<Vec<u8>> {
        let (mut listing, mut at) = (self.manifest.listing(), 0u64);
        while let Some(listed) = listing.next(self.source).ok()? {
            let (before, behind) = around(&self.manifest.head.path_of(&listed.path), listed.bytes);
            at = at.checked_add(before)?;
            if listed.path == path {
                let short = listed.bytes <= MAX_FILE;
                let content = short.then(|| part(self.source, at, listed.bytes).ok()).flatten()??;
                return (hash::sha256(&[&content]) == listed.sha256).then_some(content);
            }
            at = at.checked_add(listed.bytes)?.checked_add(behind)?;
        }
        None
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
        let Self { source, manifest, claimed } = self;
        let mut listing = manifest.listing();
        let mut walk = Walk::new(source, &manifest.head, &claimed);
        let walked = loop {
            let listed = match listing.next(walk.source) {
                Ok(Some(listed)) => listed,
                Ok(None) => break walk.end(&manifest),
                Err(error) => break Err(error),
            };
            let keeps = wanted(&listed) && listed.bytes <= MAX_FILE;
            match walk.file(&listed, keeps) {
                Ok(()) => seen(&listed, keeps.then_some(walk.content.as_slice()))?,
                Err(error) => break Err(error),
            }
        };
        match walked {
            // Whether a file or what is around it: the zip's own directory tells.
            Err(Error::Container) => Err(altered(walk.source, &manifest).into()),
            // The rows are those that the log signed: read twice, they could have been others.
            Ok(()) if !manifest.was(listing) => Err(Error::Container.into()),
            walked => Ok(walked?),
        }
    }
}

/// So many bytes of a source, from a place on; none if there are fewer.
fn part(source: &mut dyn Source, at: u64, bytes: u64) -> std::io::Result<Option<Vec<u8>>> {
    let there = source.seek(SeekFrom::End(0))?;
    let Some(length) = at.checked_add(bytes).filter(|end| *end <= there).and(usize::try_from(bytes).ok())
    else {
        return Ok(None);
    };
    // No more than there are. The manifest is parsed in its place.
    let mut out = Vec::with_capacity(length.saturating_add(cose::ROOM));
    source.seek(SeekFrom::Start(at))?;
    Read::take(&mut *source, bytes).read_to_end(&mut out)?;
    Ok((out.len() == length).then_some(out))
}

/// The way through an archive, file by file, and through its directory beside them.
struct Walk<'w> {
    source: &'w mut dyn Source,
    head: &'w Head,
    files: Window,
    entries: Window,
    directory: Directory,
    /// What has to be around a file.
    around: Vec<u8>,
    /// Of the file that was read last, if that was to be kept.
    content: Vec<u8>,
}

impl<'w> Walk<'w> {
    fn new(source: &'w mut dyn Source, head: &'w Head, claimed: &Claimed) -> Self {
        Self {
            source,
            head,
            files: Window::new(0, claimed.at, PIECE),
            entries: Window::new(claimed.at, claimed.bytes, ENTRIES),
            directory: Directory::default(),
            around: Vec::new(),
            content: Vec::new(),
        }
    }

    /// [`Error::Container`] if the next bytes are not these.
    fn same(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.files.is_next(self.source, bytes)? { Ok(()) } else { Err(Error::Container) }
    }

    /// What stands before a file.
    fn begin(&mut self, path: &str) -> Result<(), Error> {
        let mut around = std::mem::take(&mut self.around);
        around.clear();
        local(&self.head.path_of(path), &mut around);
        let same = self.same(&around);
        self.around = around;
        same
    }

    /// What stands behind a file, and its entry in the directory.
    fn close(&mut self, path: &str, bytes: u64, crc: u32) -> Result<(), Error> {
        let mut around = std::mem::take(&mut self.around);
        around.clear();
        descriptor(bytes, crc, &mut around);
        self.same(&around)?;
        around.clear();
        self.directory.entry(&self.head.path_of(path), bytes, crc, &mut around);
        let same = self.entries.is_next(self.source, &around)?;
        self.around = around;
        if same { Ok(()) } else { Err(Error::Container) }
    }

    /// Makes room for a content that is kept: at most [`MAX_FILE`], as the log says. What was kept before goes
    /// first: never are two of them in memory.
    fn room(&mut self, bytes: u64) {
        self.content.clear();
        let bytes = usize::try_from(bytes).unwrap_or_default();
        if self.content.capacity() < bytes {
            self.content = Vec::new();
            self.content.reserve_exact(bytes);
        }
    }

    /// Reads one file and compares it. Of a parcel that is another it names the file in it.
    fn file(&mut self, listed: &Listed, keeps: bool) -> Result<(), Error> {
        self.begin(&listed.path)?;
        self.room(if keeps { listed.bytes } else { 0 });
        let (mut hash, mut crc, mut left) = (Running::default(), Crc::new(), listed.bytes);
        while left > 0 {
            let next = self.files.next(self.source, 1)?;
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(next.len());
            let read = next.get(..most).unwrap_or_default();
            if read.is_empty() {
                return Err(Error::Container);
            }
            left = left.saturating_sub(most as u64);
            hash.update(read);
            crc.update(read);
            if keeps {
                self.content.extend_from_slice(read);
            }
            self.files.pass(most);
        }
        if hash.finish() != listed.sha256 {
            return Err(not_as_listed(listed, keeps.then_some(&self.content)));
        }
        self.close(&listed.path, listed.bytes, crc.sum())
    }

    /// The manifest again, the script that follows from it, what ends the archive, and nothing behind that.
    fn end(&mut self, manifest: &Manifest) -> Result<(), Error> {
        let (bytes, sha256) = manifest.signed;
        let (before, _) = around(&self.head.path_of(MANIFEST), bytes);
        let at = self.files.at().saturating_add(before);
        self.file(&Listed { path: MANIFEST.to_owned(), bytes, sha256 }, false)?;
        self.script(Window::new(at, at.saturating_add(bytes), PIECE))?;
        // Where the directory has to begin, and the files have ended.
        let together = self.directory.at() == self.entries.begin() && self.files.at() == self.directory.at();
        let mut end = Vec::new();
        self.directory.end(&mut end);
        let same = self.entries.is_next(self.source, &end)? && self.entries.next(self.source, 1)?.is_empty();
        if together && same { Ok(()) } else { Err(Error::Container) }
    }

    /// The script of the manifest, a piece of each at a time.
    fn script(&mut self, mut manifest: Window) -> Result<(), Error> {
        self.begin(MANIFEST_JS)?;
        let (mut crc, mut bytes, mut text) = (Crc::new(), 0u64, String::new());
        let mut same = |walk: &mut Self, text: &str| {
            crc.update(text.as_bytes());
            bytes += text.len() as u64;
            walk.same(text.as_bytes())
        };
        let (before, behind) = page::around(MANIFEST);
        same(self, &before)?;
        loop {
            // Whole groups, but for the last piece.
            let piece = manifest.next(self.source, PIECE)?;
            let passed = piece.len();
            if passed == 0 {
                break;
            }
            text.clear();
            STANDARD.encode_string(piece, &mut text);
            same(self, &text)?;
            manifest.pass(passed);
        }
        same(self, behind)?;
        let crc = crc.sum();
        self.close(MANIFEST_JS, bytes, crc)
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
/// not what the manifest says, by the zip's own directory, or what is around them. Here all of it is in memory.
fn altered(source: &mut dyn Source, manifest: &Manifest) -> Error {
    let (mut listing, mut files) = (manifest.listing(), Vec::new());
    while let Ok(Some(listed)) = listing.next(source) {
        files.push(listed);
    }
    let Ok(mut zip) = ZipArchive::new(source) else { return Error::Container };
    let head = &manifest.head;
    let other = files.iter().enumerate().find(|(place, listed)| !is_listed(&mut zip, *place, head, listed));
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
            not_as_listed(listed, content.as_ref())
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
