//! The growing tree: only its right edge is kept.

use super::prove::read_tile;
use super::{Error, fold_right, row_root};
use crate::ledger::hash::{Hash, empty_root};
use crate::ledger::tile;
use crate::ledger::tile::Hashes;

/// A tile that will never change: level, index, 8,192 bytes.
pub type FullTile = (u8, u64, Vec<u8>);

/// An appendable tree. Per tile level it keeps the hashes of the partial tile at
/// the right edge, at most 255, and hands out each tile once, when it is full.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    size: u64,
    edge: Vec<Vec<Hash>>,
    full: Vec<FullTile>,
}

impl Tree {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of the first `size` leaves of a log, from its edge tiles.
    ///
    /// The tiles are not trusted: compare [`Self::root`] with a signed one.
    ///
    /// # Errors
    ///
    /// [`Error::Tile`].
    pub fn restore(source: &dyn Hashes, size: u64) -> Result<Self, Error> {
        let mut edge = Vec::new();
        for level in 0..8u8 {
            let hashes = size >> (8 * u32::from(level));
            if hashes == 0 {
                break;
            }
            let width = u16::try_from(hashes & 0xff).unwrap_or_default();
            let row = if width == 0 { Vec::new() } else { read_tile(source, level, hashes >> 8, width)? };
            edge.push(row);
        }
        Ok(Self { size, edge, full: Vec::new() })
    }

    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: Hash) {
        self.size += 1;
        let (mut carry, mut hashes) = (leaf, self.size);
        for level in 0..=tile::MAX_LEVEL {
            let place = usize::from(level);
            if self.edge.len() <= place {
                self.edge.push(Vec::with_capacity(256));
            }
            let Some(row) = self.edge.get_mut(place) else { return };
            row.push(carry);
            if row.len() < usize::from(tile::WIDTH) {
                return;
            }
            // The tile is full: it leaves the edge, its root is one hash above.
            hashes >>= 8;
            let Some(root) = row_root(row) else { return };
            self.full.push((level, hashes - 1, row.as_flattened().to_vec()));
            row.clear();
            carry = root;
        }
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its root, by at most 255 hashes a level.
    #[must_use]
    pub fn root(&self) -> Hash {
        // INVARIANT: reading the levels from the top down and each row in perfect
        // runs gives the tree's perfect subtrees from left to right.
        let mut subtrees = Vec::new();
        for row in self.edge.iter().rev() {
            let mut rest = row.as_slice();
            while let Some(bits) = rest.len().checked_ilog2() {
                let (run, after) = rest.split_at_checked(1 << bits).unwrap_or((rest, &[]));
                subtrees.extend(row_root(run));
                rest = after;
            }
        }
        fold_right(subtrees.into_iter()).unwrap_or_else(empty_root)
    }

    /// Takes the tiles completed since the last call, in order of completion.
    pub fn take_full_tiles(&mut self) -> Vec<FullTile> {
        std::mem::take(&mut self.full)
    }

    /// The hashes of the partial tile at the right edge of a level; empty if there
    /// is none. Its index is `size >> (8 × (level + 1))`.
    #[must_use]
    pub fn partial(&self, level: u8) -> &[Hash] {
        self.edge.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }
}
