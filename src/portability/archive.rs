//! Writing an archive in one pass, and never twice alike by accident.
//!
//! The zip holds one folder, the bag (RFC 8493 section 4.2: a serialised bag is one
//! folder). Its tag manifest names every tag file but itself and the signed manifest,
//! which names that one, too. Beside the payload stands a page that shows it (`page`).
//! Every file is stored (the same bytes whatever version of a compressor is built
//! in), dated 1980-01-01, mode 0644. What stays in memory is one row a file: its
//! path, length and hash, and its place in the zip's directory, which stands at the end; together
//! some 600 bytes. `parcel` keeps files few: two for 1,024 things, so a million items and the million uses
//! that let them in are 4,000 files and 2.4 MB.

use std::io::Write;

use zip::CompressionMethod;
use zip::DateTime;
use zip::ZipWriter;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::write::StreamWriter;

use crate::ledger::hash::Hash;
use crate::ledger::hash::Running;
use crate::ledger::key::Signer;
use crate::model::id::Timestamp;
use crate::portability::Error;
use crate::portability::MANIFEST;
use crate::portability::MANIFEST_JS;
use crate::portability::manifest::Head;
use crate::portability::manifest::Listed;
use crate::portability::manifest::Manifest;
use crate::portability::page;
use crate::portability::page::Carried;
use crate::portability::time::instant;

const BAGIT: &[u8] = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";
/// Payload of a bag lies below it. Source: RFC 8493 section 2.1.2
const PAYLOAD: &str = "data/";

/// The zip of an archive under way: which file follows which, and the directory of them all. It lists and
/// hashes nothing, so whoever has the signed manifest writes an archive again with it.
pub(in crate::portability) struct Zipped<'a> {
    head: Head,
    zip: ZipWriter<StreamWriter<&'a mut dyn Write>>,
}

impl<'a> Zipped<'a> {
    pub(in crate::portability) fn new(out: &'a mut dyn Write, head: Head) -> Self {
        Self { head, zip: ZipWriter::new_stream(out).set_auto_large_file() }
    }

    /// Begins a file; what is written next is its content. A name that is there twice is refused: the zip
    /// has its directory in memory.
    pub(in crate::portability) fn begin(&mut self, path: &str) -> Result<(), Error> {
        let no_path = || Error::Path { path: path.to_owned() };
        if !is_path(path) {
            return Err(no_path());
        }
        self.zip.start_file(self.head.path_of(path), options()).map_err(|error| match error {
            ZipError::InvalidArchive(_) => no_path(),
            error => error.into(),
        })
    }

    /// Ends the archive behind the signed manifest, with the same as a script for the page.
    pub(in crate::portability) fn finish(mut self, manifest: &[u8]) -> Result<(), Error> {
        self.begin(MANIFEST_JS)?;
        page::line_into(&mut self.zip, MANIFEST, manifest)?;
        self.zip.finish()?.into_inner().flush()?;
        Ok(())
    }
}

impl Write for Zipped<'_> {
    fn write(&mut self, content: &[u8]) -> std::io::Result<usize> {
        self.zip.write(content)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.zip.flush()
    }
}

/// An archive under way.
pub struct Archive<'a> {
    zipped: Zipped<'a>,
    listed: Vec<Listed>,
    open: Option<(String, u64, Running)>,
    /// What the page carries; none of an archive without one.
    carried: Option<Carried>,
}

impl std::fmt::Debug for Archive<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("files", &self.listed.len()).finish_non_exhaustive()
    }
}

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
        Self { zipped, listed: Vec::new(), open: None, carried: Some(Carried::default()) }
    }

    /// Begins an archive without a page: every byte of a small one can be tried.
    #[cfg(test)]
    pub(in crate::portability) fn bare(out: &'a mut dyn Write, head: Head) -> Self {
        Self { carried: None, ..Self::new(out, head) }
    }

    /// Begins a file; what is written next is its content.
    ///
    /// # Errors
    /// [`Error::Path`]; the writer.
    pub fn begin(&mut self, path: &str) -> Result<(), Error> {
        self.end()?;
        self.zipped.begin(path)?;
        self.open = Some((path.to_owned(), 0, Running::default()));
        if let Some(carried) = &mut self.carried {
            carried.begin(path);
        }
        Ok(())
    }

    /// Begins a file that is at least so long: what the page would not carry is not tried.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn begin_long(&mut self, path: &str, bytes: u64) -> Result<(), Error> {
        self.begin(path)?;
        if let Some(carried) = self.carried.as_mut().filter(|_| bytes > page::LONGEST as u64) {
            carried.leave_out();
        }
        Ok(())
    }

    /// Ends the file that is open, and answers its SHA-256.
    pub(in crate::portability) fn ended(&mut self) -> Result<Hash, Error> {
        let hash = self.open.as_ref().map(|(_, _, hasher)| hasher.clone().finish());
        self.end()?;
        hash.ok_or(Error::Files)
    }

    /// Ends the file that is open, and writes what the page carries once that is enough for a file.
    fn end(&mut self) -> Result<(), Error> {
        let Some((path, bytes, hasher)) = self.open.take() else { return Ok(()) };
        let full = self.carried.as_mut().and_then(|carried| carried.end(&path));
        self.listed.push(Listed { path, bytes, sha256: hasher.finish() });
        match full {
            Some((path, script)) => {
                self.file(&path, script.as_bytes())?;
                if let Some(carried) = &mut self.carried {
                    carried.written(script);
                }
                self.end()
            }
            None => Ok(()),
        }
    }

    /// The page and its scripts. Source: design §11.
    fn page(&mut self, log: &[u8]) -> Result<(), Error> {
        self.end()?;
        let Some(mut carried) = self.carried.take() else { return Ok(()) };
        if let Some((path, script)) = carried.rest() {
            self.file(&path, script.as_bytes())?;
        }
        self.file(page::VIEWER, page::VIEWER_JS)?;
        self.file(page::WORDS, page::words().as_bytes())?;
        self.file(page::LOG, page::line("log.spki", log).as_bytes())?;
        self.file(page::INDEX, carried.index().as_bytes())
    }

    /// One whole file.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn file(&mut self, path: &str, content: &[u8]) -> Result<(), Error> {
        self.begin(path)?;
        self.write_all(content)?;
        Ok(())
    }

    /// Lists, signs and ends the archive. `as_of` is the log's time at the checkpoint, ms.
    ///
    /// # Errors
    /// The writer; the signer.
    pub fn finish(mut self, as_of: Timestamp, signer: &dyn Signer) -> Result<(), Error> {
        self.page(signer.public().spki())?;
        self.end()?;
        let payload = self.listed.iter().filter(|l| l.path.starts_with(PAYLOAD));
        let (bytes, files) = payload.fold((0u64, 0u64), |sum, l| (sum.0.saturating_add(l.bytes), sum.1 + 1));
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
        let manifest =
            Manifest::new(self.zipped.head.clone(), std::mem::take(&mut self.listed)).sign(signer)?;
        self.zipped.begin(MANIFEST)?;
        self.zipped.write_all(&manifest)?;
        self.zipped.finish(&manifest)
    }

    /// One manifest of the bag: the files before it that it is for. Source: RFC 8493 sections 2.1.3, 2.2.1
    fn list(&mut self, path: &str, of: fn(&str) -> bool) -> Result<(), Error> {
        self.begin(path)?;
        let listed = std::mem::take(&mut self.listed);
        for one in listed.iter().filter(|one| of(&one.path)) {
            self.write_all(format!("{}  {}\n", one.hex(), one.path).as_bytes())?;
        }
        self.listed = listed;
        self.end()
    }
}

impl Write for Archive<'_> {
    fn write(&mut self, content: &[u8]) -> std::io::Result<usize> {
        let Some((_, bytes, hasher)) = &mut self.open else {
            return Err(std::io::Error::other("no file is begun"));
        };
        let written = self.zipped.write(content)?;
        *bytes += written as u64;
        let content = content.get(..written).unwrap_or_default();
        hasher.update(content);
        if let Some(carried) = &mut self.carried {
            carried.write(content);
        }
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.zipped.flush()
    }
}
