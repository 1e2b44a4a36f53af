//! The only reader of time and (beside the vault) of randomness.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use crate::model::id::Timestamp;

/// Where a node's time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's clock.
    System,
    /// So many ms ahead of the system's clock: a schedule is rehearsed.
    Ahead(u64),
    /// Set by hand: tests and the demo's year.
    Manual(Arc<Hands>),
}

/// What a manual clock shows.
#[derive(Debug, Default)]
pub struct Hands {
    at: AtomicU64,
    boots: AtomicU64,
}

impl Clock {
    /// A clock that stands at `at` until it is set.
    #[must_use]
    pub fn manual(at: Timestamp) -> Self {
        Self::Manual(Arc::new(Hands { at: AtomicU64::new(at.0), boots: AtomicU64::new(0) }))
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                #[expect(clippy::disallowed_methods, reason = "this is the one reader of the system clock")]
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
            }
            Self::Ahead(ms) => Self::System.now().plus_ms(*ms),
            Self::Manual(hands) => Timestamp(hands.at.load(Ordering::Acquire)),
        }
    }

    /// Sets a manual clock, forwards or backwards; does nothing to the system's.
    pub fn set(&self, at: Timestamp) {
        if let Self::Manual(hands) = self {
            hands.at.store(at.0, Ordering::Release);
        }
    }

    /// Time that only runs forwards, from now on.
    #[must_use]
    pub fn steady(&self) -> Steady {
        match self {
            Self::System | Self::Ahead(_) => Steady::Running(Watch::start()),
            Self::Manual(_) => Steady::Manual { since: self.now(), clock: self.clone() },
        }
    }

    /// Names the boot of the machine: another one means that what was not synced may be gone.
    ///
    /// Where the system does not say, each start counts as another boot: that may name a gap too many,
    /// never one too few.
    ///
    /// # Errors
    /// Neither a boot id nor randomness.
    pub fn boot_id(&self) -> Result<[u8; 16], getrandom::Error> {
        match self {
            Self::System | Self::Ahead(_) => match std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            {
                Ok(text) => Ok(first_16(crate::ledger::hash::sha256(&[b"boot", text.trim().as_bytes()]))),
                Err(_) => random(),
            },
            Self::Manual(hands) => {
                let boots = hands.boots.load(Ordering::Acquire);
                Ok(first_16(crate::ledger::hash::sha256(&[b"boot", &boots.to_be_bytes()])))
            }
        }
    }

    /// Pretends that the machine was started anew; does nothing to the system's.
    pub fn reboot(&self) {
        if let Self::Manual(hands) = self {
            hands.boots.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Whether ticks come by themselves.
    #[must_use]
    pub const fn runs(&self) -> bool {
        matches!(self, Self::System | Self::Ahead(_))
    }
}

fn first_16(sum: [u8; 32]) -> [u8; 16] {
    let mut out = [0u8; 16];
    out.iter_mut().zip(sum).for_each(|(o, s)| *o = s);
    out
}

/// A running stop watch, for deadlines and progress.
#[derive(Clone, Copy, Debug)]
pub struct Watch(Instant);

impl Watch {
    /// Starts.
    #[must_use]
    pub fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the one reader of the monotonic clock")]
        Self(Instant::now())
    }

    /// How long it has run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Time since it was made; of a manual clock, what its hands have moved.
#[derive(Clone, Debug)]
pub enum Steady {
    /// By the system.
    Running(Watch),
    /// By hand.
    Manual {
        /// Where the hands stood.
        since: Timestamp,
        /// The clock.
        clock: Clock,
    },
}

impl Steady {
    /// How long; never less than nothing.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        match self {
            Self::Running(watch) => watch.elapsed(),
            Self::Manual { since, clock } => Duration::from_millis(clock.now().0.saturating_sub(since.0)),
        }
    }
}

/// Draws `N` random bytes.
///
/// # Errors
/// The system gave none.
pub fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut out = [0u8; N];
    #[expect(clippy::disallowed_methods, reason = "this is the one drawer of randomness outside the vault")]
    getrandom::fill(&mut out)?;
    Ok(out)
}
