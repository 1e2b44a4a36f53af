//! Writing an archive in one pass, and never twice alike by accident.
//!
//! The zip holds one folder, the bag (RFC 8493 section 4.2: a serialised bag is one
//! folder). Its tag manifest names every tag file but itself and the signed manifest,
//! which names that one, too. Beside the payload stands a page that shows it (`page`).
//! Every file is stored (the same bytes whatever version of a compressor is built
//! in), dated 1980-01-01, mode 0644. What stays in memory is one row a file (`rows`), 56 bytes: the
//! directory and the manifests are written from them. `parcel` keeps files few: two for 1,024 things, so a
//! million items and the million uses that let them in are 4,000 files, and a quarter of a megabyte. At the end, when
//! no parcel and no script is in memory any more, the signed manifest is: 90 bytes a file, once.

use std::io;
use std::io::Write;

use flate2::Crc;
use serde::Serialize;
use serde::Serializer;
use serde::ser::Error as _;
use zip::CompressionMethod;
use zip::DateTime;
use zip::write::SimpleFileOptions;

use crate::ledger::hash::Running;
use crate::ledger::key::Signer;
use crate::model::id::Hash;
use crate::model::id::Timestamp;
use crate::portability::COMPLETENESS;
use crate::portability::Error;
use crate::portability::MANIFEST;
use crate::portability::MANIFEST_JS;
use crate::portability::complete::Completeness;
use crate::portability::complete::Item;
use crate::portability::complete::Withheld;
use crate::portability::manifest;
use crate::portability::manifest::Head;
use crate::portability::page;
use crate::portability::page::Carried;
use crate::portability::parcel::Inside;
use crate::portability::parcel::Named;
use crate::portability::rows::Name;
use crate::portability::rows::Row;
use crate::portability::rows::Rows;
use crate::portability::time::instant;
use crate::portability::zip::Directory;
use crate::portability::zip::descriptor;
use crate::portability::zip::local;

const BAGIT: &[u8] = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";
/// Payload of a bag lies below it. Source: RFC 8493 section 2.1.2
const PAYLOAD: &str = "data/";

/// Bytes of the directory that are written together.
const PIECE: usize = 16 << 10;

/// The zip of an archive under way: which file follows which. It lists and hashes nothing.
struct Zipped<'a> {
    head: Head,
    out: &'a mut dyn Write,
    /// Length and CRC-32 of the file that is open.
    bytes: u64,
    crc: Crc,
    /// What is around files, on its way.
    around: Vec<u8>,
}

impl<'a> Zipped<'a> {
    fn new(out: &'a mut dyn Write, head: Head) -> Self {
        Self { head, out, bytes: 0, crc: Crc::new(), around: Vec::new() }
    }

    fn put(&mut self) -> io::Result<()> {
        self.out.write_all(&self.around)?;
        self.around.clear();
        Ok(())
    }

    /// Begins a file; what is written next is its content.
    fn begin(&mut self, path: &str) -> io::Result<()> {
        (self.bytes, self.crc) = (0, Crc::new());
        local(&self.head.path_of(path), &mut self.around);
        self.put()
    }

    /// Ends it; its length and CRC-32.
    fn end(&mut self) -> io::Result<(u64, u32)> {
        let (bytes, crc) = (self.bytes, self.crc.sum());
        descriptor(bytes, crc, &mut self.around);
        self.put()?;
        Ok((bytes, crc))
    }

    /// Ends the archive behind the signed manifest, with the same as a script for the page.
    fn finish(mut self, manifest: &[&[u8]], rows: &Rows) -> Result<(), Error> {
        self.begin(MANIFEST)?;
        manifest.iter().try_for_each(|piece| self.write_all(piece))?;
        let (bytes, crc) = self.end()?;
        self.begin(MANIFEST_JS)?;
        page::line_into(&mut self, MANIFEST, manifest)?;
        let script = self.end()?;
        let mut directory = Directory::default();
        for (listed, crc) in rows.iter() {
            directory.entry(&self.head.path_of(&listed.path), listed.bytes, crc, &mut self.around);
            if self.around.len() >= PIECE {
                self.put()?;
            }
        }
        for (path, (bytes, crc)) in [(MANIFEST, (bytes, crc)), (MANIFEST_JS, script)] {
            directory.entry(&self.head.path_of(path), bytes, crc, &mut self.around);
        }
        directory.end(&mut self.around);
        self.put()?;
        Ok(self.out.flush()?)
    }
}

impl Write for Zipped<'_> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let written = self.out.write(content)?;
        self.bytes += written as u64;
        self.crc.update(content.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// An archive under way.
pub struct Archive<'a> {
    zipped: Zipped<'a>,
    rows: Rows,
    open: Option<(Name, Running)>,
    /// What the page carries; none of an archive without one.
    carried: Option<Carried>,
}

impl std::fmt::Debug for Archive<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("files", &self.rows.len()).finish_non_exhaustive()
    }
}

/// How a parcel holds its files.
pub(in crate::portability) fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
}

/// ASCII letters, digits and `-_.`, below folders, never upwards.
pub(in crate::portability) fn is_path(path: &str) -> bool {
    let fits = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    path.len() <= 256 && path.split('/').all(fits)
}

impl<'a> Archive<'a> {
    /// Begins an archive of what stands under a checkpoint.
    pub fn new(out: &'a mut dyn Write, head: Head) -> Self {
        let zipped = Zipped::new(out, head);
        Self { zipped, rows: Rows::default(), open: None, carried: Some(Carried::default()) }
    }

    /// Begins an archive without a page: every byte of a small one can be tried.
    #[cfg(test)]
    pub(in crate::portability) fn bare(out: &'a mut dyn Write, head: Head) -> Self {
        Self { carried: None, ..Self::new(out, head) }
    }

    /// Begins a file; what is written next is its content. A path that is none or is there is refused.
    ///
    /// # Errors
    /// [`Error::Path`]; the writer.
    pub fn begin(&mut self, path: &str) -> Result<(), Error> {
        self.end()?;
        let name = if is_path(path) { self.rows.names.take(path) } else { None };
        let name = name.ok_or_else(|| Error::Path { path: path.to_owned() })?;
        self.zipped.begin(path)?;
        self.open = Some((name, Running::default()));
        if let Some(carried) = &mut self.carried {
            carried.begin(path);
        }
        Ok(())
    }

    /// Begins a file that is at least so long: no script grows for it beyond its room.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn begin_long(&mut self, path: &str, bytes: u64) -> Result<(), Error> {
        self.end()?;
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let full = self.carried.as_mut().and_then(|carried| carried.before(path, bytes));
        self.script(full)?;
        self.begin(path)?;
        if let Some(carried) = self.carried.as_mut().filter(|_| page::is_alone(path, bytes)) {
            carried.leave_out();
        }
        Ok(())
    }

    /// Ends the file that is open, and writes what the page carries once that is enough for a file.
    fn end(&mut self) -> Result<(), Error> {
        let Some((name, hasher)) = self.open.take() else { return Ok(()) };
        let (bytes, crc) = self.zipped.end()?;
        let full = self.carried.as_mut().and_then(|carried| carried.end(&self.rows.names.path(name)));
        self.rows.push(Row { sha256: hasher.finish(), bytes, crc, name });
        self.script(full)
    }

    /// Writes a script, if there is one.
    fn script(&mut self, full: Option<(String, String)>) -> Result<(), Error> {
        let Some((path, script)) = full else { return Ok(()) };
        self.begin(&path)?;
        self.write_all(script.as_bytes())?;
        if let Some(carried) = &mut self.carried {
            carried.written(script);
        }
        self.end()
    }

    /// The page and its scripts. Source: design §11.
    fn page(&mut self, log: &[u8]) -> Result<(), Error> {
        self.end()?;
        let Some(mut carried) = self.carried.take() else { return Ok(()) };
        self.script(carried.rest())?;
        self.file(page::VIEWER, page::VIEWER_JS)?;
        self.file(page::WORDS, page::words().as_bytes())?;
        self.file(page::LOG, page::line("log.spki", log).as_bytes())?;
        self.file(page::INDEX, carried.index().as_bytes())?;
        Ok(())
    }

    /// One whole file, and what is too long for a script with others in one of its own; answers its place.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn file(&mut self, path: &str, content: &[u8]) -> Result<u32, Error> {
        self.begin_long(path, content.len() as u64)?;
        let place = u32::try_from(self.rows.len()).map_err(|_| Error::Files)?;
        self.write_all(content)?;
        if let Some(script) = self.carried.as_mut().and_then(|carried| carried.alone(path, content.len())) {
            self.begin(&script)?;
            page::line_into(self, path, &[content])?;
            self.write_all(page::last(&script).as_bytes())?;
        }
        Ok(place)
    }

    /// A list that is inside, by its path and hash.
    #[cfg(test)]
    pub(in crate::portability) fn named(&mut self, inside: &Inside) -> Option<Named> {
        self.end().ok()?;
        named(&self.rows, inside)
    }

    /// Writes the list of what is inside and what is not.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn complete(&mut self, complete: &Completeness) -> Result<(), Error> {
        self.begin(COMPLETENESS)?;
        let rows = std::mem::take(&mut self.rows);
        let Completeness { exported, lists, withheld } = complete;
        let written =
            serde_json::to_writer(&mut *self, &Complete { exported, lists: Lists(lists, &rows), withheld });
        self.rows = rows;
        Ok(written?)
    }

    /// Lists, signs and ends the archive. `as_of` is the log's time at the checkpoint, ms.
    ///
    /// # Errors
    /// The writer; the signer.
    pub fn finish(mut self, as_of: Timestamp, signer: &dyn Signer) -> Result<(), Error> {
        self.page(signer.public().spki())?;
        self.end()?;
        let payload = self.rows.iter().filter(|(l, _)| l.path.starts_with(PAYLOAD));
        let (bytes, files) =
            payload.fold((0u64, 0u64), |sum, (l, _)| (sum.0.saturating_add(l.bytes), sum.1 + 1));
        let (head, time) = (&self.zipped.head, instant(as_of));
        let info = format!(
            "External-Identifier: {}\nExternal-Description: checkpoint of {} entries\n\
             Bagging-Date: {}\nCheckpoint-Time: {time}\nPayload-Oxum: {bytes}.{files}\n",
            head.origin,
            head.size,
            time.split('T').next().unwrap_or_default(),
        );
        self.file("bagit.txt", BAGIT)?;
        self.file("bag-info.txt", info.as_bytes())?;
        self.list("manifest-sha256.txt", |path| path.starts_with(PAYLOAD))?;
        self.list("tagmanifest-sha256.txt", |path| !path.starts_with(PAYLOAD))?;
        let Self { zipped, rows, .. } = self;
        if let Some(path) = [MANIFEST, MANIFEST_JS].into_iter().find(|path| rows.names.holds(path)) {
            return Err(Error::Path { path: path.to_owned() });
        }
        let manifest = manifest::sign(&zipped.head, &rows, signer)?;
        zipped.finish(&manifest.pieces(), &rows)
    }

    /// One manifest of the bag: the files before it that it is for. Source: RFC 8493 sections 2.1.3, 2.2.1
    fn list(&mut self, path: &str, of: fn(&str) -> bool) -> Result<(), Error> {
        self.begin(path)?;
        let rows = std::mem::take(&mut self.rows);
        let mut lines = rows.iter().filter(|(one, _)| of(&one.path));
        let written = lines
            .try_for_each(|(one, _)| self.write_all(format!("{}  {}\n", one.hex(), one.path).as_bytes()));
        drop(lines);
        self.rows = rows;
        written?;
        self.end()
    }
}

/// The completeness list as a file.
#[derive(Serialize)]
struct Complete<'a> {
    exported: &'a [Item],
    lists: Lists<'a>,
    withheld: &'a [Withheld],
}

/// Lists inside, each made from the row of its file when it is written.
struct Lists<'a>(&'a [Inside], &'a Rows);

impl Serialize for Lists<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(lists, rows) = self;
        if !lists.iter().all(|list| named(rows, list).is_some()) {
            return Err(S::Error::custom("a list that is not inside"));
        }
        serializer.collect_seq(lists.iter().filter_map(|list| named(rows, list)))
    }
}

fn named(rows: &Rows, inside: &Inside) -> Option<Named> {
    let file = usize::try_from(inside.file).ok().and_then(|place| rows.get(place))?;
    let sha256 = Hash(file.sha256).to_string();
    Some(Named { kind: inside.kind, path: file.path, items: inside.items(), sha256 })
}

impl Write for Archive<'_> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let Some((_, hasher)) = &mut self.open else {
            return Err(io::Error::other("no file is begun"));
        };
        let written = self.zipped.write(content)?;
        let content = content.get(..written).unwrap_or_default();
        hasher.update(content);
        if let Some(carried) = &mut self.carried {
            carried.write(content);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.zipped.flush()
    }
}
