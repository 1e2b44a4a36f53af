//! What a start finds: segments, the boot they were written in, what may be missing.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;

use crate::consent::Batched;
use crate::model::id::Timestamp;
use crate::model::statement::Interval;
use crate::node::Error;
use crate::node::uselog::Fault;
use crate::node::uselog::Owner;
use crate::node::uselog::UseLog;
use crate::node::uselog::batch::Batches;
use crate::node::uselog::segment;
use crate::node::uselog::segment::Found;
use crate::node::uselog::segment::Segment;
use crate::node::uselog::track::Run;
use crate::node::uselog::track::Track;

/// What a log is opened with.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Opening {
    /// The machine's boot.
    pub(in crate::node) boot: [u8; 16],
    /// The node's time.
    pub(in crate::node) now: Timestamp,
    /// What the register says of batches.
    pub(in crate::node) batched: Option<Batched>,
    /// A segment is full at this many bytes.
    pub(in crate::node) segment_bytes: u64,
    /// Writers side by side, at least 1.
    pub(in crate::node) tracks: usize,
}

impl UseLog {
    /// Opens the log in `folder`, ends what an earlier start left open, and begins a segment.
    ///
    /// # Errors
    /// The disk.
    pub(in crate::node) fn open(folder: &Path, with: &Opening) -> Result<Self, Error> {
        try_open(folder, with).map_err(|fault| fault.at(folder))
    }
}

fn try_open(folder: &Path, with: &Opening) -> Result<UseLog, Fault> {
    std::fs::create_dir_all(folder)?;
    if let Some(parent) = folder.parent() {
        File::open(parent)?.sync_all()?;
    }
    let numbers = segment::list(folder)?;
    let mut found = Vec::with_capacity(numbers.len());
    for number in &numbers {
        match segment::find(folder, *number)? {
            Some(one) => found.push(one),
            None => tracing::warn!(segment = number, "a use segment without a whole header is left aside"),
        }
    }
    let run = run(&found, with);
    let gaps = gaps(&found, &run);
    let began = found.iter().map(|f| f.extent.header.started).min().unwrap_or(run.started);
    let next = numbers.last().map_or(0, |last| last + 1);
    let log = UseLog {
        folder: folder.to_owned(),
        first: Mutex::new(Track::from(run.started)),
        others: (1..with.tracks).map(|_| Mutex::new(Track::from(run.started))).collect(),
        counted: Mutex::new(Owner { track: Track::from(run.started), ..Owner::default() }),
        closed: Mutex::new(BTreeMap::new()),
        indexed: Mutex::default(),
        next: AtomicU64::new(next),
        synced: AtomicU64::new(0),
        round: Mutex::new(()),
        broken: AtomicBool::new(false),
        batches: Mutex::new(Batches::open(&folder.join("batches"))?),
        gaps,
        began,
        run,
    };
    // The new header names the gap: it is durable before what it was found from is touched.
    super::held(&log.first).start(&log)?;
    log.try_sync(run.started)?;
    for one in found.iter().filter(|f| !f.closed) {
        Segment::close_found(folder, one)?;
    }
    super::held(&log.closed).extend(found.iter().map(|f| (f.extent.header.number, f.extent)));
    Ok(log)
}

/// When this start begins, and since when lines may be lost. Source: design §6.
fn run(found: &[Found], with: &Opening) -> Run {
    let known = with.batched.map(|b| b.until);
    // Time does not run backwards over a start, whatever the machine's clock says.
    let newest = found.iter().map(|f| f.mark.max(f.extent.last)).max();
    let started = with.now.max(newest.unwrap_or_default()).max(known.unwrap_or_default());
    let last = found.last().map(|f| f.extent.header);
    let since = match last {
        // The log knows of lines that the folder has not.
        None => known,
        // The page cache outlived the process: nothing is lost.
        Some(last) if last.boot == with.boot => None,
        Some(last) => {
            let open = found.iter().filter(|f| !f.closed).map(|f| f.mark).min();
            let ended =
                found.iter().filter(|f| f.extent.header.started == last.started).map(|f| f.mark).max();
            open.or(ended)
        }
    };
    // Batches hold synced lines alone: what one covers is not lost.
    let gap_from = since.map_or(started, |since| since.max(known.unwrap_or_default()).min(started));
    Run { boot: with.boot, started, gap_from, segment_bytes: with.segment_bytes }
}

/// All gaps the segments name, and this start's own, in order and apart.
fn gaps(found: &[Found], run: &Run) -> Vec<Interval> {
    let named = found.iter().map(|f| (f.extent.header.gap_from, f.extent.header.started));
    let mut all: Vec<_> =
        named.chain([(run.gap_from, run.started)]).filter(|(from, until)| from < until).collect();
    all.sort_unstable();
    let mut out: Vec<Interval> = Vec::new();
    for (from, until) in all {
        match out.last_mut() {
            Some(last) if from <= last.until => last.until = last.until.max(until),
            Some(_) | None => out.push(Interval { from, until }),
        }
    }
    out
}
