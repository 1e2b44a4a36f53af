//! Backup: everything of a log as of one checkpoint, while it runs; and putting it back.
//!
//! The sequencer takes the moment: right after a checkpoint covers everything that is
//! sequenced, between two commits, it opens a snapshot of the store. From then on the
//! copy costs it nothing. Statements and state are in it as the store has them: sealed.
//! The person keys are *not*: they lie in a file of their own ([`mod@file`]),
//! still wrapped by their epoch's key, so that whoever has one file has nothing, and none
//! of both once the epoch has ended.
//!
//! ```text
//! magic (16) ‖ repeat( kind (1) ‖ length (4, big-endian) ‖ payload ) ‖ end frame
//! ```
//! The last frame is SHA-256 of all bytes before it; the one before it is the manifest
//! with the hash of every part. Formats: `schemas/naru.cddl`.
//!
//! Lacks encryption of its own, compression (ciphertext does not shrink), increments,
//! the master key, the epochs', the log's and the token key, and the configuration: the operator
//! keeps those apart. Trusted: nothing that is read back. A backup proves nothing; what
//! it holds is checked by the same code as any data ([`super::fsck`], [`restore`]).

pub mod file;
pub mod frame;
pub mod restore;

use std::path::Path;
use std::path::PathBuf;

use tokio::sync::oneshot;

use crate::model::id::TreeSize;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::Stop;
use crate::node::lane::Lane;
use crate::node::publish::Publisher;
use crate::node::sequencer::Job;
use crate::store::Snapshot;

/// Everything the store had when a checkpoint covered all of it.
pub struct Moment {
    /// Entries in it, all under the checkpoint.
    pub size: TreeSize,
    /// Their root.
    pub root: [u8; 32],
    /// The signed checkpoint.
    pub note: String,
    /// The rows.
    pub rows: Box<dyn Snapshot>,
}

impl std::fmt::Debug for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moment").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Where a moment goes to.
pub(in crate::node) type Wish = oneshot::Sender<Result<Moment, Error>>;

/// Who waits for the next moment.
#[derive(Debug, Default)]
pub(in crate::node) struct Wishes(Vec<Wish>);

impl Wishes {
    pub(in crate::node) fn add(&mut self, wish: Wish) {
        self.0.push(wish);
    }

    /// Between two commits: if all is published, this is the moment.
    pub(in crate::node) fn grant(&mut self, inner: &Inner, publisher: &Publisher) {
        let stop = inner.stopped().filter(|stop| stop.ends_publishing());
        if self.0.is_empty() || (stop.is_none() && !publisher.is_quiet()) {
            return;
        }
        for wish in self.0.drain(..) {
            let moment = match stop {
                Some(stop) => Err(Error::Stopped(stop)),
                None => inner.moment(),
            };
            // Who asked and went away is no reason to stop.
            let _ = wish.send(moment);
        }
    }
}

impl Inner {
    fn moment(&self) -> Result<Moment, Error> {
        if self.vault.is_rotating() {
            return Err(Error::Rotating);
        }
        let published = self.published();
        let rows = self.store.snapshot()?;
        Ok(Moment { size: published.size, root: published.root, note: published.note.clone(), rows })
    }
}

impl Node {
    /// Waits until a checkpoint covers everything, and holds on to what the store has then.
    ///
    /// Takes at most one grain, or until the next tick by hand.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the node does not publish: then its data may be an old copy. A store
    /// without snapshots.
    pub fn snapshot(&self) -> Result<Moment, Error> {
        let (wish, wait) = oneshot::channel();
        let closing = Error::Stopped(Stop::Closing);
        if self.inner.sequence.push(Lane::Open, Job::Snapshot(wish)).is_err() {
            return Err(closing);
        }
        wait.blocking_recv().unwrap_or(Err(closing))
    }
}

/// Files of the data folder that a backup carries beside the rows, by their path below the folder.
///
/// All but the store's own, the person keys, the mark and what only a running service has.
///
/// # Errors
/// A folder cannot be read.
pub fn beside(data: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = files_of(data)?;
    let skipped = ["store", "vault", "mark", CONTROL];
    found.retain(|path| !skipped.iter().any(|name| path.starts_with(name)));
    Ok(found)
}

/// Every regular file below a folder, by its path there, sorted.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(inside) = folders.pop() {
        let path = folder.join(&inside);
        let failed = |cause| Error::File { path: path.clone(), cause };
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let name = inside.join(entry.file_name());
            if kind.is_dir() {
                folders.push(name);
            } else if kind.is_file() {
                found.push(name);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Folder of the data folder in which a running service is asked.
pub const CONTROL: &str = "control";
