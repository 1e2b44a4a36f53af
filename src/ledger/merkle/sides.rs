//! Inclusion without a size: each step says on which side its sibling stands.
//!
//! RFC 9162 derives the sides from index and size. Where no signed text has the
//! size (use batches say no counts), a proof that carries it would be open to
//! change and would tell the count; the sides are all a verifier needs, and each
//! of them is bound by the root. Lacks proofs: `List` makes the path.

use super::Error;
use crate::ledger::hash::{Hash, node};

/// Most steps of a path.
const MOST: usize = 64;

/// Sides of the siblings on the way from leaf `index` to the root of `size`
/// leaves: bit `i` is set if sibling `i` stands on the left.
///
/// # Errors
///
/// [`Error::Index`].
///
/// Source: RFC 9162 section 2.1.3.2
pub fn sides(index: u64, size: u64) -> Result<u64, Error> {
    if index >= size {
        return Err(Error::Index { index, size });
    }
    let (mut fnode, mut snode, mut out, mut step) = (index, size - 1, 0u64, 0u32);
    while snode > 0 {
        if fnode & 1 == 1 || fnode == snode {
            out |= 1u64.checked_shl(step).unwrap_or_default();
            while fnode & 1 == 0 && fnode != 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        }
        fnode >>= 1;
        snode >>= 1;
        step += 1;
    }
    Ok(out)
}

/// The root that a path with its sides leads to.
///
/// # Errors
///
/// [`Error::PathLength`] if a side has no sibling, or the path is too long for any tree.
pub fn root_from_sides(leaf: &Hash, sides: u64, path: &[Hash]) -> Result<Hash, Error> {
    let fits = match u32::try_from(path.len()) {
        Ok(length) => path.len() <= MOST && sides.checked_shr(length).unwrap_or_default() == 0,
        Err(_) => false,
    };
    if !fits {
        return Err(Error::PathLength { length: path.len() });
    }
    let mut root = *leaf;
    for (step, sibling) in (0u32..).zip(path) {
        let left = sides.checked_shr(step).unwrap_or_default() & 1 == 1;
        root = if left { node(sibling, &root) } else { node(&root, sibling) };
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::hash;
    use crate::ledger::merkle::List;

    #[test]
    fn sides_lead_every_leaf_to_the_root_and_no_other_sides_do() {
        for size in 1..40u8 {
            let leaves: Vec<_> = (0..size).map(|n| hash::leaf(&[n])).collect();
            let list = List::new(&leaves);
            for (index, leaf) in leaves.iter().enumerate() {
                let path = list.path(index).unwrap();
                let way = sides(index as u64, u64::from(size)).unwrap();
                assert_eq!(root_from_sides(leaf, way, &path).unwrap(), list.root(), "{index} of {size}");
                for bit in 0..64 {
                    let other = root_from_sides(leaf, way ^ (1 << bit), &path);
                    assert!(other.is_err() || other.unwrap() != list.root(), "{index} of {size}, bit {bit}");
                }
            }
        }
        assert!(sides(3, 3).is_err());
        assert!(root_from_sides(&[0; 32], 0, &[[1; 32]; 65]).is_err());
    }
}
