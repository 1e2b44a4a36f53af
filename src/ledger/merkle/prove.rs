//! Proofs from tiles, reading each tile once, and from short lists.

use std::collections::HashMap;

use super::{Error, fold_right, parents, row_root};
use crate::ledger::hash::{Hash, empty_root};
use crate::ledger::tile;
use crate::ledger::tile::Hashes;

/// Inclusion proof of leaf `index` in the tree of `size` leaves.
///
/// # Errors
///
/// [`Error::Index`], [`Error::Tile`].
///
/// Source: RFC 9162 section 2.1.3.1
pub fn prove_inclusion(source: &dyn Hashes, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
    if index >= size {
        return Err(Error::Index { index, size });
    }
    let mut tiles = Tiles::new(source, size);
    inclusion_ranges(index, size).into_iter().map(|range| tiles.subtree(range)).collect()
}

/// Consistency proof from the tree of `old` leaves to that of `new`,
/// `1 <= old < new`.
///
/// # Errors
///
/// [`Error::Sizes`], [`Error::Tile`].
///
/// Source: RFC 9162 section 2.1.4.1
pub fn prove_consistency(source: &dyn Hashes, old: u64, new: u64) -> Result<Vec<Hash>, Error> {
    if old == 0 || old >= new {
        return Err(Error::Sizes { old, new });
    }
    let mut tiles = Tiles::new(source, new);
    consistency_ranges(old, new).into_iter().map(|range| tiles.subtree(range)).collect()
}

/// Root of the tree of `size` leaves.
///
/// # Errors
///
/// [`Error::Tile`].
pub fn root_at(source: &dyn Hashes, size: u64) -> Result<Hash, Error> {
    if size == 0 {
        return Ok(empty_root());
    }
    Tiles::new(source, size).subtree((0, size))
}

/// A half-open range of leaves that is one node of the tree.
type Range = (u64, u64);

/// Largest power of two smaller than `n`, for `n >= 2`.
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// The siblings on the way from a leaf to the root, leaf first.
fn inclusion_ranges(index: u64, size: u64) -> Vec<Range> {
    let (mut low, mut high, mut ranges) = (0, size, Vec::new());
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            ranges.push((middle, high));
            high = middle;
        } else {
            ranges.push((low, middle));
            low = middle;
        }
    }
    ranges.reverse();
    ranges
}

/// The nodes of a consistency proof, in proof order.
fn consistency_ranges(old: u64, new: u64) -> Vec<Range> {
    let (mut low, mut high, mut ranges) = (0, new, Vec::new());
    while old < high {
        let middle = low + split(high - low);
        if old <= middle {
            ranges.push((middle, high));
            high = middle;
        } else {
            ranges.push((low, middle));
            low = middle;
        }
    }
    // The old tree itself is known to the verifier, a part of it is not.
    if low > 0 {
        ranges.push((low, high));
    }
    ranges.reverse();
    ranges
}

/// Tiles of one tree, each read at most once.
struct Tiles<'a> {
    source: &'a dyn Hashes,
    size: u64,
    read: HashMap<(u8, u64), Vec<Hash>>,
}

impl<'a> Tiles<'a> {
    fn new(source: &'a dyn Hashes, size: u64) -> Self {
        Self { source, size, read: HashMap::new() }
    }

    /// Hash of the node over a range: its perfect parts, folded.
    fn subtree(&mut self, (mut low, high): Range) -> Result<Hash, Error> {
        let mut parts = Vec::new();
        while low < high {
            let bits = (high - low).ilog2();
            parts.push(self.perfect(bits, low)?);
            low += 1 << bits;
        }
        fold_right(parts.into_iter()).ok_or(Error::Sizes { old: low, new: high })
    }

    /// Hash of the perfect subtree of `2^bits` leaves from `low`, from the highest
    /// tile that shows it.
    fn perfect(&mut self, bits: u32, low: u64) -> Result<Hash, Error> {
        let level = u8::try_from(bits / 8).unwrap_or(tile::MAX_LEVEL);
        let first = low >> (8 * u32::from(level));
        let (index, offset) = (first >> 8, usize::try_from(first & 0xff).unwrap_or_default());
        let count = 1usize << (bits % 8);
        let row = self.tile(level, index)?;
        let hashes = row.get(offset..offset + count).ok_or(tile::Error::TileLength {
            level,
            index,
            length: row.len() * 32,
        })?;
        row_root(hashes).ok_or(Error::Index { index: low, size: low })
    }

    fn tile(&mut self, level: u8, index: u64) -> Result<&[Hash], Error> {
        let width = (self.size >> (8 * u32::from(level))).saturating_sub(index << 8).min(256);
        let width = u16::try_from(width).unwrap_or(tile::WIDTH);
        if width == 0 {
            return Err(tile::Error::Missing { level, index, width }.into());
        }
        let row = match self.read.entry((level, index)) {
            std::collections::hash_map::Entry::Occupied(row) => row.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(read_tile(self.source, level, index, width)?)
            }
        };
        Ok(row)
    }
}

/// Reads a tile and splits it into hashes.
pub(super) fn read_tile(
    source: &dyn Hashes,
    level: u8,
    index: u64,
    width: u16,
) -> Result<Vec<Hash>, tile::Error> {
    let bytes = source.tile(level, index, width)?;
    if bytes.len() != usize::from(width) * 32 {
        return Err(tile::Error::TileLength { level, index, length: bytes.len() });
    }
    Ok(bytes.as_chunks::<32>().0.to_vec())
}

/// A short tree in memory, all rows kept: many paths at little cost.
#[derive(Clone, Debug)]
pub struct List {
    rows: Vec<Vec<Hash>>,
}

impl List {
    /// Hashes the rows above these leaf hashes.
    #[must_use]
    pub fn new(leaves: &[Hash]) -> Self {
        let mut rows = vec![leaves.to_vec()];
        while let Some(row) = rows.last().filter(|row| row.len() > 1) {
            let above = parents(row);
            rows.push(above);
        }
        Self { rows }
    }

    /// Its root; that of the empty tree if there are no leaves.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.rows.last().and_then(|row| row.first()).copied().unwrap_or_else(empty_root)
    }

    /// Inclusion proof of leaf `index`.
    ///
    /// # Errors
    ///
    /// [`Error::Index`].
    pub fn path(&self, index: usize) -> Result<Vec<Hash>, Error> {
        let size = self.rows.first().map_or(0, Vec::len);
        if index >= size {
            return Err(Error::Index { index: index as u64, size: size as u64 });
        }
        let siblings = self.rows.iter().enumerate().map(|(height, row)| row.get((index >> height) ^ 1));
        Ok(siblings.flatten().copied().collect())
    }
}

/// Root over a short list of leaf hashes.
///
/// Source: RFC 9162 section 2.1.1
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    row_root(leaves).unwrap_or_else(empty_root)
}

/// Inclusion proof over a short list of leaf hashes; for many, see [`List`].
///
/// # Errors
///
/// [`Error::Index`].
///
/// Source: RFC 9162 section 2.1.3.1
pub fn path(leaves: &[Hash], index: usize) -> Result<Vec<Hash>, Error> {
    List::new(leaves).path(index)
}
