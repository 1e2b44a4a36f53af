//! When each demand is to be looked at next, and which of its runs is then carried.
//!
//! In memory alone: a start fills it from the folders, and whatever changes a person's demands has
//! them looked at again at once. So a pass costs what is due, however many demands wait for their
//! week. Lacks any idea of what is looked for.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::PoisonError;

use crate::consent::Person;
use crate::consent::Transfer;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::node::Error;
use crate::node::Inner;
use crate::portability::transfer::run::End;
use crate::portability::transfer::run::Next;
use crate::portability::transfer::run::Run;

/// Before every clock: to be looked at in the next pass.
pub(in crate::node::transfer) const AT_ONCE: Timestamp = Timestamp(0);

/// Demands by the time at which they are looked at.
#[derive(Debug, Default)]
pub(in crate::node) struct DueQueue {
    by_time: BTreeSet<(Timestamp, StatementId)>,
    of: HashMap<StatementId, Timestamp>,
    /// Whether the folders have been read since the start.
    pub(in crate::node::transfer) filled: bool,
}

impl DueQueue {
    /// Has a demand looked at then, or before if that is noted already.
    pub(in crate::node::transfer) fn put(&mut self, demand: StatementId, at: Timestamp) {
        if let Some(before) = self.of.get(&demand).copied() {
            if before <= at {
                return;
            }
            self.by_time.remove(&(before, demand));
        }
        self.by_time.insert((at, demand));
        self.of.insert(demand, at);
    }

    /// The demands that are due, the longest first; none of them is noted any more.
    pub(in crate::node::transfer) fn take(&mut self, now: Timestamp) -> Vec<StatementId> {
        let mut due = Vec::new();
        while let Some((at, demand)) = self.by_time.first().copied().filter(|(at, _)| *at <= now) {
            self.by_time.remove(&(at, demand));
            self.of.remove(&demand);
            due.push(demand);
        }
        due
    }
}

/// When a demand is looked at again: when its run may go on, its next is due, or it ends.
pub(in crate::node::transfer) fn next_look(t: &Transfer, run: Option<&Run>, now: Timestamp) -> Timestamp {
    let schedule = t.schedule();
    let next = schedule.last_due(now).map_or(Some(0), |run| run.checked_add(1));
    let next = next.and_then(|run| schedule.due(run)).map_or(t.end, |due| due.min(t.end));
    match run.filter(|run| run.next() != Next::Over) {
        // One that did not wait and is not over was broken off: it goes on in the next pass.
        Some(run) if now < next => run.not_before.min(next),
        // Past its end only what was delivered is confirmed still.
        Some(run) => run.not_before,
        None => next,
    }
}

/// A run whose state is lost and that the sender has signed: only its confirmation is missing.
pub(in crate::node::transfer) fn taken_up(transfer: &Transfer) -> Option<Run> {
    let last = transfer.last_run()?;
    let over = match (&last.delivered, &last.confirmed) {
        (Some(_), None) if last.failed.is_none() => None,
        (Some(_) | None, _) => Some(End::Confirmed),
    };
    Some(Run { items: Some(Vec::new()), signed: true, over, ..Run::new(last.number) })
}

/// The run to be carried now: the one under way, or the newest that is due.
pub(in crate::node::transfer) fn due(transfer: &Transfer, run: Option<Run>, now: Timestamp) -> Option<Run> {
    let newest = transfer.schedule().last_due(now)?;
    let Some(run) = run else { return Some(Run::new(newest)) };
    let waits = run.over.is_none() && (run.number == newest || run.signed || run.tries == 0);
    if waits {
        return Some(run);
    }
    // One that has failed before gives way to the next that is due.
    (newest > run.number).then(|| Run::new(newest))
}

impl Inner {
    /// The demands to be looked at now; none of them is noted any more.
    pub(in crate::node::transfer) fn transfers_due(&self) -> Result<Vec<StatementId>, Error> {
        let mut queue = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if !queue.filled {
            self.marked_transfers()?.into_iter().for_each(|demand| queue.put(demand, AT_ONCE));
            queue.filled = true;
        }
        Ok(queue.take(self.now()))
    }

    pub(in crate::node::transfer) fn look_at_transfer(&self, demand: StatementId, at: Timestamp) {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).put(demand, at);
    }

    /// Something of a person has changed: what she demanded is looked at in the next pass.
    pub(in crate::node) fn look_at_transfers(&self, person: &Person) {
        if person.transfers().is_empty() {
            return;
        }
        let mut queue = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        person.transfers().iter().for_each(|transfer| queue.put(transfer.demand, AT_ONCE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> StatementId {
        StatementId([n; 32])
    }

    #[test]
    fn what_is_due_is_taken_once_and_the_earlier_time_counts() {
        let mut queue = DueQueue::default();
        queue.put(id(1), Timestamp(30));
        queue.put(id(2), Timestamp(10));
        queue.put(id(3), Timestamp(20));
        assert_eq!(queue.take(Timestamp(9)), []);
        // Told again, later and sooner.
        queue.put(id(2), Timestamp(40));
        queue.put(id(1), AT_ONCE);
        assert_eq!(queue.take(Timestamp(20)), [id(1), id(2), id(3)]);
        assert_eq!(queue.take(Timestamp(u64::MAX)), []);
        queue.put(id(1), Timestamp(50));
        assert_eq!(queue.take(Timestamp(50)), [id(1)]);
    }
}
