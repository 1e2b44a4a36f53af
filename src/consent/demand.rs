//! Whether a transfer demand says what it must, within bounds, and when its runs are due.
//!
//! Lacks any state: what is asked of the statement alone and of the register's words.

use crate::consent::register::Register;
use crate::model::cycle::{Cycle, Schedule};
use crate::model::decision::Why;
use crate::model::id::Timestamp;
use crate::model::statement::{Target, TransferDemand};

/// Most items a demand names, and most selectors of one.
const MOST_TARGETS: usize = 32;
const MOST_ASSETS: usize = 64;
/// Longest scope or selector, bytes.
const MAX_NAME: usize = 64;

/// The schedule that these fields make, if they make one.
pub(in crate::consent) fn schedule(
    from: Timestamp,
    scheduled: bool,
    basic: Option<&str>,
    additional: Option<&str>,
) -> Option<Schedule> {
    let cycle = |text: Option<&str>| text.map_or(Some(None), |text| Cycle::parse(text).map(Some));
    let (basic, additional) = (cycle(basic)?, cycle(additional)?);
    match (scheduled, basic, additional) {
        (false, None, None) => Some(Schedule::once(from)),
        (false, ..) => None,
        (true, ..) => Schedule::repeated(from, basic, additional),
    }
}

/// Whether a demand says what it must, within bounds, and its dates agree.
pub(in crate::consent) fn must_be_sound(
    register: &Register,
    s: &TransferDemand,
    at: Timestamp,
) -> Result<(), Why> {
    let named =
        |text: &str| (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    let scope = |text: &str| {
        let parts = || text.split('.');
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        named(text) && parts().count() <= 2 && parts().all(plain)
    };
    let sound = |target: &Target| {
        scope(&target.scope) && target.assets.len() <= MOST_ASSETS && target.assets.iter().all(|a| named(a))
    };
    let twice = |n: usize, target: &Target| s.targets.iter().take(n).any(|other| other.scope == target.scope);
    if !register.knows(&s.purpose, &[])
        || s.targets.is_empty()
        || s.targets.len() > MOST_TARGETS
        || !s.targets.iter().all(sound)
        || s.targets.iter().enumerate().any(|(n, target)| twice(n, target))
        || schedule(at, s.scheduled, s.fund_cycle.as_deref(), s.add_cycle.as_deref()).is_none()
    {
        return Err(Why::Vocabulary);
    }
    if at < s.end && s.end <= s.keep_until { Ok(()) } else { Err(Why::Dates) }
}
