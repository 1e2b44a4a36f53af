//! Which `use.batch` covers which time: fixed rows beside the segments.
//!
//! Derived from the public log and rebuilt from it when rows are missing: so it is
//! not synced, and a torn last row is simply made again.
//!
//! ```text
//! from 8 ‖ until 8 ‖ index 8 ‖ statement id 32 ‖ zeros 4 ‖ checksum 4
//! ```
//! The number of a row is the number of its batch.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::ledger::hash;
use crate::model::id::LeafIndex;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;

const ROW: usize = 64;

/// One batch of the public log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// First instant of its lines.
    pub from: Timestamp,
    /// First instant after them.
    pub until: Timestamp,
    /// Index of the statement's entry.
    pub index: LeafIndex,
    /// The statement.
    pub id: StatementId,
}

/// The open file.
#[derive(Debug)]
pub(in crate::node::uselog) struct Batches {
    file: File,
    count: u64,
}

impl Batches {
    pub(in crate::node::uselog) fn open(path: &Path) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut out = Self { count: file.metadata()?.len() / ROW as u64, file };
        while out.count > 0 && out.row(out.count - 1)?.is_none() {
            out.count -= 1;
        }
        Ok(out)
    }

    pub(in crate::node::uselog) const fn count(&self) -> u64 {
        self.count
    }

    /// Forgets all rows: the log has fewer batches than the file.
    pub(in crate::node::uselog) const fn clear(&mut self) {
        self.count = 0;
    }

    pub(in crate::node::uselog) fn push(&mut self, batch: &Batch) -> io::Result<()> {
        let numbers = [batch.from.0, batch.until.0, batch.index].map(u64::to_be_bytes).concat();
        let mut bytes = [numbers.as_slice(), batch.id.as_bytes(), &[0; 4]].concat();
        bytes.extend(hash::sha256(&[&self.count.to_be_bytes(), &bytes]).iter().take(4));
        self.file.write_all_at(&bytes, self.count * ROW as u64)?;
        self.count += 1;
        Ok(())
    }

    pub(in crate::node::uselog) fn last(&self) -> io::Result<Option<Batch>> {
        match self.count.checked_sub(1) {
            Some(last) => self.row(last),
            None => Ok(None),
        }
    }

    /// The batch that covers an instant, with its number.
    pub(in crate::node::uselog) fn covering(&self, t: Timestamp) -> io::Result<Option<(u64, Batch)>> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(batch) = self.row(middle)? else { return Ok(None) };
            if t < batch.from {
                high = middle;
            } else if t >= batch.until {
                low = middle + 1;
            } else {
                return Ok(Some((middle, batch)));
            }
        }
        Ok(None)
    }

    /// The last batch whose entry stands below `size`.
    pub(in crate::node::uselog) fn below(&self, size: TreeSize) -> io::Result<Option<Batch>> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.row(middle)? {
                Some(batch) if batch.index < size => low = middle + 1,
                Some(_) | None => high = middle,
            }
        }
        match low.checked_sub(1) {
            Some(last) => self.row(last),
            None => Ok(None),
        }
    }

    fn row(&self, number: u64) -> io::Result<Option<Batch>> {
        let mut bytes = [0u8; ROW];
        match self.file.read_exact_at(&mut bytes, number * ROW as u64) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        Ok(parse(number, &bytes))
    }
}

fn parse(number: u64, bytes: &[u8; ROW]) -> Option<Batch> {
    let (rest, sum) = bytes.split_last_chunk::<4>()?;
    if !hash::sha256(&[&number.to_be_bytes(), rest]).starts_with(sum) {
        return None;
    }
    let (numbers, rest) = rest.split_first_chunk::<24>()?;
    let ([from, until, index], _) = numbers.as_chunks::<8>() else { return None };
    let (id, _) = rest.split_first_chunk::<32>()?;
    let [from, until, index] = [from, until, index].map(|n| u64::from_be_bytes(*n));
    Some(Batch { from: Timestamp(from), until: Timestamp(until), index, id: StatementId(*id) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_finds_its_batch_and_a_torn_row_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("batches");
        let mut batches = Batches::open(&path).unwrap();
        let batch = |n: u64| Batch {
            from: Timestamp(n * 10),
            until: Timestamp(n * 10 + 10),
            index: n,
            id: StatementId([1; 32]),
        };
        (1..6).for_each(|n| batches.push(&batch(n)).unwrap());
        let number =
            |batches: &Batches, t| batches.covering(Timestamp(t)).unwrap().map(|(n, b)| (n, b.index));
        assert_eq!(number(&batches, 9), None);
        assert_eq!(number(&batches, 10), Some((0, 1)));
        assert_eq!(number(&batches, 39), Some((2, 3)));
        assert_eq!(number(&batches, 60), None);
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let batches = Batches::open(&path).unwrap();
        assert_eq!((batches.count(), batches.last().unwrap()), (4, Some(batch(4))));
    }
}
