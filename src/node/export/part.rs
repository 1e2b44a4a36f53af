//! A part of an archive: made again from its beginning, and only what is asked for goes out.
//!
//! What is measured first (length and SHA-256) is what every part belongs to: an archive
//! that would come out otherwise the second time breaks off, and is no continuation of the
//! first. Costs a second pass, and no memory. Lacks: parts of sealed archives, which
//! are never the same bytes twice.

use std::io;
use std::io::Write;
use std::ops::Range;

use crate::ledger::hash::Running;
use crate::model::id::Hash;
use crate::node::Error;
use crate::node::export::Export;
use crate::portability;

/// What an archive comes out as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Hash,
}

/// Counts and hashes what is written, and lets a window of it through.
struct Window<'a> {
    out: &'a mut dyn Write,
    wanted: Range<u64>,
    seen: u64,
    hash: Running,
}

impl<'a> Window<'a> {
    fn new(out: &'a mut dyn Write, wanted: Range<u64>) -> Self {
        Self { out, wanted, seen: 0, hash: Running::default() }
    }

    fn measured(self) -> Measured {
        Measured { bytes: self.seen, sha256: Hash(self.hash.finish()) }
    }
}

impl Write for Window<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len() as u64;
        // Where the window begins and ends in these bytes.
        let at =
            |place: u64| usize::try_from(place.saturating_sub(self.seen).min(length)).unwrap_or(usize::MAX);
        let within = at(self.wanted.start)..at(self.wanted.end);
        self.out.write_all(bytes.get(within).unwrap_or_default())?;
        self.hash.update(bytes);
        self.seen += length;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Export {
    /// What the archive comes out as, by writing it nowhere.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn measure(&self) -> Result<Measured, Error> {
        let mut nowhere = io::sink();
        let mut window = Window::new(&mut nowhere, 0..0);
        self.write(&mut window)?;
        Ok(window.measured())
    }

    /// Writes the bytes of the archive in a range. After an error what was written is no part of what was
    /// measured: the state has changed since, or the writer is gone.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_part(
        &self,
        measured: Measured,
        wanted: Range<u64>,
        out: &mut dyn Write,
    ) -> Result<(), Error> {
        let mut window = Window::new(out, wanted);
        self.write(&mut window)?;
        if window.measured() == measured {
            return Ok(());
        }
        let changed = io::Error::other("the archive has changed since it was measured");
        Err(portability::Error::from(changed).into())
    }
}
