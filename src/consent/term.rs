//! What of a person's statements is past its term: pure, from the statements themselves.
//!
//! A slot's history falls into stretches, each begun by a grant, an attestation or an
//! objection. A stretch has ended when what it brought has: at the grant's later date, at
//! the act that closed it, or where the next stretch took its place. What stands (a grant in
//! force, a pause of it, an objection) has no end and is past no term. Only stretches from the
//! beginning of a slot go, and what they left of the slot stays in their place: so nothing
//! that stands changes, and what comes after them is judged as it was.
//!
//! Lacks: how long a term is (the pack's), holds and destruction itself (the node's); key
//! sets, attestations of age and delegations, which go with the person.

use std::collections::BTreeMap;

use crate::consent::Person;
use crate::consent::Slot;
use crate::consent::SlotKey;
use crate::consent::State;
use crate::identity::Recorded;
use crate::model::id::LeafIndex;
use crate::model::id::StatementId;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::model::statement::{SignalAct, Statement};

/// The beginning of a slot's history that is past its term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Which slot.
    pub slot: SlotKey,
    /// Its statements, in order; never none.
    pub gone: Vec<(LeafIndex, StatementId)>,
    /// What they left of the slot.
    pub left: Slot,
}

/// What is asked of each slot and each statement.
pub struct Bounds<'a> {
    /// The term of a slot after its end, ms; `None` keeps.
    pub term_ms: &'a dyn Fn(&SlotKey) -> Option<u64>,
    /// Whether a statement may not be destroyed.
    pub spared: &'a dyn Fn(&StatementId) -> bool,
    /// When.
    pub now: Timestamp,
}

impl std::fmt::Debug for Bounds<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bounds").field("now", &self.now).finish_non_exhaustive()
    }
}

/// Statements of one slot that stand and fall together.
struct Stretch {
    said: Vec<(LeafIndex, StatementId)>,
    /// First and last instant.
    from: Timestamp,
    last: Timestamp,
    left: Slot,
}

impl Person {
    /// What of `said`, all her statements whose bodies are here in the order of the log, is past its
    /// term. `rests` are what statements destroyed before have left.
    #[must_use]
    pub fn spent(&self, rests: &[(SlotKey, Slot)], said: &[Recorded], bounds: &Bounds<'_>) -> Vec<Spent> {
        let mut followed = Self::new(SubjectId([0; 16]));
        for (key, slot) in rests {
            followed.remain(key, slot.clone());
        }
        let mut slots: BTreeMap<SlotKey, Vec<Stretch>> = BTreeMap::new();
        for recorded in said {
            let Some(what) = followed.follow(recorded) else { continue };
            let Some(left) = followed.slot(&what.slot).cloned() else { continue };
            let stretches = slots.entry(what.slot).or_default();
            if begins(recorded.statement()) || stretches.is_empty() {
                let (said, from) = (Vec::new(), recorded.at());
                stretches.push(Stretch { said, from, last: from, left: left.clone() });
            }
            if let Some(stretch) = stretches.last_mut() {
                stretch.said.push((recorded.index(), recorded.id()));
                (stretch.last, stretch.left) = (recorded.at(), left);
            }
        }
        slots.into_iter().filter_map(|(key, stretches)| self.spent_of(key, &stretches, bounds)).collect()
    }

    fn spent_of(&self, key: SlotKey, stretches: &[Stretch], bounds: &Bounds<'_>) -> Option<Spent> {
        let (term, now) = ((bounds.term_ms)(&key)?, self.slot(&key)?);
        let (mut gone, mut left) = (Vec::new(), None);
        let mut rest = stretches.iter().peekable();
        while let Some(stretch) = rest.next() {
            let (end, after) = match rest.peek() {
                // Replaced, if it had not ended by itself.
                Some(next) => (Some(stretch.left.ended(next.from).unwrap_or(next.from)), &stretch.left),
                None => (now.ended(bounds.now), now),
            };
            // What stands is past no term.
            let Some(end) = end else { break };
            let over = end.max(stretch.last).plus_ms(term) <= bounds.now;
            if !over || stretch.said.iter().any(|(_, id)| (bounds.spared)(id)) {
                break;
            }
            gone.extend_from_slice(&stretch.said);
            // Who carried signals is told by their statements alone, and all of them count.
            left = Some(Slot { carriers: now.carriers.clone(), ..after.clone() });
        }
        Some(Spent { slot: key, gone, left: left? })
    }

    /// Puts a slot as statements left it whose bodies are destroyed.
    pub fn remain(&mut self, key: &SlotKey, slot: Slot) {
        self.put(key, slot);
    }
}

impl Slot {
    /// Since when nothing stands in it, at an instant; `None` while something does.
    fn ended(&self, at: Timestamp) -> Option<Timestamp> {
        match self.now(at) {
            State::Granted | State::Attested | State::Disputed | State::Paused | State::Objected => None,
            State::None | State::Refused | State::Withdrawn => Some(self.since),
            State::Expired => {
                let end = self.grant.as_ref().map(|terms| terms.fetch_until.max(terms.keep_until));
                Some(end.unwrap_or(self.since))
            }
        }
    }
}

/// Whether a statement takes the place of whatever stood in its slot.
#[expect(clippy::wildcard_enum_match_arm, reason = "what begins a stretch is listed here, once")]
fn begins(statement: &Statement) -> bool {
    match statement {
        Statement::ConsentGrant(_) | Statement::ConsentAttest(_) | Statement::ConsentObject(_) => true,
        Statement::ConsentSignal(s) => s.act == SignalAct::Object,
        _ => false,
    }
}
