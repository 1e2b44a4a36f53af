//! How many listen, in all and for one party.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::model::id::PartyId;

/// Everybody who listens now.
#[derive(Debug)]
pub(in crate::http) struct Listeners {
    counts: Mutex<HashMap<PartyId, usize>>,
    per_party: usize,
    most: usize,
}

/// A place to listen from; given back when dropped.
#[derive(Debug)]
pub(in crate::http) struct Listening {
    all: Arc<Listeners>,
    party: PartyId,
}

impl Listeners {
    pub(in crate::http) fn new(per_party: usize, most: usize) -> Self {
        Self { counts: Mutex::default(), per_party, most }
    }

    /// A place, if there is one.
    pub(in crate::http) fn listen(self: &Arc<Self>, party: &PartyId) -> Option<Listening> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.values().sum::<usize>() >= self.most {
            return None;
        }
        let own = counts.entry(party.clone()).or_default();
        if *own >= self.per_party {
            return None;
        }
        *own += 1;
        Some(Listening { all: Arc::clone(self), party: party.clone() })
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut counts = self.all.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = counts.get_mut(&self.party) {
            *own -= 1;
            if *own == 0 {
                counts.remove(&self.party);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_in_all_and_per_party_and_come_back() {
        let party = |name: &str| PartyId::parse(name).unwrap();
        let all = Arc::new(Listeners::new(2, 3));
        let first = all.listen(&party("a")).unwrap();
        let second = all.listen(&party("a")).unwrap();
        assert!(all.listen(&party("a")).is_none());
        let third = all.listen(&party("b")).unwrap();
        assert!(all.listen(&party("c")).is_none());
        drop((first, third));
        drop((all.listen(&party("a")).unwrap(), all.listen(&party("c")).unwrap()));
        drop(second);
        assert!(all.counts.lock().unwrap().is_empty());
    }
}
