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
    /// Set by hand: tests and the demo's year.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands at `at` until it is set.
    #[must_use]
    pub fn manual(at: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicU64::new(at.0)))
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
            Self::Manual(at) => Timestamp(at.load(Ordering::Acquire)),
        }
    }

    /// Sets a manual clock, forwards or backwards; does nothing to the system's.
    pub fn set(&self, at: Timestamp) {
        if let Self::Manual(clock) = self {
            clock.store(at.0, Ordering::Release);
        }
    }

    /// Whether ticks come by themselves.
    #[must_use]
    pub const fn runs(&self) -> bool {
        matches!(self, Self::System)
    }
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
