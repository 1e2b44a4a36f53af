//! What was sequenced lately, beside the store: what the pool looked for before it was there.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;

use crate::model::id::StatementId;

/// How many ids are remembered: many commits' worth, and few enough to stay in the processor's cache.
const RECENT: usize = 16_384;

/// Ids and new persons' keys sequenced lately: what the pool's look-up may have missed.
#[derive(Debug, Default)]
pub(in crate::node) struct Recent {
    pub(in crate::node) index_of: HashMap<StatementId, u64>,
    pub(in crate::node) keys: HashSet<[u8; 32]>,
    order: VecDeque<(StatementId, Option<[u8; 32]>)>,
    /// Ids and keys from this index on are all here.
    pub(in crate::node) since: u64,
}

impl Recent {
    /// Nothing yet: everything below `next` is in the store.
    pub(in crate::node) fn from(next: u64) -> Self {
        Self { since: next, ..Self::default() }
    }

    pub(in crate::node) fn add(&mut self, id: StatementId, key: Option<[u8; 32]>, index: u64) {
        self.index_of.insert(id, index);
        self.keys.extend(key);
        self.order.push_back((id, key));
        if self.order.len() > RECENT
            && let Some((old, key)) = self.order.pop_front()
            && let Some(index) = self.index_of.remove(&old)
        {
            self.since = self.since.max(index + 1);
            if let Some(key) = key {
                self.keys.remove(&key);
            }
        }
    }
}
