//! The gate: one pass over the bytes with a stack of fixed depth, and the sorter
//! that makes our own encoder's output pass it.
//!
//! Lacks recursion over untrusted bytes and any allocation that grows with a
//! declared length.

use super::Error;

/// How many arrays, maps and tags may stand inside each other.
pub const MAX_DEPTH: usize = 16;

/// Checks that `bytes` are exactly one item in deterministic encoding.
///
/// Tag 18 (`COSE_Sign1`) is admitted around the outermost item, no other tag
/// anywhere.
///
/// # Errors
///
/// Any variant of [`Error`] with the offset of the first offence.
///
/// Source: RFC 8949 section 4.2.1
pub fn gate(bytes: &[u8]) -> Result<(), Error> {
    scan_all(bytes, Tags::Sign1)
}

/// Gates the first item of a CBOR sequence and splits it from the rest.
///
/// # Errors
///
/// As [`gate`], for the first item; [`Error::Truncated`] if there is none.
///
/// Source: RFC 8742
pub fn split_first(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let end = scan(bytes, Tags::Sign1)?;
    bytes.split_at_checked(end).ok_or(Error::Truncated { at: end })
}

/// Which tags a scan admits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tags {
    /// Tag 18 around the outermost item.
    Sign1,
    /// None.
    Refuse,
}

/// Length of the item that `bytes` begin with.
pub(super) fn item_len(bytes: &[u8]) -> Result<usize, Error> {
    scan(bytes, Tags::Refuse)
}

/// Scans one item and refuses bytes after it.
pub(super) fn scan_all(bytes: &[u8], tags: Tags) -> Result<(), Error> {
    let end = scan(bytes, tags)?;
    if end == bytes.len() { Ok(()) } else { Err(Error::Trailing { at: end }) }
}

/// The head of an item.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// Major type, 0 to 7.
    pub(super) major: u8,
    /// Argument: value, length, count or tag.
    pub(super) argument: u64,
    /// Offset of the byte after the head.
    pub(super) end: usize,
}

/// Reads the head at `at`: shortest form, no indefinite length, no float, no
/// simple value but `false`, `true`, `null`.
pub(super) fn head(bytes: &[u8], at: usize) -> Result<Head, Error> {
    let first = *bytes.get(at).ok_or(Error::Truncated { at })?;
    let (major, info) = (first >> 5, first & 0x1f);
    if major == 7 {
        return match info {
            20..=22 => Ok(Head { major, argument: u64::from(info), end: at + 1 }),
            25..=27 => Err(Error::Float { at }),
            31 => Err(Error::Indefinite { at }),
            28..=30 => Err(Error::Reserved { at }),
            _ => Err(Error::Simple { at }),
        };
    }
    let (width, smallest) = match info {
        0..=23 => return Ok(Head { major, argument: u64::from(info), end: at + 1 }),
        24 => (1, 24),
        25 => (2, 0x100),
        26 => (4, 0x1_0000),
        27 => (8, 0x1_0000_0000),
        31 => return Err(Error::Indefinite { at }),
        _ => return Err(Error::Reserved { at }),
    };
    let end = at + 1 + width;
    let tail = bytes.get(at + 1..end).ok_or(Error::Truncated { at })?;
    let argument = tail.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    if argument < smallest {
        return Err(Error::NotShortest { at });
    }
    Ok(Head { major, argument, end })
}

/// Offset after the string with this head.
pub(super) fn string_end(bytes: &[u8], at: usize, head: Head) -> Result<usize, Error> {
    usize::try_from(head.argument)
        .ok()
        .and_then(|length| head.end.checked_add(length))
        .filter(|end| *end <= bytes.len())
        .ok_or(Error::Truncated { at })
}

/// An open container.
#[derive(Clone, Copy, Default)]
struct Frame {
    /// Items still to come.
    left: u64,
    /// Whether it is a map.
    map: bool,
    /// Offset of the key that is being read (maps, even `left`).
    key: usize,
    /// Range of the key before it; empty at first.
    previous: (usize, usize),
}

/// Scans one item at the start of `bytes`; answers the offset after it.
fn scan(bytes: &[u8], tags: Tags) -> Result<usize, Error> {
    let mut stack = [Frame::default(); MAX_DEPTH];
    let mut depth = 0usize;
    let mut at = 0usize;
    loop {
        let head = head(bytes, at)?;
        let mut opened = None;
        let next = match head.major {
            2 => string_end(bytes, at, head)?,
            3 => {
                let end = string_end(bytes, at, head)?;
                let text = bytes.get(head.end..end).unwrap_or_default();
                std::str::from_utf8(text)
                    .map_err(|error| Error::Utf8 { at: head.end + error.valid_up_to() })?;
                end
            }
            4 => {
                opened = Some(Frame { left: head.argument, ..Frame::default() });
                head.end
            }
            5 => {
                // More entries than bytes cannot be there: refuse before doubling.
                let left = head.argument.checked_mul(2).ok_or(Error::Truncated { at })?;
                opened = Some(Frame { left, map: true, key: head.end, previous: (0, 0) });
                head.end
            }
            6 => {
                if tags == Tags::Refuse || at != 0 || head.argument != 18 {
                    return Err(Error::Tag { at, tag: head.argument });
                }
                opened = Some(Frame { left: 1, ..Frame::default() });
                head.end
            }
            _ => head.end,
        };
        if let Some(frame) = opened {
            // Refused although empty: depth is a property of the shape.
            *stack.get_mut(depth).ok_or(Error::TooDeep { at })? = frame;
            depth += 1;
            if frame.left > 0 {
                at = next;
                continue;
            }
            depth -= 1;
        }
        at = next;
        // An item has ended at `at`: close every container it completes.
        loop {
            let Some(frame) = depth.checked_sub(1).and_then(|top| stack.get_mut(top)) else {
                return Ok(at);
            };
            finish(bytes, frame, at)?;
            if frame.left > 0 {
                break;
            }
            depth -= 1;
        }
    }
}

/// Counts an item that ended at `at` in its container; compares it if it is a key.
fn finish(bytes: &[u8], frame: &mut Frame, at: usize) -> Result<(), Error> {
    frame.left -= 1;
    if !frame.map {
        return Ok(());
    }
    if frame.left.is_multiple_of(2) {
        // A value has ended: the next key starts here.
        frame.key = at;
        return Ok(());
    }
    let key = bytes.get(frame.key..at).unwrap_or_default();
    let previous = bytes.get(frame.previous.0..frame.previous.1).unwrap_or_default();
    match previous.cmp(key) {
        std::cmp::Ordering::Less => {
            frame.previous = (frame.key, at);
            Ok(())
        }
        std::cmp::Ordering::Equal => Err(Error::DuplicateKey { at: frame.key }),
        std::cmp::Ordering::Greater => Err(Error::UnsortedKeys { at: frame.key }),
    }
}

/// Rewrites one well-formed item of our own making: definite lengths, sorted keys.
///
/// Everything else is left for the gate to judge.
pub(super) fn canonical(raw: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(raw.len());
    copy(raw, 0, &mut out, 0)?;
    Ok(out)
}

const BREAK: u8 = 0xff;

/// Copies the item at `at` into `out`; answers the offset after it.
fn copy(raw: &[u8], at: usize, out: &mut Vec<u8>, depth: usize) -> Result<usize, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep { at });
    }
    let first = *raw.get(at).ok_or(Error::Truncated { at })?;
    let (open, array) = match first {
        0x9f => (Head { major: 4, argument: u64::MAX, end: at + 1 }, true),
        0xbf => (Head { major: 5, argument: u64::MAX, end: at + 1 }, false),
        _ => {
            let head = head(raw, at)?;
            match head.major {
                4 => (head, true),
                5 => (head, false),
                2 | 3 => {
                    let end = string_end(raw, at, head)?;
                    out.extend_from_slice(raw.get(at..end).unwrap_or_default());
                    return Ok(end);
                }
                6 => return Err(Error::Tag { at, tag: head.argument }),
                _ => {
                    out.extend_from_slice(raw.get(at..head.end).unwrap_or_default());
                    return Ok(head.end);
                }
            }
        }
    };
    let indefinite = first & 0x1f == 31;
    let mut body = Vec::new();
    let mut pairs: Vec<(usize, usize, usize)> = Vec::new();
    let (mut next, mut count) = (open.end, 0u64);
    loop {
        if indefinite && raw.get(next) == Some(&BREAK) {
            next += 1;
            break;
        }
        if !indefinite && count == open.argument {
            break;
        }
        let from = body.len();
        next = copy(raw, next, &mut body, depth + 1)?;
        if !array {
            let middle = body.len();
            next = copy(raw, next, &mut body, depth + 1)?;
            pairs.push((from, middle, body.len()));
        }
        count += 1;
    }
    super::wire::put_head(out, open.major, count);
    if array {
        out.extend_from_slice(&body);
    } else {
        pairs.sort_by(|a, b| body.get(a.0..a.1).cmp(&body.get(b.0..b.1)));
        for (from, _, until) in pairs {
            out.extend_from_slice(body.get(from..until).unwrap_or_default());
        }
    }
    Ok(next)
}
