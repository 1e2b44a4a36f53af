//! What keeps the use log: opening it, its rounds, its batches, its terms; and what keeps the keys.
//!
//! With the system's clock two threads do it; with a manual one whoever holds the
//! node calls `Inner::sync_uses` and `Node::batch_uses`.

use std::io;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::identity;
use crate::ledger::entry::Entry;
use crate::model::id::Nonce;
use crate::model::id::Timestamp;
use crate::model::pack::Kept;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::model::statement::UseBatch;
use crate::model::statement::V1;
use crate::node::Error;
use crate::node::Inner;
use crate::node::Item;
use crate::node::Node;
use crate::node::Outcome;
use crate::node::Queue;
use crate::node::Raw;
use crate::node::Refusal;
use crate::node::Stop;
use crate::node::clock;
use crate::node::enqueue;
use crate::node::erase::Rounds;
use crate::node::incidents::Days;
use crate::node::ticket::Ticket;
use crate::node::transfer;
use crate::node::uselog::Batch;
use crate::node::uselog::Draft;
use crate::node::uselog::Opening;
use crate::node::uselog::ROUND_MS;
use crate::node::uselog::UseLog;

/// How often is looked whether a transfer is due.
const CARRIER: Duration = Duration::from_secs(1);
/// How often is looked whether the wrapping epoch must end, or something is past its term.
const CUSTODY: Duration = Duration::from_secs(60);

/// The threads, if there are any.
#[derive(Debug, Default)]
pub(in crate::node) struct Keepers {
    over: Arc<(Mutex<bool>, Condvar)>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Keepers {
    pub(in crate::node) fn start(inner: &Arc<Inner>, intake: &Arc<Queue>) -> io::Result<Self> {
        let keepers = Self::default();
        if !inner.clock.runs() {
            return Ok(keepers);
        }
        let (node, over) = (Arc::clone(inner), Arc::clone(&keepers.over));
        let custody = thread::Builder::new().name("custody".into()).spawn(move || {
            let mut rounds = Rounds::default();
            loop {
                if let Err(error) = node.rotate_if_due() {
                    tracing::error!(cause = %error, "the wrapping epoch has not changed; it is tried again");
                }
                node.look_at_lives(&|| !is_over(&over, Duration::ZERO));
                rounds.look(&node, &|| !is_over(&over, Duration::ZERO));
                if is_over(&over, CUSTODY) {
                    return;
                }
            }
        })?;
        let (node, queue, over) = (Arc::clone(inner), Arc::clone(intake), Arc::clone(&keepers.over));
        let carrier = thread::Builder::new().name("carrier".into()).spawn(move || {
            while !is_over(&over, CARRIER) {
                if let Err(error) = transfer::carry(&node, &queue) {
                    tracing::error!(cause = %error, "transfers were not carried; it is tried again");
                }
            }
        })?;
        keepers.hold([custody, carrier]);
        if inner.uses.get().is_none() {
            return Ok(keepers);
        }
        let (node, over) = (Arc::clone(inner), Arc::clone(&keepers.over));
        let round = Duration::from_millis(ROUND_MS);
        let rounds = thread::Builder::new()
            .name("use-rounds".into())
            .spawn(move || while !is_over(&over, round) && node.sync_uses().is_ok() {})?;
        let (node, intake, over) = (Arc::clone(inner), Arc::clone(intake), Arc::clone(&keepers.over));
        let every = Duration::from_millis(inner.settings.use_batch_ms.max(ROUND_MS));
        let mut days = Days::from(inner.clock.now());
        let batches = thread::Builder::new().name("use-batches".into()).spawn(move || {
            while !is_over(&over, every) {
                match batch(&node, &intake) {
                    Ok(None | Some(Ok(_))) => {}
                    // The next one covers what this one did not.
                    Ok(Some(Err(refusal))) => tracing::warn!(cause = %refusal, "no use batch was made"),
                    Err(error) => tracing::error!(cause = %error, "no use batch was made"),
                }
                if let Err(error) = days.look(&node, &intake) {
                    tracing::error!(cause = %error, "use lines could not be looked at");
                }
            }
        })?;
        keepers.hold([rounds, batches]);
        Ok(keepers)
    }

    fn hold<const N: usize>(&self, threads: [JoinHandle<()>; N]) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).extend(threads);
    }

    /// Ends the threads. Twice is once.
    pub(in crate::node) fn stop(&self) {
        *self.over.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.over.1.notify_all();
        for thread in std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner)) {
            drop(thread.join());
        }
    }
}

fn is_over(over: &(Mutex<bool>, Condvar), after: Duration) -> bool {
    let guard = over.0.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = over.1.wait_timeout_while(guard, after, |over| !*over);
    *waited.unwrap_or_else(PoisonError::into_inner).0
}

impl Node {
    /// Makes a use batch of everything synced, through the log; `None` if there is nothing to say.
    ///
    /// # Errors
    /// The disk, the operator's key.
    pub fn batch_uses(&self) -> Result<Option<Outcome>, Error> {
        batch(&self.inner, &self.intake)
    }
}

impl Inner {
    /// One round of the use log by hand: everything written before now is durable afterwards.
    ///
    /// # Errors
    /// The disk: then the node stops.
    pub fn sync_uses(&self) -> Result<(), Error> {
        let Some(uses) = self.uses.get() else { return Ok(()) };
        if uses.is_broken() {
            return Err(Error::Stopped(Stop::Io));
        }
        uses.sync(self.clock.now()).inspect_err(|error| self.uses_failed(uses, error))
    }

    /// No line can be written any more: then nothing is answered either.
    pub(in crate::node) fn uses_failed(&self, uses: &UseLog, error: &Error) {
        tracing::error!(cause = %error, "the use log has stopped; restart after the cause is mended");
        uses.give_up();
        self.stop(Stop::Io);
    }

    pub(in crate::node) fn close_uses(&self) {
        if let Some(uses) = self.uses.get().filter(|uses| !uses.is_broken())
            && let Err(error) = uses.close(self.clock.now())
        {
            tracing::error!(cause = %error, "the use log did not end well");
        }
    }

    /// Opens the use log over what the register says, counts limited uses again, finds new batches.
    pub(in crate::node) fn open_uses(&self) -> Result<(), Error> {
        let threads = thread::available_parallelism().map_or(2, usize::from);
        let batched = self.register().batched();
        let uses = UseLog::open(
            &self.settings.data.join("use"),
            &Opening {
                boot: self.clock.boot_id().map_err(Error::Randomness)?,
                now: self.clock.now(),
                batched,
                segment_bytes: self.settings.use_segment_bytes,
                // Workers and the blocking pool: seldom more at once.
                tracks: threads.saturating_mul(2),
            },
        )?;
        self.find_batches(&uses, batched.map_or(0, |b| b.count))?;
        uses.each_counted(&self.vault, &mut |who, seen, segment| {
            let loaded = self.people.load(who, self.store.as_ref(), &self.vault)?;
            let grants = loaded.person.slots().filter_map(|(_, slot)| slot.grant.as_ref());
            // A grant that was replaced has ended: nothing is counted against it any more.
            if let Some(terms) = grants.into_iter().find(|terms| Some(terms.statement) == seen.line.basis) {
                uses.recount(&seen.line, segment, terms.fetch_until.max(terms.keep_until));
            }
            Ok(())
        })?;
        // Nobody else could have set it.
        drop(self.uses.set(uses));
        Ok(())
    }

    /// Makes the rows of batches that the log has and the folder does not.
    fn find_batches(&self, uses: &UseLog, count: u64) -> Result<(), Error> {
        let (mut known, mut last) = uses.known_batches()?;
        if known > count {
            uses.forget_batches();
            (known, last) = (0, None);
        }
        let mut next = last.map_or(0, |batch| batch.index + 1);
        let end = self.sequenced();
        while known < count && next < end {
            let before = next;
            for commit in self.store.commits(next..(next + 4_096).min(end))? {
                for (index, entry) in (commit.first..).zip(&commit.entries) {
                    if index < next {
                        continue;
                    }
                    next = index + 1;
                    let Entry::Public { item, .. } = Entry::parse(entry)? else { continue };
                    let (Statement::UseBatch(says), signed) = identity::reload(&item)? else { continue };
                    if says.number == known {
                        let (from, until) = (says.from, says.until);
                        uses.batched(&Batch { from, until, index, id: signed.id });
                        known += 1;
                    }
                }
            }
            if next == before {
                return Err(Error::Damaged(format!("entry {next} is missing")));
            }
        }
        Ok(())
    }

    /// The longest term that any pack gives to use lines, past and coming ones too; `None` keeps them.
    fn use_term_ms(&self) -> Option<u64> {
        let register = self.register();
        let terms = register.all_packs().map(|pack| pack.term_of(Kept::UseLines));
        terms.map(|term| term.map(|t| t.term.ms())).max().flatten()
    }
}

/// A batch through the normal way of statements; afterwards what is past its term goes.
fn batch(inner: &Arc<Inner>, intake: &Queue) -> Result<Option<Outcome>, Error> {
    let (Some(uses), Some(operator)) = (inner.uses.get(), &inner.operator) else { return Ok(None) };
    let now = inner.clock.now();
    let draft = uses.draft(inner.register().batched(), now)?;
    let outcome = match draft {
        None => None,
        Some(draft) => {
            let statement = statement(&draft, now)?;
            let item = identity::item::sign(&statement, operator.as_ref())?;
            let outcome = record(inner, intake, item);
            // An inert one has no number of its own: the next draft takes it.
            if let Ok(accepted) = outcome.as_ref()
                && accepted.inert.is_none()
            {
                let Draft { from, until, .. } = draft;
                uses.batched(&Batch { from, until, index: accepted.index, id: accepted.id });
                uses.keep_tree(draft.number, &draft.leaves);
            }
            Some(outcome)
        }
    };
    if let Some(term) = inner.use_term_ms() {
        uses.expire(now, term)?;
    }
    uses.index_closed(&inner.vault)?;
    Ok(outcome)
}

fn statement(draft: &Draft, now: Timestamp) -> Result<Statement, Error> {
    Ok(UseBatch {
        v: V1,
        kind: Kind::UseBatch,
        iat: now,
        nonce: Nonce(clock::random().map_err(Error::Randomness)?),
        number: draft.number,
        from: draft.from,
        until: draft.until,
        root: draft.root,
        gaps: draft.gaps.clone(),
    }
    .into())
}

/// Takes in a statement of the node's own and waits.
pub(in crate::node) fn record(inner: &Inner, intake: &Queue, item: Vec<u8>) -> Outcome {
    let (ticket, places) = Ticket::new(1);
    let item = Item::Unverified(identity::Unverified::parse(item).map_err(Refusal::Malformed)?);
    let raws = std::iter::once(item).zip(places).map(|(item, place)| Raw { item, place });
    enqueue(inner, intake, raws.collect());
    ticket.wait().pop().unwrap_or(Err(Refusal::Unavailable(Stop::Closing)))
}
