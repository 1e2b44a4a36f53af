//! What can be wrong with a log, and where.

use std::fmt;

use crate::ledger::tile;
use crate::model::decision::Why;
use crate::model::id::Hash;
use crate::model::id::LeafIndex;

/// Where something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An attachment.
    Attachment(Hash),
    /// The newest checkpoint.
    Checkpoint,
    /// An entry, by its index.
    Entry(LeafIndex),
    /// The checkpoint seen before.
    OlderCheckpoint,
    /// The list of the log key's rotations.
    Rotations,
    /// A tile or a bundle.
    Tile(tile::Path),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attachment(hash) => write!(f, "attachments/{hash}"),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::Entry(index) => write!(f, "entry {index}"),
            Self::OlderCheckpoint => f.write_str("older checkpoint"),
            Self::Rotations => f.write_str("rotations"),
            Self::Tile(path) => path.fmt(f),
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// The checkpoint is not one of this log.
    #[error("not a checkpoint of this log: {0}")]
    Checkpoint(String),
    /// A use batch or its time does not follow the one before.
    #[error("use batch {found} where {expected} is due")]
    BatchOrder {
        /// Number it has.
        found: u64,
        /// Number that is due.
        expected: u64,
    },
    /// The interval of a use batch does not begin where the last one ended.
    #[error("the use batch leaves out or repeats time")]
    BatchInterval,
    /// The bytes are not the attachment's.
    #[error("the bytes have another hash")]
    AttachmentBytes,
    /// Bytes that differ from what the entries make.
    #[error("differs from what the entries make")]
    Differs,
    /// The same statement stands twice.
    #[error("the same statement stands at entry {first} already")]
    Duplicate {
        /// Where it stood first.
        first: LeafIndex,
    },
    /// A statement about a person in a public entry.
    #[error("a statement about a person stands in the open")]
    Exposed,
    /// The log is not the one that was seen before.
    #[error("the log has another root at size {size}: it was rewritten, or shows two histories")]
    Fork {
        /// Size of the older checkpoint.
        size: u64,
    },
    /// Genesis names another log.
    #[error("genesis names another {what} than the one known")]
    Genesis {
        /// Which part.
        what: &'static str,
    },
    /// Without effect.
    #[error("the statement has no effect: {}", .0.as_str())]
    Inert(Why),
    /// Not an entry, not an item, or its signature does not hold.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The list of rotations does not make the log's keys.
    #[error("not the log's keys: {0}")]
    Keys(String),
    /// Nothing stands there.
    #[error("is missing")]
    Missing,
    /// A report is not the one of the adoption that names it.
    #[error("is not the replay that entry {adoption} says it is")]
    Replay {
        /// Where the adoption stands.
        adoption: LeafIndex,
    },
    /// The entries make another root.
    #[error("the entries make another root than the checkpoint says")]
    Root,
    /// The log is shorter than what was seen before.
    #[error("the log has {size} entries, fewer than the {older} seen before")]
    Shrunk {
        /// Size now.
        size: u64,
        /// Size then.
        older: u64,
    },
    /// Time runs backwards, or is no multiple of the grain.
    #[error("time {t} does not follow {last} in steps of the grain")]
    Time {
        /// Of this entry.
        t: u64,
        /// Of the one before.
        last: u64,
    },
    /// The bytes are not those that the checkpoint signs.
    #[error("is not what the checkpoint signs")]
    Unsigned,
    /// A bundle holds another number of entries.
    #[error("holds {found} entries, not {expected}")]
    Width {
        /// Entries in it.
        found: usize,
        /// Entries it must have.
        expected: u16,
    },
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub what: What,
}

impl Finding {
    /// Names place and fault.
    #[must_use]
    pub const fn new(place: Place, what: What) -> Self {
        Self { place, what }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}
