//! One file of the use log: its header, its frames, and reading it back.
//!
//! ```text
//! header: "naru-use" 8 ‖ version 4 ‖ boot id 16 ‖ segment 8 ‖ started 8 ‖ made 8 ‖ gap from 8 ‖ zeros 16 ‖ checksum 4
//! frame:  length of the body 4 ‖ checksum 4 ‖ kind 1 ‖ t 8 ‖ body
//! line:   hidden pointer 24 ‖ leaf 32 ‖ sealed [line, exact or null]
//! end:    first t 8 ‖ last t 8 ‖ lines 8 ‖ counted 8
//! ```
//! All numbers are big-endian. A checksum covers its frame *and* its place, so a
//! frame is good only where it was written; it finds torn tails, not forgery (the
//! leaf and the AEAD do that). A mark that is the last frame is overwritten by the
//! next mark. A file that was closed ends with `end`; of any other only the frames
//! up to the first bad one count. Lacks keys, and which thread writes where.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::model::id::SubjectId;
use crate::model::id::Timestamp;
use crate::node::uselog::who::Spot;
use crate::vault::POINTER;
use crate::vault::SEAL;

/// Bytes of the header.
pub(in crate::node::uselog) const HEADER: u64 = 80;
const HEADER_LEN: usize = 80;
const MAGIC: &[u8; 8] = b"naru-use";
const VERSION: u32 = 1;
/// Bytes of a frame before its body.
const FRAME: usize = 17;
/// Largest body of a frame: a longer one is damage.
const MAX_BODY: usize = 1 << 17;
const END_BODY: usize = 32;
const LEAF: usize = 32;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node::uselog) enum FrameKind {
    /// Everything before it was written before its time.
    Mark,
    /// A line.
    Line,
    /// A line that counts against a limit.
    Counted,
    /// The file is complete.
    End,
}

impl FrameKind {
    const fn code(self) -> u8 {
        match self {
            Self::Mark => 0,
            Self::Line => 1,
            Self::Counted => 2,
            Self::End => 3,
        }
    }

    const fn of(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Mark),
            1 => Some(Self::Line),
            2 => Some(Self::Counted),
            3 => Some(Self::End),
            _ => None,
        }
    }

    pub(in crate::node::uselog) const fn is_line(self) -> bool {
        matches!(self, Self::Line | Self::Counted)
    }
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node::uselog) struct Header {
    /// Number of the file, from 0, over all starts.
    pub(in crate::node::uselog) number: u64,
    /// The machine's boot in which it was made.
    pub(in crate::node::uselog) boot: [u8; 16],
    /// When the node started.
    pub(in crate::node::uselog) started: Timestamp,
    /// When the file was made.
    pub(in crate::node::uselog) made: Timestamp,
    /// Lines since then and before `started` may be lost; the same as `started` if none can be.
    pub(in crate::node::uselog) gap_from: Timestamp,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node::uselog) struct Extent {
    pub(in crate::node::uselog) header: Header,
    /// Time of the first line; that of the header if there is none.
    pub(in crate::node::uselog) first: Timestamp,
    /// Time of the last line; that of the header if there is none.
    pub(in crate::node::uselog) last: Timestamp,
    pub(in crate::node::uselog) lines: u64,
    pub(in crate::node::uselog) counted: u64,
    /// Bytes that hold frames of lines.
    pub(in crate::node::uselog) len: u64,
}

impl Extent {
    const fn empty(header: Header) -> Self {
        Self { header, first: header.made, last: header.made, lines: 0, counted: 0, len: HEADER }
    }

    fn add(&mut self, kind: FrameKind, t: Timestamp, end: u64) {
        if self.lines == 0 {
            self.first = t;
        }
        self.last = t;
        self.lines += 1;
        self.counted += u64::from(kind == FrameKind::Counted);
        self.len = end;
    }

    /// Whether a line of `[from, until)` may stand in it.
    pub(in crate::node::uselog) fn meets(&self, from: Timestamp, until: Timestamp) -> bool {
        self.lines > 0 && self.first < until && self.last >= from
    }
}

/// A file as found at a start.
#[derive(Clone, Copy, Debug)]
pub(in crate::node::uselog) struct Found {
    pub(in crate::node::uselog) extent: Extent,
    pub(in crate::node::uselog) closed: bool,
    /// Time of the newest good mark; that of the header if there is none.
    pub(in crate::node::uselog) mark: Timestamp,
}

/// A frame as read.
#[derive(Clone, Copy, Debug)]
pub(in crate::node::uselog) struct Frame<'a> {
    pub(in crate::node::uselog) segment: u64,
    pub(in crate::node::uselog) offset: u64,
    pub(in crate::node::uselog) kind: FrameKind,
    pub(in crate::node::uselog) t: Timestamp,
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Pointer, leaf and sealed bytes of a line; `None` of anything else.
    pub(in crate::node::uselog) fn line(&self) -> Option<(&'a [u8; POINTER], &'a [u8; LEAF], &'a [u8])> {
        let (pointer, rest) = self.body.split_first_chunk::<POINTER>()?;
        let (leaf, sealed) = rest.split_first_chunk::<LEAF>()?;
        self.kind.is_line().then_some((pointer, leaf, sealed))
    }
}

/// Path of a file.
pub(in crate::node::uselog) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:014x}.use"))
}

/// Numbers of all files, in order.
pub(in crate::node::uselog) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|n| n.strip_suffix(".use")).filter(|n| n.len() == 14);
        out.extend(number.and_then(|n| u64::from_str_radix(n, 16).ok()));
    }
    out.sort_unstable();
    Ok(out)
}

fn checksum(parts: &[&[u8]]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    parts.iter().for_each(|part| crc.update(part));
    crc.sum().to_be_bytes()
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A line that no frame holds.
pub(in crate::node::uselog) fn too_long() -> io::Error {
    damaged("a use line is too long")
}

/// Bytes of the frame of a line of which so many are sealed; `None` if no frame holds it.
pub(in crate::node::uselog) fn line_bytes(plain: usize) -> Option<u64> {
    let body = POINTER + LEAF + SEAL + plain;
    (body <= MAX_BODY).then_some((FRAME + body) as u64)
}

fn number_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|b| u64::from_be_bytes(*b))
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&self.boot);
        for n in [self.number, self.started.0, self.made.0, self.gap_from.0] {
            out.extend_from_slice(&n.to_be_bytes());
        }
        out.resize(HEADER_LEN - 4, 0);
        out.extend_from_slice(&checksum(&[&out]));
        out
    }

    fn parse(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        let (rest, sum) = bytes.split_last_chunk::<4>()?;
        if checksum(&[rest]) != *sum || !rest.starts_with(MAGIC) {
            return None;
        }
        let (version, rest) = rest.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
        let (boot, rest) = rest.split_first_chunk::<16>()?;
        let at = |place: usize| number_at(rest, place * 8).map(Timestamp);
        (u32::from_be_bytes(*version) == VERSION).then_some(())?;
        Some(Self { boot: *boot, number: at(0)?.0, started: at(1)?, made: at(2)?, gap_from: at(3)? })
    }
}

/// Appends one frame to `out`. `fill` writes the body.
fn frame<E>(
    out: &mut Vec<u8>,
    (segment, offset): (u64, u64),
    kind: FrameKind,
    t: Timestamp,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let from = out.len();
    out.extend_from_slice(&[0; 8]);
    out.push(kind.code());
    out.extend_from_slice(&t.0.to_be_bytes());
    fill(out)?;
    let whole = out.get_mut(from..).unwrap_or_default();
    let length = u32::try_from(whole.len().saturating_sub(FRAME)).unwrap_or(u32::MAX).to_be_bytes();
    let rest = whole.get(8..).unwrap_or_default();
    let sum = checksum(&[&segment.to_be_bytes(), &offset.to_be_bytes(), &length, rest]);
    whole.iter_mut().zip(length.into_iter().chain(sum)).for_each(|(o, b)| *o = b);
    Ok(())
}

/// A file under way: one thread at a time writes it.
#[derive(Debug)]
pub(in crate::node::uselog) struct Segment {
    file: Arc<File>,
    extent: Extent,
    /// Where the next frame goes; a mark behind the last line is overwritten.
    marked: Option<Timestamp>,
    /// Something was written since [`Segment::take_up`].
    dirty: bool,
    /// Frames of lines that are not in the file yet, and where the first of them goes.
    held: Vec<u8>,
    held_at: u64,
    /// Whose lines stand where, while the file is open. Never on disk. In pieces: it grows without a copy.
    notes: Vec<Vec<Note>>,
}

/// Start of a subject id, time, offset.
type Note = ([u8; 8], u64, u64);
/// Notes in a piece.
const NOTES: usize = 1_024;

/// The part of a subject id that tells persons apart well enough to look at a line.
fn start_of(subject: &SubjectId) -> [u8; 8] {
    subject.0.first_chunk().copied().unwrap_or_default()
}

impl Segment {
    /// Remembers whose line was just written.
    pub(in crate::node::uselog) fn note(&mut self, subject: &SubjectId, t: Timestamp, offset: u64) {
        let note = (start_of(subject), t.0, offset);
        match self.notes.last_mut().filter(|piece| piece.len() < NOTES) {
            Some(piece) => piece.push(note),
            None => {
                let mut piece = Vec::with_capacity(NOTES);
                piece.push(note);
                self.notes.push(piece);
            }
        }
    }

    /// Time and place of the lines noted for a person; a line of another's may be among them.
    pub(in crate::node::uselog) fn noted(&self, subject: &SubjectId, out: &mut Vec<Spot>) {
        let (start, number) = (start_of(subject), self.extent.header.number);
        let own = self.notes.iter().flatten().filter(|(whose, ..)| *whose == start);
        out.extend(own.map(|(_, t, offset)| (Timestamp(*t), (number, *offset))));
    }

    /// As [`Segment::noted`], of lines behind an offset alone and at most `most`, in their order.
    pub(in crate::node::uselog) fn noted_behind(
        &self,
        subject: &SubjectId,
        offset: u64,
        most: usize,
    ) -> Vec<Spot> {
        let (start, number) = (start_of(subject), self.extent.header.number);
        let is_before = |piece: &Vec<Note>| piece.last().is_some_and(|(_, _, last)| *last <= offset);
        let pieces = self.notes.iter().skip(self.notes.partition_point(is_before)).flatten();
        let own = pieces.filter(|(whose, _, at)| *whose == start && *at > offset);
        own.take(most).map(|(_, t, at)| (Timestamp(*t), (number, *at))).collect()
    }

    /// Makes the file. It is durable only once it and its folder are synced.
    pub(in crate::node::uselog) fn create(folder: &Path, header: Header) -> io::Result<Self> {
        let path = path(folder, header.number);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all_at(&header.encode(), 0)?;
        let extent = Extent::empty(header);
        Ok(Self::over(file, extent))
    }

    fn over(file: File, extent: Extent) -> Self {
        let (held, held_at, notes) = (Vec::new(), 0, Vec::new());
        Self { file: Arc::new(file), extent, marked: None, dirty: true, held, held_at, notes }
    }

    pub(in crate::node::uselog) const fn extent(&self) -> &Extent {
        &self.extent
    }

    /// Where the next frame will stand.
    pub(in crate::node::uselog) const fn offset(&self) -> u64 {
        if self.marked.is_some() { self.extent.len + FRAME as u64 } else { self.extent.len }
    }

    /// Appends a line to those that [`Segment::release`] writes, and answers where it stands.
    pub(in crate::node::uselog) fn line<E: From<io::Error>>(
        &mut self,
        kind: FrameKind,
        t: Timestamp,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<u64, E> {
        let (at, before) = (self.offset(), self.held.len());
        let framed = frame(&mut self.held, (self.extent.header.number, at), kind, t, fill);
        let length = self.held.len() - before;
        let framed = framed.and_then(|()| match length > FRAME + MAX_BODY {
            true => Err(too_long().into()),
            false => Ok(()),
        });
        if let Err(error) = framed {
            self.held.truncate(before);
            return Err(error);
        }
        if before == 0 {
            self.held_at = at;
        }
        self.dirty = true;
        self.marked = None;
        self.extent.add(kind, t, at + length as u64);
        Ok(at)
    }

    /// Writes the lines held, with one write. After an error the file must not be written again.
    pub(in crate::node::uselog) fn release(&mut self) -> io::Result<()> {
        if !self.held.is_empty() {
            self.file.write_all_at(&self.held, self.held_at)?;
            self.held.clear();
        }
        Ok(())
    }

    /// Writes a time mark: over the last frame if that is one.
    pub(in crate::node::uselog) fn mark(&mut self, t: Timestamp) -> io::Result<()> {
        let at = self.extent.len;
        self.bare(at, FrameKind::Mark, t, &[])?;
        self.marked = Some(t);
        Ok(())
    }

    /// When the last mark was written, if it is the last frame.
    pub(in crate::node::uselog) const fn marked(&self) -> Option<Timestamp> {
        self.marked
    }

    /// Ends the file: nothing more is written to it.
    pub(in crate::node::uselog) fn end(&mut self, t: Timestamp) -> io::Result<()> {
        let at = self.offset();
        let Extent { first, last, lines, counted, .. } = self.extent;
        let body = [first.0, last.0, lines, counted].map(u64::to_be_bytes).concat();
        self.bare(at, FrameKind::End, t, &body)
    }

    fn bare(&mut self, at: u64, kind: FrameKind, t: Timestamp, body: &[u8]) -> io::Result<()> {
        self.release()?;
        let (place, mut out) = ((self.extent.header.number, at), Vec::with_capacity(FRAME + END_BODY));
        frame(&mut out, place, kind, t, |out| {
            out.extend_from_slice(body);
            Ok::<_, io::Error>(())
        })?;
        self.dirty = true;
        self.file.write_all_at(&out, at)
    }

    pub(in crate::node::uselog) const fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// The file, to be synced by whoever takes it.
    pub(in crate::node::uselog) fn take_up(&mut self) -> Arc<File> {
        self.dirty = false;
        Arc::clone(&self.file)
    }

    /// What a disk that refuses looks like.
    #[cfg(test)]
    pub(in crate::node::uselog) fn reopen_read_only(&mut self, folder: &Path) -> io::Result<()> {
        self.file = Arc::new(File::open(path(folder, self.extent.header.number))?);
        Ok(())
    }

    /// Takes up a file that was never closed, cuts what is no frame, and ends it durably.
    pub(in crate::node::uselog) fn close_found(folder: &Path, found: &Found) -> io::Result<()> {
        let path = path(folder, found.extent.header.number);
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        file.set_len(found.extent.len)?;
        let mut segment = Self::over(file, found.extent);
        segment.end(found.mark)?;
        segment.file.sync_all()
    }
}

/// Reads the frames of a file in order, up to the first bad one or `len`.
#[derive(Debug)]
pub(in crate::node::uselog) struct Frames {
    input: BufReader<File>,
    segment: u64,
    at: u64,
    len: u64,
    body: Vec<u8>,
}

impl Frames {
    /// Opens a file at its first frame.
    pub(in crate::node::uselog) fn open(folder: &Path, number: u64, len: u64) -> io::Result<(Header, Self)> {
        let mut file = File::open(path(folder, number))?;
        let mut bytes = [0u8; HEADER_LEN];
        file.read_exact(&mut bytes)?;
        let header = Header::parse(&bytes).filter(|h| h.number == number);
        let header = header.ok_or_else(|| damaged("the header of a use segment is damaged"))?;
        let input = BufReader::with_capacity(1 << 16, file);
        Ok((header, Self { input, segment: number, at: HEADER, len, body: Vec::new() }))
    }

    /// Goes to another frame.
    pub(in crate::node::uselog) fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.at = offset;
        self.input.seek(SeekFrom::Start(offset)).map(drop)
    }

    /// Goes on to a frame that stands behind the last one that was read; what is read ahead stays of use.
    pub(in crate::node::uselog) fn forward(&mut self, offset: u64) -> io::Result<()> {
        let Some(by) = offset.checked_sub(self.at).and_then(|by| i64::try_from(by).ok()) else {
            return self.seek(offset);
        };
        self.at = offset;
        self.input.seek_relative(by)
    }

    /// The next frame and where it ends; `None` at the end or where no good frame stands.
    pub(in crate::node::uselog) fn next(&mut self) -> io::Result<Option<(Frame<'_>, u64)>> {
        let mut head = [0u8; FRAME];
        if self.at.saturating_add(FRAME as u64) > self.len || !filled(&mut self.input, &mut head)? {
            return Ok(None);
        }
        let ([length, sum], rest) = (
            head.as_chunks::<4>().0.first_chunk::<2>().copied().unwrap_or_default(),
            head.get(8..).unwrap_or_default(),
        );
        let size = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let end = self.at.saturating_add(FRAME as u64).saturating_add(size as u64);
        if size > MAX_BODY || end > self.len {
            return Ok(None);
        }
        self.body.resize(size, 0);
        if !filled(&mut self.input, &mut self.body)? {
            return Ok(None);
        }
        let place = [self.segment.to_be_bytes(), self.at.to_be_bytes()].concat();
        let kind = rest.first().copied().and_then(FrameKind::of);
        let (Some(kind), Some(t)) = (kind, number_at(rest, 1)) else { return Ok(None) };
        if checksum(&[&place, &length, rest, &self.body]) != sum {
            return Ok(None);
        }
        let frame = Frame { segment: self.segment, offset: self.at, kind, t: Timestamp(t), body: &self.body };
        self.at = end;
        Ok(Some((frame, end)))
    }
}

/// Reads exactly, or says that the file ended.
fn filled(input: &mut impl Read, out: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(out) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a file holds: from its end if it was closed, else frame by frame.
///
/// `None` if not even its header is whole: it was made and lost before it was synced.
pub(in crate::node::uselog) fn find(folder: &Path, number: u64) -> io::Result<Option<Found>> {
    let len = std::fs::metadata(path(folder, number))?.len();
    let (header, mut frames) = match Frames::open(folder, number, len) {
        Ok(opened) => opened,
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let end_at = len.saturating_sub((FRAME + END_BODY) as u64);
    if end_at >= HEADER {
        frames.seek(end_at)?;
        if let Some((frame, _)) = frames.next()?
            && frame.kind == FrameKind::End
        {
            let at = |place: usize| number_at(frame.body, place * 8).unwrap_or_default();
            let (first, last) = (Timestamp(at(0)), Timestamp(at(1)));
            let extent = Extent { header, first, last, lines: at(2), counted: at(3), len: end_at };
            return Ok(Some(Found { extent, closed: true, mark: frame.t }));
        }
        frames.seek(HEADER)?;
    }
    let mut found = Found { extent: Extent::empty(header), closed: false, mark: header.made };
    while let Some((frame, end)) = frames.next()? {
        match frame.kind {
            FrameKind::Mark => found.mark = frame.t,
            FrameKind::Line | FrameKind::Counted => found.extent.add(frame.kind, frame.t, end),
            FrameKind::End => break,
        }
    }
    Ok(Some(found))
}
