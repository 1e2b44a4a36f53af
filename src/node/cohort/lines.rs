//! The lines of an input, read in pieces: each a ppid, or not.

use crate::model::id::Ppid;
use crate::node::Error;
use crate::node::cohort::records::Reader;

/// Bytes of a line that are looked at: a ppid has 37, and perhaps a carriage return.
const LOOKED_AT: usize = 40;

/// Counts lines as they arrive. A last line needs no line feed; an empty last one is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counter {
    ended: u64,
    open: bool,
}

impl Counter {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.ended += bytes.iter().filter(|b| **b == b'\n').count() as u64;
        self.open = bytes.last().map_or(self.open, |last| *last != b'\n');
    }

    pub(super) const fn lines(self) -> u64 {
        self.ended + if self.open { 1 } else { 0 }
    }
}

/// Reads the lines of an input one by one.
#[derive(Debug)]
pub(super) struct Lines {
    input: Reader,
    piece: Vec<u8>,
    at: usize,
}

impl Lines {
    pub(super) const fn new(input: Reader) -> Self {
        Self { input, piece: Vec::new(), at: 0 }
    }

    /// The next line: the ppid it is, or `None` in its place; nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<Option<Ppid>>, Error> {
        let mut line = Vec::with_capacity(LOOKED_AT);
        let mut any = false;
        loop {
            let rest = self.piece.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                match self.input.next()? {
                    Some(piece) => (self.piece, self.at) = (piece, 0),
                    None => return Ok(any.then(|| ppid(&line))),
                }
                continue;
            }
            any = true;
            let end = rest.iter().position(|b| *b == b'\n');
            let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let room = LOOKED_AT.saturating_sub(line.len());
            line.extend(part.iter().take(room));
            self.at += part.len() + usize::from(end.is_some());
            if end.is_some() {
                return Ok(Some(ppid(&line)));
            }
        }
    }
}

fn ppid(line: &[u8]) -> Option<Ppid> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Ppid::from_text(std::str::from_utf8(line).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::cohort::records::Part;
    use crate::node::cohort::records::Writer;
    use crate::vault::Key;

    #[test]
    fn pieces_do_not_matter_and_counts_agree() {
        let good = Ppid([7; 16]);
        let long = "x".repeat(10_000);
        let text = format!("{0}\n{0}\r\n\n{0} \n{long}\n{0}x\n\u{fffd}\n{0}", good.to_text());
        let expected = [Some(good), Some(good), None, None, None, None, None, Some(good)];
        for ending in ["", "\n"] {
            let text = format!("{text}{ending}");
            for size in [1, 2, 7, 36, 37, 38, 4_000, 100_000] {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("input");
                let key = || Key::from_slice(&[5; 32]).unwrap();
                let mut writer = Writer::create(path.clone(), key(), Part::Input).unwrap();
                let mut counter = Counter::default();
                for piece in text.as_bytes().chunks(size) {
                    writer.append(piece).unwrap();
                    counter.update(piece);
                }
                let mut lines = Lines::new(Reader::open(&path, key(), Part::Input).unwrap());
                let read: Vec<_> = std::iter::from_fn(|| lines.next().unwrap()).collect();
                assert_eq!(read, expected, "pieces of {size}");
                assert_eq!(counter.lines(), expected.len() as u64);
            }
        }
        assert_eq!(Counter::default().lines(), 0);
    }
}
