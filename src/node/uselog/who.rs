//! Whose lines stand where in a closed segment: a sorted side file, made from the segment.
//!
//! ```text
//! block:  170 rows ‖ zeros 8 ‖ rows in it 4 ‖ checksum 4          (4,096 bytes; all full but the last)
//! row:    tag 8 ‖ offset 8 ‖ t 8                                  (by tag; after the last, ones)
//! head:   "naru-who" 8 ‖ version 4 ‖ blocks 8 ‖ rows 8 ‖ zeros ‖ checksum 4   (the first block)
//! ```
//! The tag of a person's n-th line of a segment is made with her key: without it no
//! two rows belong together, so the file says nothing that the frames do not, and it
//! says nothing of her once the key is gone. It is derived: a file that is missing, of
//! another version or damaged is made again, so it is never synced. Every block that
//! is read is checked. A row is trusted only to say where to look.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::node::Error;
use crate::node::uselog::UseLog;
use crate::node::uselog::held;
use crate::node::uselog::segment::Extent;
use crate::node::uselog::segment::Frames;
use crate::vault;
use crate::vault::PersonKey;
use crate::vault::Pointed;
use crate::vault::Vault;

const BLOCK: usize = 4_096;
const ROW: usize = 24;
const ROWS: usize = 170;
const MAGIC: &[u8; 8] = b"naru-who";
const VERSION: u32 = 1;

/// Time and place of a line.
pub(in crate::node::uselog) type Spot = (Timestamp, (u64, u64));

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    tag: [u8; 8],
    offset: u64,
    t: u64,
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:014x}.who"))
}

/// Removes the side file of a segment that is gone.
pub(in crate::node::uselog) fn remove(folder: &Path, number: u64) {
    // Nothing is lost if it stays: without its segment nobody asks for it.
    drop(std::fs::remove_file(path(folder, number)));
}

fn checksum(number: u64, place: u64, rest: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    for part in [&number.to_be_bytes()[..], &place.to_be_bytes(), rest] {
        crc.update(part);
    }
    crc.sum().to_be_bytes()
}

fn sealed(number: u64, place: u64, mut block: Vec<u8>) -> Vec<u8> {
    block.resize(BLOCK - 4, 0);
    block.extend_from_slice(&checksum(number, place, &block));
    block
}

fn write(folder: &Path, number: u64, rows: &[Row]) -> io::Result<()> {
    let (path, temporary) = (path(folder, number), folder.join(format!("{number:014x}.who.tmp")));
    let file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    let mut out = io::BufWriter::with_capacity(1 << 18, file);
    let blocks = rows.len().div_ceil(ROWS);
    let counts = [blocks as u64, rows.len() as u64].map(u64::to_be_bytes).concat();
    out.write_all(&sealed(number, 0, [&MAGIC[..], &VERSION.to_be_bytes(), &counts].concat()))?;
    for (place, chunk) in (1u64..).zip(rows.chunks(ROWS)) {
        let mut block = Vec::with_capacity(BLOCK);
        for row in chunk {
            block.extend_from_slice(&row.tag);
            block.extend_from_slice(&row.offset.to_be_bytes());
            block.extend_from_slice(&row.t.to_be_bytes());
        }
        block.resize(ROWS * ROW, 0xff);
        block.extend_from_slice(&[0; 8]);
        block.extend_from_slice(&u32::try_from(chunk.len()).unwrap_or_default().to_be_bytes());
        out.write_all(&sealed(number, place, block))?;
    }
    out.flush()?;
    std::fs::rename(temporary, path)
}

/// Blocks of a side file that stay in memory: all of a short one. In a long one look-ups seldom meet.
const KEPT: usize = 8;

/// An open side file.
pub(in crate::node::uselog) struct Book {
    file: File,
    number: u64,
    blocks: u64,
    kept: HashMap<u64, Vec<Row>>,
}

/// Where the block of a tag is likely to be, as a tag is as good as random.
fn likely(tag: [u8; 8], blocks: u64) -> u64 {
    let place = (u128::from(u64::from_be_bytes(tag)) * u128::from(blocks)) >> 64;
    u64::try_from(place).unwrap_or_default()
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the side file of a use segment is damaged")
}

fn number_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|b| u64::from_be_bytes(*b))
}

impl Book {
    /// Opens a side file that has a row for each of `lines` lines, or of those that had a key.
    fn open(folder: &Path, number: u64, lines: u64) -> io::Result<Self> {
        let mut book =
            Self { file: File::open(path(folder, number))?, number, blocks: 0, kept: HashMap::new() };
        let head = book.block(0)?;
        let rest = head.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(&VERSION.to_be_bytes()));
        let rest = rest.ok_or_else(damaged)?;
        let (blocks, rows) =
            (number_at(rest, 0).ok_or_else(damaged)?, number_at(rest, 8).ok_or_else(damaged)?);
        if rows > lines || blocks != rows.div_ceil(ROWS as u64) {
            return Err(damaged());
        }
        book.blocks = blocks;
        Ok(book)
    }

    fn block(&self, place: u64) -> io::Result<Vec<u8>> {
        let mut block = vec![0; BLOCK];
        self.file.read_exact_at(&mut block, place * BLOCK as u64)?;
        let (rest, sum) = block.split_last_chunk::<4>().ok_or_else(damaged)?;
        if checksum(self.number, place, rest) == *sum { Ok(block) } else { Err(damaged()) }
    }

    /// Rows of the block, from 0.
    fn rows(&mut self, at: u64) -> io::Result<&[Row]> {
        if !self.kept.contains_key(&at) {
            let block = self.block(at + 1)?;
            let count = block.get(ROWS * ROW + 8..).and_then(|rest| rest.first_chunk::<4>());
            let count = usize::try_from(count.map_or(0, |c| u32::from_be_bytes(*c))).unwrap_or_default();
            let row = |bytes: &[u8; ROW]| {
                let (tag, rest) = bytes.split_first_chunk::<8>()?;
                Some(Row { tag: *tag, offset: number_at(rest, 0)?, t: number_at(rest, 8)? })
            };
            let rows: Vec<Row> =
                block.as_chunks::<ROW>().0.iter().take(count.min(ROWS)).filter_map(row).collect();
            if rows.is_empty() {
                return Err(damaged());
            }
            if self.kept.len() >= KEPT {
                self.kept.clear();
            }
            self.kept.insert(at, rows);
        }
        self.kept.get(&at).map(Vec::as_slice).ok_or_else(damaged)
    }

    /// Time and place of the lines of a tag, in their order.
    pub(in crate::node::uselog) fn places(&mut self, tag: [u8; 8]) -> io::Result<Vec<Spot>> {
        let number = self.number;
        let rows = self.find(tag)?.into_iter();
        Ok(rows.map(|row| (Timestamp(row.t), (number, row.offset))).collect())
    }

    /// The first block whose last row is not below the tag: from the likely one on in steps that double, then
    /// by halves between them.
    fn first(&mut self, tag: [u8; 8]) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.blocks);
        let (mut at, mut step) = (likely(tag, self.blocks), 1u64);
        let mut rises = None;
        while low < high {
            let below = self.rows(at)?.last().is_some_and(|last| last.tag < tag);
            if below {
                low = at + 1
            } else {
                high = at
            }
            let goes_on = *rises.get_or_insert(below) == below;
            let next = if below { at.checked_add(step) } else { at.checked_sub(step) };
            at = next.filter(|next| goes_on && (low..high).contains(next)).unwrap_or(low + (high - low) / 2);
            step = step.saturating_mul(2);
        }
        Ok(low)
    }

    /// All rows of a tag.
    fn find(&mut self, tag: [u8; 8]) -> io::Result<Vec<Row>> {
        let mut low = self.first(tag)?;
        let mut out = Vec::new();
        while low < self.blocks {
            let rows = self.rows(low)?;
            let from = rows.partition_point(|row| row.tag < tag);
            let same: Vec<Row> = rows.iter().skip(from).take_while(|row| row.tag == tag).copied().collect();
            let goes_on = from + same.len() == rows.len();
            out.extend(same);
            if !goes_on {
                break;
            }
            low += 1;
        }
        Ok(out)
    }
}

impl UseLog {
    /// Time and place of every line of one person's. May name a line of another's, never leaves one out.
    ///
    /// # Errors
    /// The disk, or damage of a segment.
    pub(in crate::node::uselog) fn places_of(
        &self,
        vault: &Vault,
        who: Pointed,
        key: &PersonKey,
    ) -> Result<Vec<Spot>, Error> {
        let mut out: Vec<Spot> = Vec::new();
        // Open ones first: what is closed in between is then found twice rather than never.
        for track in self.steady() {
            track.noted(&who.subject, &mut out);
        }
        held(&self.counted).track.noted(&who.subject, &mut out);
        let closed: Vec<Extent> = held(&self.closed).values().filter(|e| e.lines > 0).copied().collect();
        for extent in closed {
            let number = extent.header.number;
            let found = match self.look_up(number, extent.lines, key) {
                Ok(found) => found,
                Err(_) => {
                    // Missing, or not what was written: the segment is the truth.
                    self.index(vault, &extent)?;
                    self.look_up(number, extent.lines, key).map_err(|cause| self.failed(cause.into()))?
                }
            };
            out.extend(found.into_iter().map(|row| (Timestamp(row.t), (number, row.offset))));
        }
        out.sort_unstable();
        out.dedup();
        Ok(out)
    }

    /// The side file of a closed segment; made if it is missing, or not what was written.
    pub(in crate::node::uselog) fn book_of(&self, vault: &Vault, number: u64) -> Result<Book, Error> {
        let gone = || Error::Damaged(format!("use segment {number} is gone"));
        let extent = held(&self.closed).get(&number).copied().ok_or_else(gone)?;
        if let Ok(book) = Book::open(self.folder(), number, extent.lines) {
            return Ok(book);
        }
        self.index(vault, &extent)?;
        Book::open(self.folder(), number, extent.lines).map_err(|cause| self.failed(cause.into()))
    }

    fn look_up(&self, number: u64, lines: u64, key: &PersonKey) -> io::Result<Vec<Row>> {
        let mut book = Book::open(self.folder(), number, lines)?;
        let mut out = Vec::new();
        for n in 0..lines {
            let found = book.find(key.line_tag(number, n))?;
            if found.is_empty() {
                break;
            }
            out.extend(found);
        }
        Ok(out)
    }

    /// Makes the side files that closed segments lack.
    ///
    /// # Errors
    /// The disk, or damage of a segment.
    pub(in crate::node::uselog) fn index_closed(&self, vault: &Vault) -> Result<(), Error> {
        let closed: Vec<Extent> = held(&self.closed).values().filter(|e| e.lines > 0).copied().collect();
        for extent in closed {
            let number = extent.header.number;
            if !held(&self.indexed).contains(&number) {
                if Book::open(self.folder(), number, extent.lines).is_err() {
                    self.index(vault, &extent)?;
                }
                held(&self.indexed).insert(number);
            }
        }
        Ok(())
    }

    /// Makes the side file of a closed segment. Lines of persons whose key is gone have no row.
    fn index(&self, vault: &Vault, extent: &Extent) -> Result<(), Error> {
        let number = extent.header.number;
        let failed = |cause: io::Error| self.failed(cause.into());
        let (_, mut frames) = Frames::open(self.folder(), number, extent.len).map_err(failed)?;
        let mut keys: HashMap<SubjectId, (Option<PersonKey>, u64)> = HashMap::new();
        let (mut rows, mut lines) = (Vec::new(), 0);
        while let Some((frame, _)) = frames.next().map_err(failed)? {
            let Some((pointer, _, _)) = frame.line() else { continue };
            lines += 1;
            let who = vault.place(number, frame.offset)?.show(pointer);
            let (key, n) = match keys.get_mut(&who.subject) {
                Some(known) => known,
                None => {
                    let key = match vault.person_key(who) {
                        Ok(key) => Some(key),
                        Err(vault::Error::Slot { .. }) => None,
                        Err(error) => return Err(error.into()),
                    };
                    keys.entry(who.subject).or_insert((key, 0))
                }
            };
            if let Some(key) = key {
                rows.push(Row { tag: key.line_tag(number, *n), offset: frame.offset, t: frame.t.0 });
                *n += 1;
            }
        }
        if lines < extent.lines {
            return Err(Error::Damaged(format!("use segment {number} holds fewer lines than it had")));
        }
        rows.sort_unstable();
        write(self.folder(), number, &rows).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: u64) -> Vec<Row> {
        let mut rows: Vec<Row> = (0..n)
            .map(|n| {
                let hash = crate::ledger::hash::sha256(&[&(n / 2).to_be_bytes()]);
                Row { tag: *hash.first_chunk().unwrap(), offset: n, t: n }
            })
            .collect();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn every_row_is_found_where_tags_lie_as_nobody_expects() {
        let dir = tempfile::tempdir().unwrap();
        for first in [0, 0x80, 0xff] {
            let mut rows = rows(5_000);
            rows.iter_mut().for_each(|row| row.tag[0] = first);
            // And one far from all others.
            rows[0].tag[0] ^= 0xff;
            rows.sort_unstable();
            write(dir.path(), 7, &rows).unwrap();
            let mut book = Book::open(dir.path(), 7, 5_000).unwrap();
            for row in &rows {
                assert!(book.find(row.tag).unwrap().contains(row), "{first}: {row:?}");
            }
            assert_eq!([book.find([0; 8]).unwrap(), book.find([0xff; 8]).unwrap()], [[], []]);
        }
    }

    #[test]
    fn every_row_is_found_by_its_tag_and_any_flipped_bit_of_a_block_read_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        for n in [1, 2, 169, 170, 171, 340, 1_001] {
            let rows = rows(n);
            write(dir.path(), 7, &rows).unwrap();
            let mut book = Book::open(dir.path(), 7, n).unwrap();
            for row in &rows {
                assert!(book.find(row.tag).unwrap().contains(row));
            }
            assert_eq!(book.find([0; 8]).unwrap(), []);
            assert_eq!(book.find([0xff; 8]).unwrap(), []);
            assert!(book.kept.len() <= KEPT);
            assert!(Book::open(dir.path(), 7, n - 1).is_err(), "more rows than lines");
            std::fs::copy(path(dir.path(), 7), path(dir.path(), 8)).unwrap();
            assert!(Book::open(dir.path(), 8, n).is_err(), "another segment's");
        }
        let good = std::fs::read(path(dir.path(), 7)).unwrap();
        let rows = rows(1_001);
        for at in (0..good.len()).step_by(37) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(path(dir.path(), 7), bad).unwrap();
            let found = Book::open(dir.path(), 7, 1_001)
                .and_then(|mut book| rows.iter().try_for_each(|row| book.find(row.tag).map(drop)));
            assert!(found.is_err(), "byte {at}");
        }
        std::fs::write(path(dir.path(), 7), &good[..good.len() - 1]).unwrap();
        let mut book = Book::open(dir.path(), 7, 1_001).unwrap();
        assert!(book.find(rows[1_000].tag).is_err());
    }
}
