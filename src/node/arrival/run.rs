//! What has arrived of one run, and what was signed of it.

use std::cmp::Ordering;

use serde::Deserialize;
use serde::Serialize;
use serde_bytes::ByteBuf;

use crate::model::id::Hash;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::FailCode;
use crate::model::statement::V1;
use crate::node::arrival::RunOf;
use crate::portability::transfer::run::MOST_ITEMS;
use crate::portability::transfer::run::hash_of;

/// What has arrived of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::node) struct Arrived {
    v: V1,
    run: u64,
    log: String,
    demand: StatementId,
    /// Items that have arrived and are over: nobody can say any more which they were.
    #[serde(default, skip_serializing_if = "is_none")]
    gone: u64,
    /// Name and SHA-256 of each as it was carried, in the order in which they came first.
    items: Vec<(String, Hash)>,
    /// That it failed, signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::node::arrival) failed: Option<Failed>,
    /// How many have arrived, signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::node::arrival) confirmed: Option<Confirmed>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_none(gone: &u64) -> bool {
    *gone == 0
}

/// A signed `transfer.confirm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::node::arrival) struct Confirmed {
    pub(in crate::node::arrival) at: Timestamp,
    pub(in crate::node::arrival) item: ByteBuf,
    pub(in crate::node::arrival) received: u64,
    pub(in crate::node::arrival) announced: u64,
}

/// A signed `transfer.fail`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::node::arrival) struct Failed {
    pub(in crate::node::arrival) at: Timestamp,
    pub(in crate::node::arrival) code: FailCode,
    pub(in crate::node::arrival) item: ByteBuf,
}

impl Arrived {
    /// A run of which nothing has arrived.
    pub(in crate::node::arrival) fn new(of: &RunOf) -> Self {
        let (log, demand) = (of.log.clone(), of.demand);
        Self { v: V1, run: of.run, log, demand, gone: 0, items: Vec::new(), failed: None, confirmed: None }
    }

    /// Of which demand at which log.
    pub(in crate::node::arrival) fn of(&self) -> (String, StatementId) {
        (self.log.clone(), self.demand)
    }

    /// With one more item; `None` once all are confirmed or it has failed, and of too many.
    pub(in crate::node) fn with(mut self, item: String, hash: Hash) -> Option<Self> {
        let all = self.confirmed.as_ref().is_some_and(|said| said.received == said.announced);
        if all || self.failed.is_some() || self.received() >= MOST_ITEMS as u64 {
            return None;
        }
        self.items.push((item, hash));
        Some(self)
    }

    /// Without one that is over: it has arrived all the same.
    pub(in crate::node) fn without(mut self, item: &str) -> Self {
        let before = self.items.len();
        self.items.retain(|(name, _)| name != item);
        self.gone += (before - self.items.len()) as u64;
        self
    }

    /// Items that have arrived.
    pub(in crate::node::arrival) const fn received(&self) -> u64 {
        self.items.len() as u64 + self.gone
    }

    /// Whether it can be what the sender says it delivered: no more than has been announced, and if it is
    /// as much, the same items in the same order; once some are over, what was confirmed before.
    pub(in crate::node::arrival) fn is_of(&self, announced: u64, hash: &Hash) -> bool {
        let items = self.items.iter().map(|(name, hash)| (name.as_str(), *hash));
        let is_said = |said: &Confirmed| said.announced == announced && said.received == announced;
        match self.received().cmp(&announced) {
            Ordering::Less => true,
            Ordering::Equal if self.gone > 0 => self.confirmed.as_ref().is_some_and(is_said),
            Ordering::Equal => hash_of(&self.demand, self.run, items) == *hash,
            Ordering::Greater => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::Ppid;

    fn run() -> Arrived {
        let (log, demand) = ("a.example.kr/log".into(), StatementId([1; 32]));
        Arrived::new(&RunOf { log, demand, run: 3, ppid: Ppid([2; 16]) })
    }

    #[test]
    fn a_run_is_what_its_sender_says_only_item_by_item() {
        let both = run().with("a".into(), Hash([1; 32])).unwrap().with("b".into(), Hash([2; 32])).unwrap();
        let hash = |items: &[(&str, u8)]| {
            let items = items.iter().map(|(name, byte)| (*name, Hash([*byte; 32])));
            hash_of(&StatementId([1; 32]), 3, items)
        };
        let right = hash(&[("a", 1), ("b", 2)]);
        assert!(both.is_of(2, &right));
        for wrong in [hash(&[("b", 2), ("a", 1)]), hash(&[("a", 1), ("b", 3)]), hash(&[("a", 1)])] {
            assert!(!both.is_of(2, &wrong));
        }
        // Some are still missing: nothing can be said against it. More than were sent never are.
        assert!(both.is_of(3, &right) && !both.is_of(1, &hash(&[("a", 1)])));
        assert!(run().is_of(0, &hash(&[])));
    }

    #[test]
    fn what_is_over_has_arrived_and_is_confirmed_only_as_before() {
        let one = run().with("a".into(), Hash([1; 32])).unwrap();
        let hash = hash_of(&StatementId([1; 32]), 3, [("a", Hash([1; 32]))].into_iter());
        let gone = one.without("b").without("a");
        assert_eq!((gone.received(), gone.items.len()), (1, 0));
        assert!(gone.is_of(2, &hash) && !gone.is_of(1, &hash) && !gone.is_of(0, &hash));
        let confirmed = Confirmed { at: Timestamp(1), item: ByteBuf::new(), received: 1, announced: 1 };
        let gone = Arrived { confirmed: Some(confirmed), ..gone };
        assert!(gone.is_of(1, &hash) && gone.clone().without("a") == gone);
    }

    #[test]
    fn nothing_joins_a_run_that_is_confirmed_whole() {
        let one = run().with("a".into(), Hash([1; 32])).unwrap();
        let said = |announced| {
            let confirmed = Confirmed { at: Timestamp(1), item: ByteBuf::new(), received: 1, announced };
            Arrived { confirmed: Some(confirmed), ..one.clone() }
        };
        assert!(said(1).with("b".into(), Hash([2; 32])).is_none());
        assert!(said(2).with("b".into(), Hash([2; 32])).is_some());
    }
}
