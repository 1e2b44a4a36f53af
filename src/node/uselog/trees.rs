//! The tree of each use batch, kept so that a line's way is read and not made from all lines.
//!
//! ```text
//! head:  "naru-tre" 8 ‖ version 4 ‖ zeros 4 ‖ batch 8 ‖ leaves 8
//! rows:  the leaves, sorted, then row upon row of their nodes, 32 bytes each
//! ```
//! An odd last node goes up as it is, which is RFC 9162's tree. Derived from the
//! segments: a way that does not lead to the signed root is never used, and the file
//! is made again; so it has no checksum and is never synced. It outlives a segment
//! that went before its batch did: then it alone still proves the lines that are left.
//! It holds HMACs and hashes, nothing else.

use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use crate::ledger::hash;
use crate::ledger::merkle;
use crate::model::id::Hash;
use crate::node::Error;
use crate::node::uselog::Batch;
use crate::node::uselog::UseLog;
use crate::node::uselog::draft::Way;

const MAGIC: &[u8; 8] = b"naru-tre";
const VERSION: u32 = 1;
const HEAD: u64 = HEAD_LEN as u64;
const HEAD_LEN: usize = 32;
const NODE: u64 = 32;

/// Files are kept by the thousand and more: so many in one folder.
const FOLDER_BITS: u32 = 12;

fn folder(folder: &Path, number: u64) -> PathBuf {
    folder.join("trees").join(format!("{:011x}", number >> FOLDER_BITS))
}

fn path(base: &Path, number: u64) -> PathBuf {
    folder(base, number).join(format!("{number:014x}.tree"))
}

/// Removes the trees of all batches below `number`, folder by folder as far as they reach.
pub(in crate::node::uselog) fn remove_below(base: &Path, number: u64) {
    let whole = format!("{:011x}", number >> FOLDER_BITS);
    let names = |path: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    };
    // What cannot be removed now is removed the next time: nothing in it is personal.
    for name in names(&base.join("trees")).into_iter().filter(|name| *name < whole) {
        drop(std::fs::remove_dir_all(base.join("trees").join(name)));
    }
    let (last, first) = (folder(base, number), format!("{number:014x}"));
    for name in names(&last).into_iter().filter(|name| *name < first) {
        drop(std::fs::remove_file(last.join(name)));
    }
}

fn write(base: &Path, number: u64, leaves: &[[u8; 32]]) -> io::Result<()> {
    let (path, temporary) = (path(base, number), folder(base, number).join("tmp"));
    std::fs::create_dir_all(folder(base, number))?;
    let file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    let mut out = io::BufWriter::with_capacity(1 << 18, file);
    out.write_all(MAGIC)?;
    out.write_all(&[&VERSION.to_be_bytes()[..], &[0; 4]].concat())?;
    out.write_all(&[number, leaves.len() as u64].map(u64::to_be_bytes).concat())?;
    let mut row = leaves.to_vec();
    loop {
        row.iter().try_for_each(|node| out.write_all(node))?;
        if row.len() <= 1 {
            break;
        }
        let up = |pair: &[[u8; 32]]| match pair {
            [left, right] => hash::node(left, right),
            [one, ..] => *one,
            [] => hash::empty_root(),
        };
        row = row.chunks(2).map(up).collect();
    }
    out.flush()?;
    std::fs::rename(temporary, path)
}

/// The way of a leaf in a kept tree; `None` if the leaf is not in it.
fn read(base: &Path, number: u64, leaf: &[u8; 32]) -> io::Result<Option<Way>> {
    let file = File::open(path(base, number))?;
    let mut head = [0u8; HEAD_LEN];
    file.read_exact_at(&mut head, 0)?;
    let expected = [&MAGIC[..], &VERSION.to_be_bytes(), &[0; 4], &number.to_be_bytes()].concat();
    let count = head.strip_prefix(expected.as_slice()).and_then(|rest| rest.first_chunk::<8>());
    let Some(count) = count.map(|count| u64::from_be_bytes(*count)) else { return Ok(None) };
    let node = |at: u64| -> io::Result<[u8; 32]> {
        let mut out = [0u8; 32];
        file.read_exact_at(&mut out, HEAD.saturating_add(at.saturating_mul(NODE)))?;
        Ok(out)
    };
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if node(middle)? < *leaf { low = middle + 1 } else { high = middle }
    }
    if low >= count || node(low)? != *leaf {
        return Ok(None);
    }
    let (mut at, mut row, mut size) = (low, 0u64, count);
    let (mut path, mut sides) = (Vec::new(), 0u64);
    while size > 1 {
        if at ^ 1 < size {
            sides |= (at & 1).checked_shl(u32::try_from(path.len()).unwrap_or(u32::MAX)).unwrap_or_default();
            path.push(node(row.saturating_add(at ^ 1))?);
        }
        row = row.saturating_add(size);
        (at, size) = (at >> 1, size.div_ceil(2));
    }
    Ok(Some(Way { path, sides }))
}

impl UseLog {
    /// Keeps the tree of a batch. A failure is of no account: it is made again.
    pub(in crate::node::uselog) fn keep_tree(&self, number: u64, leaves: &[[u8; 32]]) {
        if let Err(error) = write(self.folder(), number, leaves) {
            tracing::warn!(cause = %error, "the tree of a use batch could not be kept");
        }
    }

    /// How a line leads to the root of its batch; `None` if it is not under it.
    ///
    /// # Errors
    /// The disk; damage inside a segment.
    pub(in crate::node::uselog) fn way(
        &self,
        number: u64,
        batch: &Batch,
        root: &Hash,
        line: &[u8; 32],
    ) -> Result<Option<Way>, Error> {
        let leaf = hash::leaf(line);
        let leads =
            |way: &Way| merkle::root_from_sides(&leaf, way.sides, &way.path).is_ok_and(|r| r == root.0);
        if let Ok(Some(way)) = read(self.folder(), number, &leaf)
            && leads(&way)
        {
            return Ok(Some(way));
        }
        let leaves = self.leaves(batch.from, batch.until)?;
        if merkle::root(&leaves) != root.0 {
            // Lines are gone: no way leads there, and a tree of the rest is worth nothing.
            return Ok(None);
        }
        self.keep_tree(number, &leaves);
        let Ok(place) = leaves.binary_search(&leaf) else { return Ok(None) };
        let sides = merkle::sides(place as u64, leaves.len() as u64)?;
        let list = merkle::List::new(&leaves);
        Ok(Some(Way { path: list.path(place)?, sides }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_tree_gives_the_way_that_the_list_gives() {
        let dir = tempfile::tempdir().unwrap();
        for size in (1..40u8).chain([200, 255]) {
            let mut leaves: Vec<_> = (0..size).map(|n| hash::leaf(&[n])).collect();
            leaves.sort_unstable();
            write(dir.path(), 5, &leaves).unwrap();
            let list = merkle::List::new(&leaves);
            for (place, leaf) in leaves.iter().enumerate() {
                let way = read(dir.path(), 5, leaf).unwrap().unwrap();
                assert_eq!(way.path, list.path(place).unwrap(), "{place} of {size}");
                assert_eq!(way.sides, merkle::sides(place as u64, u64::from(size)).unwrap());
            }
            assert!(read(dir.path(), 5, &[0; 32]).unwrap().is_none());
            assert!(read(dir.path(), 6, &leaves[0]).is_err());
        }
    }

    #[test]
    fn trees_below_a_number_go() {
        let dir = tempfile::tempdir().unwrap();
        for number in [0, 1, 4_095, 4_096, 4_097, 9_000] {
            write(dir.path(), number, &[[1; 32]]).unwrap();
        }
        remove_below(dir.path(), 4_097);
        let stands = |number| path(dir.path(), number).exists();
        assert_eq!([0, 4_095, 4_096, 4_097, 9_000].map(stands), [false, false, false, true, true]);
    }
}
