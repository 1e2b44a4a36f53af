//! Where a moved statement came from, as far as it proves it.
//!
//! Lacks: who signed it in the first log, for the evidence shows no key of hers. Trusted: that
//! log's key and name, handed in.

use crate::audit::moving::Error;
use crate::consent::slot_of;
use crate::identity::item;
use crate::ledger::chain::LogKeys;
use crate::ledger::evidence::Evidence;
use crate::model::statement::Bearing;
use crate::model::statement::ConsentGrant;
use crate::model::statement::Statement;

/// Counts statements that came from elsewhere.
pub(in crate::audit) struct Origins<'a> {
    first: Option<(&'a dyn LogKeys, &'a str)>,
    /// All, and those that are proven to.
    pub(in crate::audit) seen: (usize, usize),
}

impl<'a> Origins<'a> {
    pub(in crate::audit) const fn new(first: Option<(&'a dyn LogKeys, &'a str)>) -> Self {
        Self { first, seen: (0, 0) }
    }

    /// Counts one, proven if the first log's key is known.
    pub(in crate::audit) fn take(&mut self, statement: &Statement) -> Result<(), Error> {
        if statement.moved().is_some() {
            let proven = self.first.map_or(Ok(false), |first| check_origin(statement, first))?;
            self.seen.0 += 1;
            self.seen.1 += usize::from(proven);
        }
        Ok(())
    }
}

/// Checks where a statement came from, with the first log's key. `false`: it came from another log, or
/// brings no evidence, so that nothing is known but her word.
///
/// Proven is that the first log holds, at that index, a statement about the same slot that says at least
/// as much. Not proven, for the evidence shows no key of hers: who signed it, and its id.
///
/// # Errors
/// The evidence does not hold, or is of something else.
pub fn check_origin(statement: &Statement, first: (&dyn LogKeys, &str)) -> Result<bool, Error> {
    let (log, origin) = first;
    let Some(moved) = statement.moved().filter(|moved| moved.log == origin) else { return Ok(false) };
    let Some(bytes) = &moved.evidence else { return Ok(false) };
    let opened = Evidence::parse(bytes)?.verify(log, origin, None)?;
    if opened.index != moved.index {
        return Err(Error::Other("another entry than it says"));
    }
    let before = item::statement_from(&opened.statement)?;
    if slot_of(&before) != slot_of(statement) || slot_of(&before).is_none() {
        return Err(Error::Other("about another slot"));
    }
    match (&before, statement) {
        (Statement::ConsentGrant(before), Statement::ConsentGrant(now)) if within(now, before) => Ok(true),
        (_, Statement::ConsentGrant(_)) => Err(Error::Other("no grant of as much")),
        _ if before.kind().bearing() == Bearing::Closing => Ok(true),
        _ => Err(Error::Other("an act that closes nothing")),
    }
}

/// Whether a grant allows nothing that another does not.
fn within(now: &ConsentGrant, before: &ConsentGrant) -> bool {
    let all = |these: &[String], those: &[String]| these.iter().all(|one| those.contains(one));
    all(&now.categories, &before.categories)
        && all(&now.jurisdictions, &before.jurisdictions)
        && now.recipients.iter().all(|one| before.recipients.contains(one))
        && now.actions.iter().all(|one| before.actions.contains(one))
        && now.fetch_until <= before.fetch_until
        && now.keep_until <= before.keep_until
        && (before.limits.is_none() || now.limits == before.limits)
}
