//! Following a log: a copy that only ever grows, and only by what the log signed.
//!
//! Works from the top down. The partial tiles of the right edge must make the signed
//! root; each full tile must be what the hash above it says, each entry what its
//! leaf says. So every file is checked *before* it is kept, in constant memory, and
//! an interrupted run goes on where it stopped. The checkpoint is replaced last: a
//! copy with a checkpoint is whole.
//!
//! A log that does not extend the copy (another root, or fewer entries) is refused,
//! and both signed checkpoints are kept: together they convict whoever signed them.
//!
//! Lacks the disk and the network, which are handed in, and witnesses: a mirror sees
//! what the log shows to the mirror. Trusted: the log's key and origin, the copy's
//! own checkpoint. Not trusted: the source, and the copy's tiles.

use std::collections::BTreeSet;

use crate::audit::Finding;
use crate::audit::Place;
use crate::audit::Source;
use crate::audit::Unread;
use crate::audit::What;
use crate::audit::chain;
use crate::audit::signed::Signed;
use crate::audit::signed::first;
use crate::audit::signed::stopped;
use crate::audit::signed::width_at;
use crate::consent::Register;
use crate::identity;
use crate::ledger::checkpoint;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::entry::Entry;
use crate::ledger::hash;
use crate::ledger::key::PublicKey;
use crate::ledger::merkle;
use crate::ledger::tile;
use crate::ledger::tile::Hashes;
use crate::ledger::tile::Path;
use crate::model::id::Hash;

/// Where the copy lies. Names are paths below the log's prefix.
pub trait Keep {
    /// The checkpoint of the copy; `None` if it has none yet.
    ///
    /// # Errors
    /// [`Unkept`]: the copy cannot be read.
    fn kept(&self) -> Result<Option<String>, Unkept>;

    /// A file of the copy; `None` if it is not there.
    ///
    /// # Errors
    /// [`Unkept`]: the copy cannot be read.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Unkept>;

    /// Adds a file, wholly or not at all. Equal bytes again are fine.
    ///
    /// # Errors
    /// [`Unkept`]: the copy cannot be written, or holds other bytes under this name.
    fn add(&self, name: &str, bytes: &[u8]) -> Result<(), Unkept>;

    /// Makes all added files durable, then replaces the checkpoint at one stroke.
    ///
    /// # Errors
    /// [`Unkept`]: the copy cannot be written.
    fn settle(&self, note: &str) -> Result<(), Unkept>;

    /// Drops the partial tiles or bundles of a path that is full now.
    ///
    /// # Errors
    /// [`Unkept`]: the copy cannot be written.
    fn outgrown(&self, full: Path) -> Result<(), Unkept>;

    /// Replaces the list of rotations at one stroke.
    ///
    /// # Errors
    /// [`Unkept`]: the copy cannot be written.
    fn rotations(&self, list: &[u8]) -> Result<(), Unkept>;

    /// Keeps two signed checkpoints that contradict each other.
    ///
    /// # Errors
    /// [`Unkept`]: the copy cannot be written.
    fn evidence(&self, kept: &str, offered: &str) -> Result<(), Unkept>;
}

/// The copy could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("`{what}` of the copy: {cause}")]
pub struct Unkept {
    /// Which file.
    pub what: String,
    /// What the system said.
    pub cause: String,
}

/// Why following stopped. The copy is what it was, or holds more files of the same log.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The source does not answer: try again later.
    #[error(transparent)]
    Source(#[from] Unread),
    /// The copy cannot be read or written.
    #[error(transparent)]
    Copy(#[from] Unkept),
    /// The log shows what its key did not sign, or signed two histories.
    #[error("{0}")]
    Log(Finding),
    /// The copy's own checkpoint is not one of this log.
    #[error("the copy's own {0}")]
    Own(Finding),
}

/// What following came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The head the copy has now.
    pub head: Checkpoint,
    /// Entries it had before.
    pub from: u64,
    /// Files added.
    pub files: u64,
    /// Attachments that the log names and does not have, or has with other bytes.
    pub missing: Vec<Finding>,
}

/// Brings a copy up to the newest checkpoint, knowing one of the log's keys. `progress` hears entries copied and entries in all.
///
/// # Errors
/// [`Stopped`]. After it the copy's checkpoint is the one it was.
pub fn follow(
    source: &dyn Source,
    copy: &dyn Keep,
    (key, origin): (&PublicKey, &str),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Followed, Stopped> {
    let note = source.checkpoint()?;
    let log = |what| Stopped::Log(Finding::new(Place::Checkpoint, what));
    // After the checkpoint: a rotation between the two reads is in the list.
    let rotations = source.rotations()?;
    let keys = chain::follow(key, origin, &rotations)
        .map_err(|error| Stopped::Log(Finding::new(Place::Rotations, What::Keys(error.to_string()))))?;
    let head = checkpoint::open(note.as_bytes(), &keys, origin)
        .map_err(|error| log(What::Checkpoint(error.to_string())))?;
    let kept = copy.kept()?;
    let older = match &kept {
        None => Checkpoint { origin: origin.to_owned(), size: 0, root: hash::empty_root() },
        Some(kept) => checkpoint::open(kept.as_bytes(), &keys, origin).map_err(|error| {
            Stopped::Own(Finding::new(Place::Checkpoint, What::Checkpoint(error.to_string())))
        })?,
    };
    let unchanged = Followed { head: head.clone(), from: older.size, files: 0, missing: Vec::new() };
    if kept.is_some() && (older.size, older.root) == (head.size, head.root) {
        return Ok(unchanged);
    }
    let convict = |what| {
        copy.evidence(kept.as_deref().unwrap_or_default(), &note)?;
        Err(log(what))
    };
    if head.size <= older.size && kept.is_some() {
        let own = Own { copy, size: older.size };
        let prefix =
            head.size < older.size && merkle::root_at(&own, head.size).is_ok_and(|root| root == head.root);
        return convict(if prefix {
            What::Shrunk { size: head.size, older: older.size }
        } else {
            What::Fork { size: head.size }
        });
    }
    let signed = Signed::new(source, Some(copy), &head)?;
    if merkle::root_at(&signed, older.size).map_err(stopped)? != older.root {
        return convict(What::Fork { size: older.size });
    }
    let mut copying = Copying { source, copy, signed, done: unchanged };
    copying.bundles(progress)?;
    copying.tiles()?;
    if keys.rotations().next().is_some() {
        copy.rotations(&rotations)?;
    }
    copy.settle(&note)?;
    copying.outgrown()?;
    Ok(copying.done)
}

/// The attachments that a bundle's public statements name.
#[must_use]
pub fn attachments_of(bundle: &[u8]) -> BTreeSet<Hash> {
    let item = |entry: &[u8]| match Entry::parse(entry) {
        Ok(Entry::Public { item, .. }) => identity::reload(&item).ok(),
        _ => None,
    };
    let statements = tile::unbundle(bundle).unwrap_or_default().into_iter().filter_map(item);
    statements.flat_map(|(statement, _)| Register::attachments_of(&statement)).collect()
}

/// The copy's own tiles, as its checkpoint has them.
struct Own<'a> {
    copy: &'a dyn Keep,
    size: u64,
}

impl Hashes for Own<'_> {
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, tile::Error> {
        let path = Path::Tile { level, index, width: width_at(self.size, level, index) };
        let read = self.copy.read(&path.to_string());
        let bytes = read.map_err(|error| tile::Error::Source(Box::new(Stopped::Copy(error))))?;
        first(bytes.unwrap_or_default(), level, index, width)
    }
}

/// One run of copying.
struct Copying<'a> {
    source: &'a dyn Source,
    copy: &'a dyn Keep,
    signed: Signed<'a>,
    done: Followed,
}

impl Copying<'_> {
    /// Bundles with their attachments and leaf tiles, from the copy's last one on.
    fn bundles(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Stopped> {
        let (size, wide) = (self.done.head.size, u64::from(tile::WIDTH));
        for index in self.done.from / wide..size.div_ceil(wide) {
            let width = width_at(size, 0, index);
            let leaves = self.signed.checked(0, index, width)?;
            let path = Path::Entries { index, width };
            let bundle = self.signed.bundle(index, width)?;
            for hash in attachments_of(&bundle) {
                self.attachment(&hash)?;
            }
            self.add(Path::Tile { level: 0, index, width }, &leaves)?;
            // After its attachments: a bundle that is there is done with.
            self.add(path, &bundle)?;
            progress(index.saturating_mul(wide).saturating_add(u64::from(width)), size);
        }
        Ok(())
    }

    /// An attachment that cannot be had is told, and does not keep the rest from being copied.
    fn attachment(&mut self, hash: &Hash) -> Result<(), Stopped> {
        let name = format!("attachments/{hash}");
        if self.copy.read(&name)?.is_some() {
            return Ok(());
        }
        let what = match self.source.attachment(hash)? {
            Some(bytes) if hash::sha256(&[&bytes]) == hash.0 => {
                self.copy.add(&name, &bytes)?;
                self.done.files += 1;
                return Ok(());
            }
            Some(_) => What::AttachmentBytes,
            None => What::Missing,
        };
        self.done.missing.push(Finding::new(Place::Attachment(*hash), what));
        Ok(())
    }

    /// The tiles above the leaves that the copy does not have yet.
    fn tiles(&mut self) -> Result<(), Stopped> {
        for level in 1..8u8 {
            let hashes = self.done.head.size >> (8 * u32::from(level));
            let from = (self.done.from >> (8 * u32::from(level))) / u64::from(tile::WIDTH);
            for index in from..hashes.div_ceil(u64::from(tile::WIDTH)) {
                let width = width_at(self.done.head.size, level, index);
                let bytes = self.signed.checked(level, index, width)?;
                self.add(Path::Tile { level, index, width }, &bytes)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: Path, bytes: &[u8]) -> Result<(), Stopped> {
        self.copy.add(&path.to_string(), bytes)?;
        self.done.files += 1;
        Ok(())
    }

    /// C2SP tlog-tiles: a partial tile may go once the full one is there.
    fn outgrown(&self) -> Result<(), Stopped> {
        for level in 0..8u8 {
            let full = |size: u64| size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
            let index = full(self.done.from);
            if full(self.done.head.size) > index {
                self.copy.outgrown(Path::Tile { level, index, width: tile::WIDTH })?;
                if level == 0 {
                    self.copy.outgrown(Path::Entries { index, width: tile::WIDTH })?;
                }
            }
        }
        Ok(())
    }
}
