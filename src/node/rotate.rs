//! Rotation of the wrapping epoch, while serving: survivors pass into the next, the last one ends.
//!
//! Begin the next epoch (from here on everything new is under it) → wrap the slots again →
//! seal the names again, a page at a time between the sequencer's commits → **barrier** →
//! destroy the old key → the store's files are written without what was dropped. A crash before the last step leaves both keys, and the same code
//! goes on; after it, nothing durable is under the old one. Whatever was sealed and was still
//! on its way when the epoch changed is sealed again by the sequencer.
//!
//! What ends with an epoch beside the persons' keys: page tokens, and the jobs of cohorts
//! (their parties ask again). Lacks: the wrapping itself (`vault`), and backups: a key file
//! written in an ended epoch opens for nobody, so a new one is due.

use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::model::id::Timestamp;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::Stop;
use crate::node::lane::Lane;
use crate::node::people::name_bytes;
use crate::node::sequencer::Job;
use crate::node::sequencer::Sequencer;
use crate::store::Name;
use crate::store::Row;
use crate::vault::Suite;

/// The next one begins so long before, that the last may end in time.
const AHEAD_MS: u64 = 24 * 3_600_000;
/// Name rows sealed again between two commits.
const PAGE: usize = 512;

/// What a rotation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// Number of the epoch that stands now.
    pub epoch: u32,
    /// Keys wrapped again.
    pub keys: u64,
    /// Names sealed again.
    pub names: u64,
}

impl Rotated {
    /// No epoch is older, ms. Source: design §8.
    pub const EPOCH_MS: u64 = 30 * 24 * 3_600_000;
}

/// One page of names: the last one looked at, `None` at the end; how many were sealed again.
pub(in crate::node) type Resealed = Result<(Option<Name>, u64), Stop>;

impl Node {
    /// Begins the next wrapping epoch and ends the last, or goes on where a rotation was broken off.
    ///
    /// # Errors
    /// The disk, the store: what was done stands, and again goes on.
    pub fn rotate(&self, suite: Suite) -> Result<Rotated, Error> {
        self.inner.rotate(suite)
    }
}

impl Inner {
    fn rotate(&self, suite: Suite) -> Result<Rotated, Error> {
        let one = self.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        self.rotate_alone(suite, &one)
    }

    fn rotate_alone(&self, suite: Suite, _one: &MutexGuard<'_, ()>) -> Result<Rotated, Error> {
        self.vault.begin_epoch(self.now().0, suite)?;
        self.cohorts_end();
        let keys = self.vault.rewrap()?;
        let (mut after, mut names) = (None, 0);
        loop {
            let (last, sealed) = self.reseal_after(after).map_err(Error::Stopped)?;
            names += sealed;
            if last.is_none() {
                break;
            }
            after = last;
        }
        // The old key goes only when no row under it can come back.
        self.store.barrier().inspect_err(|_| self.stop(Stop::Io))?;
        self.vault.end_epochs()?;
        // Names stand in the clear as keys of rows: those of the erased leave the files as well.
        if self.disk_low.load(Ordering::Acquire) {
            tracing::warn!(
                "the disk is nearly full: dropped rows stay in the store's files until the next rotation"
            );
        } else if let Err(error) = self.store.compact() {
            tracing::warn!(cause = %error, "dropped rows may be in the store's files still");
        }
        let (epoch, _) = self.vault.epoch();
        tracing::info!(epoch, keys, names, "the wrapping epoch has changed; older key files open for nobody");
        Ok(Rotated { epoch, keys, names })
    }

    fn reseal_after(&self, after: Option<Name>) -> Resealed {
        let (done, wait) = oneshot::channel();
        self.sequence.push(Lane::Open, Job::Reseal(after, done)).map_err(|_| Stop::Closing)?;
        wait.blocking_recv().map_err(|_| Stop::Closing)?
    }

    /// The next page of names, as rows under the current epoch. Only the sequencer asks: nobody else
    /// writes or forgets a name meanwhile.
    pub(in crate::node) fn page_to_reseal(
        &self,
        after: Option<Name>,
    ) -> Result<(Option<Name>, Vec<Row>), Error> {
        let page = self.store.names(after.as_ref(), PAGE)?;
        let last = page.last().map(|(name, _)| *name);
        let mut rows = Vec::new();
        for (name, row) in page {
            if row.sealed.is_empty() {
                continue;
            }
            match self.vault.reseal_name(name_bytes(&name), &row.sealed) {
                Ok(None) => {}
                Ok(Some(sealed)) => rows.push(Row::Name { name, sealed, index: row.index }),
                // No key that is here opens it: nothing is lost that was not lost before.
                Err(crate::vault::Error::Unsealed { .. }) => {
                    tracing::warn!("a name row is damaged; run `naru fsck`");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok((last, rows))
    }

    /// When the wrapping epoch ends at the latest: from then on no older copy of a key opens.
    ///
    /// # Errors
    /// The store.
    pub fn epoch_ends(&self) -> Result<Timestamp, Error> {
        let begun = match self.vault.epoch() {
            // The first one begins with the log.
            (_, 0) => self.store.commits(0..1)?.first().map_or(self.now().0, |commit| commit.at),
            (_, begun) => begun,
        };
        Ok(Timestamp(begun).plus_ms(Rotated::EPOCH_MS))
    }

    /// Rotates if it is time, or if a rotation was broken off.
    ///
    /// # Errors
    /// As [`Node::rotate`].
    pub(in crate::node) fn rotate_if_due(&self) -> Result<Option<Rotated>, Error> {
        if self.stopped().is_some() {
            return Ok(None);
        }
        // What another rotation, under way now, leaves behind decides: it is no reason for a second one.
        let one = self.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        let due = self.now().plus_ms(AHEAD_MS) >= self.epoch_ends()?;
        if due || self.vault.is_rotating() {
            self.rotate_alone(self.vault.suite(), &one).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl Sequencer {
    /// One page of a rotation.
    pub(in crate::node) fn reseal(&self, after: Option<Name>) -> Resealed {
        self.inner.stopped().map_or(Ok(()), Err)?;
        let (last, rows) = self.inner.page_to_reseal(after).map_err(|error| self.failed(&error))?;
        // It says nothing of how far the projection has come.
        self.project(0, &rows).inspect_err(|stop| self.inner.stop(*stop))?;
        Ok((last, rows.len() as u64))
    }
}
