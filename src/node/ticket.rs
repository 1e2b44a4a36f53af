//! What becomes of a submitted item, and how the submitter learns it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::identity;
use crate::model::decision::Why;
use crate::model::id::LeafIndex;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::Kind;
use crate::node::Erased;
use crate::node::Error;
use crate::node::Stop;
use crate::node::incidents::HeldBack;
use crate::node::lane::Lane;
use crate::node::state::Admission;

/// A durable statement: what a 201 (or the 200 of a duplicate) carries.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The statement.
    pub id: StatementId,
    /// Its type.
    pub kind: Kind,
    /// Where it stands.
    pub index: LeafIndex,
    /// When its commit was made.
    pub at: Timestamp,
    /// The entry.
    pub entry: Vec<u8>,
    /// Opens the statement; `None` for a public entry.
    pub k1: Option<[u8; 32]>,
    /// Opens the proof; `None` for a public entry.
    pub k2: Option<[u8; 32]>,
    /// The log's promise for the whole commit.
    pub promise: Arc<Vec<u8>>,
    /// From the entry's leaf to the root in the promise.
    pub path: Vec<[u8; 32]>,
    /// It was here before.
    pub duplicate: bool,
    /// Of an `erasure.demand`: what became of it; `None` while it waits.
    pub erasure: Option<Erased>,
    /// Of an `erasure.demand` that waits: what is held back, and by whom.
    pub held: Vec<HeldBack>,
    /// Recorded, but without effect: somebody else's batch came between.
    pub inert: Option<Why>,
}

/// Why an item was not recorded. It leaves no trace and may come again.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The bytes or a signature.
    #[error("{0}")]
    Malformed(identity::Error),
    /// Signed too long ago, or in the future.
    #[error("`iat` {} is outside the window around the node's clock {}; check the clock and sign again", iat.0, now.0)]
    Window {
        /// What the statement says.
        iat: Timestamp,
        /// The node's clock.
        now: Timestamp,
    },
    /// It would have no effect.
    #[error("the statement would have no effect: {}", .0.as_str())]
    Inert(Why),
    /// The queue is full, or the node does not write.
    #[error("the node takes no statements now: {0}; try again later")]
    Unavailable(Stop),
    /// Ours.
    #[error(transparent)]
    Node(#[from] Error),
}

/// What an item came to.
pub type Outcome = Result<Accepted, Refusal>;

#[derive(Debug)]
pub(in crate::node) struct Board {
    outcomes: Mutex<Vec<Option<Outcome>>>,
    left: AtomicUsize,
    done: Mutex<Option<oneshot::Sender<()>>>,
}

/// One place on a board; fills it exactly once, even when dropped.
#[derive(Debug)]
pub(in crate::node) struct Place {
    board: Arc<Board>,
    at: usize,
    filled: bool,
    /// Counted as in flight until it is filled.
    admitted: Option<(Arc<Admission>, Lane)>,
}

impl Place {
    /// Gives its room back when it is filled.
    pub(in crate::node) fn counted(mut self, admission: Arc<Admission>, lane: Lane) -> Self {
        self.admitted = Some((admission, lane));
        self
    }

    pub(in crate::node) fn fill(mut self, outcome: Outcome) {
        self.put(outcome);
    }

    fn put(&mut self, outcome: Outcome) {
        if self.filled {
            return;
        }
        self.filled = true;
        if let Some((admission, lane)) = self.admitted.take() {
            admission.release(lane);
        }
        if let Some(place) =
            self.board.outcomes.lock().unwrap_or_else(PoisonError::into_inner).get_mut(self.at)
        {
            *place = Some(outcome);
        }
        if self.board.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(done) = self.board.done.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            // A submitter who has gone away is no reason to stop.
            let _gone = done.send(());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.put(Err(Refusal::Unavailable(Stop::Closing)));
    }
}

/// Outcomes to come, in the order of the items.
#[derive(Debug)]
pub struct Ticket {
    board: Arc<Board>,
    done: oneshot::Receiver<()>,
}

impl Ticket {
    pub(in crate::node) fn new(items: usize) -> (Self, Vec<Place>) {
        let (send, done) = oneshot::channel();
        let board = Arc::new(Board {
            outcomes: Mutex::new((0..items).map(|_| None).collect()),
            left: AtomicUsize::new(items),
            done: Mutex::new((items > 0).then_some(send)),
        });
        let places = (0..items)
            .map(|at| Place { board: Arc::clone(&board), at, filled: false, admitted: None })
            .collect();
        (Self { board, done }, places)
    }

    /// Waits in a task.
    pub async fn outcomes(self) -> Vec<Outcome> {
        // An error means nothing was to come: the board is complete either way.
        let _ = self.done.await;
        Self::collect(&self.board)
    }

    /// Waits on this thread.
    #[must_use]
    pub fn wait(self) -> Vec<Outcome> {
        let _ = self.done.blocking_recv();
        Self::collect(&self.board)
    }

    fn collect(board: &Board) -> Vec<Outcome> {
        let mut outcomes = board.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = || Err(Refusal::Unavailable(Stop::Closing));
        outcomes.drain(..).map(|o| o.unwrap_or_else(lost)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_keep_the_order_of_items_and_a_dropped_place_says_so() {
        let (ticket, mut places) = Ticket::new(3);
        places.remove(2).fill(Err(Refusal::Inert(Why::State)));
        drop(places.remove(0));
        places.remove(0).fill(Err(Refusal::Inert(Why::Role)));
        let outcomes = ticket.wait();
        assert!(matches!(outcomes[0], Err(Refusal::Unavailable(Stop::Closing))));
        assert!(matches!(outcomes[1], Err(Refusal::Inert(Why::Role))));
        assert!(matches!(outcomes[2], Err(Refusal::Inert(Why::State))));
        assert!(Ticket::new(0).0.wait().is_empty());
    }
}
