//! The use log: one sealed line for each evaluation, written before the answer leaves.
//!
//! Each worker writes its own segment file ([`track`]), all lines of what it answers in one
//! turn with one write; a round every 100 ms puts a
//! time mark into each and syncs them ([`UseLog::sync`]); only synced lines enter a
//! batch ([`draft`](UseLog::draft)), whose Merkle root the operator signs into the
//! public log. A start under another boot id than the last knows that lines since
//! the last mark may be gone, and the next batch says so; after `kill -9` nothing is.
//!
//! **Time orders everything.** A line's `t` is never before the last mark of its
//! segment, and a round takes its time before it takes a segment: so no line older
//! than the last round is ever added, and an interval that was read once is whole.
//!
//! Lacks: what is decided (`check`), who is shown what (`view`), the statement's
//! way into the log (`keeper`).

mod along;
mod batch;
mod carry;
mod count;
mod draft;
mod found;
mod keeper;
mod line;
mod past;
mod read;
mod segment;
mod track;
mod trees;
mod view;
mod who;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::ledger;
use crate::model::decision::Counting;
use crate::model::id::DecisionId;
use crate::model::id::PartyId;
use crate::model::id::Timestamp;
use crate::model::statement::Interval;
use crate::node::Error;
use crate::vault;
use crate::vault::PersonKey;
use crate::vault::Pointed;
use crate::vault::Vault;

use batch::Batches;
use count::Counts;
use count::Noted;
use segment::Extent;
use segment::FrameKind;
use track::Run;
use track::Track;

pub use batch::Batch;
pub(in crate::node) use draft::Draft;
pub(in crate::node) use found::Opening;
pub(in crate::node) use keeper::Keepers;
pub(in crate::node) use keeper::record;
pub(in crate::node) use line::Line;
pub(in crate::node) use past::each_past;
pub(in crate::node) use past::is_kept;
pub(in crate::node) use past::is_whole;
pub use read::Use;
pub use view::Note;
pub use view::Page;
pub use view::Seen;

/// How long between two rounds, ms: what a power loss can take.
pub(in crate::node) const ROUND_MS: u64 = 100;
/// While no lines come, segments are marked this often, ms.
const BEAT_MS: u64 = 1_000;

/// What goes wrong while a line is written or read.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Vault(#[from] vault::Error),
    #[error(transparent)]
    Cbor(#[from] ledger::cbor::Error),
}

impl Fault {
    fn at(self, folder: &Path) -> Error {
        match self {
            Self::Io(cause) => Error::File { path: folder.to_owned(), cause },
            Self::Vault(error) => error.into(),
            Self::Cbor(error) => error.into(),
        }
    }
}

/// The use log of a running node.
#[derive(Debug)]
pub(in crate::node) struct UseLog {
    folder: PathBuf,
    run: Run,
    first: Mutex<Track>,
    others: Vec<Mutex<Track>>,
    /// Counted uses go through one owner: their own segment, in the order of the counts.
    counted: Mutex<Owner>,
    /// Segments that are no longer written.
    closed: Mutex<BTreeMap<u64, Extent>>,
    /// Of these, those whose side file is known to stand.
    indexed: Mutex<BTreeSet<u64>>,
    /// Number of the next segment.
    next: AtomicU64,
    /// Every line before this instant is durable.
    synced: AtomicU64,
    /// One round at a time.
    round: Mutex<()>,
    /// A write or a sync failed: nothing is written any more.
    broken: AtomicBool,
    batches: Mutex<Batches>,
    /// Intervals whose lines may be lost, as starts found them.
    gaps: Vec<Interval>,
    /// When the first line could have been written.
    began: Timestamp,
}

#[derive(Debug, Default)]
struct Owner {
    track: Track,
    counts: Counts,
}

/// Where a line waits to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::node) struct Waiting(usize);

/// A named use of a limited grant.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Wish<'a> {
    /// Who uses.
    pub(in crate::node) asker: &'a PartyId,
    /// What the asker calls it.
    pub(in crate::node) use_id: &'a str,
    /// What it becomes if there is room.
    pub(in crate::node) counting: &'a Counting,
}

/// How a counted use came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Counted {
    /// It is this use of the grant, from 1.
    Use(u64),
    /// The limit is reached.
    Reached,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl UseLog {
    fn failed(&self, fault: Fault) -> Error {
        fault.at(&self.folder)
    }

    /// The folder of the segments.
    fn folder(&self) -> &Path {
        &self.folder
    }

    /// Appends a line to this thread's segment: one write, nothing synced.
    ///
    /// # Errors
    /// Nothing may be answered: the line does not stand.
    pub(in crate::node) fn append(
        &self,
        vault: &Vault,
        whose: (Pointed, &PersonKey),
        now: Timestamp,
        line: &Line<'_>,
    ) -> Result<DecisionId, Error> {
        let (id, waiting) = self.hold(vault, whose, now, line)?;
        self.release(waiting)?;
        Ok(id)
    }

    /// As [`UseLog::append`], its write put off until [`UseLog::release`]: one write then serves many lines.
    ///
    /// # Errors
    /// Nothing may be answered: the line does not stand.
    pub(in crate::node) fn hold(
        &self,
        vault: &Vault,
        whose: (Pointed, &PersonKey),
        now: Timestamp,
        line: &Line<'_>,
    ) -> Result<(DecisionId, Waiting), Error> {
        let (own, mut track) = self.track();
        let held = track.append(self, vault, whose, now, FrameKind::Line, line);
        held.map(|(_, id)| (id, Waiting(own))).map_err(|fault| self.failed(fault))
    }

    /// Writes the lines that wait where this one does, unless that was done meanwhile.
    ///
    /// # Errors
    /// Nothing may be answered: the line does not stand.
    pub(in crate::node) fn release(&self, waiting: Waiting) -> Result<(), Error> {
        let Some(track) = self.tracks().nth(waiting.0) else { return Ok(()) };
        held(track).release().map_err(|fault| self.failed(fault))
    }

    /// Counts a use of `asker`'s, writes the line that `word` makes of the outcome, and waits for the disk.
    ///
    /// # Errors
    /// Nothing may be answered.
    pub(in crate::node) fn count<'a>(
        &self,
        vault: &Vault,
        whose: (Pointed, &PersonKey),
        now: Timestamp,
        wish: &Wish<'_>,
        word: &mut dyn FnMut(Counted) -> Line<'a>,
    ) -> Result<DecisionId, Error> {
        let Wish { asker, use_id, counting } = *wish;
        let id = {
            let mut owner = held(&self.counted);
            let Owner { track, counts } = &mut *owner;
            let at = now.max(track.mark());
            let period = counting.limits.frequency.map(|f| f.per_ms);
            let so_far = counts.so_far(&counting.grant, at, period);
            let (outcome, kind) = match counts.known(&counting.grant, asker, use_id) {
                Some(number) => (Counted::Use(number), FrameKind::Line),
                None if so_far.leave_room(&counting.limits) => {
                    (Counted::Use(so_far.all.saturating_add(1)), FrameKind::Counted)
                }
                None => (Counted::Reached, FrameKind::Line),
            };
            let held = track.append(self, vault, whose, now, kind, &word(outcome));
            let written = held.and_then(|placed| track.release().map(|()| placed));
            let (t, id) = written.map_err(|fault| self.failed(fault))?;
            if let (Counted::Use(number), FrameKind::Counted) = (outcome, kind) {
                let noted = Noted { number, t, segment: track.number().unwrap_or_default() };
                counts.add(counting.grant, asker, use_id, noted, counting.kept_until);
            }
            id
        };
        self.sync(now)?;
        Ok(id)
    }

    /// One round: a mark into each segment, then the disk. Afterwards every line before `now` is durable.
    ///
    /// # Errors
    /// The disk: write nothing more, never sync again.
    pub(in crate::node) fn sync(&self, now: Timestamp) -> Result<(), Error> {
        self.try_sync(now).map_err(|fault| self.failed(fault))
    }

    fn try_sync(&self, now: Timestamp) -> Result<(), Fault> {
        let _round = held(&self.round);
        let mut files: Vec<Arc<File>> = Vec::with_capacity(self.others.len() + 2);
        // The oldest last mark is where a gap begins: while lines come, all are marked.
        let busy = self.tracks().any(|track| held(track).is_dirty()) || held(&self.counted).track.is_dirty();
        let (mut made, mut until) = (false, Timestamp(u64::MAX));
        for track in self.tracks() {
            until = until.min(held(track).round(now, busy, &mut files, &mut made)?);
        }
        until = until.min(held(&self.counted).track.round(now, busy, &mut files, &mut made)?);
        files.iter().try_for_each(|file| file.sync_data())?;
        if made {
            File::open(&self.folder)?.sync_all()?;
        }
        // At this point the lines survive a power loss.
        self.synced.fetch_max(until.0, Ordering::AcqRel);
        Ok(())
    }

    /// Every line before this instant is durable, and none will be added.
    pub(in crate::node) fn synced(&self) -> Timestamp {
        Timestamp(self.synced.load(Ordering::Acquire))
    }

    /// Syncs and ends all segments; nothing is written afterwards.
    ///
    /// # Errors
    /// The disk.
    pub(in crate::node) fn close(&self, now: Timestamp) -> Result<(), Error> {
        let shut = || -> Result<(), Fault> {
            self.tracks().try_for_each(|track| held(track).shut(self, now))?;
            held(&self.counted).track.shut(self, now)
        };
        shut().map_err(|fault| self.failed(fault))?;
        self.sync(now)
    }

    /// Nothing is written any more: what stands on the disk is not known before a restart.
    pub(in crate::node) fn give_up(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// Whether a write or a sync failed.
    pub(in crate::node) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    fn tracks(&self) -> impl Iterator<Item = &Mutex<Track>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Every track, with nothing held; one whose write failed shows nothing.
    fn steady(&self) -> impl Iterator<Item = MutexGuard<'_, Track>> {
        self.tracks().map(|track| {
            let mut track = held(track);
            // Whoever waits for that write is told of the failure.
            let _ = track.release();
            track
        })
    }

    /// This thread's track, or the next that is free, and its number: workers do not wait for each other.
    fn track(&self) -> (usize, MutexGuard<'_, Track>) {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        let own = THREAD.with(|n| *n) % (self.others.len() + 1);
        let numbered = || self.tracks().enumerate();
        for (number, track) in numbered().skip(own).chain(numbered().take(own)) {
            if let Ok(track) = track.try_lock() {
                return (number, track);
            }
        }
        (0, held(&self.first))
    }
}
