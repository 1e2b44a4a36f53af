//! The public log: tree, checkpoints, receipts, tiles and bundles.
//!
//! At most one checkpoint a tick, over all that is sequenced, so that it hides
//! who did what when. A checkpoint is integrated durably, then anchored, then
//! served. Tiles are derived: full ones are kept as blobs, partial ones are a
//! prefix of what is in memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::ledger::checkpoint;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::key::Signer;
use crate::ledger::merkle;
use crate::ledger::merkle::Tree;
use crate::ledger::receipt::CheckpointSignature;
use crate::ledger::tile;
use crate::ledger::tile::Hashes;
use crate::model::id::LeafIndex;
use crate::model::id::Timestamp;
use crate::model::id::TreeSize;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Stop;
use crate::node::mark;
use crate::store::Epoch;
use crate::store::Head;
use crate::store::Integrate;
use crate::store::Store;

/// Publish when so many new entries wait.
const ENOUGH: u64 = 32;
/// Hashes in a full tile.
const WIDTH: u64 = 256;

/// The newest checkpoint and what serves it.
#[derive(Debug)]
pub struct Published {
    /// Entries it covers.
    pub size: TreeSize,
    /// RFC 9162 root.
    pub root: [u8; 32],
    /// The signed note.
    pub note: String,
    /// One signature for all receipts of this size; `None` below size 2.
    receipts: Option<CheckpointSignature>,
    /// The tree's right edge at this size.
    edge: Tree,
}

/// The sequencer's side of the public log.
#[derive(Debug)]
pub(in crate::node) struct Publisher {
    tree: Tree,
    integrated: Head,
    /// Instant of the oldest entry not yet published.
    waiting_since: Option<Timestamp>,
}

/// Blob name of a full tile.
pub(in crate::node) fn tile_blob(level: u8, index: u64) -> String {
    tile::Path::Tile { level, index, width: tile::WIDTH }.to_string()
}

/// Tiles from the store's blobs and one right edge.
struct Tiles<'a> {
    store: &'a dyn Store,
    edge: &'a Tree,
}

impl Hashes for Tiles<'_> {
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, tile::Error> {
        let bytes = usize::from(width) * 32;
        let edge = self.edge.partial(level);
        let full = self.edge.size().checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
        if index == full {
            let mut out = edge.concat();
            out.truncate(bytes);
            return if out.len() == bytes {
                Ok(out)
            } else {
                Err(tile::Error::Missing { level, index, width })
            };
        }
        match self.store.get(&tile_blob(level, index)) {
            Ok(Some(mut tile)) => {
                tile.truncate(bytes);
                Ok(tile)
            }
            Ok(None) => Err(tile::Error::Missing { level, index, width }),
            Err(error) => Err(tile::Error::Source(Box::new(error))),
        }
    }
}

impl Publisher {
    pub(in crate::node) const fn new(tree: Tree, integrated: Head) -> Self {
        Self { tree, integrated, waiting_since: None }
    }

    /// Entries sequenced before this start wait since now.
    pub(in crate::node) fn waiting_from(&mut self, inner: &Inner, next: u64) {
        if next > self.integrated.size {
            self.waiting_since = Some(inner.clock.now());
        }
    }

    /// Whether a checkpoint covers everything that is sequenced.
    pub(in crate::node) fn is_quiet(&self) -> bool {
        self.tree.size() == self.integrated.size
    }

    /// Appends the leaves of one commit.
    pub(in crate::node) fn push(&mut self, leaves: &[[u8; 32]], at: Timestamp) {
        leaves.iter().for_each(|leaf| self.tree.push(*leaf));
        if !leaves.is_empty() {
            self.waiting_since.get_or_insert(at);
        }
    }

    /// Publishes if enough entries wait, the oldest has waited one grain, or `now`.
    pub(in crate::node) fn tick(&mut self, inner: &Inner, epoch: Epoch, now: bool) -> Result<(), Stop> {
        let waiting = self.tree.size() - self.integrated.size;
        if waiting == 0 {
            return Ok(());
        }
        let grain = inner.settings.grain_ms;
        let old = self.waiting_since.is_some_and(|since| inner.clock.now() >= since.plus_ms(grain));
        if !(now || old || waiting >= ENOUGH) {
            return Ok(());
        }
        self.publish(inner, epoch).map_err(|error| {
            tracing::error!(cause = %error, "publishing has stopped");
            match error {
                Error::Stopped(stop) => stop,
                _ => Stop::Io,
            }
        })
    }

    fn publish(&mut self, inner: &Inner, epoch: Epoch) -> Result<(), Error> {
        for (level, index, bytes) in self.tree.take_full_tiles() {
            inner.store.put(&tile_blob(level, index), &bytes, false)?;
        }
        let new = Head { size: self.tree.size(), root: self.tree.root() };
        // Nothing is signed by a key that has ended.
        if inner.register().log_key().is_some_and(|key| key.0 != inner.log_key().hash()) {
            tracing::error!("the private key that the log names is not here");
            return Err(Error::Stopped(Stop::Io));
        }
        let signers = inner.signers.of_checkpoint(inner.clock.now());
        let signers: Vec<&dyn Signer> = signers.iter().map(Arc::as_ref).collect();
        let published = Published::sign(&inner.settings.origin, &signers, &self.tree)?;
        // At this point nothing is promised; a crash leaves the old checkpoint.
        match inner.store.integrate(epoch, &self.integrated, &new, published.note.as_bytes()) {
            Integrate::Integrated => {}
            Integrate::Conflict(_) | Integrate::Fenced => return Err(Error::Stopped(Stop::OtherLeader)),
            Integrate::Failed(error) => return Err(error.into()),
        }
        if let Some(anchor) = &inner.settings.anchor
            && let Err(cause) = mark::write_anchor(anchor, &published.note)
        {
            tracing::error!(%cause, "the anchor could not be written");
            return Err(Error::Stopped(Stop::Anchor));
        }
        self.integrated = new;
        self.waiting_since = None;
        inner.serve(published);
        Ok(())
    }
}

impl Published {
    /// Signs checkpoint and receipts over a tree: the note by all, the receipts by the first.
    pub(in crate::node) fn sign(origin: &str, signers: &[&dyn Signer], tree: &Tree) -> Result<Self, Error> {
        let head = Checkpoint { origin: origin.to_owned(), size: tree.size(), root: tree.root() };
        let note = checkpoint::sign_by(&head, signers)?;
        let [signer, ..] = signers else { return Err(Error::Genesis("the log has no key")) };
        Self::of(origin, *signer, tree, note)
    }

    /// The checkpoint of the empty tree.
    pub(in crate::node) fn empty(origin: &str, signer: &dyn Signer) -> Result<Self, Error> {
        Self::sign(origin, &[signer], &Tree::default())
    }

    /// Takes up a note signed before.
    pub(in crate::node) fn of(
        origin: &str,
        signer: &dyn Signer,
        tree: &Tree,
        note: String,
    ) -> Result<Self, Error> {
        let (size, root) = (tree.size(), tree.root());
        let receipts = match size {
            0 | 1 => None,
            _ => Some(CheckpointSignature::new(signer, origin, size, root)?),
        };
        Ok(Self { size, root, note, receipts, edge: tree.clone() })
    }

    /// The receipt of one entry; `None` if this checkpoint does not cover it or has size 1 or 0.
    ///
    /// # Errors
    /// A tile is missing.
    pub(in crate::node) fn receipt(
        &self,
        store: &dyn Store,
        index: LeafIndex,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(receipts) = self.receipts.as_ref().filter(|_| index < self.size) else { return Ok(None) };
        let tiles = Tiles { store, edge: &self.edge };
        let path = merkle::prove_inclusion(&tiles, index, self.size)?;
        Ok(Some(receipts.inclusion(index, &path)))
    }

    /// The receipt of consistency with an older size; `None` for 0, equal or larger sizes.
    ///
    /// # Errors
    /// A tile is missing.
    pub(in crate::node) fn consistency(
        &self,
        store: &dyn Store,
        old: TreeSize,
    ) -> Result<Option<Vec<u8>>, Error> {
        let Some(receipts) = self.receipts.as_ref().filter(|_| old > 0 && old < self.size) else {
            return Ok(None);
        };
        let tiles = Tiles { store, edge: &self.edge };
        let path = merkle::prove_consistency(&tiles, old, self.size)?;
        Ok(Some(receipts.consistency(old, &path)?))
    }

    /// The root at an older size.
    ///
    /// # Errors
    /// A tile is missing.
    pub(in crate::node) fn root_at(&self, store: &dyn Store, size: TreeSize) -> Result<[u8; 32], Error> {
        Ok(merkle::root_at(&Tiles { store, edge: &self.edge }, size)?)
    }

    /// Checkpoint and receipts of this size or an older one, signed anew by the key in force alone: the
    /// same bytes until another key follows, for the key is deterministic. `None` beyond this size and below 2.
    ///
    /// # Errors
    /// A tile is missing; the signer.
    pub(in crate::node) fn covering(
        self: &Arc<Self>,
        store: &dyn Store,
        (origin, signer): (&str, &dyn Signer),
        size: TreeSize,
    ) -> Result<Option<Covering>, Error> {
        if size < 2 || size > self.size {
            return Ok(None);
        }
        let root = if size == self.size { self.root } else { self.root_at(store, size)? };
        let note = checkpoint::sign(&Checkpoint { origin: origin.to_owned(), size, root }, signer)?;
        let receipts = CheckpointSignature::new(signer, origin, size, root)?;
        Ok(Some(Covering {
            size,
            root,
            note,
            receipts,
            published: Arc::clone(self),
            read: RefCell::default(),
        }))
    }

    /// A hash tile, full or partial; `None` if this size has none such.
    ///
    /// # Errors
    /// The store.
    pub(in crate::node) fn tile(
        &self,
        store: &dyn Store,
        level: u8,
        index: u64,
        width: Option<u8>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let have = self.size.checked_shr(8 * u32::from(level)).unwrap_or(0);
        let width = width.map_or(WIDTH, u64::from);
        if index.saturating_mul(WIDTH).saturating_add(width) > have {
            return Ok(None);
        }
        let width = u16::try_from(width).unwrap_or(u16::MAX);
        Ok(Some(Tiles { store, edge: &self.edge }.tile(level, index, width)?))
    }

    /// An entry bundle, full or partial; `None` if this size has none such.
    ///
    /// # Errors
    /// The store.
    pub(in crate::node) fn bundle(
        &self,
        store: &dyn Store,
        index: u64,
        width: Option<u8>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let from = index.saturating_mul(WIDTH);
        let until = from.saturating_add(width.map_or(WIDTH, u64::from));
        if until > self.size {
            return Ok(None);
        }
        let entries = entries(store, from, until)?;
        Ok(Some(tile::bundle(&entries)?))
    }
}

/// Most tiles that are kept while many receipts are made.
const TILES_KEPT: usize = 256;

/// What many receipts of one checkpoint share. Tiles once read are kept, up to a bound.
#[derive(Debug)]
pub(in crate::node) struct Covering {
    pub(in crate::node) size: TreeSize,
    pub(in crate::node) root: [u8; 32],
    pub(in crate::node) note: String,
    receipts: CheckpointSignature,
    published: Arc<Published>,
    read: RefCell<HashMap<(u8, u64), Vec<u8>>>,
}

struct KeptTiles<'a> {
    covering: &'a Covering,
    store: &'a dyn Store,
}

impl Hashes for KeptTiles<'_> {
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, tile::Error> {
        let bytes = usize::from(width) * 32;
        let mut read = self.covering.read.borrow_mut();
        if let Some(tile) = read.get(&(level, index)).and_then(|tile| tile.get(..bytes)) {
            return Ok(tile.to_vec());
        }
        let tiles = Tiles { store: self.store, edge: &self.covering.published.edge };
        let tile = tiles.tile(level, index, width)?;
        if read.len() >= TILES_KEPT {
            read.clear();
        }
        read.insert((level, index), tile.clone());
        Ok(tile)
    }
}

impl Covering {
    /// The receipt of one entry below the size.
    ///
    /// # Errors
    /// A tile is missing; the entry is not covered.
    pub(in crate::node) fn receipt(&self, store: &dyn Store, index: LeafIndex) -> Result<Vec<u8>, Error> {
        let path = merkle::prove_inclusion(&KeptTiles { covering: self, store }, index, self.size)?;
        Ok(self.receipts.inclusion(index, &path))
    }
}

/// Entries `[from, until)`, all of them.
pub(in crate::node) fn entries(store: &dyn Store, from: u64, until: u64) -> Result<Vec<Vec<u8>>, Error> {
    let mut out = Vec::with_capacity(usize::try_from(until - from).unwrap_or(0));
    let mut next = from;
    while next < until {
        let commits = store.commits(next..until)?;
        let before = next;
        for commit in commits {
            for (index, entry) in (commit.first..).zip(commit.entries) {
                if index == next && index < until {
                    out.push(entry);
                    next += 1;
                }
            }
        }
        if next == before {
            return Err(Error::Damaged(format!("entry {next} is missing")));
        }
    }
    Ok(out)
}

/// The root at a size of a tree whose full tiles are kept.
pub(in crate::node) fn root_at(store: &dyn Store, tree: &Tree, size: TreeSize) -> Result<[u8; 32], Error> {
    Ok(merkle::root_at(&Tiles { store, edge: tree }, size)?)
}

/// Loads the tree at `size` from full tiles and commits; puts tiles that a crash lost.
pub(in crate::node) fn load_tree(store: &dyn Store, next: u64) -> Result<Tree, Error> {
    let mut tree = Tree::default();
    let mut at = 0;
    // Whole level-0 tiles first: their leaves need not be hashed again.
    while at + WIDTH <= next {
        let Some(bytes) = store.get(&tile_blob(0, at / WIDTH))? else { break };
        let (hashes, rest) = bytes.as_chunks::<32>();
        if hashes.len() != 256 || !rest.is_empty() {
            return Err(Error::Damaged(format!("tile 0/{} has a wrong length", at / WIDTH)));
        }
        hashes.iter().for_each(|h| tree.push(*h));
        at += WIDTH;
        // The lowest came from the store; a crash may have come between it and those above.
        for (level, index, bytes) in tree.take_full_tiles().into_iter().filter(|(level, ..)| *level > 0) {
            store.put(&tile_blob(level, index), &bytes, false)?;
        }
    }
    while at < next {
        let until = (at + 4 * WIDTH).min(next);
        for entry in entries(store, at, until)? {
            tree.push(crate::ledger::hash::leaf(&entry));
        }
        for (level, index, bytes) in tree.take_full_tiles() {
            store.put(&tile_blob(level, index), &bytes, false)?;
        }
        at = until;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Append;
    use crate::store::Batch;
    use crate::store::BatchId;
    use crate::store::Holder;
    use crate::store::memory::Memory;

    #[test]
    fn a_tile_above_that_a_crash_lost_is_made_again() {
        let store = Memory::new();
        let (epoch, _) = store.lead(&Holder([0; 16])).unwrap();
        let entries: Vec<Vec<u8>> = (0..65_536u32).map(|n| n.to_be_bytes().to_vec()).collect();
        let leaves: Vec<_> = entries.iter().map(|e| crate::ledger::hash::leaf(e)).collect();
        let ids = vec![crate::model::id::StatementId([0; 32]); entries.len()];
        let batch =
            Batch { id: BatchId([0; 16]), at: 1, entries, ids, names: Vec::new(), bodies: Vec::new() };
        assert!(matches!(store.append(epoch, &batch), Append::Sequenced { first: 0 }));
        for (index, tile) in (0..).zip(leaves.chunks(256)) {
            store.put(&tile_blob(0, index), tile.as_flattened(), true).unwrap();
        }
        let tree = load_tree(&store, 65_536).unwrap();
        let above: Vec<_> = leaves.chunks(256).flat_map(merkle::root).collect();
        assert_eq!(store.get(&tile_blob(1, 0)).unwrap(), Some(above));
        assert_eq!(tree.root(), merkle::root(&leaves));
    }
}
