//! What a node counts of its own work: how large commits are and how long they take.
//!
//! Lacks names and times of day: a figure says nothing of anybody. Reading is not one
//! moment: the figures of a scrape may differ by a commit under way.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Counts of values up to each bound.
#[derive(Debug)]
struct Buckets<const N: usize> {
    bounds: [u64; N],
    counts: [AtomicU64; N],
    more: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Buckets<N> {
    const fn new(bounds: [u64; N]) -> Self {
        Self {
            bounds,
            counts: [const { AtomicU64::new(0) }; N],
            more: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    fn add(&self, value: u64) {
        let place = self.bounds.iter().position(|bound| value <= *bound);
        let count = place.and_then(|place| self.counts.get(place)).unwrap_or(&self.more);
        count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    fn read(&self) -> Spread {
        let mut count = 0;
        let mut below = |n: &AtomicU64| {
            count += n.load(Ordering::Relaxed);
            count
        };
        let upto = self.bounds.iter().zip(&self.counts).map(|(bound, n)| (*bound, below(n))).collect();
        Spread { upto, count: below(&self.more), sum: self.sum.load(Ordering::Relaxed) }
    }
}

/// How values are spread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Bound, and how many values are not above it.
    pub upto: Vec<(u64, u64)>,
    /// All values.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}

/// The meters of one node.
#[derive(Debug)]
pub(in crate::node) struct Meter {
    entries: Buckets<8>,
    micros: Buckets<10>,
}

impl Meter {
    pub(in crate::node) const fn new() -> Self {
        Self {
            entries: Buckets::new([1, 2, 4, 16, 64, 256, 512, 1_024]),
            micros: Buckets::new([100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 1_000_000]),
        }
    }

    /// One commit of so many entries, durable after so long.
    pub(in crate::node) fn commit(&self, entries: usize, took: Duration) {
        self.entries.add(entries as u64);
        self.micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(in crate::node) fn read(&self) -> Commits {
        Commits { entries: self.entries.read(), micros: self.micros.read() }
    }
}

/// The commits since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commits {
    /// Entries in each.
    pub entries: Spread,
    /// Microseconds until each was durable.
    pub micros: Spread,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_its_bucket_and_all_above() {
        let meter = Meter::new();
        for (entries, micros) in [(1, 100), (3, 101), (5_000, 2_000_000)] {
            meter.commit(entries, Duration::from_micros(micros));
        }
        let read = meter.read();
        assert_eq!(read.entries.upto[..3], [(1, 1), (2, 1), (4, 2)]);
        assert_eq!((read.entries.count, read.entries.sum), (3, 5_004));
        assert_eq!(read.micros.upto[..2], [(100, 1), (250, 2)]);
        assert_eq!((read.micros.upto[9], read.micros.count), ((1_000_000, 2), 3));
    }
}
