//! Many small things as few files: a list, and a parcel with the files that its rows name.
//!
//! ```text
//! <folder>000001.ndjson   one row a thing, at most 1,024
//! <folder>000001.zip      the files of these rows, stored, in their order; none if they name none
//! ```
//! So the directory, the manifests and the completeness list of an archive grow with its bytes
//! and not with the number of things, and no list outgrows a text editor. A parcel is a zip: it
//! opens by a double click, and each file in it is one that a program takes. A row names a file as
//! if the parcel were a folder (`data/uses/000001.zip/0f….cbor`). In memory is one list and
//! one parcel. Lacks what rows say (`usage`, `source`, `record`). Trusted: nothing that is read.

use std::io::Cursor;
use std::io::Read;
use std::io::Write;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use zip::ZipArchive;
use zip::ZipWriter;

use crate::portability::Error;
use crate::portability::archive::Archive;
use crate::portability::archive::is_path;
use crate::portability::archive::options;
use crate::portability::complete::ItemKind;

/// Most rows of a list.
pub const MOST_ROWS: u64 = 1_024;
/// Bytes of contents after which a parcel is full.
pub const FULL: usize = 2 << 20;
/// Bytes a parcel takes at first: seldom more are needed, and what is not used is not taken.
const ROOM: usize = FULL + (1 << 20);
/// Bytes a list takes at first, likewise.
const LIST_ROOM: usize = 1 << 20;
/// Digits of a number.
const DIGITS: usize = 6;

const LIST: &str = ".ndjson";
const PARCEL: &str = ".zip";

/// A list inside, as long as the archive is written: its path and hash are in the row of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inside {
    /// What the things are.
    pub(in crate::portability) kind: ItemKind,
    /// Place of its file in the archive.
    pub(in crate::portability) file: u32,
    /// How many.
    items: u32,
}

impl Inside {
    /// How many things it names.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.items.into()
    }
}

/// A list inside, in the completeness list: how many things it names, and by which bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// What they are.
    pub kind: ItemKind,
    /// The list that names each.
    pub path: String,
    /// How many.
    pub items: u64,
    /// Its SHA-256, hex.
    pub sha256: String,
}

/// What a numbered path is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::portability) enum Ending {
    /// A list.
    List = 0,
    /// A parcel.
    Parcel = 1,
}

impl Ending {
    const fn as_str(self) -> &'static str {
        match self {
            Self::List => LIST,
            Self::Parcel => PARCEL,
        }
    }
}

/// Path of a list or a parcel in a folder.
pub(in crate::portability) fn path_of(folder: &str, number: u64, ending: Ending) -> String {
    format!("{folder}{number:0DIGITS$}{}", ending.as_str())
}

/// Folder and number of such a path; none of a path that [`path_of`] does not make of them.
pub(in crate::portability) fn numbered(path: &str) -> Option<(&str, Ending, u32)> {
    let ending =
        [Ending::List, Ending::Parcel].into_iter().find(|ending| is_numbered(path, ending.as_str()))?;
    let (folder, name) = path.split_at_checked(path.rfind('/').map_or(0, |slash| slash + 1))?;
    let digits = name.strip_suffix(ending.as_str())?;
    let is_short = digits.len() > DIGITS && digits.starts_with('0');
    digits.parse().ok().filter(|_| !is_short).map(|number| (folder, ending, number))
}

/// Path of a list in a folder, from 1 on.
#[must_use]
pub fn list_path(folder: &str, number: u64) -> String {
    path_of(folder, number, Ending::List)
}

/// Path of a parcel in a folder, from 1 on.
#[must_use]
pub fn parcel_path(folder: &str, number: u64) -> String {
    path_of(folder, number, Ending::Parcel)
}

/// Path of the parcel beside a list; none of a path that is no list.
#[must_use]
pub fn parcel_beside(list: &str) -> Option<String> {
    is_list(list).then(|| format!("{}{PARCEL}", list.strip_suffix(LIST).unwrap_or(list)))
}

fn is_numbered(path: &str, ending: &str) -> bool {
    let name = path.rsplit('/').next().and_then(|name| name.strip_suffix(ending));
    name.is_some_and(|name| name.len() >= DIGITS && name.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a path is that of a numbered list.
#[must_use]
pub fn is_list(path: &str) -> bool {
    is_numbered(path, LIST)
}

/// Whether a path is that of a parcel.
#[must_use]
pub fn is_parcel(path: &str) -> bool {
    is_numbered(path, PARCEL)
}

/// Lists and parcels of one folder under way.
pub struct Parcels {
    kind: ItemKind,
    folder: String,
    number: u64,
    list: Vec<u8>,
    items: u64,
    parcel: Option<ZipWriter<Cursor<Vec<u8>>>>,
    bytes: usize,
    /// The room of the parcel before, to be used again.
    room: Vec<u8>,
}

impl std::fmt::Debug for Parcels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parcels").field("folder", &self.folder).field("number", &self.number).finish()
    }
}

impl Parcels {
    /// Begins a folder. `folder` ends with a slash.
    #[must_use]
    pub fn new(kind: ItemKind, folder: &str) -> Self {
        Self {
            kind,
            folder: folder.to_owned(),
            number: 1,
            list: Vec::with_capacity(LIST_ROOM),
            items: 0,
            parcel: None,
            bytes: 0,
            room: Vec::with_capacity(ROOM),
        }
    }

    /// Number of the list under way.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Goes on in another folder, from a number on: after [`Self::write`]. The room stays the same, however
    /// many folders there are.
    pub fn turn_to(&mut self, folder: &str, number: u64) {
        folder.clone_into(&mut self.folder);
        self.number = number;
    }

    /// The path by which a row names a file of the parcel under way.
    #[must_use]
    pub fn within(&self, name: &str) -> String {
        format!("{}/{name}", self.beside())
    }

    fn beside(&self) -> String {
        parcel_path(&self.folder, self.number)
    }

    /// Adds a row.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn row(&mut self, row: &Value) -> Result<(), Error> {
        serde_json::to_writer(&mut self.list, row)?;
        self.list.push(b'\n');
        self.items += 1;
        Ok(())
    }

    /// Adds a file that the last row names. Names differ: who calls sees to it.
    ///
    /// # Errors
    /// [`Error::Path`]; the writer.
    pub fn file(&mut self, name: &str, content: &[u8]) -> Result<(), Error> {
        if name.contains('/') || !is_path(name) {
            return Err(Error::Path { path: name.to_owned() });
        }
        let room = &mut self.room;
        let parcel = self.parcel.get_or_insert_with(|| ZipWriter::new(Cursor::new(std::mem::take(room))));
        parcel.start_file(name, options())?;
        parcel.write_all(content)?;
        self.bytes += content.len();
        Ok(())
    }

    /// Whether the next thing belongs into the next list.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.items >= MOST_ROWS || self.bytes >= FULL
    }

    /// Writes what there is, the list first; nothing of nothing. The next row begins the next list.
    ///
    /// # Errors
    /// The writer.
    pub fn write(&mut self, archive: &mut Archive<'_>) -> Result<Option<Inside>, Error> {
        if self.items == 0 {
            return Ok(None);
        }
        let file = archive.file(&list_path(&self.folder, self.number), &self.list)?;
        if let Some(parcel) = self.parcel.take() {
            let mut bytes = parcel.finish()?.into_inner();
            archive.file(&self.beside(), &bytes)?;
            bytes.clear();
            self.room = bytes;
        }
        // At most one more than MOST_ROWS.
        let items = u32::try_from(self.items).unwrap_or(u32::MAX);
        self.list.clear();
        (self.number, self.items, self.bytes) = (self.number + 1, 0, 0);
        Ok(Some(Inside { kind: self.kind, file, items }))
    }
}

/// Takes each file of a parcel.
pub type Member<'a, E> = dyn FnMut(&str, &[u8]) -> Result<(), E> + 'a;

/// Reads a parcel file by file, in the order of its directory. What is not stored, or claims more bytes
/// than the parcel has, is refused.
///
/// # Errors
/// [`Error`]; what `seen` answers.
pub fn open<E: From<Error>>(parcel: &[u8], seen: &mut Member<'_, E>) -> Result<(), E> {
    let mut zip = ZipArchive::new(Cursor::new(parcel)).map_err(Error::from)?;
    let mut left = parcel.len() as u64;
    let mut content = Vec::new();
    for place in 0..zip.len() {
        let name = read(&mut zip, place, &mut left, &mut content)?;
        seen(&name, &content)?;
    }
    Ok(())
}

fn read(
    zip: &mut ZipArchive<Cursor<&[u8]>>,
    place: usize,
    left: &mut u64,
    content: &mut Vec<u8>,
) -> Result<String, Error> {
    let mut file = zip.by_index(place)?;
    let name = file.name()?.into_owned();
    let stored = file.compression() == zip::CompressionMethod::Stored;
    let rest = left.checked_sub(file.size()).filter(|_| stored && file.size() == file.compressed_size());
    *left = rest.ok_or_else(|| Error::File { path: name.clone() })?;
    content.clear();
    // What does not have its checksum is an error of the reader's.
    file.read_to_end(content).map_err(|_| Error::File { path: name.clone() })?;
    Ok(name)
}

/// The first file of a parcel that does not have its checksum; none if the parcel itself does not open.
#[must_use]
pub(in crate::portability) fn altered(parcel: &[u8]) -> Option<String> {
    let mut zip = ZipArchive::new(Cursor::new(parcel)).ok()?;
    let (mut left, mut content) = (parcel.len() as u64, Vec::new());
    (0..zip.len()).find_map(|place| match read(&mut zip, place, &mut left, &mut content) {
        Err(Error::File { path }) => Some(path),
        Ok(_) | Err(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::id::Hash;
    use crate::portability::Head;

    fn written(parcels: &mut Parcels) -> Option<Named> {
        let mut out = Vec::new();
        let mut archive =
            Archive::bare(&mut out, Head { origin: "log.example/1".into(), size: 9, root: [7; 32] });
        parcels.write(&mut archive).unwrap().map(|inside| archive.named(&inside).unwrap())
    }

    fn parcel() -> Vec<u8> {
        let mut parcels = Parcels::new(ItemKind::Use, "data/uses/");
        for n in 0..3u8 {
            parcels.row(&json!({ "n": n })).unwrap();
            parcels.file(&format!("{n}.cbor"), &[n; 9]).unwrap();
        }
        parcels.parcel.take().unwrap().finish().unwrap().into_inner()
    }

    #[test]
    fn rows_and_files_come_back_and_the_next_list_has_the_next_number() {
        let mut parcels = Parcels::new(ItemKind::Use, "data/uses/");
        assert_eq!(parcels.within("a.cbor"), "data/uses/000001.zip/a.cbor");
        parcels.row(&json!({ "id": "a" })).unwrap();
        parcels.file("a.cbor", b"a").unwrap();
        assert!(parcels.file("../a", b"").is_err() && parcels.file("b/a", b"").is_err());
        let named = written(&mut parcels).unwrap();
        assert_eq!((named.path.as_str(), named.items), ("data/uses/000001.ndjson", 1));
        assert_eq!(named.sha256, Hash(crate::ledger::hash::sha256(&[b"{\"id\":\"a\"}\n"])).to_string());
        assert_eq!(parcels.within("b"), "data/uses/000002.zip/b");
        assert_eq!(written(&mut parcels), None);
        let mut names = Vec::new();
        open::<Error>(&parcel(), &mut |name, content| {
            names.push((name.to_owned(), content.to_vec()));
            Ok(())
        })
        .unwrap();
        assert_eq!(names, (0..3u8).map(|n| (format!("{n}.cbor"), vec![n; 9])).collect::<Vec<_>>());
    }

    #[test]
    fn a_list_is_full_by_rows_and_by_bytes() {
        let mut parcels = Parcels::new(ItemKind::Use, "data/uses/");
        (0..MOST_ROWS).for_each(|n| {
            assert!(!parcels.is_full(), "{n}");
            parcels.row(&json!({})).unwrap();
        });
        assert!(parcels.is_full());
        written(&mut parcels);
        parcels.row(&json!({})).unwrap();
        parcels.file("a", &vec![0; FULL - 1]).unwrap();
        assert!(!parcels.is_full());
        parcels.file("b", &[0]).unwrap();
        assert!(parcels.is_full());
    }

    #[test]
    fn a_flipped_byte_is_named_and_no_file_counts_twice() {
        let good = parcel();
        assert_eq!(altered(&good), None);
        let at = good.windows(9).position(|w| w == [1; 9]).unwrap();
        let mut bad = good.clone();
        bad[at + 4] ^= 1;
        assert_eq!(altered(&bad).as_deref(), Some("1.cbor"));
        // Every file claims the same bytes: together they are more than there are.
        let mut many = Parcels::new(ItemKind::Use, "data/uses/");
        many.file("a", &[1; 4_000]).unwrap();
        many.file("b", &[1; 10]).unwrap();
        let mut bytes = many.parcel.take().unwrap().finish().unwrap().into_inner();
        let b = bytes.len() - 22 - 47;
        let a = b - 47;
        let (first, second) = (bytes[a + 20..a + 46].to_vec(), b + 20..b + 46);
        bytes[second].copy_from_slice(&first);
        let read = open::<Error>(&bytes, &mut |_, _| Ok(()));
        assert!(read.is_err());
        for cut in 0..good.len() {
            assert!(open::<Error>(&good[..cut], &mut |_, _| Ok(())).is_err(), "{cut}");
        }
    }

    #[test]
    fn lists_and_parcels_are_known_by_their_paths() {
        assert!(is_list("data/uses/000001.ndjson") && is_list("data/by-source/bank/1000000.ndjson"));
        assert!(!is_list("data/uses.ndjson") && !is_list("data/uses/1.ndjson"));
        assert!(is_parcel("data/uses/000001.zip") && !is_parcel("data/uses/000001.ndjson"));
        assert_eq!(parcel_beside("a/000002.ndjson").as_deref(), Some("a/000002.zip"));
        assert_eq!((list_path("a/", 2).as_str(), parcel_beside("a/b")), ("a/000002.ndjson", None));
        assert_eq!(parcel_path("a/", 1_000_000), "a/1000000.zip");
        assert_eq!(numbered("a/b/1000000.zip"), Some(("a/b/", Ending::Parcel, 1_000_000)));
        for path in ["a/0000001.zip", "a/1.zip", "a/000001.zip.zip", "a/000001", "a/99999999999.ndjson"] {
            assert_eq!(numbered(path), None, "{path}");
        }
    }
}
