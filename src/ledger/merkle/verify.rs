//! Verification: RFC 9162 section 2.1, over bytes somebody else made.

use super::Error;
use crate::ledger::hash::{Hash, node};

/// The root an inclusion proof leads to.
///
/// # Errors
///
/// [`Error::Index`], [`Error::PathLength`].
///
/// Source: RFC 9162 section 2.1.3.2
pub fn root_from_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash]) -> Result<Hash, Error> {
    if index >= size {
        return Err(Error::Index { index, size });
    }
    let (mut fnode, mut snode, mut root) = (index, size - 1, *leaf);
    for sibling in path {
        if snode == 0 {
            return Err(Error::PathLength { length: path.len() });
        }
        if fnode & 1 == 1 || fnode == snode {
            root = node(sibling, &root);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            root = node(&root, sibling);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    if snode == 0 { Ok(root) } else { Err(Error::PathLength { length: path.len() }) }
}

/// Verifies that `leaf` stands at `index` in the tree of `size` with `root`.
///
/// # Errors
///
/// As [`root_from_inclusion`]; [`Error::Root`].
///
/// Source: RFC 9162 section 2.1.3.2
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> Result<(), Error> {
    if root_from_inclusion(leaf, index, size, path)? == *root { Ok(()) } else { Err(Error::Root) }
}

/// The newer root a consistency proof leads to from the older one,
/// `1 <= old < new`.
///
/// # Errors
///
/// [`Error::Sizes`], [`Error::PathLength`]; [`Error::Root`] if the proof does not
/// contain the older root.
///
/// Source: RFC 9162 section 2.1.4.2
pub fn root_from_consistency(old: u64, new: u64, old_root: &Hash, path: &[Hash]) -> Result<Hash, Error> {
    if old == 0 || old >= new {
        return Err(Error::Sizes { old, new });
    }
    let wrong_length = Error::PathLength { length: path.len() };
    // If the old tree is perfect, its root is the first node and is not sent.
    let (seed, rest) = match path.split_first() {
        Some(_) if old.is_power_of_two() => (*old_root, path),
        Some((first, rest)) => (*first, rest),
        None => return Err(wrong_length),
    };
    let (mut fnode, mut snode) = (old - 1, new - 1);
    while fnode & 1 == 1 {
        fnode >>= 1;
        snode >>= 1;
    }
    let (mut older, mut newer) = (seed, seed);
    for sibling in rest {
        if snode == 0 {
            return Err(wrong_length);
        }
        if fnode & 1 == 1 || fnode == snode {
            older = node(sibling, &older);
            newer = node(sibling, &newer);
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            newer = node(&newer, sibling);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    if snode != 0 {
        return Err(wrong_length);
    }
    if older == *old_root { Ok(newer) } else { Err(Error::Root) }
}

/// Verifies that the tree of `new` leaves extends the tree of `old` leaves.
///
/// Equal sizes need equal roots and an empty path; from size 0 there is nothing
/// to prove and no proof.
///
/// # Errors
///
/// As [`root_from_consistency`]; [`Error::Root`].
///
/// Source: RFC 9162 section 2.1.4.2
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    path: &[Hash],
) -> Result<(), Error> {
    let root = if old == new && old > 0 {
        if !path.is_empty() {
            return Err(Error::PathLength { length: path.len() });
        }
        *old_root
    } else {
        root_from_consistency(old, new, old_root, path)?
    };
    if root == *new_root { Ok(()) } else { Err(Error::Root) }
}
