//! How often each controller used her data: permitted uses, as the use log has them.
//!
//! One permitted question is one use; the same use by name is the same use, counted once
//! (design §6). Of each name 16 bytes of its hash stay in memory, which is some 30 MB for a million of them;
//! of uses without a name nothing. Lacks: uses without a question, which no log of ours can see.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::ledger::hash;
use crate::model::id::PartyId;
use crate::model::id::Timestamp;
use crate::model::use_line::Exact;
use crate::model::use_line::UseAct;
use crate::model::use_line::UseLine;
use crate::model::vocabulary::DataClass;

/// Who used, and the name of the use, as a hash: two that are alike are not found.
type Name = [u8; 16];

fn name_of(asker: &PartyId, use_id: &str) -> Option<Name> {
    hash::sha256(&[asker.as_str().as_bytes(), &[0], use_id.as_bytes()]).first_chunk().copied()
}

/// Controller, purpose, class.
type Place = (PartyId, String, DataClass);

/// Uses of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uses {
    /// How many.
    pub permitted: u64,
    /// When the first was.
    pub first: Timestamp,
    /// When the last was.
    pub last: Timestamp,
}

/// Counts of permitted uses.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    of: BTreeMap<Place, Uses>,
    named: BTreeSet<Name>,
}

impl Tally {
    /// Counts a line, if it is a permitted use.
    pub fn see(&mut self, line: &UseLine, exact: Option<&Exact>) {
        let reason = exact.map_or(line.told, |exact| exact.reason);
        let (UseAct::Check, true, Some(purpose), Some(class)) =
            (line.act, reason.permits(), &line.purpose, line.class)
        else {
            return;
        };
        if let Some(name) = line.use_id.as_ref().and_then(|name| name_of(&line.asker, name))
            && !self.named.insert(name)
        {
            return;
        }
        let place = (line.controller.clone(), purpose.clone(), class);
        let uses = self.of.entry(place).or_insert(Uses { permitted: 0, first: line.at, last: line.at });
        uses.permitted += 1;
        uses.first = uses.first.min(line.at);
        uses.last = uses.last.max(line.at);
    }

    /// All counts, by controller, purpose and class.
    pub fn rows(&self) -> impl Iterator<Item = (&Place, &Uses)> {
        self.of.iter()
    }
}
