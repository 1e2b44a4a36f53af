//! sled 0.34 under the store contract: built with feature `store-sled` only.
//!
//! Under simulated power loss sled 0.34.7 lost acknowledged data in nearly every
//! round, also after an explicit flush (it syncs ranges, which makes neither the
//! file's size nor its block map durable); on `kill -9` it lost nothing. So it
//! keeps this contract on `kill -9` only, and whoever chooses it says
//! `store.danger_accept_power_loss`.
//!
//! Lacks: a folder of its own per table (one tree, the table is the first byte of
//! the key, so that one batch is one atomic write), and retries.
//!
//! Trusted: atomic batches. Not trusted: power, and that it does not panic on
//! damaged files (caught here).

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::Error;
use super::from_io;
use super::keyed::{Changes, Engine, Keyed, Pair, Sync, Visit, caught};
use super::row::Table;

/// The store contract over sled 0.34.
pub type Sled = Keyed<Tree>;

/// One open database.
#[derive(Debug)]
pub struct Tree {
    // Before the lock, so that it is closed before the lock goes.
    rows: ::sled::Db,
    _lock: File,
}

impl Sled {
    /// Opens the database in `folder`, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if another process or handle has it open, [`Error::Corrupt`]
    /// if its files are damaged, [`Error::Io`] if the system refuses.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder)?;
        let lock = File::options().create(true).append(true).open(folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(Error::Locked),
            Err(fs::TryLockError::Error(io)) => return Err(io.into()),
        }
        let config =
            ::sled::Config::new().path(folder.join("sled")).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        // We hold the lock, so sled's own is at most held by a worker of a handle just dropped here.
        let mut tries = 0;
        let rows = loop {
            match guard("opening", || config.open()) {
                Err(Error::Io(io)) if io.to_string().contains("could not acquire lock") => {
                    if tries == LOCK_TRIES {
                        return Err(Error::Locked);
                    }
                    tries += 1;
                    thread::sleep(LOCK_PAUSE);
                }
                answer => break answer?,
            }
        };
        Ok(Self::new(Tree { rows, _lock: lock }))
    }
}

impl Engine for Tree {
    fn name(&self) -> &'static str {
        ENGINE
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        guard("reading", || Ok(self.rows.get(full(table, key))?.map(|value| value.to_vec())))
    }

    fn floor(&self, table: Table, key: &[u8]) -> Result<Option<Pair>, Error> {
        let last = guard("reading", || {
            self.rows.range(full(table, &[])..=full(table, key)).next_back().transpose()
        })?;
        Ok(last.map(|(key, value)| (short(&key), value.to_vec())))
    }

    fn walk(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        let mut rows = self.rows.range(full(table, from)..);
        while let Some((key, value)) = guard("reading", || rows.next().transpose())? {
            if key.first() != Some(&prefix(table)) || visit(&short(&key), &value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }

    fn person(&self, meta: &[u8], prefix: &[u8]) -> Result<(Option<Vec<u8>>, Vec<Pair>), Error> {
        // Progress first: rows read later reflect at least so much.
        let progress = self.get(Table::Meta, meta)?;
        let rows = guard("reading", || self.rows.scan_prefix(full(Table::State, prefix)).collect())?;
        let rows: Vec<(::sled::IVec, ::sled::IVec)> = rows;
        Ok((progress, rows.into_iter().map(|(key, value)| (short(&key), value.to_vec())).collect()))
    }

    fn write(&self, changes: Changes, sync: Sync) -> Result<(), Error> {
        let mut batch = ::sled::Batch::default();
        for (table, key, value) in changes.into_rows() {
            match value {
                Some(value) => batch.insert(full(table, &key), value),
                None => batch.remove(full(table, &key)),
            }
        }
        guard("writing", || self.rows.apply_batch(batch))?;
        match sync {
            Sync::Now => self.sync(),
            Sync::Later => Ok(()),
        }
    }

    fn sync(&self) -> Result<(), Error> {
        guard("syncing", || self.rows.flush()).map(drop)
    }

    fn disk_bytes(&self) -> u64 {
        guard("measuring", || self.rows.size_on_disk()).unwrap_or(0)
    }
}

impl Drop for Tree {
    /// sled flushes late; an orderly end should not lose what the system still can write.
    fn drop(&mut self) {
        let _kept_or_lost_as_after_a_crash = self.sync();
    }
}

/// The table's first byte, in the order of the tables.
const fn prefix(table: Table) -> u8 {
    match table {
        Table::Commits => b'c',
        Table::Names => b'n',
        Table::Bodies => b'o',
        Table::State => b's',
        Table::Items => b'i',
        Table::Blobs => b'b',
        Table::Meta => b'm',
    }
}

fn full(table: Table, key: &[u8]) -> Vec<u8> {
    [[prefix(table)].as_slice(), key].concat()
}

fn short(key: &[u8]) -> Vec<u8> {
    key.get(1..).unwrap_or_default().to_vec()
}

fn guard<T>(doing: &str, call: impl FnOnce() -> Result<T, ::sled::Error>) -> Result<T, Error> {
    caught(doing, call, |error| match error {
        ::sled::Error::Io(io) => from_io(io),
        ::sled::Error::Corruption { .. } => Error::Corrupt { what: error.to_string() },
        ::sled::Error::CollectionNotFound(_)
        | ::sled::Error::Unsupported(_)
        | ::sled::Error::ReportableBug(_) => Error::Engine { engine: ENGINE, cause: error.to_string() },
    })
}

const ENGINE: &str = "sled";
const CACHE_BYTES: u64 = 64 << 20;
const LOCK_TRIES: u32 = 1_000;
const LOCK_PAUSE: Duration = Duration::from_millis(5);
