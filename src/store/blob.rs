//! Blobs in the keyed engines: create-only under a name, each with a check of its own.
//!
//! Writers of blobs need no lead, so they take turns here. Lacks any meaning of names.
//! Trusted: that `Sync::Now` returns after the bytes are durable.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::keyed::{Changes, Engine, Keyed, Sync};
use super::row::{self, Table};
use super::{Error, Store as _};

/// Longest key of a blob: its name and one byte.
const MAX_BLOB_KEY: usize = 1_001;

impl<E: Engine> Keyed<E> {
    /// Stores a blob under a new name.
    pub(super) fn try_put(&self, name: &str, bytes: &[u8], synced: bool) -> Result<(), Error> {
        let key = self.blob_key(name)?;
        let _one_at_a_time = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        self.alive()?;
        let sync = if synced { Sync::Now } else { Sync::Later };
        match self.get(name)? {
            None => {
                let mut changes = Changes::default();
                changes.put(Table::Blobs, key.as_slice(), row::checked(&key, bytes.to_vec()));
                self.write(changes, sync)
            }
            // It may have come un-synced the first time.
            Some(old) if old == bytes && synced => {
                self.engine.sync().inspect_err(|_| self.stopped.store(true, Ordering::Release))
            }
            Some(old) if old == bytes => Ok(()),
            Some(_) => Err(Error::Exists { name: name.to_owned() }),
        }
    }

    /// Overwrites a blob.
    pub(super) fn try_replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let key = self.blob_key(name)?;
        let _one_at_a_time = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        self.alive()?;
        let mut changes = Changes::default();
        changes.put(Table::Blobs, key.as_slice(), row::checked(&key, bytes.to_vec()));
        self.write(changes, Sync::Now)
    }

    fn blob_key(&self, name: &str) -> Result<Vec<u8>, Error> {
        let key = row::blob_key(name);
        let fits = key.len() <= MAX_BLOB_KEY;
        if fits { Ok(key) } else { Err(self.refused("a blob's name is at most 1,000 bytes")) }
    }
}
