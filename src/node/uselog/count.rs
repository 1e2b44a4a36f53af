//! How often limited grants were used: one owner, rebuilt from the lines.
//!
//! The same (party, use id) is the same use, counted once. Names of uses are kept
//! as hashes, as long as their grant. Lacks the limits' meaning (`consent`) and
//! the file: whoever holds the count writes its line before letting go of it.

use std::collections::BTreeSet;
use std::collections::HashMap;

use crate::consent::Uses;
use crate::ledger::hash;
use crate::model::id::PartyId;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;

/// Name of a use: who, and what it called it.
type UseKey = [u8; 16];

/// A use as its line says.
#[derive(Clone, Copy, Debug)]
pub(in crate::node::uselog) struct Noted {
    /// Which use it is, from 1.
    pub(in crate::node::uselog) number: u64,
    /// When.
    pub(in crate::node::uselog) t: Timestamp,
    /// Where its line stands.
    pub(in crate::node::uselog) segment: u64,
}

/// Uses of one grant.
#[derive(Debug, Default)]
struct Grant {
    /// Number and time of each use.
    uses: HashMap<UseKey, (u64, Timestamp)>,
    /// Segments that hold the lines.
    segments: BTreeSet<u64>,
    /// Nothing is asked of it from here on.
    until: Timestamp,
}

/// All counts.
#[derive(Debug, Default)]
pub(in crate::node::uselog) struct Counts(HashMap<StatementId, Grant>);

fn key(asker: &PartyId, use_id: &str) -> UseKey {
    let mut out = [0u8; 16];
    let sum = hash::sha256(&[asker.as_str().as_bytes(), &[0], use_id.as_bytes()]);
    out.iter_mut().zip(sum).for_each(|(o, s)| *o = s);
    out
}

impl Counts {
    /// Which use this is, if it was counted before.
    pub(in crate::node::uselog) fn known(
        &self,
        grant: &StatementId,
        asker: &PartyId,
        use_id: &str,
    ) -> Option<u64> {
        self.0.get(grant)?.uses.get(&key(asker, use_id)).map(|(number, _)| *number)
    }

    /// Uses so far; `per_ms` is the period of the frequency limit.
    pub(in crate::node::uselog) fn so_far(
        &self,
        grant: &StatementId,
        now: Timestamp,
        per_ms: Option<u64>,
    ) -> Uses {
        let Some(grant) = self.0.get(grant) else { return Uses::default() };
        let lately =
            |per_ms: u64| grant.uses.values().filter(|(_, t)| t.plus_ms(per_ms) > now).count() as u64;
        Uses { all: grant.uses.len() as u64, lately: per_ms.map_or(0, lately) }
    }

    /// Remembers a use. Nothing is asked of its grant from `until` on.
    pub(in crate::node::uselog) fn add(
        &mut self,
        grant: StatementId,
        asker: &PartyId,
        use_id: &str,
        noted: Noted,
        until: Timestamp,
    ) {
        let grant = self.0.entry(grant).or_default();
        grant.uses.insert(key(asker, use_id), (noted.number, noted.t));
        grant.segments.insert(noted.segment);
        grant.until = grant.until.max(until);
    }

    /// Forgets grants that have ended.
    pub(in crate::node::uselog) fn forget_ended(&mut self, now: Timestamp) {
        self.0.retain(|_, grant| grant.until > now);
    }

    /// Whether a grant that has not ended needs a segment.
    pub(in crate::node::uselog) fn needs(&self, segment: u64) -> bool {
        self.0.values().any(|grant| grant.segments.contains(&segment))
    }
}
