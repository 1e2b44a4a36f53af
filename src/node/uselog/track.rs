//! One writer's way through the segments: sealing a line, rolling, marking, ending.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::ledger::cbor::Writer;
use crate::ledger::hash;
use crate::model::id::DecisionId;
use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::node::uselog::BEAT_MS;
use crate::node::uselog::Fault;
use crate::node::uselog::Line;
use crate::node::uselog::UseLog;
use crate::node::uselog::held;
use crate::node::uselog::segment::FrameKind;
use crate::node::uselog::segment::Header;
use crate::node::uselog::segment::Segment;
use crate::node::uselog::who::Spot;
use crate::vault::PersonKey;
use crate::vault::Pointed;
use crate::vault::Sealed;
use crate::vault::Vault;

/// What all segments of one start share.
#[derive(Clone, Copy, Debug)]
pub(in crate::node::uselog) struct Run {
    pub(in crate::node::uselog) boot: [u8; 16],
    pub(in crate::node::uselog) started: Timestamp,
    pub(in crate::node::uselog) gap_from: Timestamp,
    /// A segment is full at this many bytes.
    pub(in crate::node::uselog) segment_bytes: u64,
}

/// One writer's state.
#[derive(Debug, Default)]
pub(in crate::node::uselog) struct Track {
    open: Option<Segment>,
    /// Full segments not yet synced.
    retired: Vec<Arc<File>>,
    /// A file was made since the last round.
    made: bool,
    /// No line before this instant is written any more.
    mark: Timestamp,
    shut: bool,
}

impl Track {
    /// A track that writes no line before `mark`.
    pub(in crate::node::uselog) fn from(mark: Timestamp) -> Self {
        Self { mark, ..Self::default() }
    }

    pub(in crate::node::uselog) const fn mark(&self) -> Timestamp {
        self.mark
    }

    /// Number of the open segment.
    pub(in crate::node::uselog) fn number(&self) -> Option<u64> {
        self.open.as_ref().map(|s| s.extent().header.number)
    }

    /// What the open segment holds.
    pub(in crate::node::uselog) fn extent(&self) -> Option<&crate::node::uselog::segment::Extent> {
        self.open.as_ref().map(Segment::extent)
    }

    /// Time and place of the person's lines in the open segment.
    pub(in crate::node::uselog) fn noted(&self, subject: &SubjectId, out: &mut Vec<Spot>) {
        if let Some(open) = &self.open {
            open.noted(subject, out);
        }
    }

    /// As [`Track::noted`], of one segment behind an offset; `None` if that is not the open one.
    pub(in crate::node::uselog) fn noted_behind(
        &self,
        (number, offset): (u64, u64),
        subject: &SubjectId,
        most: usize,
    ) -> Option<Vec<Spot>> {
        let open = self.open.as_ref().filter(|open| open.extent().header.number == number)?;
        Some(open.noted_behind(subject, offset, most))
    }

    /// Seals a line and appends it with one write.
    pub(in crate::node::uselog) fn append(
        &mut self,
        log: &UseLog,
        vault: &Vault,
        (who, key): (Pointed, &PersonKey),
        now: Timestamp,
        kind: FrameKind,
        line: &Line<'_>,
    ) -> Result<(Timestamp, DecisionId), Fault> {
        let t = now.max(self.mark);
        let mut segment = match self.open.take() {
            Some(full) if full.offset() >= log.run.segment_bytes => self.roll(log, full, t)?,
            Some(open) => open,
            None => self.begin(log, t)?,
        };
        let placed = vault.place(segment.extent().header.number, segment.offset())?;
        let key = key.keyed();
        let exact = line.exact();
        let hidden = exact.as_ref().map(|exact| hash::hmac(&key.exact_key(&placed.id), &[exact]));
        let says = line.encode(t, &placed.id, hidden.as_ref());
        let leaf = hash::hmac(&key.line_key(&placed.id), &[&says]);
        let plain = Writer::with_capacity(says.len() + 128).array(2).bytes(&says);
        let plain = match &exact {
            Some(exact) => plain.bytes(exact),
            None => plain.null(),
        }
        .finish();
        let offset = segment.offset();
        segment.line::<Fault>(kind, t, |out| {
            out.extend_from_slice(&placed.hide(who));
            out.extend_from_slice(&leaf);
            Ok(key.seal_into(Sealed::Line, &who.subject, &placed.id.0, &plain, out)?)
        })?;
        segment.note(&who.subject, t, offset);
        // A segment that could not be written is never written again: what it holds is not known.
        self.open = Some(segment);
        Ok((t, placed.id))
    }

    /// Opens the first segment, so that marks are written though nobody asks.
    pub(in crate::node::uselog) fn start(&mut self, log: &UseLog) -> io::Result<()> {
        self.open = Some(self.begin(log, log.run.started)?);
        Ok(())
    }

    fn begin(&mut self, log: &UseLog, t: Timestamp) -> io::Result<Segment> {
        if self.shut {
            return Err(io::Error::other("the use log is closed"));
        }
        self.made = true;
        let number = log.next.fetch_add(1, Ordering::Relaxed);
        let Run { boot, started, gap_from, .. } = log.run;
        Segment::create(log.folder(), Header { number, boot, started, made: t, gap_from })
    }

    fn roll(&mut self, log: &UseLog, mut full: Segment, t: Timestamp) -> io::Result<Segment> {
        self.end(log, &mut full, t)?;
        self.begin(log, t)
    }

    fn end(&mut self, log: &UseLog, segment: &mut Segment, t: Timestamp) -> io::Result<()> {
        segment.end(t)?;
        held(&log.closed).insert(segment.extent().header.number, *segment.extent());
        self.retired.push(segment.take_up());
        Ok(())
    }

    /// Whether something was written since the last round.
    pub(in crate::node::uselog) fn is_dirty(&self) -> bool {
        !self.retired.is_empty() || self.open.as_ref().is_some_and(Segment::is_dirty)
    }

    /// This track's part of a round: a mark where one is due, and the files to sync. Answers its mark.
    pub(in crate::node::uselog) fn round(
        &mut self,
        now: Timestamp,
        busy: bool,
        files: &mut Vec<Arc<File>>,
        made: &mut bool,
    ) -> io::Result<Timestamp> {
        self.mark = self.mark.max(now);
        files.append(&mut self.retired);
        *made |= std::mem::take(&mut self.made);
        if let Some(segment) = &mut self.open {
            let stale = segment.marked().is_none_or(|last| self.mark >= last.plus_ms(BEAT_MS));
            if busy || segment.is_dirty() || stale {
                segment.mark(self.mark)?;
                files.push(segment.take_up());
            }
        }
        Ok(self.mark)
    }

    /// Ends the segment; nothing is written afterwards.
    pub(in crate::node::uselog) fn shut(&mut self, log: &UseLog, now: Timestamp) -> io::Result<()> {
        self.shut = true;
        self.mark = self.mark.max(now);
        let mark = self.mark;
        match self.open.take() {
            Some(mut segment) => self.end(log, &mut segment, mark),
            None => Ok(()),
        }
    }
}
