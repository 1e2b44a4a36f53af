//! What was sequenced lately, beside the store: what the pool looked for before it was there.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;

use crate::model::id::KeyHash;
use crate::model::id::StatementId;

/// How many ids are remembered: many commits' worth, and few enough to stay in the processor's cache.
const RECENT: usize = 16_384;

/// Ids and new keys of persons sequenced lately: what the pool's look-up may have missed.
#[derive(Debug, Default)]
pub(in crate::node) struct Recent {
    pub(in crate::node) index_of: HashMap<StatementId, u64>,
    pub(in crate::node) keys: HashSet<KeyHash>,
    order: VecDeque<(StatementId, Vec<KeyHash>)>,
    /// Ids and keys from this index on are all here.
    pub(in crate::node) since: u64,
}

impl Recent {
    /// Nothing yet: everything below `next` is in the store.
    pub(in crate::node) fn from(next: u64) -> Self {
        Self { since: next, ..Self::default() }
    }

    /// What was said by somebody who is erased is new to everybody again.
    pub(in crate::node) fn forget(&mut self, ids: &[StatementId], keys: &[KeyHash]) {
        for id in ids {
            self.index_of.remove(id);
        }
        for key in keys {
            self.keys.remove(key);
        }
    }

    pub(in crate::node) fn add(&mut self, id: StatementId, keys: Vec<KeyHash>, index: u64) {
        self.index_of.insert(id, index);
        self.keys.extend(&keys);
        self.order.push_back((id, keys));
        if self.order.len() > RECENT
            && let Some((old, keys)) = self.order.pop_front()
            && let Some(index) = self.index_of.remove(&old)
        {
            self.since = self.since.max(index + 1);
            keys.iter().for_each(|key| {
                self.keys.remove(key);
            });
        }
    }
}
