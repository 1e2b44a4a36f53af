//! A look at fjall's journals before fjall opens them.
//!
//! The engine's checksum covers the rows of a batch, not the sequence number in
//! front of them. A flipped bit there does not fail recovery: it makes an old row
//! win over a newer one, or drops a batch as "already flushed". So the numbers are
//! read first: batch after batch they must rise, by little.
//!
//! Lacks: any other judgement. It stops at the first byte it does not understand,
//! as the engine does, and never writes. Trusted: nothing; wrong about the format,
//! it finds nothing.
//!
//! Shape (little-endian), journal format 3: start `1, rows u32, number u64`; row
//! `2, type u8, compression u8, keyspace u64, key u16, value u32, stored u32, …`;
//! end `3, checksum u64, "FJL" 3`; clear `4, keyspace u64`.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::store::Error;

/// Refuses journals whose batches do not follow one another.
pub(super) fn inspect(folder: &Path) -> Result<(), Error> {
    let mut journals = all(folder)?;
    journals.sort();
    let mut last = None;
    for (number, path) in journals {
        match File::open(path) {
            Ok(file) => numbers(&mut BufReader::with_capacity(1 << 16, file), number, &mut last)?,
            // Another process has the folder open and just dropped it; the lock will say so.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// All journals, by number.
fn all(folder: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let names = match fs::read_dir(folder) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e.into()),
    };
    let mut journals = Vec::new();
    for name in names {
        let path = name?.path();
        let number =
            path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|ext| ext == "jnl")) {
            journals.push((number, path));
        }
    }
    Ok(journals)
}

/// Number of the newest journal.
pub(super) fn newest(folder: &Path) -> Result<u64, Error> {
    Ok(all(folder)?.into_iter().map(|(number, _)| number).max().unwrap_or_default())
}

/// Number of the oldest journal that is still there.
pub(super) fn oldest(folder: &Path) -> Result<u64, Error> {
    Ok(all(folder)?.into_iter().map(|(number, _)| number).min().unwrap_or(u64::MAX))
}

/// Reads one journal's batches; a torn or foreign tail ends it.
fn numbers(from: &mut BufReader<File>, journal: u64, last: &mut Option<u64>) -> Result<(), Error> {
    let mut open = None;
    loop {
        match record(from) {
            Ok(Record::Start(number)) if open.is_none() => open = Some(number),
            Ok(Record::Row) if open.is_some() => {}
            Ok(Record::End) => {
                let Some(number) = open.take() else { return Ok(()) };
                let follows = match *last {
                    None => number < LIMIT,
                    Some(before) => number > before && number - before < STEP,
                };
                if !follows {
                    let what = format!("journal {journal}: batch {number} after {last:?}");
                    return Err(Error::Corrupt { what });
                }
                *last = Some(number);
            }
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
}

enum Record {
    Start(u64),
    Row,
    End,
    Unknown,
}

fn record(from: &mut BufReader<File>) -> io::Result<Record> {
    match u8::from_le_bytes(bytes(from)?) {
        1 => {
            let _rows = bytes::<4>(from)?;
            Ok(Record::Start(u64::from_le_bytes(bytes(from)?)))
        }
        2 => {
            let _type_compression_keyspace = bytes::<10>(from)?;
            let key = u16::from_le_bytes(bytes(from)?);
            let _plain = bytes::<4>(from)?;
            let stored = u32::from_le_bytes(bytes(from)?);
            from.seek_relative(i64::from(key) + i64::from(stored))?;
            Ok(Record::Row)
        }
        3 => {
            let _checksum = bytes::<8>(from)?;
            Ok(if bytes(from)? == *b"FJL\x03" { Record::End } else { Record::Unknown })
        }
        4 => bytes::<8>(from).map(|_| Record::Row),
        _ => Ok(Record::Unknown),
    }
}

fn bytes<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut out = [0; N];
    from.read_exact(&mut out)?;
    Ok(out)
}

/// No database counts so far.
const LIMIT: u64 = 1 << 56;
/// Between two batches the engine counts a few changes of its own.
const STEP: u64 = 1 << 20;
