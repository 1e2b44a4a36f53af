//! The mark and the anchor: what lets a start notice that the store went back.
//!
//! The *mark* lies beside the data, is overwritten after each commit and not
//! synced: it can be behind, never ahead. The *anchor* is the newest checkpoint,
//! written outside the data folder before that checkpoint is served.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::ledger::hash;

const LEN: usize = 56;

/// The open mark file: `next 8 ‖ at 8 ‖ commit root 32 ‖ checksum 8`.
#[derive(Debug)]
pub(in crate::node) struct Mark(File);

/// What the mark said at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) struct Marked {
    pub(in crate::node) next: u64,
    pub(in crate::node) root: [u8; 32],
}

impl Mark {
    /// Opens the mark; `None` beside it if it was never set or is torn (it is not synced).
    pub(in crate::node) fn open(path: &Path) -> io::Result<(Self, Option<Marked>)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = [0u8; LEN];
        let marked = file.read_exact_at(&mut bytes, 0).ok().and_then(|()| parse(&bytes));
        Ok((Self(file), marked))
    }

    /// Overwrites the mark in place. A failure is of no account: it may be behind.
    pub(in crate::node) fn set(&self, next: u64, at: u64, root: &[u8; 32]) {
        let mut bytes = [next.to_be_bytes().as_slice(), &at.to_be_bytes(), root].concat();
        let sum = hash::sha256(&[&bytes]);
        bytes.extend(sum.iter().take(8));
        if let Err(error) = self.0.write_all_at(&bytes, 0) {
            tracing::warn!(cause = %error, "the mark could not be written");
        }
    }
}

fn parse(bytes: &[u8; LEN]) -> Option<Marked> {
    let (body, sum) = bytes.split_at(48);
    if !hash::sha256(&[body]).starts_with(sum) {
        return None;
    }
    let (next, rest) = body.split_first_chunk::<8>()?;
    let (_, root) = rest.split_first_chunk::<8>()?;
    Some(Marked { next: u64::from_be_bytes(*next), root: root.try_into().ok()? })
}

/// Replaces the anchor durably: temporary file, sync, rename, sync of the folder.
pub(in crate::node) fn write_anchor(path: &Path, note: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(note.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Reads the anchor.
pub(in crate::node) fn read_anchor(path: &Path) -> io::Result<String> {
    fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_a_torn_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        let (mark, none) = Mark::open(&path).unwrap();
        assert_eq!(none, None);
        mark.set(7, 9, &[3; 32]);
        assert_eq!(Mark::open(&path).unwrap().1, Some(Marked { next: 7, root: [3; 32] }));
        let mut bytes = fs::read(&path).unwrap();
        bytes[3] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(Mark::open(&path).unwrap().1, None);
    }
}
