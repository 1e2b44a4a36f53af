//! fjall 3 under the store contract: the default, one node's own disk.
//!
//! One database, one keyspace a table. A commit is one atomic batch and one
//! `fdatasync` of the journal; a projection goes to the operating system without
//! a sync, so it survives `kill -9` and may be lost with the power.
//!
//! Lacks: retries (after a failed write or sync the store is stopped until it is
//! opened again, since what the disk holds is not known before), and repair.
//!
//! Trusted: that a synced batch is there after a power loss, and that the engine's
//! block and journal checksums notice most damage. Not trusted: that it never
//! panics on damaged files (caught here), nor the tail of its journal, which it
//! cuts at the first unreadable batch **without a word**. What then opens is an
//! older, consistent state; the node's mark and the anchor notice.
//!
//! # Design
//!
//! *`SyncData`, not `SyncAll`*: `fdatasync` flushes the file's size and block map
//! whenever reading the data back needs them, and leaves out only times. The
//! engine itself syncs the folder when it opens a journal.
//!
//! *No compression of journal or separated values.* Sealed bytes and hashes do not
//! shrink; and a separated value's length stands outside its checksum, so that with
//! compression one flipped bit there could return bytes of the wrong length.
//!
//! *A full disk.* The first write that meets it answers `Failed`, with the system's
//! error if it met it itself, with "poisoned" if one of the engine's workers did;
//! all that was acknowledged is there after a restart. A worker that dies while a
//! write waits for it (four full memtables) would leave that write waiting: the
//! node's disk reserve refuses before it comes to that.
//!
//! *Sizes.* 16 MiB memtables: 8 cost a third more of the processor in compaction, 32
//! and 64 gained nothing and took memory. 128 MiB of journals: opens in half a second.
//!
//! *What was dropped leaves the files* by `compact`: tables are written anew, and the journals
//! are filled up until the engine rolls them over, for row keys stand there in the clear. It has no call
//! for that; 64 MiB once an epoch are the cheapest way that needs none.
//!
//! *Key and value apart* for bodies, commits and blobs: compaction then moves keys,
//! not bodies (measured: 50,000 statements a second instead of 36,000).

mod journal;

use std::ops::ControlFlow;
use std::path::Path;
use std::path::PathBuf;

use ::fjall::config::CompressionPolicy;
use ::fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode, Readable,
};

use super::Error;
use super::Snapshot;
use super::from_io;
use super::keyed::{Changes, Engine, Keyed, Pair, Sync, Visit, caught};
use super::row::Table;

/// The store contract over fjall 3.
pub type Fjall = Keyed<Tables>;

/// One open database and its keyspaces.
#[derive(Clone)]
pub struct Tables {
    folder: PathBuf,
    database: Database,
    commits: Keyspace,
    names: Keyspace,
    bodies: Keyspace,
    state: Keyspace,
    items: Keyspace,
    blobs: Keyspace,
    meta: Keyspace,
}

impl Fjall {
    /// Opens the database in `folder`, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if another process or handle has it open, [`Error::Corrupt`]
    /// if its files are damaged, [`Error::Io`] if the system refuses.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        journal::inspect(folder)?;
        guard("opening", || Tables::open(folder)).map(Self::new)
    }

    /// Makes everything written so far durable: for an orderly stop.
    ///
    /// # Errors
    ///
    /// What the engine says.
    pub fn sync(&self) -> Result<(), Error> {
        self.engine.sync()
    }

    /// Moves everything from the journal into tables, so that the next open replays nothing.
    ///
    /// # Errors
    ///
    /// What the engine says.
    pub fn flush(&self) -> Result<(), Error> {
        self.engine.sync()?;
        guard("flushing", || self.engine.flush_all())
    }
}

impl Tables {
    fn open(folder: &Path) -> Result<Self, ::fjall::Error> {
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .journal_compression(CompressionType::None)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(WORKERS)
            .open()?;
        let open = |table: Table| database.keyspace(table.name(), || options(table));
        Ok(Self {
            commits: open(Table::Commits)?,
            names: open(Table::Names)?,
            bodies: open(Table::Bodies)?,
            state: open(Table::State)?,
            items: open(Table::Items)?,
            blobs: open(Table::Blobs)?,
            meta: open(Table::Meta)?,
            folder: folder.to_owned(),
            database,
        })
    }

    /// Everything out of the journals into tables.
    fn flush_all(&self) -> Result<(), ::fjall::Error> {
        Table::ALL.into_iter().try_for_each(|table| self.table(table).rotate_memtable_and_wait())
    }

    const fn table(&self, table: Table) -> &Keyspace {
        match table {
            Table::Commits => &self.commits,
            Table::Names => &self.names,
            Table::Bodies => &self.bodies,
            Table::State => &self.state,
            Table::Items => &self.items,
            Table::Blobs => &self.blobs,
            Table::Meta => &self.meta,
        }
    }
}

fn options(table: Table) -> KeyspaceCreateOptions {
    let options = KeyspaceCreateOptions::default()
        .data_block_compression_policy(CompressionPolicy::disabled())
        .max_memtable_size(MEMTABLE_BYTES);
    match table {
        Table::Bodies | Table::Commits | Table::Items | Table::Blobs => options.with_kv_separation(Some(
            KvSeparationOptions::default()
                .compression(CompressionType::None)
                .separation_threshold(SEPARATE_BYTES),
        )),
        Table::Names | Table::State | Table::Meta => options,
    }
}

impl Engine for Tables {
    fn name(&self) -> &'static str {
        ENGINE
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        guard("reading", || Ok(self.table(table).get(key)?.map(|value| value.to_vec())))
    }

    fn floor(&self, table: Table, key: &[u8]) -> Result<Option<Pair>, Error> {
        guard("reading", || {
            let last = self.table(table).range::<&[u8], _>(..=key).next_back();
            last.map(|guard| guard.into_inner().map(|(k, v)| (k.to_vec(), v.to_vec()))).transpose()
        })
    }

    fn walk(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        let mut rows = guard("reading", || Ok(self.table(table).range::<&[u8], _>(from..)))?;
        while let Some((key, value)) =
            guard("reading", || rows.next().map(::fjall::Guard::into_inner).transpose())?
        {
            if visit(&key, &value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }

    fn person(&self, meta: &[u8], prefix: &[u8]) -> Result<(Option<Vec<u8>>, Vec<Pair>), Error> {
        guard("reading", || {
            let moment = self.database.snapshot();
            let meta = moment.get(&self.meta, meta)?.map(|value| value.to_vec());
            let rows = moment.prefix(&self.state, prefix).map(|guard| {
                let (key, value) = guard.into_inner()?;
                Ok((key.to_vec(), value.to_vec()))
            });
            Ok((meta, rows.collect::<Result<_, ::fjall::Error>>()?))
        })
    }

    fn write(&self, changes: Changes, sync: Sync) -> Result<(), Error> {
        guard("writing", || {
            let mode = match sync {
                Sync::Now => PersistMode::SyncData,
                Sync::Later => PersistMode::Buffer,
            };
            let mut batch = self.database.batch().durability(Some(mode));
            for (table, key, value) in changes.into_rows() {
                match value {
                    Some(value) => batch.insert(self.table(table), key, value),
                    None => batch.remove(self.table(table), key),
                }
            }
            batch.commit()
        })
    }

    fn sync(&self) -> Result<(), Error> {
        guard("syncing", || self.database.persist(PersistMode::SyncData))
    }

    fn compact(&self) -> Result<(), Error> {
        let last = journal::newest(&self.folder)?;
        guard("compacting", || {
            self.flush_all()?;
            // Commits and blobs drop nothing.
            [Table::Names, Table::Bodies, Table::State, Table::Items]
                .into_iter()
                .try_for_each(|table| self.table(table).major_compact())
        })?;
        // The engine begins a new journal once one is long enough, and drops one when all of it is in tables.
        let filling = vec![0; FILLING_BYTES];
        for _ in 0..FILLINGS {
            if journal::oldest(&self.folder)? > last {
                break;
            }
            guard("compacting", || {
                for _ in 0..8 {
                    self.meta.insert(FILLING, filling.as_slice())?;
                }
                self.meta.rotate_memtable_and_wait()?;
                self.flush_all()
            })?;
        }
        guard("compacting", || self.meta.remove(FILLING))?;
        if journal::oldest(&self.folder)? > last {
            return Ok(());
        }
        let cause = "its journals have not rolled over".to_owned();
        Err(Error::Engine { engine: ENGINE, cause })
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error> {
        guard("reading", || Ok(self.database.snapshot()))
            .map(|moment| Box::new(Moment { moment, tables: self.clone() }) as Box<dyn Snapshot>)
    }

    fn disk_bytes(&self) -> u64 {
        guard("measuring", || self.database.disk_space()).unwrap_or(0)
    }
}

/// All keyspaces as of one moment. The engine keeps what it shows until it is dropped.
struct Moment {
    // Before the tables, so that it is let go while the database is open.
    moment: ::fjall::Snapshot,
    tables: Tables,
}

impl Snapshot for Moment {
    fn walk(&self, table: Table, visit: &mut Visit<'_>) -> Result<(), Error> {
        let mut rows = guard("reading", || Ok(self.moment.iter(self.tables.table(table))))?;
        while let Some((key, value)) =
            guard("reading", || rows.next().map(::fjall::Guard::into_inner).transpose())?
        {
            if visit(&key, &value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

fn guard<T>(doing: &str, call: impl FnOnce() -> Result<T, ::fjall::Error>) -> Result<T, Error> {
    caught(doing, call, from_engine)
}

fn from_engine(error: ::fjall::Error) -> Error {
    use ::fjall::{Error as E, LsmError as L};
    match error {
        E::Locked => Error::Locked,
        E::Io(io) | E::Storage(L::Io(io)) => from_io(io),
        E::Poisoned | E::KeyspaceDeleted => Error::Engine { engine: ENGINE, cause: error.to_string() },
        damage => Error::Corrupt { what: damage.to_string() },
    }
}

impl std::fmt::Debug for Tables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("fjall")
    }
}

const ENGINE: &str = "fjall";
const CACHE_BYTES: u64 = 64 << 20;
const JOURNAL_BYTES: u64 = 128 << 20;
const MEMTABLE_BYTES: u64 = 16 << 20;
const SEPARATE_BYTES: u32 = 512;
const WORKERS: usize = 2;
/// Meta key of the row that fills a journal up; there only as long as that takes.
const FILLING: &[u8] = b"filling";
const FILLING_BYTES: usize = 1 << 20;
/// How often 8 MiB are written at most: a journal is rolled over at 64.
const FILLINGS: usize = 12;
