//! The tree of RFC 9162: appending, proving from tiles or from a list, verifying.
//!
//! Lacks entries (it sees leaf hashes) and signatures (it ends at a root). The
//! verifying half trusts nothing; the proving half trusts its source and is
//! checked by the verifying half.

use crate::ledger::hash::Hash;
use crate::ledger::tile;

mod prove;
mod sides;
mod tree;
mod verify;

pub use prove::{List, path, prove_consistency, prove_inclusion, root, root_at};
pub use sides::{root_from_sides, sides};
pub use tree::{FullTile, Tree};
pub use verify::{root_from_consistency, root_from_inclusion, verify_consistency, verify_inclusion};

/// Why a proof is refused or cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The leaf is not in a tree of this size.
    #[error("index {index} is not below size {size}")]
    Index {
        /// Leaf index.
        index: u64,
        /// Tree size.
        size: u64,
    },
    /// The sizes do not allow a consistency proof.
    #[error("no consistency proof from size {old} to size {new}")]
    Sizes {
        /// Older size.
        old: u64,
        /// Newer size.
        new: u64,
    },
    /// The path has another length than index and size demand.
    #[error("proof of {length} hashes does not fit its tree")]
    PathLength {
        /// Hashes in it.
        length: usize,
    },
    /// The path leads to another root.
    #[error("proof leads to another root")]
    Root,
    /// A tile is missing or malformed.
    #[error(transparent)]
    Tile(#[from] tile::Error),
}

/// Folds hashes of adjacent subtrees, right to left, into one.
fn fold_right(subtrees: impl DoubleEndedIterator<Item = Hash>) -> Option<Hash> {
    subtrees.rev().reduce(|right, left| crate::ledger::hash::node(&left, &right))
}

/// Root of a perfect or ragged row of hashes (RFC 9162 shape); none if empty.
fn row_root(row: &[Hash]) -> Option<Hash> {
    let mut row = row.to_vec();
    while row.len() > 1 {
        row = parents(&row);
    }
    row.first().copied()
}

/// The row above: pairs hashed, a lone last one lifted as it is.
fn parents(row: &[Hash]) -> Vec<Hash> {
    row.chunks(2)
        .filter_map(|pair| match pair {
            [left, right] => Some(crate::ledger::hash::node(left, right)),
            [lone] => Some(*lone),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
