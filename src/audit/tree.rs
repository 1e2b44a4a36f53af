//! Every bundle read once, every tile derived again.

use crate::audit::Finding;
use crate::audit::Place;
use crate::audit::Replay;
use crate::audit::Report;
use crate::audit::Source;
use crate::audit::Unread;
use crate::audit::What;
use crate::audit::chain;
use crate::ledger::chain::Chain;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::hash;
use crate::ledger::merkle::Tree;
use crate::ledger::tile;
use crate::ledger::tile::Path;

/// What is derived while the log goes by.
struct Walk<'a> {
    source: &'a dyn Source,
    tree: Tree,
}

/// Reads all entries under `head` into `report`.
pub(in crate::audit) fn walk(
    source: &dyn Source,
    (keys, origin): (&Chain, &str),
    (head, older): (&Checkpoint, Option<&Checkpoint>),
    report: &mut Report,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), Unread> {
    let mut walk = Walk { source, tree: Tree::new() };
    let mut replay = Replay::new(Some(keys.first().hash()), origin);
    let mut index = 0;
    for number in 0..head.size.div_ceil(u64::from(tile::WIDTH)) {
        let width = u16::try_from((head.size - index).min(u64::from(tile::WIDTH))).unwrap_or(tile::WIDTH);
        let entries = walk.bundle(number, width, report)?;
        for place in 0..usize::from(width) {
            match entries.get(place) {
                Some(Leaf::Entry(bytes)) => {
                    walk.tree.push(hash::leaf(bytes));
                    let mut attach = |hash: &_| source.attachment(hash);
                    report.findings.extend(replay.entry(bytes, &mut attach)?);
                }
                Some(Leaf::Hash(leaf)) => {
                    walk.tree.push(*leaf);
                    replay.skip();
                }
                None => replay.skip(),
            }
            index += 1;
            extends(&walk.tree, older, report);
        }
        walk.compare_full(report)?;
        progress(index, head.size);
    }
    walk.compare_partial(head.size, report)?;
    if walk.tree.size() != head.size || walk.tree.root() != head.root {
        report.findings.push(Finding::new(Place::Checkpoint, What::Root));
    }
    if let Some(older) = older.filter(|older| older.size > head.size) {
        let what = What::Shrunk { size: head.size, older: older.size };
        report.findings.push(Finding::new(Place::Checkpoint, what));
    }
    // What the entries under the head say of the keys is what they were checked by.
    let said = chain::of_register(replay.register());
    if said.is_some_and(|said| !said.rotations().eq(keys.rotations().filter(|index| *index < head.size))) {
        report.findings.push(Finding::new(Place::Rotations, What::Keys("the entries say others".into())));
    }
    report.newest_t = replay.newest_t();
    let adopted = replay.register().adoptions().filter(|adoption| adoption.index > 0);
    report.adopted = adopted.cloned().collect();
    report.counts = replay.into_counts();
    Ok(())
}

/// Whether the tree passes through an older checkpoint: at its size it must have its root.
fn extends(tree: &Tree, older: Option<&Checkpoint>, report: &mut Report) {
    let Some(older) = older.filter(|older| older.size == tree.size()) else { return };
    if tree.root() == older.root {
        report.extends = Some(older.size);
    } else {
        report.findings.push(Finding::new(Place::OlderCheckpoint, What::Fork { size: older.size }));
    }
}

/// What stands for one entry.
enum Leaf {
    Entry(Vec<u8>),
    /// The entry cannot be read; its tile says this.
    Hash([u8; 32]),
}

impl Walk<'_> {
    /// The entries of a bundle, or what the tile says of them if the bundle cannot be read.
    fn bundle(&self, index: u64, width: u16, report: &mut Report) -> Result<Vec<Leaf>, Unread> {
        let path = Path::Entries { index, width };
        let what = match self.source.tile(path)? {
            None => What::Missing,
            Some(bytes) => match tile::unbundle(&bytes) {
                Ok(entries) if entries.len() == usize::from(width) => {
                    report.tiles += 1;
                    return Ok(entries.into_iter().map(|entry| Leaf::Entry(entry.to_vec())).collect());
                }
                Ok(entries) => What::Width { found: entries.len(), expected: width },
                Err(error) => What::Malformed(error.to_string()),
            },
        };
        report.findings.push(Finding::new(Place::Tile(path), what));
        // At this point the tile stands in for its entries, so that the rest can still be compared.
        let hashes = self.source.tile(Path::Tile { level: 0, index, width })?.unwrap_or_default();
        Ok(hashes.as_chunks::<32>().0.iter().map(|hash| Leaf::Hash(*hash)).collect())
    }

    fn compare_full(&mut self, report: &mut Report) -> Result<(), Unread> {
        for (level, index, bytes) in self.tree.take_full_tiles() {
            self.compare(Path::Tile { level, index, width: tile::WIDTH }, &bytes, report)?;
        }
        Ok(())
    }

    /// The partial tiles of the right edge.
    fn compare_partial(&self, size: u64, report: &mut Report) -> Result<(), Unread> {
        for path in tile::paths(size) {
            if let Path::Tile { level, width, .. } = path
                && width < tile::WIDTH
            {
                let bytes = self.tree.partial(level).as_flattened();
                self.compare(path, bytes, report)?;
            }
        }
        Ok(())
    }

    fn compare(&self, path: Path, derived: &[u8], report: &mut Report) -> Result<(), Unread> {
        let what = match self.source.tile(path)? {
            Some(bytes) if bytes == derived => {
                report.tiles += 1;
                return Ok(());
            }
            Some(_) => What::Differs,
            None => What::Missing,
        };
        report.findings.push(Finding::new(Place::Tile(path), what));
        Ok(())
    }
}
