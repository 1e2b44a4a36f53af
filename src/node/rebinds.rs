//! How many rebinds each month had: a count that everybody may read. Source: design §7.
//!
//! A rebind is the one way in that needs no key of the person, so how often it is used
//! is public; who used it, and when in the month, is not: a month is told once it is
//! over. The counts are one small blob, written after the append and before the
//! projection: what a crash leaves out is counted by the replay. Lacks: stopped ones
//! told apart (each was tried), and counts by provider.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use serde::Deserialize;
use serde::Serialize;

use crate::ledger::cbor;
use crate::model::decision::Why;
use crate::model::id::LeafIndex;
use crate::model::id::Timestamp;
use crate::model::statement::Kind;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Stop;
use crate::portability::instant;

const BLOB: &str = "rebinds";
const DAY_MS: u64 = 86_400_000;

/// What is counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counted {
    /// Rebinds below this index are in it: indices only grow, so none is counted twice.
    below: LeafIndex,
    /// By month of UTC: `2026-11`.
    months: BTreeMap<String, u64>,
}

/// The counts of one node.
#[derive(Debug, Default)]
pub(in crate::node) struct Rebinds(Mutex<Counted>);

impl Rebinds {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rebinds by month, of months that are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monthly {
    /// The month of now, which is not told yet.
    pub before: String,
    /// Rebinds of the month before it.
    pub last: u64,
    /// Months that had any, in order.
    pub months: Vec<(String, u64)>,
}

fn month(at: Timestamp) -> String {
    instant(at).get(..7).unwrap_or_default().to_owned()
}

/// The month before that of an instant.
fn month_before(at: Timestamp) -> String {
    let day: u64 = instant(at).get(8..10).and_then(|day| day.parse().ok()).unwrap_or(1);
    month(Timestamp(at.0.saturating_sub(day * DAY_MS)))
}

/// Where rebinds took effect in a commit.
pub(in crate::node) fn among<'a>(
    placed: impl Iterator<Item = ((LeafIndex, Kind), &'a Option<Why>)>,
    at: Timestamp,
) -> Vec<(LeafIndex, Timestamp)> {
    let applied = placed.filter(|((_, kind), inert)| *kind == Kind::KeyRebind && inert.is_none());
    applied.map(|((index, _), _)| (index, at)).collect()
}

impl Inner {
    /// Reads what was counted before the start.
    pub(in crate::node) fn load_rebinds(&self) -> Result<(), Error> {
        if let Some(bytes) = self.store.get(BLOB)? {
            *self.rebinds.counted() = cbor::decode(&bytes)?;
        }
        Ok(())
    }

    /// Counts rebinds that were applied at these places; durable when it returns.
    pub(in crate::node) fn count_rebinds(&self, applied: &[(LeafIndex, Timestamp)]) -> Result<(), Error> {
        let mut counted = self.rebinds.counted();
        let mut next = counted.clone();
        for (index, at) in applied {
            if *index >= next.below {
                *next.months.entry(month(*at)).or_default() += 1;
                next.below = index + 1;
            }
        }
        if next != *counted {
            self.store.replace(BLOB, &cbor::encode(&next)?)?;
            *counted = next;
        }
        Ok(())
    }

    /// The same; if they cannot be, nothing more is written.
    pub(in crate::node) fn has_counted(&self, applied: &[(LeafIndex, Timestamp)]) -> bool {
        let counted = self.count_rebinds(applied);
        if let Err(error) = &counted {
            tracing::error!(cause = %error, "rebinds could not be counted");
            self.stop(Stop::Io);
        }
        counted.is_ok()
    }

    /// How many rebinds there were, by month.
    #[must_use]
    pub fn rebinds(&self) -> Monthly {
        let (now, counted) = (self.now(), self.rebinds.counted());
        let (before, last) = (month(now), month_before(now));
        Monthly {
            last: counted.months.get(&last).copied().unwrap_or(0),
            months: counted.months.range(..before.clone()).map(|(month, n)| (month.clone(), *n)).collect(),
            before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_follows_another_over_the_year() {
        for (at, this, before) in [
            (1_790_780_400_000, "2026-09", "2026-08"),
            (1_767_225_600_000, "2026-01", "2025-12"),
            (1_774_915_200_000 - 1, "2026-03", "2026-02"),
        ] {
            assert_eq!((month(Timestamp(at)).as_str(), month_before(Timestamp(at)).as_str()), (this, before));
        }
    }
}
