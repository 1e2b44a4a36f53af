//! EDGE: durable bytes. The trait, its contract, and its implementations.
//!
//! A store is not trusted with meaning: it sees public entries, ciphertext and
//! opaque names. It is trusted with one thing, order: what it answered as
//! sequenced stays at its index for ever. It lacks, on purpose, any idea of what
//! a consent or a person is, any clock and any randomness.
//!
//! Implementations: [`memory`] forgets and fails on demand, [`fjall`] is the default
//! on one node's disk, `sled` stands behind the feature `store-sled`. One suite,
//! `tests/store.rs`, runs over all of them.
//!
//! A write that breaks the contract (a batch without entries, a head above the log)
//! answers `Failed` with [`Error::Engine`] and changes nothing. After any other
//! `Failed` every write fails until the data is opened again.
//!
//! Two heads: *sequenced* (entries with an index) and *integrated* (entries under
//! a signed checkpoint). Durable order everywhere: key, sealed body, entry, state.

mod blob;
pub mod fjall;
mod item;
mod keyed;
pub mod memory;
mod row;
#[cfg(feature = "store-sled")]
pub mod sled;
mod whole;

use std::ops::Range;

use crate::model::id::{StatementId, SubjectId};

pub use keyed::Visit;
pub use row::Table;
pub use whole::{RawRow, Rows, Snapshot};

/// Who asks to lead: 16 random bytes drawn at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder(pub [u8; 16]);

/// Fencing token: grows with every `lead`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// Name of one batch, drawn by the sequencer, so that `settle` can look it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId(pub [u8; 16]);

/// Size and root of the integrated tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of leaves.
    pub size: u64,
    /// RFC 9162 root over them.
    pub root: [u8; 32],
}

impl Head {
    /// The head of no entries: RFC 9162 section 2.1.1, SHA-256 of nothing.
    pub const EMPTY: Self = Self {
        size: 0,
        root: [
            0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
            0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
        ],
    };
}

/// A look-up name: a ppid (16), a key hash, a statement id, a link or an arrival (32), told apart by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// A person in one domain.
    Ppid([u8; 16]),
    /// A public key.
    Key([u8; 32]),
    /// A statement.
    Statement([u8; 32]),
    /// A request, as its controller's link names it.
    Link([u8; 32]),
    /// A demand at another log, of which somebody here expects deliveries.
    Arrival([u8; 32]),
}

/// One name row. The value is sealed by the vault (who: subject and slot); empty for public statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRow {
    /// The name.
    pub name: Name,
    /// Sealed `{subject, slot}`, or empty.
    pub sealed: Vec<u8>,
    /// Position in the batch of the entry it names, if it names one: the store adds `first`.
    pub entry: Option<u32>,
}

/// A sealed body of one person's statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Whose.
    pub subject: SubjectId,
    /// Which statement.
    pub id: StatementId,
    /// Ciphertext.
    pub sealed: Vec<u8>,
}

/// What one commit makes durable. Carries no indices: the store assigns `first`.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Its name.
    pub id: BatchId,
    /// Milliseconds; one per commit; never smaller than the last commit's.
    pub at: u64,
    /// Entry bytes, in order. Never empty.
    pub entries: Vec<Vec<u8>>,
    /// Statement id of each entry.
    pub ids: Vec<StatementId>,
    /// Names that appear with these entries.
    pub names: Vec<NameRow>,
    /// Sealed bodies of the sealed entries.
    pub bodies: Vec<Body>,
}

/// What an append came to.
#[derive(Debug)]
pub enum Append {
    /// Durable at `[first, first + n)`.
    Sequenced {
        /// Index of the batch's first entry.
        first: u64,
    },
    /// Somebody else leads now; nothing was written.
    Fenced,
    /// The answer was lost: the batch may or may not be there. Ask `settle`.
    InDoubt,
    /// Only from `settle`: the batch is not there and never will be.
    Absent,
    /// The engine failed; stop writing, the batch may be there after a restart.
    Failed(Error),
}

/// What an integration came to.
#[derive(Debug)]
pub enum Integrate {
    /// The new head and its note are durable.
    Integrated,
    /// The stored head is not `old`.
    Conflict(Head),
    /// Somebody else leads now.
    Fenced,
    /// The engine failed; stop writing.
    Failed(Error),
}

/// What a projection came to.
#[derive(Debug)]
pub enum Project {
    /// Rows are visible to later reads of this process.
    Projected,
    /// Somebody else leads now.
    Fenced,
    /// The engine failed; stop writing.
    Failed(Error),
}

/// One state row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// Part of one person's state, sealed under her key.
    Person {
        /// Whose.
        subject: SubjectId,
        /// Which part: opaque to the store, at most 64 bytes.
        part: Vec<u8>,
        /// Index of the entry it reflects. A row never goes back to a smaller one.
        index: u64,
        /// Ciphertext.
        sealed: Vec<u8>,
    },
    /// The public register as of `index`.
    Register {
        /// Index of the entry it reflects.
        index: u64,
        /// Encoded register.
        bytes: Vec<u8>,
    },
    /// A name that came without an entry, or with an entry already sequenced.
    Name {
        /// The name.
        name: Name,
        /// Sealed `{subject, slot}`.
        sealed: Vec<u8>,
        /// Index of the entry it names, if any.
        index: Option<u64>,
    },
}

/// What `lead` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Next index to assign: number of sequenced entries.
    pub next: u64,
    /// `at` of the last commit, 0 if none.
    pub at: u64,
    /// The integrated head, and the signed note stored with it (empty at size 0).
    pub integrated: Head,
    /// Signed checkpoint of `integrated`.
    pub note: Vec<u8>,
    /// State rows reflect every entry below this index.
    pub projected: u64,
}

/// One commit as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Index of its first entry.
    pub first: u64,
    /// Its instant, ms.
    pub at: u64,
    /// Entry bytes in order.
    pub entries: Vec<Vec<u8>>,
    /// Statement ids in order.
    pub ids: Vec<StatementId>,
}

/// One person's state rows as read back: `(part, index, sealed)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonRows {
    /// The rows.
    pub rows: Vec<(Vec<u8>, u64, Vec<u8>)>,
    /// They reflect every entry below this index.
    pub upto: u64,
}

/// A name as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Sealed `{subject, slot}`, or empty.
    pub sealed: Vec<u8>,
    /// Index of the entry it names, if any.
    pub index: Option<u64>,
}

/// Something of one person that follows from no entry: primary, like a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Which: opaque to the store, 1 to 64 bytes.
    pub name: Vec<u8>,
    /// Ciphertext.
    pub sealed: Vec<u8>,
}

/// What can go wrong below: always ours, never the caller's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("storage failed: {0}")]
    Io(#[from] std::io::Error),
    /// The engine refused.
    #[error("storage engine `{engine}` failed: {cause}")]
    Engine {
        /// Which engine.
        engine: &'static str,
        /// What it said.
        cause: String,
    },
    /// Bytes are not what this store wrote.
    #[error("storage is damaged: {what}")]
    Corrupt {
        /// Which record.
        what: String,
    },
    /// Another process has the folder open.
    #[error("another process has the data folder open; stop it first")]
    Locked,
    /// A create-only blob exists with other bytes.
    #[error("blob `{name}` exists with other bytes")]
    Exists {
        /// Its name.
        name: String,
    },
}

/// Durable bytes behind one node. Blocking, object-safe.
pub trait Store: Send + Sync {
    /// Takes the lead, fences every earlier writer, and says what is there.
    ///
    /// Must be called once before any write. Earlier epochs' writes answer `Fenced` from now on.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process holds the data; [`Error::Corrupt`] if the data cannot be trusted.
    fn lead(&self, holder: &Holder) -> Result<(Epoch, Recovered), Error>;

    /// Makes one batch durable and gives it indices: all of it or nothing, synced before it answers.
    ///
    /// Its names and bodies replace rows of the same key. While a batch is in doubt nothing else may
    /// be appended: `settle` first.
    fn append(&self, epoch: Epoch, batch: &Batch) -> Append;

    /// After `InDoubt`: writes a barrier, then looks the batch up. Answers `Sequenced`, `Absent`, `Fenced` or `Failed`.
    ///
    /// Newest first, so the batch just sent is found at once; `Absent` may have to read every commit.
    fn settle(&self, epoch: Epoch, id: BatchId) -> Append;

    /// Moves the integrated head from `old` to `new`, with the signed note, durable before it answers.
    ///
    /// The first `old` is [`Head::EMPTY`]. `new` is not smaller than `old`, nor larger than the log.
    fn integrate(&self, epoch: Epoch, old: &Head, new: &Head, note: &[u8]) -> Integrate;

    /// Writes state rows that reflect everything below `upto`. Idempotent, need not be synced;
    /// a row never goes back to a smaller index, `upto` never goes back.
    ///
    /// An equal index replaces (re-wrapping). A name without an index counts as older than one with.
    /// `upto` is at most the number of sequenced entries.
    fn project(&self, epoch: Epoch, upto: u64, rows: &[Row]) -> Project;

    /// Drops bodies, rows, items and the given names of one person. Idempotent, need not be synced: every
    /// start repeats it from the certificates.
    fn forget(&self, epoch: Epoch, subject: &SubjectId, names: &[Name]) -> Project;

    /// Replaces bodies of one person by what is left of them, and drops others of hers, all at once.
    /// Idempotent, need not be synced: every start repeats it from the certificates.
    fn rewrite(&self, epoch: Epoch, subject: &SubjectId, put: &[Body], drop: &[StatementId]) -> Project;

    /// Writes items of one person and drops others of hers, and name rows that led to her by them, all at
    /// once or none; an equal name replaces, and of a name in both what is put stays. Durable with the next
    /// [`Store::barrier`], or with whatever is synced after it.
    fn keep(
        &self,
        epoch: Epoch,
        subject: &SubjectId,
        put: &[Item],
        drop: &[Vec<u8>],
        names: &[Name],
    ) -> Project;

    /// Items of one person whose names begin with `prefix`, in order of their bytes, after one of them, at
    /// most `most` (and at least one, if there is one).
    ///
    /// # Errors
    /// Engine failure or damage.
    fn items(
        &self,
        subject: &SubjectId,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Vec<Item>, Error>;

    /// One item.
    ///
    /// # Errors
    /// Engine failure or damage.
    fn item(&self, subject: &SubjectId, name: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Commits that hold an index of `range`, in order. Stops early after about 4 MiB; never answers
    /// empty while `range.start` is sequenced and the range is not empty.
    ///
    /// # Errors
    /// Engine failure or damage.
    fn commits(&self, range: Range<u64>) -> Result<Vec<Commit>, Error>;

    /// Bodies of one person by statement id; `None` where there is none.
    ///
    /// # Errors
    /// Engine failure or damage.
    fn bodies(&self, subject: &SubjectId, ids: &[StatementId]) -> Result<Vec<Option<Vec<u8>>>, Error>;

    /// Statement ids of one person's bodies, in order of bytes: 32 bytes each, whatever she said.
    ///
    /// # Errors
    /// Engine failure or damage.
    fn ids(&self, subject: &SubjectId) -> Result<Vec<StatementId>, Error>;

    /// All state rows of one person, by part. They reflect at least every entry below `upto`; some may be newer.
    ///
    /// # Errors
    /// Engine failure or damage.
    fn rows(&self, subject: &SubjectId) -> Result<PersonRows, Error>;

    /// The register row: `(index, bytes)`.
    ///
    /// # Errors
    /// Engine failure or damage.
    fn register(&self) -> Result<Option<(u64, Vec<u8>)>, Error>;

    /// Looks a name up.
    ///
    /// # Errors
    /// Engine failure or damage.
    fn locate(&self, name: &Name) -> Result<Option<Located>, Error>;

    /// Name rows after one of them, in an order of the store's own, at most `most` (and at least one, if
    /// there is one): for whoever seals all of them again.
    ///
    /// # Errors
    /// Engine failure or damage.
    fn names(&self, after: Option<&Name>, most: usize) -> Result<Vec<(Name, Located)>, Error>;

    /// Makes everything written so far durable, whatever call brought it. Needs no lead.
    ///
    /// # Errors
    /// Engine failure: stop writing.
    fn barrier(&self) -> Result<(), Error>;

    /// Stores a blob under a new name (at most 1,000 bytes), durable before it answers if `synced`.
    /// Equal bytes again are fine. Needs no lead.
    ///
    /// # Errors
    /// [`Error::Exists`] with other bytes; engine failure.
    fn put(&self, name: &str, bytes: &[u8], synced: bool) -> Result<(), Error>;

    /// Overwrites a blob, durable before it answers: a tile that is damaged (`fsck --rebuild`), or what a
    /// restore notes while it runs. Needs no lead.
    ///
    /// # Errors
    /// Engine failure.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error>;

    /// Reads a blob.
    ///
    /// # Errors
    /// Engine failure or damage.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, Error>;

    /// Rows that were dropped or replaced leave the files, journals too, as far as the engine can have it so;
    /// reads everything, while others write. Needs no lead.
    ///
    /// # Errors
    /// Engine failure.
    fn compact(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Every row as of now, to be read at leisure while others write: for a backup.
    ///
    /// # Errors
    /// Engine failure; a store without snapshots refuses.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error> {
        Err(no_snapshot("this store"))
    }

    /// Puts the rows of a snapshot into a store that holds nothing, durable before it answers: a
    /// restore. Needs no lead; nobody may lead before.
    ///
    /// # Errors
    /// The store is not empty; a commit is damaged or missing; engine failure. What was written then
    /// is worth nothing.
    fn refill(&self, rows: &mut Rows<'_>) -> Result<(), Error> {
        rows()?.map_or(Ok(()), |_| Err(no_snapshot("this store")))
    }

    /// Bytes on disk, as far as the engine knows (0 in memory).
    fn disk_bytes(&self) -> u64;
}

fn no_snapshot(engine: &'static str) -> Error {
    Error::Engine { engine, cause: "it takes no snapshots".into() }
}

/// A file that ends early or holds nonsense is damage; the rest is the system's word.
fn from_io(io: std::io::Error) -> Error {
    match io.kind() {
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData => {
            Error::Corrupt { what: io.to_string() }
        }
        _ => Error::Io(io),
    }
}

/// Why a write was not done: every answer to a write has these two.
enum Gate {
    Fenced,
    Failed(Error),
}

macro_rules! from_gate {
    ($($answer:ident)*) => {$(
        impl From<Gate> for $answer {
            fn from(gate: Gate) -> Self {
                match gate {
                    Gate::Fenced => Self::Fenced,
                    Gate::Failed(error) => Self::Failed(error),
                }
            }
        }
    )*};
}
from_gate!(Append Integrate Project);

/// A name row of a batch, with the index it got.
struct NameAt<'a> {
    name: &'a Name,
    sealed: &'a [u8],
    index: Option<u64>,
}

/// The names of a batch that stands at `first`.
fn names_at(first: u64, batch: &Batch) -> impl Iterator<Item = NameAt<'_>> {
    batch.names.iter().map(move |row| NameAt {
        name: &row.name,
        sealed: &row.sealed,
        index: row.entry.map(|entry| first.saturating_add(u64::from(entry))),
    })
}

/// How many entries a batch holds, or how it breaks the contract.
fn sound(batch: &Batch) -> Result<u64, &'static str> {
    let n = batch.entries.len();
    if n == 0 {
        return Err("a batch without entries");
    }
    if batch.ids.len() != n {
        return Err("a batch needs one id for each entry");
    }
    let within = |entry: u32| usize::try_from(entry).is_ok_and(|e| e < n);
    if !batch.names.iter().filter_map(|name| name.entry).all(within) {
        return Err("a name points past its batch");
    }
    u64::try_from(n).map_err(|_| "a batch with too many entries")
}

/// `commits` stops once it has so many bytes.
const COMMITS_BYTES: usize = 4 * 1024 * 1024;
/// Longest `part` of a state row, and longest name of an item.
const MAX_PART: usize = 64;

/// Whether an item can be kept.
fn is_item(item: &Item) -> bool {
    (1..=MAX_PART).contains(&item.name.len())
}
