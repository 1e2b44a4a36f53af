//! A naive tree, straight from the text of RFC 9162 section 2.1, as second opinion.

use std::cell::RefCell;
use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::ledger::hash::{leaf, node};
use crate::ledger::tile::Hashes;

fn largest_power_below(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => crate::ledger::hash::empty_root(),
        [lone] => *lone,
        _ => {
            let (left, right) = leaves.split_at(largest_power_below(leaves.len()));
            node(&naive_root(left), &naive_root(right))
        }
    }
}

fn naive_path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = largest_power_below(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) =
        if m < k { (naive_path(m, left), right) } else { (naive_path(m - k, right), left) };
    path.push(naive_root(sibling));
    path
}

fn naive_subproof(m: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if known { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let k = largest_power_below(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, sibling) = if m <= k {
        (naive_subproof(m, left, known), right)
    } else {
        (naive_subproof(m - k, right, false), left)
    };
    proof.push(naive_root(sibling));
    proof
}

fn leaves(n: usize) -> Vec<Hash> {
    (0..n).map(|index| leaf(&index.to_be_bytes())).collect()
}

/// Tiles of a finished tree; counts what is read.
struct Source {
    tree: Tree,
    full: HashMap<(u8, u64), Vec<u8>>,
    reads: RefCell<Vec<(u8, u64)>>,
}

impl Source {
    fn new(leaves: &[Hash]) -> Self {
        let mut tree = Tree::new();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        let full = tree.take_full_tiles().into_iter().map(|(level, index, bytes)| ((level, index), bytes));
        let full: HashMap<_, _> = full.collect();
        assert!(full.values().all(|bytes| bytes.len() == tile::FULL));
        Self { tree, full, reads: RefCell::default() }
    }
}

impl Hashes for Source {
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, tile::Error> {
        self.reads.borrow_mut().push((level, index));
        let edge = self.tree.partial(level).as_flattened();
        let bytes = self.full.get(&(level, index)).map_or(edge, Vec::as_slice);
        let bytes = bytes.get(..usize::from(width) * 32);
        bytes.map(<[u8]>::to_vec).ok_or(tile::Error::Missing { level, index, width })
    }
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn roots_of_the_certificate_transparency_test_data() {
    let inputs: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let hashes: Vec<_> = inputs.iter().map(|input| leaf(input)).collect();
    let mut tree = Tree::new();
    for (count, expected) in (1..).zip(roots) {
        tree.push(hashes[count - 1]);
        assert_eq!(hex(&tree.root()), expected);
        assert_eq!(hex(&root(&hashes[..count])), expected);
    }
}

#[test]
fn tree_list_tiles_and_naive_agree_at_every_size() {
    let all = leaves(600);
    let source = Source::new(&all);
    let mut tree = Tree::new();
    for size in 0..=all.len() {
        let expected = naive_root(&all[..size]);
        assert_eq!(tree.root(), expected, "size {size}");
        assert_eq!(root(&all[..size]), expected);
        assert_eq!(List::new(&all[..size]).root(), expected);
        assert_eq!(root_at(&source, size as u64).unwrap(), expected);
        if let Some(leaf) = all.get(size) {
            tree.push(*leaf);
        }
    }
}

#[test]
fn every_proof_of_small_trees_is_the_naive_one_and_verifies() {
    let all = leaves(40);
    let source = Source::new(&all);
    for size in 1..=all.len() {
        let part = &all[..size];
        let (n, top) = (size as u64, naive_root(part));
        for (index, leaf) in part.iter().enumerate() {
            let expected = naive_path(index, part);
            let i = index as u64;
            assert_eq!(prove_inclusion(&source, i, n).unwrap(), expected);
            assert_eq!(path(part, index).unwrap(), expected);
            verify_inclusion(leaf, i, n, &expected, &top).unwrap();
        }
        for old in 1..size {
            let (m, older) = (old as u64, naive_root(&all[..old]));
            let expected = naive_subproof(old, part, true);
            assert_eq!(prove_consistency(&source, m, n).unwrap(), expected);
            verify_consistency(m, n, &older, &top, &expected).unwrap();
            assert_eq!(root_from_consistency(m, n, &older, &expected).unwrap(), top);
        }
        verify_consistency(n, n, &top, &top, &[]).unwrap();
        assert!(verify_consistency(n, n, &top, &top, &[top]).is_err());
        assert!(verify_consistency(n, n, &top, &[0; 32], &[]).is_err());
        assert!(prove_inclusion(&source, n, n).is_err());
        assert!(path(part, size).is_err());
    }
    assert!(verify_consistency(0, 5, &naive_root(&[]), &naive_root(&all[..5]), &[]).is_err());
    assert!(prove_consistency(&source, 0, 5).is_err());
    assert!(prove_consistency(&source, 5, 5).is_err());
}

#[test]
fn three_levels_of_tiles() {
    let all = leaves(70_000);
    let source = Source::new(&all);
    let n = all.len() as u64;
    assert_eq!(source.full.len(), 273 + 1);
    assert_eq!(source.tree.partial(2).len(), 1);
    let top = source.tree.root();
    assert_eq!(top, naive_root(&all));
    for index in [0, 255, 256, 65_535, 65_536, 69_887, 69_888, n - 1] {
        source.reads.borrow_mut().clear();
        let path = prove_inclusion(&source, index, n).unwrap();
        verify_inclusion(&all[usize::try_from(index).unwrap()], index, n, &path, &top).unwrap();
        let mut reads = source.reads.borrow().clone();
        assert!(reads.len() <= 5, "{reads:?}");
        reads.sort_unstable();
        reads.dedup();
        assert_eq!(reads.len(), source.reads.borrow().len(), "a tile was read twice");
    }
    for old in [1, 255, 256, 257, 65_535, 65_536, 65_537, 69_999] {
        let older = root_at(&source, old).unwrap();
        let proof = prove_consistency(&source, old, n).unwrap();
        verify_consistency(old, n, &older, &top, &proof).unwrap();
    }
    // A tree restored from its edge goes on as if it had never stopped.
    for size in [0u64, 1, 255, 256, 65_535, 65_536, 65_537, 69_000] {
        let mut tree = Tree::restore(&source, size).unwrap();
        assert_eq!((tree.size(), tree.root()), (size, root_at(&source, size).unwrap()));
        all[usize::try_from(size).unwrap()..].iter().for_each(|leaf| tree.push(*leaf));
        assert_eq!(tree.root(), top);
        for (level, index, bytes) in tree.take_full_tiles() {
            assert_eq!(source.full[&(level, index)], bytes);
        }
        assert!(tree.take_full_tiles().is_empty());
    }
}

#[test]
fn a_source_that_answers_wrongly_is_an_error() {
    struct Short;
    impl Hashes for Short {
        fn tile(&self, _: u8, _: u64, width: u16) -> Result<Vec<u8>, tile::Error> {
            Ok(vec![0; usize::from(width) * 32 - 1])
        }
    }
    assert!(matches!(root_at(&Short, 9), Err(Error::Tile(tile::Error::TileLength { .. }))));
    assert!(Tree::restore(&Short, 9).is_err());
    assert!(prove_inclusion(&Short, 3, u64::MAX).is_err());
    assert!(prove_consistency(&Short, 3, u64::MAX).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_changed_inclusion_proof_does_not_verify(
        size in 2usize..300, pick in any::<prop::sample::Index>(), how in 0..5u8,
        at in any::<prop::sample::Index>(), bit in 0..256usize,
    ) {
        let all = leaves(size);
        let (index, top) = (pick.index(size), naive_root(&all));
        let mut proof = path(&all, index).unwrap();
        let (mut i, n, mut claimed) = (index as u64, size as u64, all[index]);
        match how {
            0 => { let place = at.index(proof.len()); proof[place][bit / 8] ^= 1 << (bit % 8) }
            1 => { proof.remove(at.index(proof.len())); }
            2 => proof.insert(at.index(proof.len() + 1), all[0]),
            3 => i = (i + 1 + at.index(size - 1) as u64) % n,
            _ => claimed[bit / 8] ^= 1 << (bit % 8),
        }
        prop_assert!(verify_inclusion(&claimed, i, n, &proof, &top).is_err());
    }

    #[test]
    fn a_changed_consistency_proof_does_not_verify(
        size in 2usize..300, pick in any::<prop::sample::Index>(), how in 0..5u8,
        at in any::<prop::sample::Index>(), bit in 0..256usize,
    ) {
        let all = leaves(size);
        let old = 1 + pick.index(size - 1);
        let (mut older, mut newer) = (naive_root(&all[..old]), naive_root(&all));
        let mut proof = prove_consistency(&Source::new(&all), old as u64, size as u64).unwrap();
        match how {
            0 => { let place = at.index(proof.len()); proof[place][bit / 8] ^= 1 << (bit % 8) }
            1 => { proof.remove(at.index(proof.len())); }
            2 => proof.insert(at.index(proof.len() + 1), all[0]),
            3 => older[bit / 8] ^= 1 << (bit % 8),
            _ => newer[bit / 8] ^= 1 << (bit % 8),
        }
        prop_assert!(verify_consistency(old as u64, size as u64, &older, &newer, &proof).is_err());
    }

    #[test]
    fn arbitrary_proofs_never_panic(
        a in any::<u64>(), b in any::<u64>(), path in prop::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        let _ = root_from_inclusion(&[0; 32], a, b, &path);
        let _ = root_from_consistency(a, b, &[0; 32], &path);
        let _ = verify_consistency(a, a, &[0; 32], &[0; 32], &path);
    }
}
