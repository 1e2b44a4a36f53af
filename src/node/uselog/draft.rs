//! From synced lines to the next batch, and from a line to its path.

use crate::consent::Batched;
use crate::ledger::hash;
use crate::ledger::merkle;
use crate::model::id::Hash;
use crate::model::id::Timestamp;
use crate::model::statement::Interval;
use crate::node::Error;
use crate::node::uselog::Batch;
use crate::node::uselog::UseLog;
use crate::node::uselog::held;
use crate::node::uselog::segment;
use crate::node::uselog::trees;
use crate::node::uselog::who;

/// What the next `use.batch` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) struct Draft {
    /// Its number.
    pub(in crate::node) number: u64,
    /// First instant.
    pub(in crate::node) from: Timestamp,
    /// First instant after.
    pub(in crate::node) until: Timestamp,
    /// Root over the leaves, sorted.
    pub(in crate::node) root: Hash,
    /// Intervals whose lines may be lost.
    pub(in crate::node) gaps: Vec<Interval>,
    /// What the root is over.
    pub(in crate::node::uselog) leaves: Vec<[u8; 32]>,
}

/// The way of one leaf: siblings and their sides.
pub(in crate::node::uselog) struct Way {
    pub(in crate::node::uselog) path: Vec<[u8; 32]>,
    pub(in crate::node::uselog) sides: u64,
}

impl UseLog {
    /// The next batch over what is synced; `None` if there is nothing to say.
    ///
    /// # Errors
    /// The disk.
    pub(in crate::node) fn draft(
        &self,
        batched: Option<Batched>,
        now: Timestamp,
    ) -> Result<Option<Draft>, Error> {
        let from = batched.map_or(self.began, |b| b.until);
        let until = self.synced().min(now);
        if until <= from {
            return Ok(None);
        }
        let gaps: Vec<_> = self
            .gaps
            .iter()
            .filter(|gap| gap.until > from && gap.until <= until)
            .map(|gap| Interval { from: gap.from.max(from), until: gap.until })
            .collect();
        let leaves = self.leaves(from, until)?;
        if leaves.is_empty() && gaps.is_empty() {
            return Ok(None);
        }
        let number = batched.map_or(0, |b| b.count);
        Ok(Some(Draft { number, from, until, root: Hash(merkle::root(&leaves)), gaps, leaves }))
    }

    /// Leaf hashes of an interval. Sorted: a place in the tree says nothing of who asked when.
    pub(in crate::node::uselog) fn leaves(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<[u8; 32]>, Error> {
        let mut leaves = Vec::new();
        self.each(from, until, &mut |frame| {
            if let Some((_, leaf, _)) = frame.line() {
                leaves.push(hash::leaf(leaf));
            }
            Ok(())
        })?;
        leaves.sort_unstable();
        Ok(leaves)
    }

    /// Remembers a batch that stands in the log. A failure is of no account: rows are made again.
    pub(in crate::node) fn batched(&self, batch: &Batch) {
        if let Err(error) = held(&self.batches).push(batch) {
            tracing::warn!(cause = %error, "the row of a use batch could not be written");
        }
    }

    /// How many batches the rows know, and where the last one stands.
    ///
    /// # Errors
    /// The disk.
    pub(in crate::node) fn known_batches(&self) -> Result<(u64, Option<Batch>), Error> {
        let batches = held(&self.batches);
        let last = batches.last().map_err(|cause| self.failed(cause.into()))?;
        Ok((batches.count(), last))
    }

    /// Forgets the rows, so that they are made again.
    pub(in crate::node) fn forget_batches(&self) {
        held(&self.batches).clear();
    }

    /// The batch that covers an instant.
    pub(in crate::node::uselog) fn batch_at(&self, t: Timestamp) -> Result<Option<(u64, Batch)>, Error> {
        held(&self.batches).covering(t).map_err(|cause| self.failed(cause.into()))
    }

    /// Deletes segments whose lines, and all lines of their batches, are past `term_ms`. Answers how many.
    ///
    /// Held back: what is not batched yet, and lines that count for a grant which has not ended.
    ///
    /// # Errors
    /// The disk.
    pub(in crate::node) fn expire(&self, now: Timestamp, term_ms: u64) -> Result<usize, Error> {
        held(&self.counted).counts.forget_ended(now);
        let candidates: Vec<_> = held(&self.closed).values().copied().collect();
        let mut gone = 0;
        for extent in candidates {
            let number = extent.header.number;
            let Some((_, batch)) = self.batch_at(extent.last)? else { continue };
            let over = batch.until.plus_ms(term_ms) <= now;
            if !over || held(&self.counted).counts.needs(number) {
                continue;
            }
            std::fs::remove_file(segment::path(self.folder(), number))
                .map_err(|cause| self.failed(cause.into()))?;
            who::remove(self.folder(), number);
            held(&self.closed).remove(&number);
            gone += 1;
        }
        if gone > 0 {
            self.forget_trees()?;
        }
        Ok(gone)
    }

    /// Trees of batches that no line is left of.
    fn forget_trees(&self) -> Result<(), Error> {
        let mut extents = self.open_extents();
        extents.extend(held(&self.closed).values().copied());
        let oldest = extents.iter().filter(|e| e.lines > 0).map(|e| e.first).min();
        let number = match oldest {
            Some(first) => self.batch_at(first)?.map(|(number, _)| number),
            None => Some(held(&self.batches).count()),
        };
        if let Some(number) = number {
            trees::remove_below(self.folder(), number);
        }
        Ok(())
    }
}
