//! A file of sealed records: written at its end, read from anywhere, cut where it broke off.
//!
//! Each record is `length (4, big-endian) ‖ sealed`, bound to its file and its
//! number, so that none can stand in another's place. Lacks any meaning of what is
//! in them. Trusted: the key. Not trusted: the bytes; whatever does not open ends
//! the file.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use crate::node::Error;
use crate::node::folder::io_at;
use crate::vault::Key;

/// Largest sealed record, bytes.
const MOST: u32 = 8 << 20;

/// Which file of a cohort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Job,
    Input,
    Verdicts,
}

impl Part {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Input => "input",
            Self::Verdicts => "verdicts",
        }
    }
}

fn ad(part: Part, number: u64) -> Vec<u8> {
    [part.as_str().as_bytes(), &[0], &number.to_be_bytes()].concat()
}

/// The end of a file of records.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: File,
    key: Key,
    part: Part,
    next: u64,
}

impl Writer {
    pub(super) fn create(path: PathBuf, key: Key, part: Part) -> Result<Self, Error> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = made.map_err(io_at(&path))?;
        Ok(Self { path, file, key, part, next: 0 })
    }

    /// Opens a file, or makes it, and cuts off what does not open; `seen` is shown each record that does.
    pub(super) fn resume(
        path: PathBuf,
        key: Key,
        part: Part,
        seen: &mut dyn FnMut(&[u8]),
    ) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(io_at(&path))?;
        let mut reader = Reader::over(file.try_clone().map_err(io_at(&path))?, key.clone(), part);
        let mut sound = 0;
        while let Ok(Some(record)) = reader.next() {
            seen(&record);
            sound = reader.at;
        }
        let next = reader.number;
        file.set_len(sound).and_then(|()| file.seek(SeekFrom::Start(sound))).map_err(io_at(&path))?;
        Ok(Self { path, file, key, part, next })
    }

    /// Writes one record with one write.
    pub(super) fn append(&mut self, plain: &[u8]) -> Result<(), Error> {
        let sealed = self.key.seal(&ad(self.part, self.next), plain)?;
        let length = u32::try_from(sealed.len()).ok().filter(|n| *n <= MOST);
        let length = length.ok_or_else(|| Error::Damaged("a record of a cohort is too large".into()))?;
        let record = [&length.to_be_bytes()[..], &sealed].concat();
        self.file.write_all(&record).map_err(io_at(&self.path))?;
        self.next += 1;
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(io_at(&self.path))
    }
}

/// Reads records in order.
#[derive(Debug)]
pub(super) struct Reader {
    file: BufReader<File>,
    key: Key,
    part: Part,
    number: u64,
    at: u64,
}

impl Reader {
    pub(super) fn open(path: &Path, key: Key, part: Part) -> Result<Self, Error> {
        Ok(Self::over(File::open(path).map_err(io_at(path))?, key, part))
    }

    fn over(file: File, key: Key, part: Part) -> Self {
        Self { file: BufReader::with_capacity(64 << 10, file), key, part, number: 0, at: 0 }
    }

    /// Passes over records without opening them.
    pub(super) fn skip(&mut self, records: u64) -> Result<(), Error> {
        for _ in 0..records {
            let Some(length) = self.length()? else { return Ok(()) };
            self.file.seek_relative(i64::from(length)).map_err(io_at(Path::new(self.part.as_str())))?;
            self.passed(length);
        }
        Ok(())
    }

    fn length(&mut self) -> Result<Option<u32>, Error> {
        let mut length = [0u8; 4];
        match self.file.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(cause) => return Err(io_at(Path::new(self.part.as_str()))(cause)),
        }
        let length = u32::from_be_bytes(length);
        if length > MOST {
            return Err(Error::Damaged(format!(
                "record {} of a cohort's {}",
                self.number,
                self.part.as_str()
            )));
        }
        Ok(Some(length))
    }

    fn passed(&mut self, length: u32) {
        self.number += 1;
        self.at += 4 + u64::from(length);
    }

    /// The next record, or none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let Some(length) = self.length()? else { return Ok(None) };
        let mut sealed = Vec::new();
        let read = (&mut self.file).take(u64::from(length)).read_to_end(&mut sealed);
        read.map_err(io_at(Path::new(self.part.as_str())))?;
        let plain = self.key.open(&ad(self.part, self.number), &sealed, "record of a cohort")?;
        self.passed(length);
        Ok(Some(plain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_does_not_open_ends_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let key = || Key::from_slice(&[5; 32]).unwrap();
        let path = dir.path().join("verdicts");
        let mut writer = Writer::create(path.clone(), key(), Part::Verdicts).unwrap();
        let records: Vec<Vec<u8>> = (0..5u8).map(|n| vec![n; 10 + usize::from(n)]).collect();
        records.iter().for_each(|r| writer.append(r).unwrap());
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut seen = Vec::new();
            let mut writer =
                Writer::resume(path.clone(), key(), Part::Verdicts, &mut |r| seen.push(r.to_vec()));
            let writer = writer.as_mut().unwrap();
            assert_eq!(seen, records[..seen.len()]);
            records[seen.len()..].iter().for_each(|r| writer.append(r).unwrap());
            let mut reader = Reader::open(&path, key(), Part::Verdicts).unwrap();
            let again: Vec<_> = std::iter::from_fn(|| reader.next().unwrap()).collect();
            assert_eq!(again, records, "cut at {cut}");
        }
        // A record of another place, another file or another cohort is none.
        let first = &whole[..4 + 12 + 10 + 16];
        std::fs::write(&path, [first, first].concat()).unwrap();
        let mut n = 0;
        Writer::resume(path.clone(), key(), Part::Verdicts, &mut |_| n += 1).unwrap();
        Writer::resume(path.clone(), key(), Part::Input, &mut |_| n += 10).unwrap();
        assert_eq!(n, 1);
        std::fs::write(&path, [0xff; 64]).unwrap();
        Writer::resume(path.clone(), Key::from_slice(&[6; 32]).unwrap(), Part::Verdicts, &mut |_| n += 100)
            .unwrap();
        assert_eq!(n, 1);
    }
}
