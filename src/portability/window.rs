//! A place of a source that is read on from, beside other places of the same source.
//!
//! In memory is one piece of it. Lacks a way back. Trusted: nothing that is read.

use std::io;
use std::io::Read;
use std::io::SeekFrom;

use crate::portability::read::Source;

/// The piece of a source that comes next.
#[derive(Debug)]
pub(in crate::portability) struct Window {
    begin: u64,
    /// Where the source is read on, and where it ends for this window.
    at: u64,
    end: u64,
    piece: Vec<u8>,
    /// Bytes of the piece that are passed.
    passed: usize,
    room: usize,
}

impl Window {
    /// A window from a place to another one, of so many bytes.
    pub(in crate::portability) fn new(at: u64, end: u64, room: usize) -> Self {
        Self { begin: at, at, end, piece: Vec::with_capacity(room), passed: 0, room }
    }

    /// The next bytes: at least so many, and fewer only at the end.
    pub(in crate::portability) fn next(
        &mut self,
        source: &mut dyn Source,
        least: usize,
    ) -> io::Result<&[u8]> {
        let there = self.piece.len() - self.passed;
        if there < least && self.at < self.end {
            self.piece.drain(..self.passed);
            self.passed = 0;
            let most = self.room.max(least).saturating_sub(there) as u64;
            source.seek(SeekFrom::Start(self.at))?;
            let read = Read::take(&mut *source, most.min(self.end - self.at)).read_to_end(&mut self.piece)?;
            self.at += read as u64;
            // It is shorter than it was said to be.
            if read == 0 {
                self.end = self.at;
            }
        }
        Ok(self.piece.get(self.passed..).unwrap_or_default())
    }

    /// Passes so many of the bytes that came last.
    pub(in crate::portability) fn pass(&mut self, bytes: usize) {
        self.passed = self.passed.saturating_add(bytes).min(self.piece.len());
    }

    /// Where it began.
    pub(in crate::portability) const fn begin(&self) -> u64 {
        self.begin
    }

    /// Where the next byte stands in the source.
    pub(in crate::portability) fn at(&self) -> u64 {
        self.at.saturating_sub((self.piece.len() - self.passed) as u64)
    }

    /// Whether the next bytes are these, which are passed then.
    pub(in crate::portability) fn is_next(
        &mut self,
        source: &mut dyn Source,
        mut bytes: &[u8],
    ) -> io::Result<bool> {
        while !bytes.is_empty() {
            let next = self.next(source, 1)?;
            let n = next.len().min(bytes.len());
            let (now, rest) = bytes.split_at_checked(n).unwrap_or_default();
            if n == 0 || next.get(..n) != Some(now) {
                return Ok(false);
            }
            self.pass(n);
            bytes = rest;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn windows_of_one_source_go_on_side_by_side_and_end_where_it_ends() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut source = Cursor::new(bytes);
        let mut first = Window::new(0, 100, 7);
        // It ends before this one does.
        let mut second = Window::new(200, 1_000, 5);
        for n in 0..50u8 {
            assert_eq!(first.at(), u64::from(n) * 2);
            assert!(first.is_next(&mut source, &[n * 2, n * 2 + 1]).unwrap());
            assert_eq!(second.next(&mut source, 3).unwrap()[..3], [200 + n, 201 + n, 202 + n]);
            second.pass(1);
        }
        assert!(first.next(&mut source, 1).unwrap().is_empty());
        assert_eq!(second.next(&mut source, 100).unwrap(), (250..=255).collect::<Vec<u8>>());
        assert!(!second.is_next(&mut source, &[250, 251, 252, 253, 254, 255, 0]).unwrap());
        assert!(Window::new(u64::MAX, 3, 4).next(&mut source, 1).unwrap().is_empty());
    }
}
