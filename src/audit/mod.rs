//! PURE, over a [`Source`]. What anybody can check of a log, knowing only its key.
//!
//! [`audit`] reads every bundle, tile and attachment once and derives the rest
//! again: the tree and its root, every tile, every public statement with its
//! signatures and its authority, the numbering of use batches, the order of
//! times, and that an older checkpoint is a prefix. What is wrong comes as
//! [`Finding`]s that name the place; it goes on after each of them. [`mirror`] keeps
//! a copy that anybody may serve and audit again.
//!
//! Lacks: network, disk and clock (a source is handed in, the age of the log is
//! the caller's to judge); sealed entries, which need openings (of one decision they
//! come as [`decision::Evidence`]); witnesses: one reader alone cannot see that the
//! log says something else to another.
//! Trusted: the key and the origin handed in, nothing else; what follows that key, its own rotations say.

pub mod adoption;
pub mod archive;
pub mod case;
pub mod chain;
mod complaint;
pub mod decision;
pub mod dossier;
mod finding;
mod inside;
mod lists;
pub mod mirror;
pub mod moving;
mod owed;
mod proven;
mod replay;
mod signed;
mod source;
mod tree;

use crate::consent::Adoption;
use crate::ledger::checkpoint;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::key::PublicKey;
use crate::ledger::tile;
use crate::model::id::Hash;

pub use finding::Finding;
pub use finding::Place;
pub use finding::What;
pub use replay::Attachments;
pub use replay::Counts;
pub use replay::Replay;
pub use signed::Signed;
pub use signed::stopped;

/// Where a log is read from: a folder, a URL, a running node.
pub trait Source {
    /// The newest signed checkpoint.
    ///
    /// # Errors
    /// [`Unread`] if there is none or reading failed.
    fn checkpoint(&self) -> Result<String, Unread>;

    /// The bytes at a tile's or bundle's path; `None` if there is nothing.
    ///
    /// # Errors
    /// [`Unread`] if reading failed: not the log's fault.
    fn tile(&self, path: tile::Path) -> Result<Option<Vec<u8>>, Unread>;

    /// An attachment by its hash; `None` if there is none.
    ///
    /// # Errors
    /// [`Unread`] if reading failed: not the log's fault.
    fn attachment(&self, hash: &Hash) -> Result<Option<Vec<u8>>, Unread>;

    /// The list of the log key's rotations, as [`chain::follow`] reads it; empty if there is none.
    ///
    /// # Errors
    /// [`Unread`] if reading failed: not the log's fault.
    fn rotations(&self) -> Result<Vec<u8>, Unread> {
        Ok(Vec::new())
    }
}

/// A source could not be read.
#[derive(Debug, thiserror::Error)]
#[error("`{what}` cannot be read: {cause}")]
pub struct Unread {
    /// Path or URL.
    pub what: String,
    /// What the system or the server said.
    pub cause: String,
}

/// What the reader knows already.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// One of the log's keys: the others follow from its rotations.
    pub key: &'a PublicKey,
    /// The log's name.
    pub origin: &'a str,
    /// A checkpoint seen before, a signed note.
    pub older: Option<&'a str>,
}

/// What an audit came to.
#[derive(Debug)]
pub struct Report {
    /// The checkpoint everything was compared with; `None` if it is not the log's.
    pub checkpoint: Option<Checkpoint>,
    /// Signatures on it beside the log's own: unchecked, for no witness key is known.
    pub cosignatures: usize,
    /// What was read.
    pub counts: Counts,
    /// Tiles and bundles compared.
    pub tiles: u64,
    /// Size of the older checkpoint that was found to be a prefix.
    pub extends: Option<u64>,
    /// Public time of the newest entry, ms.
    pub newest_t: u64,
    /// Packs that were adopted, with what their signers saw of the past under them.
    pub adopted: Vec<Adoption>,
    /// Everything that is wrong, in the order of the log.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Checks a whole log. `progress` hears entries read and entries in all.
///
/// # Errors
/// [`Unread`]: the source failed. Whatever is wrong with the log is in the report.
pub fn audit(
    source: &dyn Source,
    known: &Known<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, Unread> {
    let note = source.checkpoint()?;
    let mut report = Report {
        checkpoint: None,
        cosignatures: note.lines().filter(|line| line.starts_with("— ")).count().saturating_sub(1),
        counts: Counts::default(),
        tiles: 0,
        extends: None,
        newest_t: 0,
        adopted: Vec::new(),
        findings: Vec::new(),
    };
    // After the checkpoint: a rotation between the two reads is in the list.
    let keys = match chain::follow(known.key, known.origin, &source.rotations()?) {
        Ok(keys) => keys,
        Err(error) => {
            report.findings.push(Finding::new(Place::Rotations, What::Keys(error.to_string())));
            return Ok(report);
        }
    };
    let head = match checkpoint::open(note.as_bytes(), &keys, known.origin) {
        Ok(head) => head,
        Err(error) => {
            report.findings.push(Finding::new(Place::Checkpoint, What::Checkpoint(error.to_string())));
            return Ok(report);
        }
    };
    let older = match known.older.map(|note| checkpoint::open(note.as_bytes(), &keys, known.origin)) {
        None => None,
        Some(Ok(older)) => Some(older),
        Some(Err(error)) => {
            report.findings.push(Finding::new(Place::OlderCheckpoint, What::Checkpoint(error.to_string())));
            None
        }
    };
    tree::walk(source, (&keys, known.origin), (&head, older.as_ref()), &mut report, progress)?;
    report.checkpoint = Some(head);
    Ok(report)
}
