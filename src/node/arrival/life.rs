//! The end of what has arrived: past its `keep-until` its content is destroyed.
//!
//! Nobody is shown it from that instant on ([`Deposited::told_at`]); the rows go with the next look, at most
//! ten minutes later, or with `naru expire`. Each write ends some items of one person, all parts of
//! each at once: after a crash a content is there and found again, or gone. The head stays and says
//! since when, and why; a restored copy that holds more ends it again.
//!
//! # Cost
//!
//! A look goes through the key slots and reads the heads of whoever has told of an arrival. Between two
//! looks the earliest end is kept in memory, and before it nobody looks. What was dropped leaves
//! the engine's files when it compacts them: at the latest with the wrapping epoch.
//!
//! Lacks: terms of what was deposited. Trusted: the log that delivered, as to how long.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Node;
use crate::node::arrival::told;
use crate::node::deposit::Deposited;
use crate::node::deposit::Keep;
use crate::node::people;
use crate::node::people::Loaded;
use crate::portability::source::Over;
use crate::portability::source::OverBy;
use crate::vault::Pointed;
use crate::vault::SlotNumber;

/// Slots, and heads, looked at together.
const PAGE: usize = 256;
/// Items ended in one write.
const AT_ONCE: usize = 64;
/// Time between two looks, ms.
const LOOK_MS: u64 = 10 * 60_000;

/// When it is looked again.
#[derive(Debug, Default)]
pub(in crate::node) struct Lives(Mutex<Looks>);

#[derive(Debug, Default)]
struct Looks {
    /// The earliest end that is known. After a start: at once.
    next: Timestamp,
    last: Option<Timestamp>,
}

impl Lives {
    /// Something more ends then.
    pub(in crate::node) fn ends_at(&self, at: Timestamp) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.next = looks.next.min(at);
    }

    /// Whether it is time to look; from here on it is not, until something ends.
    fn begin(&self, now: Timestamp) -> bool {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.next > now || looks.last.is_some_and(|last| now < last.plus_ms(LOOK_MS)) {
            return false;
        }
        *looks = Looks { next: Timestamp(u64::MAX), last: Some(now) };
        true
    }
}

/// From which instant on nothing of a demand at a log is kept, whatever its items say.
pub(in crate::node::arrival) type Ends = HashMap<(String, StatementId), Timestamp>;

impl Node {
    /// Destroys what has arrived and is over now; how many items. Again does nothing.
    ///
    /// # Errors
    /// The store. What was done stands.
    pub fn end_lives(&self) -> Result<u64, Error> {
        self.inner.end_lives(&|| true)
    }
}

impl Inner {
    /// A look, if it is time; broken off as soon as `goes_on` says no.
    pub(in crate::node) fn look_at_lives(&self, goes_on: &dyn Fn() -> bool) {
        if self.stopped().is_some() || !self.lives.begin(self.now()) {
            return;
        }
        match self.end_lives(goes_on) {
            Ok(0) => {}
            Ok(items) => tracing::info!(items, "what had arrived is over and destroyed"),
            Err(error) => {
                tracing::error!(cause = %error, "what has arrived and is over waits for the next look")
            }
        }
    }

    pub(in crate::node) fn end_lives(&self, goes_on: &dyn Fn() -> bool) -> Result<u64, Error> {
        let (mut ended, mut from) = (0, Some(SlotNumber(0)));
        while let Some(first) = from {
            // Whatever this look does not come to, the next one does.
            let (page, next) =
                self.vault.page(first, PAGE).inspect_err(|_| self.lives.ends_at(Timestamp(0)))?;
            if !goes_on() {
                self.lives.ends_at(Timestamp(0));
                break;
            }
            for who in page {
                let all = self.end_lives_of(who).inspect_err(|_| self.lives.ends_at(Timestamp(0)))?;
                ended += all;
            }
            from = next;
        }
        if ended > 0 {
            self.settle()?;
        }
        Ok(ended)
    }

    /// What of one person is over; not durable when it answers.
    fn end_lives_of(&self, who: Pointed) -> Result<u64, Error> {
        let (decoy, _) = self.vault.decoy();
        let nobody = who.subject == decoy.subject || self.people.is_erased(&who.subject);
        if nobody || self.store.items(&who.subject, b"a", None, 1)?.is_empty() {
            return Ok(0);
        }
        let loaded = match self.people.current(&who.subject) {
            Some(loaded) => loaded,
            None => std::sync::Arc::new(people::read(who, self.store.as_ref(), &self.vault)?),
        };
        let told = told(self.store.as_ref(), &loaded)?.into_iter();
        let closed = told.filter_map(|a| a.over.map(|over| ((a.from, a.demand), over.keep_until)));
        self.end_over(&loaded, &closed.collect())
    }

    /// Ends what is over of a person; not durable when it answers.
    pub(in crate::node::arrival) fn end_over(&self, loaded: &Loaded, closed: &Ends) -> Result<u64, Error> {
        let (now, mut ended) = (self.now(), 0);
        let (mut after, mut over) = (None, Vec::new());
        loop {
            let page = self.deposited(loaded, after.as_ref(), PAGE)?;
            after = page.last().map(|(record, _)| *record);
            for (record, head) in &page {
                match end_of(head, closed) {
                    Some(end) if end.at <= now => over.push((*record, end)),
                    Some(end) => self.lives.ends_at(end.at),
                    None => {}
                }
            }
            while over.len() >= AT_ONCE || (after.is_none() && !over.is_empty()) {
                let some = over.split_off(over.len().saturating_sub(AT_ONCE));
                ended += some.len() as u64;
                // Who is erased meanwhile takes it with her.
                self.keep(Keep::end(loaded.clone(), some))?;
            }
            if after.is_none() {
                return Ok(ended);
            }
        }
    }
}

/// When the life of something ends that is not over, and why; what was deposited has no end.
fn end_of(head: &Deposited, closed: &Ends) -> Option<Over> {
    let from = head.from.as_ref().filter(|_| head.over.is_none())?;
    let own = Over { at: from.keep_until, by: OverBy::KeepUntil };
    let closed = closed.get(&(from.log.clone(), from.demand));
    let closed = closed.map(|at| Over { at: *at, by: OverBy::Closed });
    Some(closed.filter(|closed| closed.at < own.at).unwrap_or(own))
}
