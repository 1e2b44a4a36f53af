//! One writer's way through the segments: sealing a line, writing what is held, rolling, marking, ending.

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
    /// INVARIANT: once true, never false, and nothing is written.
    lost: bool,
    /// What lines are written in, again and again.
    scratch: Scratch,
}

/// A line's bytes, and what is sealed of it.
#[derive(Default)]
struct Scratch {
    says: Vec<u8>,
    plain: Vec<u8>,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scratch(..)")
    }
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

    /// Seals a line and holds it: nobody is answered before [`Track::release`] has written it.
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
        if self.open.as_ref().is_some_and(|open| open.offset() >= log.run.segment_bytes) {
            self.end(log, t)?;
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => self.begin(log, t)?,
        };
        let segment = self.open.insert(open);
        let placed = vault.place(segment.extent().header.number, segment.offset())?;
        let key = key.keyed();
        let exact = line.exact();
        let hidden = exact.as_ref().map(|exact| hash::hmac(&key.exact_key(&placed.id), &[exact]));
        let Scratch { mut says, mut plain } = std::mem::take(&mut self.scratch);
        says.clear();
        plain.clear();
        let says = line.encode(says, t, &placed.id, hidden.as_ref());
        let leaf = hash::hmac(&key.line_key(&placed.id), &[&says]);
        let plain = Writer::behind(plain).array(2).bytes(&says);
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
        self.scratch = Scratch { says, plain };
        Ok((t, placed.id))
    }

    /// Writes the lines held, with one write for all of them.
    ///
    /// # Errors
    /// The disk, now or before: what was held does not stand.
    pub(in crate::node::uselog) fn release(&mut self) -> io::Result<()> {
        self.writing(Segment::release)
    }

    /// A segment that could not be written is never written again: what it holds is not known.
    fn writing(&mut self, write: impl FnOnce(&mut Segment) -> io::Result<()>) -> io::Result<()> {
        if self.lost {
            return Err(io::Error::other("an earlier write of the use log failed"));
        }
        let Some(segment) = &mut self.open else { return Ok(()) };
        write(segment).inspect_err(|_| {
            self.lost = true;
            self.open = None;
        })
    }

    /// Opens the first segment, so that marks are written though nobody asks.
    pub(in crate::node::uselog) fn start(&mut self, log: &UseLog) -> io::Result<()> {
        self.open = Some(self.begin(log, log.run.started)?);
        Ok(())
    }

    fn begin(&mut self, log: &UseLog, t: Timestamp) -> io::Result<Segment> {
        if self.shut || self.lost {
            return Err(io::Error::other("the use log is closed"));
        }
        self.made = true;
        let number = log.next.fetch_add(1, Ordering::Relaxed);
        let Run { boot, started, gap_from, .. } = log.run;
        Segment::create(log.folder(), Header { number, boot, started, made: t, gap_from })
    }

    /// Ends the open segment, if there is one.
    fn end(&mut self, log: &UseLog, t: Timestamp) -> io::Result<()> {
        self.writing(|segment| segment.end(t))?;
        if let Some(mut segment) = self.open.take() {
            held(&log.closed).insert(segment.extent().header.number, *segment.extent());
            self.retired.push(segment.take_up());
        }
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
        let mark = self.mark;
        let due = self.open.as_ref().is_some_and(|segment| {
            let stale = segment.marked().is_none_or(|last| mark >= last.plus_ms(BEAT_MS));
            busy || segment.is_dirty() || stale
        });
        if due {
            self.writing(|segment| segment.mark(mark))?;
            files.extend(self.open.as_mut().map(Segment::take_up));
        }
        Ok(self.mark)
    }

    /// Ends the segment; nothing is written afterwards.
    pub(in crate::node::uselog) fn shut(&mut self, log: &UseLog, now: Timestamp) -> io::Result<()> {
        self.shut = true;
        self.mark = self.mark.max(now);
        self.end(log, self.mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::uselog::segment::Frames;

    fn segment(dir: &std::path::Path) -> Segment {
        let header = Header {
            number: 0,
            boot: [0; 16],
            started: Timestamp(1),
            made: Timestamp(1),
            gap_from: Timestamp(1),
        };
        Segment::create(dir, header).unwrap()
    }

    fn line(segment: &mut Segment, byte: u8) {
        let fill = |out: &mut Vec<u8>| {
            out.extend_from_slice(&[byte; 100]);
            Ok::<_, io::Error>(())
        };
        segment.line(FrameKind::Line, Timestamp(2), fill).unwrap();
    }

    /// A track whose file takes no writes, holding one line.
    fn read_only(dir: &std::path::Path) -> Track {
        let mut segment = segment(dir);
        segment.reopen_read_only(dir).unwrap();
        line(&mut segment, 7);
        Track { open: Some(segment), ..Track::default() }
    }

    #[test]
    fn lines_held_together_stand_after_one_release_and_none_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut track = Track { open: Some(segment(dir.path())), ..Track::default() };
        let read = || {
            let len = std::fs::metadata(crate::node::uselog::segment::path(dir.path(), 0)).unwrap().len();
            let (_, mut frames) = Frames::open(dir.path(), 0, len).unwrap();
            let mut first = Vec::new();
            while let Some((frame, _)) = frames.next().unwrap() {
                first.extend(frame.line().map(|(pointer, ..)| pointer[0]));
            }
            first
        };
        for byte in 1..=3 {
            line(track.open.as_mut().unwrap(), byte);
        }
        assert_eq!(read(), Vec::<u8>::new());
        track.release().unwrap();
        assert_eq!(read(), [1, 2, 3]);
        // A mark behind held lines brings them along.
        line(track.open.as_mut().unwrap(), 4);
        track.round(Timestamp(3), false, &mut Vec::new(), &mut false).unwrap();
        assert_eq!(read(), [1, 2, 3, 4]);
    }

    #[test]
    fn after_a_write_that_failed_everybody_who_waits_is_told_so() {
        let dir = tempfile::tempdir().unwrap();
        let mut track = read_only(dir.path());
        assert!(track.release().is_err());
        assert!(track.release().is_err(), "the second who waits");
        assert!(track.extent().is_none());
        // A mark must not stand behind a line that does not.
        let dir = tempfile::tempdir().unwrap();
        let mut track = read_only(dir.path());
        let (mut files, mut made) = (Vec::new(), false);
        assert!(track.round(Timestamp(3), false, &mut files, &mut made).is_err());
        assert!(files.is_empty() && track.release().is_err());
    }
}
