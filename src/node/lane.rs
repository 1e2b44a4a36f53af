//! A bounded queue with two lanes: closing acts first.
//!
//! Closing acts have room of their own, so that nobody can keep a withdrawal out
//! by filling the queue with grants.

use std::collections::VecDeque;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

/// Which lane something waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Lane {
    /// Closing acts.
    Closing,
    /// All others.
    Open,
}

#[derive(Debug)]
struct Lanes<T> {
    closing: VecDeque<T>,
    open: VecDeque<T>,
    shut: bool,
    /// Threads that wait: waking nobody is a system call too.
    waiting: usize,
}

impl<T> Lanes<T> {
    fn put(&mut self, lane: Lane, item: T) {
        match lane {
            Lane::Closing => self.closing.push_back(item),
            Lane::Open => self.open.push_back(item),
        }
    }
}

/// The queue.
#[derive(Debug)]
pub(in crate::node) struct LaneQueue<T> {
    lanes: Mutex<Lanes<T>>,
    arrived: Condvar,
}

/// What a wait came to.
#[derive(Debug)]
pub(in crate::node) struct Drained<T> {
    /// Closing acts first, then the rest, each in order of arrival.
    pub(in crate::node) items: Vec<T>,
    /// Nothing will come any more.
    pub(in crate::node) shut: bool,
}

impl<T> LaneQueue<T> {
    pub(in crate::node) fn new() -> Self {
        let lanes = Lanes { closing: VecDeque::new(), open: VecDeque::new(), shut: false, waiting: 0 };
        Self { lanes: Mutex::new(lanes), arrived: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Lanes<T>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something in; gives it back when the queue is shut.
    pub(in crate::node) fn push(&self, lane: Lane, item: T) -> Result<(), T> {
        self.push_all(vec![(lane, item)]).pop().map_or(Ok(()), |(_, item)| Err(item))
    }

    /// Puts things in, in order, with one wake-up; gives all of them back when the queue is shut.
    #[must_use]
    pub(in crate::node) fn push_all(&self, items: Vec<(Lane, T)>) -> Vec<(Lane, T)> {
        let mut lanes = self.lock();
        if lanes.shut {
            return items;
        }
        items.into_iter().for_each(|(lane, item)| lanes.put(lane, item));
        let awaited = lanes.waiting > 0;
        drop(lanes);
        if awaited {
            self.arrived.notify_one();
        }
        Vec::new()
    }

    /// Takes one, `first` lane preferred; `None` when shut and empty.
    pub(in crate::node) fn take(&self, first: Lane) -> Option<T> {
        let mut lanes = self.lock();
        loop {
            let one = match first {
                Lane::Closing => lanes.closing.pop_front().or_else(|| lanes.open.pop_front()),
                Lane::Open => lanes.open.pop_front().or_else(|| lanes.closing.pop_front()),
            };
            if one.is_some() || lanes.shut {
                return one;
            }
            lanes.waiting += 1;
            lanes = self.arrived.wait(lanes).unwrap_or_else(PoisonError::into_inner);
            lanes.waiting -= 1;
        }
    }

    /// Waits for something or the time limit, then takes up to `most`.
    pub(in crate::node) fn drain(&self, most: usize, wait: Option<Duration>) -> Drained<T> {
        let mut lanes = self.lock();
        let idle = |l: &mut Lanes<T>| l.closing.is_empty() && l.open.is_empty() && !l.shut;
        lanes.waiting += 1;
        lanes = match wait {
            Some(limit) => {
                self.arrived.wait_timeout_while(lanes, limit, idle).unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.arrived.wait_while(lanes, idle).unwrap_or_else(PoisonError::into_inner),
        };
        lanes.waiting -= 1;
        let closing = lanes.closing.len().min(most);
        let mut items: Vec<T> = lanes.closing.drain(..closing).collect();
        let open = lanes.open.len().min(most - closing);
        items.extend(lanes.open.drain(..open));
        Drained { items, shut: lanes.shut && lanes.closing.is_empty() && lanes.open.is_empty() }
    }

    /// Nothing more is taken in; what waits is still given out.
    pub(in crate::node) fn shut(&self) {
        self.lock().shut = true;
        self.arrived.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_acts_come_first_each_in_order() {
        let queue = LaneQueue::new();
        for (lane, item) in [(Lane::Open, 1), (Lane::Closing, 2), (Lane::Open, 3), (Lane::Closing, 4)] {
            queue.push(lane, item).unwrap();
        }
        assert_eq!(queue.drain(3, None).items, [2, 4, 1]);
        assert_eq!(queue.take(Lane::Closing), Some(3));
        queue.shut();
        assert!(queue.push(Lane::Open, 5).is_err());
        assert!(queue.drain(3, None).shut);
        assert_eq!(queue.take(Lane::Open), None);
    }

    #[test]
    fn while_both_lanes_wait_a_worker_of_the_open_lane_serves_it() {
        let queue = LaneQueue::new();
        queue.push(Lane::Closing, 'c').unwrap();
        queue.push(Lane::Open, 'o').unwrap();
        assert_eq!(queue.take(Lane::Open), Some('o'));
        assert_eq!(queue.take(Lane::Open), Some('c'));
    }
}
