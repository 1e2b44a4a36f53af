//! What shall go wrong in a memory store, and when: a plan made by a test.
//!
//! Lacks chance: a fault strikes at the call it was planned for, once. Trusted:
//! the test.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;

use super::{World, lock};
use crate::store::{Batch, Error};

/// The calls of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// `append`
    Append,
    /// `barrier`
    Barrier,
    /// `bodies`
    Bodies,
    /// `commits`
    Commits,
    /// `forget`
    Forget,
    /// `get`
    Get,
    /// `integrate`
    Integrate,
    /// `items` and `item`
    Items,
    /// `keep`
    Keep,
    /// `lead`
    Lead,
    /// `locate`
    Locate,
    /// `names`
    Names,
    /// `project`
    Project,
    /// `put`
    Put,
    /// `register`
    Register,
    /// `rewrite`
    Rewrite,
    /// `rows`
    Rows,
    /// `settle`
    Settle,
}

/// Where in a call the fault strikes. Reads only fail, wherever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Nothing was done.
    Before,
    /// A part is visible but not durable: a reopen loses it.
    Middle,
    /// All was done and is durable, only the answer is a failure.
    After,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes on the medium are not what was written.
    Corrupt,
    /// Input/output error. Of a write: stops the store until it is reopened.
    Eio,
    /// No space left on the device. Of a write: stops the store until it is reopened.
    Enospc,
    /// Somebody else leads: the call does nothing, and later calls of this epoch neither.
    Fenced,
    /// The answer to an `append` is lost. At any other call: as [`Fault::Eio`].
    InDoubt {
        /// The batch is there all the same.
        persisted: bool,
    },
}

impl Fault {
    pub(super) fn error(self) -> Error {
        match self {
            Self::Corrupt => Error::Corrupt { what: "a planned fault".to_owned() },
            Self::Enospc => io::Error::from_raw_os_error(ENOSPC).into(),
            Self::Eio | Self::Fenced | Self::InDoubt { .. } => io::Error::from_raw_os_error(EIO).into(),
        }
    }
}

/// Whether projections become visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lag {
    /// At once.
    #[default]
    Off,
    /// Not before [`Faults::catch_up`], never if the store is reopened first.
    On,
}

#[derive(Debug)]
struct Planned {
    call: Call,
    skip: u64,
    when: When,
    fault: Fault,
}

/// What is planned and what was seen.
#[derive(Debug, Default)]
pub(super) struct Plan {
    planned: Vec<Planned>,
    seen: BTreeMap<Call, u64>,
    pub(super) after_failure: u64,
}

impl Plan {
    /// Counts a call, and takes the fault planned for it.
    pub(super) fn strike(&mut self, call: Call) -> Option<(When, Fault)> {
        *self.seen.entry(call).or_default() += 1;
        let mut hit = None;
        for (at, planned) in self.planned.iter_mut().enumerate().filter(|(_, p)| p.call == call) {
            if planned.skip > 0 {
                planned.skip -= 1;
            } else if hit.is_none() {
                hit = Some(at);
            }
        }
        hit.map(|at| self.planned.remove(at)).map(|p| (p.when, p.fault))
    }
}

/// The switches of a memory store. They hold across a reopen.
#[derive(Clone, Debug)]
pub struct Faults {
    pub(super) world: Arc<Mutex<World>>,
}

impl Faults {
    /// Plans a fault for the next `call` that has none yet planned before it.
    pub fn fail_next(&self, call: Call, when: When, fault: Fault) {
        self.fail_after(call, 0, when, fault);
    }

    /// Plans a fault that lets `skip` calls pass first.
    pub fn fail_after(&self, call: Call, skip: u64, when: When, fault: Fault) {
        lock(&self.world).plan.planned.push(Planned { call, skip, when, fault });
    }

    /// Forgets what is planned.
    pub fn clear(&self) {
        let mut world = lock(&self.world);
        world.plan.planned.clear();
        world.foreign.clear();
    }

    /// How many planned faults have not struck.
    #[must_use]
    pub fn left(&self) -> usize {
        lock(&self.world).plan.planned.len()
    }

    /// Another writer's batch, which slips in right before our next append reaches the log:
    /// that append's `first` is not the expected one.
    pub fn slip_in(&self, batch: Batch) {
        lock(&self.world).foreign.push(batch);
    }

    /// Switches lag. Switching it off alone shows nothing: see [`Faults::catch_up`].
    pub fn set_lag(&self, lag: Lag) {
        lock(&self.world).lag = lag;
    }

    /// Makes the projections held back so far visible.
    pub fn catch_up(&self) {
        lock(&self.world).catch_up();
    }

    /// How often a call was made, whatever it answered.
    #[must_use]
    pub fn seen(&self, call: Call) -> u64 {
        lock(&self.world).plan.seen.get(&call).copied().unwrap_or(0)
    }

    /// How many writes were tried after one had failed: a careful caller makes none.
    #[must_use]
    pub fn writes_after_failure(&self) -> u64 {
        lock(&self.world).plan.after_failure
    }
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
