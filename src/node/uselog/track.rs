//! One writer's way through the segments: naming a line, sealing and writing those that wait, rolling, marking,
//! ending.
//!
//! A line gets its place, and by it its name, at once, for its length is known; it is sealed only when it is
//! written, with all that wait beside it: one after the other the library's code and tables stay in the
//! processor's caches, and a line costs half of what it costs alone.

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
use crate::node::uselog::segment;
use crate::node::uselog::segment::Extent;
use crate::node::uselog::segment::FrameKind;
use crate::node::uselog::segment::Header;
use crate::node::uselog::segment::Segment;
use crate::node::uselog::who::Spot;
use crate::vault::PersonKey;
use crate::vault::Placed;
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
    /// Lines that have their places and are not sealed yet.
    waiting: Vec<Named>,
    /// What they say, in a row.
    plain: Plain,
    /// What one line says, written again and again.
    says: Plain,
    /// Where the next line will stand behind those that wait.
    next: u64,
}

/// Texts of lines: never shown.
#[derive(Default)]
struct Plain(Vec<u8>);

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Plain(..)")
    }
}

/// A line that has its place.
#[derive(Debug)]
struct Named {
    who: Pointed,
    key: PersonKey,
    kind: FrameKind,
    t: Timestamp,
    offset: u64,
    placed: Placed,
    /// Bytes of what is sealed of it; from where on, and how many of them, the line itself is.
    plain: usize,
    says: (usize, usize),
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
    pub(in crate::node::uselog) fn extent(&self) -> Option<&Extent> {
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

    /// Names a line and holds it: nobody is answered before [`Track::release`] has sealed and written it.
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
        if self.place().is_some_and(|(_, offset)| offset >= log.run.segment_bytes) {
            self.end(log, t)?;
        }
        if self.open.is_none() {
            self.open = Some(self.begin(log, t)?);
        }
        let (segment, offset) = self.place().ok_or_else(closed)?;
        let placed = vault.place(segment, offset)?;
        let exact = line.exact();
        let hidden = exact.as_ref().map(|exact| hash::hmac(&key.exact_key(&placed.id), &[exact]));
        let mut says = std::mem::take(&mut self.says.0);
        says.clear();
        let says = line.encode(says, t, &placed.id, hidden.as_ref());
        let before = self.plain.0.len();
        let plain = Writer::behind(std::mem::take(&mut self.plain.0)).array(2).bytes(&says).finish();
        let from = plain.len() - before - says.len();
        self.plain.0 = match &exact {
            Some(exact) => Writer::behind(plain).bytes(exact),
            None => Writer::behind(plain).null(),
        }
        .finish();
        let (said, plain) = (says.len(), self.plain.0.len() - before);
        self.says.0 = says;
        let Some(length) = segment::line_bytes(plain) else {
            self.plain.0.truncate(before);
            return Err(segment::too_long().into());
        };
        self.next = offset + length;
        self.waiting.push(Named {
            who,
            key: key.clone(),
            kind,
            t,
            offset,
            placed,
            plain,
            says: (from, said),
        });
        // What one writer writes stands in order of time, also where the machine's clock goes back.
        self.mark = t;
        Ok((t, placed.id))
    }

    /// Segment and offset of the next line.
    fn place(&self) -> Option<(u64, u64)> {
        let segment = self.open.as_ref()?;
        let offset = if self.waiting.is_empty() { segment.offset() } else { self.next };
        Some((segment.extent().header.number, offset))
    }

    /// Seals and writes the lines that wait, with one write for all of them.
    ///
    /// # Errors
    /// The disk or the cryptographic library, now or before: what waited does not stand.
    pub(in crate::node::uselog) fn release(&mut self) -> Result<(), Fault> {
        self.writing(|segment| Ok(segment.release()?))
    }

    /// Writes to the open segment, the lines that wait first. One that could not be written is never written
    /// again: what it holds is not known.
    fn writing(&mut self, write: impl FnOnce(&mut Segment) -> Result<(), Fault>) -> Result<(), Fault> {
        if self.lost {
            return Err(io::Error::other("an earlier write of the use log failed").into());
        }
        let Some(segment) = &mut self.open else { return Ok(()) };
        let mut rest = self.plain.0.as_slice();
        let sealed = self.waiting.drain(..).try_for_each(|line| {
            let (plain, behind) = rest.split_at_checked(line.plain).ok_or_else(closed)?;
            rest = behind;
            line.seal(plain, segment)
        });
        self.plain.0.clear();
        sealed.and_then(|()| write(segment)).inspect_err(|_| {
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
            return Err(closed());
        }
        self.made = true;
        let number = log.next.fetch_add(1, Ordering::Relaxed);
        let Run { boot, started, gap_from, .. } = log.run;
        Segment::create(log.folder(), Header { number, boot, started, made: t, gap_from })
    }

    /// Ends the open segment, if there is one.
    fn end(&mut self, log: &UseLog, t: Timestamp) -> Result<(), Fault> {
        self.writing(|segment| Ok(segment.end(t)?))?;
        if let Some(mut segment) = self.open.take() {
            held(&log.closed).insert(segment.extent().header.number, *segment.extent());
            self.retired.push(segment.take_up());
        }
        Ok(())
    }

    /// Whether something was written since the last round.
    pub(in crate::node::uselog) fn is_dirty(&self) -> bool {
        !(self.retired.is_empty() && self.waiting.is_empty())
            || self.open.as_ref().is_some_and(Segment::is_dirty)
    }

    /// This track's part of a round: a mark where one is due, and the files to sync. Answers its mark.
    pub(in crate::node::uselog) fn round(
        &mut self,
        now: Timestamp,
        busy: bool,
        files: &mut Vec<Arc<File>>,
        made: &mut bool,
    ) -> Result<Timestamp, Fault> {
        self.mark = self.mark.max(now);
        let busy = busy || self.is_dirty();
        files.append(&mut self.retired);
        *made |= std::mem::take(&mut self.made);
        let mark = self.mark;
        let due = self.open.as_ref().is_some_and(|segment| {
            let stale = segment.marked().is_none_or(|last| mark >= last.plus_ms(BEAT_MS));
            busy || stale
        });
        if due {
            self.writing(|segment| Ok(segment.mark(mark)?))?;
            files.extend(self.open.as_mut().map(Segment::take_up));
        }
        Ok(self.mark)
    }

    /// Ends the segment; nothing is written afterwards.
    pub(in crate::node::uselog) fn shut(&mut self, log: &UseLog, now: Timestamp) -> Result<(), Fault> {
        self.shut = true;
        self.mark = self.mark.max(now);
        self.end(log, self.mark)
    }
}

impl Named {
    /// Seals the line at its place.
    fn seal(&self, plain: &[u8], segment: &mut Segment) -> Result<(), Fault> {
        let Self { who, kind, t, offset, placed, says: (from, said), .. } = self;
        let says = plain.get(*from..from + said).ok_or_else(closed)?;
        let key = self.key.keyed();
        let leaf = hash::hmac(&key.line_key(&placed.id), &[says]);
        let placed_at = segment.line::<Fault>(*kind, *t, |out| {
            out.extend_from_slice(&placed.hide(*who));
            out.extend_from_slice(&leaf);
            Ok(key.seal_into(Sealed::Line, &who.subject, &placed.id.0, plain, out)?)
        })?;
        // INVARIANT: its name says where it stands.
        if placed_at != *offset {
            return Err(io::Error::other("a line of the use log is not where it was to stand").into());
        }
        segment.note(&who.subject, *t, *offset);
        Ok(())
    }
}

fn closed() -> io::Error {
    io::Error::other("the use log is closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::decision::Reason;
    use crate::model::id::PartyId;
    use crate::model::use_line::UseAct;
    use crate::node::uselog::Opening;
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
            let len = std::fs::metadata(segment::path(dir.path(), 0)).unwrap().len();
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

    fn said<'a>(asker: &'a PartyId, signed: &'a [u8], exact: Option<(&'a str, Reason)>) -> Line<'a> {
        Line {
            at: Timestamp(5),
            act: UseAct::Check,
            case: None,
            pack: "p",
            ppid: None,
            rule: "r",
            told: Reason::ConsentNotGiven,
            as_of: 1,
            asker,
            basis: None,
            class: None,
            count: None,
            action: None,
            signed: Some(signed),
            use_id: None,
            purpose: None,
            release: None,
            version: 1,
            recipient: None,
            categories: &[],
            controller: asker,
            jurisdiction: None,
            exact,
        }
    }

    #[test]
    fn lines_that_wait_get_their_names_at_once_and_stand_there_once_they_are_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let master = crate::vault::Key::from_slice(&[7; 32]).unwrap();
        let vault = Vault::create(&dir.path().join("vault"), &master).unwrap();
        let with =
            Opening { boot: [0; 16], now: Timestamp(1), batched: None, segment_bytes: 1_200, tracks: 1 };
        let log = UseLog::open(&dir.path().join("uses"), &with).unwrap();
        let asker = PartyId::parse("bank").unwrap();
        let (who, key) = vault.new_person().unwrap();
        let (track, hold) = (&log.first, |signed: &[u8], exact| {
            let line = said(&asker, signed, exact);
            held(&log.first).append(&log, &vault, (who, &key), Timestamp(5), FrameKind::Line, &line)
        });
        // The third is too long for a frame; the last begins the next segment.
        let first = hold(&[1], None).unwrap().1;
        let second = hold(&[2; 300], Some(("kept", Reason::ConsentWithdrawn))).unwrap().1;
        assert!(hold(&[0; 1 << 18], None).is_err());
        let third = hold(&[3; 300], None).unwrap().1;
        let fourth = hold(&[4], None).unwrap().1;
        held(track).release().unwrap();
        let read = |id| {
            let place = vault.place_of(&id).unwrap().unwrap();
            let says = log.at(&vault, place).unwrap().unwrap().open(&vault).unwrap().unwrap().says;
            assert_eq!(says.line.id, id);
            (place.0, says.line.signed.unwrap().into_vec(), says.exact.map(|exact| exact.rule))
        };
        assert_eq!(read(first), (0, vec![1], None));
        assert_eq!(read(second), (0, vec![2; 300], Some("kept".into())));
        assert_eq!(read(third), (0, vec![3; 300], None));
        assert_eq!(read(fourth), (1, vec![4], None));
        let mut noted = Vec::new();
        held(track).noted(&who.subject, &mut noted);
        assert_eq!(noted.len(), 1);
    }

    #[test]
    fn a_line_that_would_stand_elsewhere_than_its_name_says_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut track = Track { open: Some(segment(dir.path())), ..Track::default() };
        let master = crate::vault::Key::from_slice(&[7; 32]).unwrap();
        let vault = Vault::create(&dir.path().join("vault"), &master).unwrap();
        let (who, key) = vault.new_person().unwrap();
        let (placed, offset) = (vault.place(0, 81).unwrap(), 81);
        let (kind, t) = (FrameKind::Line, Timestamp(2));
        track.waiting.push(Named { who, key, kind, t, offset, placed, plain: 0, says: (0, 0) });
        assert!(track.release().is_err() && track.extent().is_none());
        let len = std::fs::metadata(segment::path(dir.path(), 0)).unwrap().len();
        assert_eq!(len, segment::HEADER);
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
