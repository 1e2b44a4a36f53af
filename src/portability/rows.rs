//! What stays of each file of an archive that is written: a row of 56 bytes.
//!
//! Of a numbered list or parcel the path is not kept: it is its folder's and its number. Rows stand in
//! chunks, so that more of them are never a copy of those before. Lacks where a file stands in the zip
//! ([`zip`](crate::portability::zip) adds it up).

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use crate::ledger::hash::Hash;
use crate::portability::manifest::Listed;
use crate::portability::parcel;
use crate::portability::parcel::Ending;

/// Rows of a chunk.
const CHUNK: usize = 256;
/// The folder of a path that is kept as it is.
const WHOLE: u32 = u32::MAX;

/// A path: which folder and number it has, or which of the others it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::portability) struct Name {
    /// Twice the folder's place and whether it is a parcel, or [`WHOLE`].
    folder: u32,
    number: u32,
}

/// Numbers that followed each other: the first, and the one behind the last.
type Run = Option<(u32, u32)>;

/// Paths, each there once.
///
/// A folder's lists come by their numbers, and so do its parcels: then a run says which of them are there. What
/// comes in another order is kept whole.
#[derive(Debug, Default)]
pub(in crate::portability) struct Names {
    folders: Vec<(Arc<str>, [Run; 2])>,
    places: HashMap<Arc<str>, usize>,
    whole: Vec<Arc<str>>,
    is_whole: HashSet<Arc<str>>,
}

impl Names {
    /// Whether a path is there.
    pub(in crate::portability) fn holds(&self, path: &str) -> bool {
        let numbered = parcel::numbered(path).is_some_and(|(folder, ending, number)| {
            let folder = self.places.get(folder).and_then(|place| self.folders.get(*place));
            let run = folder.and_then(|(_, runs)| *of(runs, ending));
            run.is_some_and(|(first, next)| (first..next).contains(&number))
        });
        numbered || self.is_whole.contains(path)
    }

    /// Takes a path in; none if it is there.
    pub(in crate::portability) fn take(&mut self, path: &str) -> Option<Name> {
        if self.holds(path) {
            return None;
        }
        if let Some(name) = parcel::numbered(path).and_then(|numbered| self.next(numbered)) {
            return Some(name);
        }
        let number = u32::try_from(self.whole.len()).ok()?;
        let path: Arc<str> = path.into();
        self.whole.push(Arc::clone(&path));
        self.is_whole.insert(path);
        Some(Name { folder: WHOLE, number })
    }

    /// Takes the next number of a folder; none if it is another one.
    fn next(&mut self, (folder, ending, number): (&str, Ending, u32)) -> Option<Name> {
        let behind = number.checked_add(1)?;
        let place = match self.places.get(folder) {
            Some(place) => *place,
            None => {
                let (place, folder): (_, Arc<str>) = (self.folders.len(), folder.into());
                self.folders.push((Arc::clone(&folder), [None; 2]));
                self.places.insert(folder, place);
                place
            }
        };
        let (_, runs) = self.folders.get_mut(place)?;
        let [lists, parcels] = runs;
        let run = match ending {
            Ending::List => lists,
            Ending::Parcel => parcels,
        };
        let (first, next) = run.unwrap_or((number, number));
        let folder = u32::try_from(place).ok()?.checked_mul(2)?.checked_add(ending as u32)?;
        if next != number || folder == WHOLE {
            return None;
        }
        *run = Some((first, behind));
        Some(Name { folder, number })
    }

    /// The path.
    pub(in crate::portability) fn path(&self, name: Name) -> String {
        if name.folder == WHOLE {
            let whole = usize::try_from(name.number).ok().and_then(|place| self.whole.get(place));
            return whole.map(|path| path.to_string()).unwrap_or_default();
        }
        let ending = if name.folder.is_multiple_of(2) { Ending::List } else { Ending::Parcel };
        let folder = usize::try_from(name.folder / 2).ok().and_then(|place| self.folders.get(place));
        folder.map(|(folder, _)| parcel::path_of(folder, name.number.into(), ending)).unwrap_or_default()
    }
}

const fn of(runs: &[Run; 2], ending: Ending) -> &Run {
    let [lists, parcels] = runs;
    match ending {
        Ending::List => lists,
        Ending::Parcel => parcels,
    }
}

/// What stays of a file.
#[derive(Clone, Copy, Debug)]
pub(in crate::portability) struct Row {
    /// SHA-256 of its content.
    pub(in crate::portability) sha256: Hash,
    /// Its length.
    pub(in crate::portability) bytes: u64,
    /// CRC-32 of its content.
    pub(in crate::portability) crc: u32,
    /// Its path.
    pub(in crate::portability) name: Name,
}

/// The rows, in the order of the archive.
#[derive(Debug, Default)]
pub(in crate::portability) struct Rows {
    /// The paths, and that of the file under way.
    pub(in crate::portability) names: Names,
    chunks: Vec<Vec<Row>>,
    count: usize,
}

impl Rows {
    /// Adds the row of a file whose path is among the names.
    pub(in crate::portability) fn push(&mut self, row: Row) {
        self.count += 1;
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => chunk.push(row),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(row);
                self.chunks.push(chunk);
            }
        }
    }

    /// How many there are.
    pub(in crate::portability) const fn len(&self) -> usize {
        self.count
    }

    /// The file with a place, from 0 on.
    pub(in crate::portability) fn get(&self, place: usize) -> Option<Listed> {
        let row = self.chunks.get(place / CHUNK)?.get(place % CHUNK)?;
        Some(self.listed(row))
    }

    /// Each with its path.
    pub(in crate::portability) fn iter(&self) -> impl Iterator<Item = (Listed, u32)> {
        self.chunks.iter().flatten().map(|row| (self.listed(row), row.crc))
    }

    fn listed(&self, row: &Row) -> Listed {
        Listed { path: self.names.path(row.name), bytes: row.bytes, sha256: row.sha256 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_small_and_no_path_of_a_list_is_in_it() {
        assert!(size_of::<Row>() <= 56);
        let mut rows = Rows::default();
        for number in 1..=1_000u64 {
            for ending in [Ending::List, Ending::Parcel] {
                let path = parcel::path_of("data/uses/", number, ending);
                let name = rows.names.take(&path).unwrap();
                rows.push(Row { sha256: [7; 32], bytes: number, crc: 9, name });
            }
        }
        assert_eq!((rows.names.whole.len(), rows.names.folders.len()), (0, 1));
        assert!(rows.chunks.iter().all(|chunk| chunk.capacity() == CHUNK));
        let listed = rows.get(1_999).unwrap();
        assert_eq!((listed.path.as_str(), listed.bytes), ("data/uses/001000.zip", 1_000));
        assert_eq!((rows.len(), rows.iter().count()), (2_000, 2_000));
        assert!(rows.get(2_000).is_none());
    }

    #[test]
    fn names_come_back_and_none_is_taken_twice_in_whatever_order() {
        let paths = [
            "a/000001.ndjson",
            "a/000001.zip",
            // Not the next one, so kept whole; then what is between, and the same again.
            "a/000003.ndjson",
            "a/000002.ndjson",
            "a/000000.ndjson",
            "b/000007.zip",
            "b/000008.zip",
            // Other spellings of a number are other paths.
            "b/0000009.zip",
            "b/000009.zip",
            "b/1.zip",
            "b/99999999999.zip",
            "b/4294967295.zip",
            "000001.zip",
            "data/consents.json",
            "a",
        ];
        let mut names = Names::default();
        for (n, path) in paths.iter().enumerate() {
            assert!(!names.holds(path), "{path}");
            let name = names.take(path).unwrap();
            assert_eq!(names.path(name), *path);
            for path in &paths[..=n] {
                assert!(names.holds(path) && names.take(path).is_none(), "{path}");
            }
        }
        // Whatever is taken can be told from what follows it.
        assert!(names.take("a/000004.ndjson").is_some() && names.take("a/000004.ndjson").is_none());
    }
}
