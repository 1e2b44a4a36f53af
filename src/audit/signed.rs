//! What a signed head covers, read from a source that is not trusted.
//!
//! From the top down: the partial tiles of the right edge make the root, each full
//! tile is what the hash above it says, each entry what its leaf says. Memory is one
//! tile a level. Lacks the signature itself: whoever hands in a head has checked it.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::audit::Finding;
use crate::audit::Place;
use crate::audit::Source;
use crate::audit::Unread;
use crate::audit::What;
use crate::audit::mirror::Keep;
use crate::audit::mirror::Stopped;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::hash;
use crate::ledger::merkle;
use crate::ledger::merkle::Tree;
use crate::ledger::tile;
use crate::ledger::tile::Hashes;
use crate::ledger::tile::Path;

/// Whatever came through a proof over [`Signed`] tiles: their failure, as it was.
#[must_use]
pub fn stopped(error: merkle::Error) -> Stopped {
    let text = error.to_string();
    let unread = || Stopped::Source(Unread { what: "tiles".into(), cause: text });
    let merkle::Error::Tile(tile::Error::Source(cause)) = error else { return unread() };
    cause.downcast::<Stopped>().map_or_else(|_| unread(), |stopped| *stopped)
}

/// How many hashes a tile has in a tree of `size` leaves.
pub(in crate::audit) fn width_at(size: u64, level: u8, index: u64) -> u16 {
    let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
    let left = hashes.saturating_sub(index.saturating_mul(u64::from(tile::WIDTH)));
    u16::try_from(left).map_or(tile::WIDTH, |left| left.min(tile::WIDTH))
}

/// The first `width` hashes of a tile, if it has so many.
pub(in crate::audit) fn first(
    mut bytes: Vec<u8>,
    level: u8,
    index: u64,
    width: u16,
) -> Result<Vec<u8>, tile::Error> {
    let want = usize::from(width) * 32;
    if bytes.len() < want {
        return Err(tile::Error::Missing { level, index, width });
    }
    bytes.truncate(want);
    Ok(bytes)
}

/// A source's partial tiles as they come: only the root that they make shows what they are.
struct Edge<'a>(&'a dyn Source);

impl Hashes for Edge<'_> {
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, tile::Error> {
        let through = |error| tile::Error::Source(Box::new(Stopped::Source(error)));
        let partial = self.0.tile(Path::Tile { level, index, width }).map_err(through)?;
        // A log that has grown may have dropped the partial tile: it is a prefix of the full one.
        let bytes = match partial {
            Some(bytes) => bytes,
            None => {
                let full = Path::Tile { level, index, width: tile::WIDTH };
                self.0.tile(full).map_err(through)?.unwrap_or_default()
            }
        };
        first(bytes, level, index, width)
    }
}

/// Tiles and bundles under a signed head: each is checked against the hash above it.
pub struct Signed<'a> {
    source: &'a dyn Source,
    copy: Option<&'a dyn Keep>,
    edge: Tree,
    /// The full tile read last on each level: neighbours share their parents.
    last: RefCell<HashMap<u8, (u64, Vec<u8>)>>,
}

impl<'a> Signed<'a> {
    /// Reads the right edge. What a copy has is not asked for again.
    ///
    /// # Errors
    /// [`Stopped::Log`] if the edge tiles do not make the signed root; the source.
    pub fn new(
        source: &'a dyn Source,
        copy: Option<&'a dyn Keep>,
        head: &Checkpoint,
    ) -> Result<Self, Stopped> {
        let wrong = |what| Stopped::Log(Finding::new(Place::Checkpoint, what));
        let edge = Tree::restore(&Edge(source), head.size).map_err(|error| match error {
            merkle::Error::Tile(tile::Error::Missing { level, index, width }) => {
                let place = Place::Tile(Path::Tile { level, index, width });
                Stopped::Log(Finding::new(place, What::Missing))
            }
            error => stopped(error),
        })?;
        if edge.root() != head.root {
            return Err(wrong(What::Root));
        }
        Ok(Self { source, copy, edge, last: RefCell::default() })
    }

    /// The first `width` hashes of a tile.
    ///
    /// # Errors
    /// [`Stopped::Log`] if it is missing or not what the checkpoint signs; the source, the copy.
    pub fn checked(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, Stopped> {
        let path = Path::Tile { level, index, width: tile::WIDTH };
        let missing = |_| Stopped::Log(Finding::new(Place::Tile(path), What::Missing));
        let full = self.edge.size().checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
        if index >= full {
            let edge = if index == full { self.edge.partial(level).concat() } else { Vec::new() };
            return first(edge, level, index, width).map_err(missing);
        }
        let read = self.last.borrow().get(&level).filter(|(at, _)| *at == index).map(|(_, b)| b.clone());
        let bytes = match read {
            Some(bytes) => bytes,
            None => self.fetch(path, level, index)?,
        };
        first(bytes, level, index, width).map_err(missing)
    }

    fn fetch(&self, path: Path, level: u8, index: u64) -> Result<Vec<u8>, Stopped> {
        let place = u16::try_from(index % u64::from(tile::WIDTH)).unwrap_or_default();
        let above = self.checked(level + 1, index / u64::from(tile::WIDTH), place + 1)?;
        let is_signed = |bytes: &Vec<u8>| {
            bytes.len() == tile::FULL && above.ends_with(&merkle::root(bytes.as_chunks::<32>().0))
        };
        // What the copy has need not be sent again; it is checked like the rest.
        let bytes = match self.own(path)?.filter(is_signed) {
            Some(own) => own,
            None => {
                let wrong = |what| Stopped::Log(Finding::new(Place::Tile(path), what));
                let sent = self.source.tile(path)?.ok_or_else(|| wrong(What::Missing))?;
                Some(sent).filter(is_signed).ok_or_else(|| wrong(What::Unsigned))?
            }
        };
        self.last.borrow_mut().insert(level, (index, bytes.clone()));
        Ok(bytes)
    }

    fn own(&self, path: Path) -> Result<Option<Vec<u8>>, Stopped> {
        self.copy.map_or(Ok(None), |copy| Ok(copy.read(&path.to_string())?))
    }

    /// The first `width` entries of a bundle, as a bundle.
    ///
    /// # Errors
    /// [`Stopped::Log`] if it is missing or not what the checkpoint signs; the source, the copy.
    pub fn bundle(&self, index: u64, width: u16) -> Result<Vec<u8>, Stopped> {
        let path = Path::Entries { index, width };
        let leaves = self.checked(0, index, width)?;
        let holds = |bytes: &[u8]| {
            let entries = tile::unbundle(bytes).unwrap_or_default();
            entries.iter().map(|entry| hash::leaf(entry)).collect::<Vec<_>>().concat() == leaves
        };
        if let Some(own) = self.own(path)?.filter(|own| holds(own)) {
            return Ok(own);
        }
        let wrong = |what| Stopped::Log(Finding::new(Place::Tile(path), what));
        let sent = match (self.source.tile(path)?, path) {
            (None, Path::Entries { index, width }) if width < tile::WIDTH => {
                let full = self.source.tile(Path::Entries { index, width: tile::WIDTH })?;
                let cut = |bytes: Vec<u8>| {
                    let entries = tile::unbundle(&bytes).ok()?;
                    tile::bundle(entries.into_iter().take(usize::from(width))).ok()
                };
                full.and_then(cut)
            }
            (sent, _) => sent,
        };
        let sent = sent.ok_or_else(|| wrong(What::Missing))?;
        Some(sent).filter(|sent| holds(sent)).ok_or_else(|| wrong(What::Unsigned))
    }
}

impl std::fmt::Debug for Signed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signed").field("size", &self.edge.size()).finish_non_exhaustive()
    }
}

impl Hashes for Signed<'_> {
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, tile::Error> {
        self.checked(level, index, width).map_err(|stopped| tile::Error::Source(Box::new(stopped)))
    }
}
