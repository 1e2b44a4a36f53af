//! The zip around the files of an archive: headers, directory, end. Source: PKWARE APPNOTE 6.3.10
//!
//! Own code, small as it is, because every library keeps the directory of all files until the end, with hundreds of
//! bytes a file: the memory of an archive would grow with what is in it. Here whoever writes keeps of
//! each file its name, length and CRC-32 ([`rows`](crate::portability::rows)), whoever reads nothing: where a
//! file stands is the sum of the lengths before it. The bytes are those that the `zip` crate writes of the
//! same files to a stream; a test holds both against each other. Parcels are the crate's.
//!
//! Lacks what an archive has not: compression, encryption, comments, folders of their own, names that are not
//! ASCII. Trusted: nothing that is read; no length that is claimed is allocated.

use std::io;
use std::io::SeekFrom;

use zip::result::ZipError;

use crate::portability::Error;
use crate::portability::read::Source;
use crate::portability::window::Window;

const LOCAL: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
/// What a field of 32 bits says if the number stands in 64 bits elsewhere.
const IN_64: u32 = u32::MAX;
/// The extra field where it stands then. Source: APPNOTE section 4.5.3
const EXTRA_64: u16 = 1;

/// Version that is needed to take out what is stored; what has 64 bits. Source: APPNOTE section 4.4.3
const VERSION: u16 = 10;
const VERSION_64: u16 = 45;
/// The modes are those of Unix. Source: APPNOTE section 4.4.2
const UNIX: u16 = 3 << 8;
/// Lengths and CRC-32 follow the content: it is not known before. Source: APPNOTE section 4.4.4
const FOLLOWS: u16 = 1 << 3;
const STORED: u16 = 0;
/// 1980-01-01, the first day there is.
const DATE: u16 = 1 << 5 | 1;
/// A file, mode 0644.
const MODE: u32 = 0o100_644 << 16;

/// Bytes of a local header and of an entry of the directory before the name, and of the last record.
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END_BYTES: usize = 22;
const END_64_BYTES: usize = 56;
const LOCATOR_64_BYTES: usize = 20;
/// Bytes read of the directory at a time.
const PIECE: usize = 16 << 10;

fn put16(out: &mut Vec<u8>, numbers: &[u16]) {
    numbers.iter().for_each(|n| out.extend(n.to_le_bytes()));
}

fn put32(out: &mut Vec<u8>, numbers: &[u32]) {
    numbers.iter().for_each(|n| out.extend(n.to_le_bytes()));
}

fn put64(out: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|n| out.extend(n.to_le_bytes()));
}

/// A number where 32 bits are for it.
fn short(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(IN_64)
}

/// Whether a number stands in 64 bits.
fn is_long(number: u64) -> bool {
    short(number) == IN_64
}

/// Names are paths of an archive below its folder: a few hundred bytes at most.
fn length_of(name: &str) -> u16 {
    u16::try_from(name.len()).unwrap_or(u16::MAX)
}

/// The header before a file.
pub(in crate::portability) fn local(name: &str, out: &mut Vec<u8>) {
    put32(out, &[LOCAL]);
    put16(out, &[VERSION, FOLLOWS, STORED, 0, DATE]);
    put32(out, &[0, 0, 0]);
    put16(out, &[length_of(name), 0]);
    out.extend_from_slice(name.as_bytes());
}

/// What follows a file.
pub(in crate::portability) fn descriptor(bytes: u64, crc: u32, out: &mut Vec<u8>) {
    put32(out, &[DESCRIPTOR, crc]);
    if is_long(bytes) {
        put64(out, &[bytes, bytes]);
    } else {
        put32(out, &[short(bytes), short(bytes)]);
    }
}

/// Bytes before a file of this name, and bytes behind a file of this length.
pub(in crate::portability) fn around(name: &str, bytes: u64) -> (u64, u64) {
    let behind = if is_long(bytes) { 24 } else { 16 };
    ((LOCAL_BYTES + name.len()) as u64, behind)
}

/// The directory, file after file: where each stands follows from those before it.
#[derive(Debug, Default)]
pub(in crate::portability) struct Directory {
    /// Where the next file begins, and after the last one the directory.
    at: u64,
    files: u64,
    bytes: u64,
    /// Whether one of them needs 64 bits.
    long: bool,
}

impl Directory {
    /// Where the next file begins, and after the last one the directory.
    pub(in crate::portability) const fn at(&self) -> u64 {
        self.at
    }

    /// The entry of the next file.
    pub(in crate::portability) fn entry(&mut self, name: &str, bytes: u64, crc: u32, out: &mut Vec<u8>) {
        let (begin, long) = (out.len(), is_long(bytes));
        let (sizes, offset) = (if long { 16 } else { 0 }, if is_long(self.at) { 8 } else { 0 });
        let extra: u16 = if sizes + offset > 0 { 4 + sizes + offset } else { 0 };
        let version = if long { VERSION_64 } else { VERSION };
        put32(out, &[CENTRAL]);
        put16(out, &[UNIX | version, version, FOLLOWS, STORED, 0, DATE]);
        put32(out, &[crc, short(bytes), short(bytes)]);
        put16(out, &[length_of(name), extra, 0, 0, 0]);
        put32(out, &[MODE, short(self.at)]);
        out.extend_from_slice(name.as_bytes());
        if extra > 0 {
            put16(out, &[EXTRA_64, sizes + offset]);
            if long {
                put64(out, &[bytes, bytes]);
            }
            if offset > 0 {
                put64(out, &[self.at]);
            }
        }
        let (before, behind) = around(name, bytes);
        self.at = self.at.saturating_add(before).saturating_add(bytes).saturating_add(behind);
        self.files += 1;
        self.bytes += (out.len() - begin) as u64;
        self.long |= long;
    }

    /// What ends the archive.
    pub(in crate::portability) fn end(&self, out: &mut Vec<u8>) {
        let Self { at, files, bytes, .. } = *self;
        let most = u16::MAX;
        let is_64 = files > u64::from(most) || at.max(bytes) > u64::from(IN_64);
        if is_64 {
            let version = if self.long { VERSION_64 } else { VERSION };
            put32(out, &[END_64]);
            put64(out, &[END_64_BYTES as u64 - 12]);
            put16(out, &[version, version]);
            put32(out, &[0, 0]);
            put64(out, &[files, files, bytes, at]);
            put32(out, &[LOCATOR_64, 0]);
            put64(out, &[at.saturating_add(bytes)]);
            put32(out, &[1]);
        }
        let count = u16::try_from(files).unwrap_or(most);
        put32(out, &[END]);
        put16(out, &[0, 0, count, count]);
        put32(out, &[if is_64 { IN_64 } else { short(bytes) }, short(at)]);
        put16(out, &[0]);
    }
}

fn broken(what: &'static str) -> Error {
    ZipError::InvalidArchive(what.into()).into()
}

/// Numbers of a record, from left to right; none beyond its end.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    fn is(&mut self, signature: u32) -> Option<()> {
        (self.u32()? == signature).then_some(())
    }
}

/// Where the directory stands, as the end of an archive claims, and how many files it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::portability) struct Claimed {
    /// Its first byte.
    pub(in crate::portability) at: u64,
    /// The byte behind its last one.
    pub(in crate::portability) end: u64,
    /// Bytes of the archive.
    pub(in crate::portability) bytes: u64,
    files: u64,
}

/// Bytes of a record so far before the end; none of what is shorter.
fn record<const N: usize>(source: &mut dyn Source, end: u64, before: usize) -> io::Result<Option<[u8; N]>> {
    let Some(at) = end.checked_sub(before as u64) else { return Ok(None) };
    let mut out = [0; N];
    source.seek(SeekFrom::Start(at))?;
    source.read_exact(&mut out)?;
    Ok(Some(out))
}

impl Claimed {
    /// Reads the last records, where an archive has them.
    ///
    /// # Errors
    /// [`Error::Zip`]; the source.
    pub(in crate::portability) fn read(source: &mut dyn Source) -> Result<Self, Error> {
        let bytes = source.seek(SeekFrom::End(0))?;
        let lacks = || broken("it has no end of its directory");
        let last: [u8; END_BYTES] = record(source, bytes, END_BYTES)?.ok_or_else(lacks)?;
        let locator = record::<4>(source, bytes, END_BYTES + LOCATOR_64_BYTES)?;
        let records = if locator == Some(LOCATOR_64.to_le_bytes()) {
            let before = END_BYTES + LOCATOR_64_BYTES + END_64_BYTES;
            let long: [u8; END_64_BYTES] = record(source, bytes, before)?.ok_or_else(lacks)?;
            Self::end_64(&long, bytes, before)
        } else {
            Self::end(&last, bytes)
        };
        let claimed = records.ok_or_else(lacks)?;
        // Their own comparison is the reader's: here they only have to lead somewhere.
        if claimed.at <= claimed.end { Ok(claimed) } else { Err(lacks()) }
    }

    fn end(record: &[u8], bytes: u64) -> Option<Self> {
        let mut fields = Fields(record);
        fields.is(END)?;
        fields.skip(6)?;
        let files = u64::from(fields.u16()?);
        let (length, at) = (u64::from(fields.u32()?), u64::from(fields.u32()?));
        let end = at.checked_add(length).filter(|end| Some(*end) == bytes.checked_sub(END_BYTES as u64))?;
        (fields.u16()? == 0).then_some(Self { at, end, bytes, files })
    }

    fn end_64(record: &[u8], bytes: u64, before: usize) -> Option<Self> {
        let mut fields = Fields(record);
        fields.is(END_64)?;
        fields.skip(28)?;
        let (files, length, at) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let end = at.checked_add(length).filter(|end| Some(*end) == bytes.checked_sub(before as u64))?;
        Some(Self { at, end, bytes, files })
    }

    /// How many files it has, and the last one but one: the directory is read to its end, a piece in memory.
    ///
    /// # Errors
    /// [`Error::Zip`]; the source.
    pub(in crate::portability) fn last_but_one(
        &self,
        source: &mut dyn Source,
    ) -> Result<(u64, Found), Error> {
        let mut window = Window::new(self.at, self.end, PIECE);
        let mut found = None;
        let mut files = 0u64;
        // Each entry has bytes: so this ends, whatever number of files is claimed.
        while !window.next(source, 1)?.is_empty() {
            let lengths = Lengths::of(window.next(source, CENTRAL_BYTES)?);
            let lengths = lengths.ok_or_else(|| broken("its directory has something else than a file"))?;
            let entry = window.next(source, lengths.entry())?;
            if files.checked_add(2) == Some(self.files) {
                found = Some(Found::of(entry, &lengths).ok_or_else(|| broken("its directory is cut"))?);
            }
            if entry.len() < lengths.entry() {
                return Err(broken("its directory is cut"));
            }
            window.pass(lengths.entry());
            files += 1;
        }
        match found {
            Some(found) if files == self.files => Ok((files, found)),
            Some(_) | None => Err(broken("its directory has another number of files than it claims")),
        }
    }
}

/// Lengths of what stands behind the fixed part of an entry.
struct Lengths {
    name: usize,
    extra: usize,
    comment: usize,
}

impl Lengths {
    fn of(entry: &[u8]) -> Option<Self> {
        let mut fields = Fields(entry);
        fields.is(CENTRAL)?;
        fields.skip(24)?;
        let [name, extra, comment] = [fields.u16()?, fields.u16()?, fields.u16()?].map(usize::from);
        fields.skip(12)?;
        Some(Self { name, extra, comment })
    }

    const fn entry(&self) -> usize {
        CENTRAL_BYTES + self.name + self.extra + self.comment
    }
}

/// A file, as the directory claims.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::portability) struct Found {
    /// Its name.
    pub(in crate::portability) name: String,
    /// Its length; none of what is not stored.
    pub(in crate::portability) bytes: Option<u64>,
    /// Where its header stands.
    at: u64,
}

impl Found {
    fn of(entry: &[u8], lengths: &Lengths) -> Option<Self> {
        let mut fields = Fields(entry);
        fields.skip(10)?;
        let method = fields.u16()?;
        fields.skip(8)?;
        let (packed, bytes) = (fields.u32()?, fields.u32()?);
        fields.skip(14)?;
        let at = fields.u32()?;
        let (name, rest) = fields.0.split_at_checked(lengths.name)?;
        let mut extra = Fields(rest.get(..lengths.extra)?);
        let mut long = Fields(&[]);
        // A field of 64 bits has what the others leave to it, in this order.
        while let Some(id) = extra.u16() {
            let length = usize::from(extra.u16()?);
            let (field, rest) = extra.0.split_at_checked(length)?;
            if id == EXTRA_64 {
                long = Fields(field);
            }
            extra = Fields(rest);
        }
        let mut whole = |short: u32| if short == IN_64 { long.u64() } else { Some(u64::from(short)) };
        let (bytes, packed, at) = (whole(bytes)?, whole(packed)?, whole(at)?);
        let stored = method == STORED && packed == bytes;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        Some(Self { name, bytes: stored.then_some(bytes), at })
    }

    /// Where its content begins.
    ///
    /// # Errors
    /// [`Error::Zip`]; the source.
    pub(in crate::portability) fn content(&self, source: &mut dyn Source) -> Result<u64, Error> {
        let mut header = [0; LOCAL_BYTES];
        source.seek(SeekFrom::Start(self.at))?;
        source.read_exact(&mut header)?;
        let mut fields = Fields(&header);
        let lengths = fields.is(LOCAL).and_then(|()| fields.skip(22));
        let lengths = lengths.and_then(|()| Some((fields.u16()?, fields.u16()?)));
        let (name, extra) = lengths.ok_or_else(|| broken("its directory leads to no file"))?;
        let before = LOCAL_BYTES as u64 + u64::from(name) + u64::from(extra);
        self.at.checked_add(before).ok_or_else(|| broken("its directory leads to no file"))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::io::Read;
    use std::io::Seek;
    use std::io::Write;

    use flate2::Crc;
    use zip::ZipArchive;
    use zip::ZipWriter;

    use super::*;
    use crate::portability::archive::options;

    static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

    /// Where zeros are not kept: as a disk leaves holes, so that what is beyond 4 GiB can be tried.
    #[derive(Default)]
    struct Holes {
        /// What is not zeros, by its place.
        kept: Vec<(u64, Vec<u8>)>,
        len: u64,
        at: u64,
    }

    impl Write for Holes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !ZEROS.starts_with(bytes) {
                match self.kept.last_mut().filter(|(at, kept)| at + kept.len() as u64 == self.len) {
                    Some((_, kept)) => kept.extend(bytes),
                    None => self.kept.push((self.len, bytes.to_vec())),
                }
            }
            self.len += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Read for Holes {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = usize::try_from(self.len.saturating_sub(self.at).min(out.len() as u64)).unwrap();
            out[..n].fill(0);
            for (at, kept) in &self.kept {
                let (from, to) = (self.at.max(*at), (self.at + n as u64).min(at + kept.len() as u64));
                if from < to {
                    let [from_out, to_out] =
                        [from, to].map(|place| usize::try_from(place - self.at).unwrap());
                    let [from, to] = [from, to].map(|place| usize::try_from(place - at).unwrap());
                    out[from_out..to_out].copy_from_slice(&kept[from..to]);
                }
            }
            self.at += n as u64;
            Ok(n)
        }
    }

    impl Seek for Holes {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.at = match to {
                SeekFrom::Start(at) => at,
                SeekFrom::End(by) => self.len.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?,
                SeekFrom::Current(by) => self.at.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?,
            };
            Ok(self.at)
        }
    }

    /// Files by their names, their content as often as it is said.
    type Files<'a> = [(String, &'a [u8], u64)];

    /// By the crate, to a stream; what it writes goes to the same kind of place.
    fn theirs(files: &Files<'_>) -> Holes {
        let mut out = Holes::default();
        let mut zip = ZipWriter::new_stream(&mut out).set_auto_large_file();
        for (name, content, times) in files {
            zip.start_file(name.as_str(), options()).unwrap();
            (0..*times).for_each(|_| zip.write_all(content).unwrap());
        }
        zip.finish().unwrap();
        out
    }

    fn ours(files: &Files<'_>) -> Holes {
        let mut out = Holes::default();
        let (mut directory, mut entries) = (Directory::default(), Vec::new());
        for (name, content, times) in files {
            let mut around = Vec::new();
            local(name, &mut around);
            out.write_all(&around).unwrap();
            let mut crc = Crc::new();
            for _ in 0..*times {
                crc.update(content);
                out.write_all(content).unwrap();
            }
            let bytes = content.len() as u64 * times;
            around.clear();
            descriptor(bytes, crc.sum(), &mut around);
            out.write_all(&around).unwrap();
            directory.entry(name, bytes, crc.sum(), &mut entries);
        }
        assert_eq!(directory.at(), out.len);
        directory.end(&mut entries);
        out.write_all(&entries).unwrap();
        out
    }

    /// Whether both have the same bytes, however they were cut.
    fn same(one: &Holes, other: &Holes) -> bool {
        fn bytes(holes: &Holes) -> impl Iterator<Item = (u64, u8)> {
            let bytes = holes.kept.iter().flat_map(|(at, kept)| (*at..).zip(kept.iter().copied()));
            bytes.filter(|(_, b)| *b != 0)
        }
        one.len == other.len && bytes(one).eq(bytes(other))
    }

    fn claimed(holes: &mut Holes) -> Result<(u64, Found), Error> {
        Claimed::read(holes)?.last_but_one(holes)
    }

    #[test]
    fn the_bytes_are_those_of_the_crate_and_the_last_file_but_one_is_found() {
        let name = |n: usize| format!("mydata-9/data/{n:0width$}", width = n % 20 + 1);
        let contents: [&[u8]; 4] = [b"", b"a", &[7; 300], b"PK\x05\x06PK\x01\x02"];
        for count in [0, 1, 2, 3, 500, 65_534, 65_535, 65_536] {
            let files: Vec<_> = (0..count).map(|n| (name(n), contents[n % 4], 1)).collect();
            let mut own = ours(&files);
            assert!(same(&own, &theirs(&files)), "{count}");
            let Some((last, content, _)) = files.len().checked_sub(2).map(|n| &files[n]) else {
                assert!(claimed(&mut own).is_err());
                continue;
            };
            let (files, found) = claimed(&mut own).unwrap();
            assert_eq!((files, found.bytes), (count as u64, Some(content.len() as u64)));
            assert_eq!(found.name, *last);
            let at = found.content(&mut own).unwrap();
            assert_eq!(at, found.at + around(last, 0).0);
        }
    }

    #[test]
    fn what_is_beyond_four_gibibytes_is_found_again() {
        let long = |mebibytes, name: &str| (name.to_owned(), &ZEROS[..], mebibytes);
        let short = |name: &str| (name.to_owned(), &b"short"[..], 1);
        // Beyond it by many: the crate writes the same. By one alone the crate writes none.
        let many = [long(3_000, "a"), long(1_097, "b"), short("c"), short("d")];
        let one = [long(1, "a"), long(4_096, "b"), short("c"), short("d")];
        let own = [&many, &one].map(|files| ours(files));
        assert!(same(&own[0], &theirs(&many)));
        for (files, mut own) in [&many, &one].into_iter().zip(own) {
            let (count, found) = claimed(&mut own).unwrap();
            assert_eq!((count, found.name.as_str(), found.bytes), (4, "c", Some(5)));
            let at = found.content(&mut own).unwrap();
            let sum = |sum, (name, content, times): &(String, &[u8], u64)| {
                let bytes = content.len() as u64 * times;
                let (before, behind) = around(name, bytes);
                sum + before + bytes + behind
            };
            assert_eq!(at, files[..2].iter().fold(0, sum) + around("c", 5).0);
            let mut zip = ZipArchive::new(&mut own).unwrap();
            for (place, (name, content, times)) in files.iter().enumerate() {
                let mut file = zip.by_index(place).unwrap();
                let bytes = content.len() as u64 * times;
                assert_eq!((file.name().unwrap().as_ref(), file.size()), (name.as_str(), bytes));
                if bytes == 5 {
                    let mut read = Vec::new();
                    file.read_to_end(&mut read).unwrap();
                    assert_eq!(read, b"short");
                }
            }
        }
    }

    #[test]
    fn no_end_that_anybody_makes_up_is_followed_out_of_the_archive() {
        let files: Vec<_> = (0..5).map(|n| (format!("f{n}"), &b"abc"[..], 1)).collect();
        let mut good = ours(&files);
        let mut bytes = Vec::new();
        good.read_to_end(&mut bytes).unwrap();
        let read = |bytes: &[u8]| {
            let mut source = Cursor::new(bytes);
            let (files, found) = Claimed::read(&mut source)?.last_but_one(&mut source)?;
            Ok::<_, Error>((files, found.content(&mut source)?))
        };
        assert!(read(&bytes).is_ok());
        for at in 0..bytes.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut bad = bytes.clone();
                bad[at] = byte;
                // Whatever it says, it ends and leads nowhere else.
                if let Ok((files, content)) = read(&bad) {
                    assert!(files == 5 && content < u64::from(u32::MAX) + 200_000);
                }
            }
            assert!(read(&bytes[..at]).is_err(), "cut {at}");
        }
        // All of the last records, and numbers of 64 bits.
        for (field, length) in [(10, 2), (12, 4), (16, 4)] {
            let mut bad = bytes.clone();
            let end = bad.len() - END_BYTES + field;
            bad[end..end + length].fill(0xff);
            assert!(read(&bad).is_err());
        }
        let mut long = bytes[..bytes.len() - END_BYTES].to_vec();
        let end = long.len() as u64;
        put32(&mut long, &[END_64]);
        put64(&mut long, &[44]);
        long.extend([0; 12]);
        put64(&mut long, &[u64::MAX, u64::MAX, end - 1, 1]);
        put32(&mut long, &[LOCATOR_64, 0, 0, 0, 1]);
        long.extend_from_slice(&bytes[bytes.len() - END_BYTES..]);
        assert!(read(&long).is_err());
    }
}
