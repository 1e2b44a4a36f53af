//! Where an audit reads a log: a folder of static files, or a service.

use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;

use crate::audit::Source;
use crate::audit::Unread;
use crate::cli::client::Client;
use crate::cli::client::Reach;
use crate::cli::say::Fail;
use crate::ledger::tile;
use crate::model::id::Hash;

/// Where a log's files stand under the names that a service gives them.
trait Place {
    /// Where one stands, for people.
    fn shown(&self, name: &str) -> String;

    /// One of them, if it is there.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Unread>;
}

/// A folder as `naru export-log` writes it.
#[derive(Debug)]
pub(in crate::cli) struct Folder(PathBuf);

impl Folder {
    pub(in crate::cli) fn new(path: &Path) -> Result<Self, Fail> {
        if path.join("checkpoint").is_file() {
            return Ok(Self(path.to_owned()));
        }
        let fail = Fail::usage(format!("`{}` is no exported log: it has no `checkpoint`", path.display()));
        Err(fail.next(
            "write one with `naru export-log --config naru.toml OUT`, or check the data with `naru fsck`",
        ))
    }
}

impl Place for Folder {
    fn shown(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Unread> {
        let path = self.0.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(cause) => Err(Unread { what: path.display().to_string(), cause: cause.to_string() }),
        }
    }
}

/// A service, below its `/log/`.
#[derive(Debug)]
pub(in crate::cli) struct Service(Client);

impl Service {
    /// `url` is the service's base, or the log's own prefix, which ends in `/log`.
    pub(in crate::cli) fn new(url: &str, reach: &Reach) -> Result<Self, Fail> {
        let base = url.trim_end_matches('/');
        let prefix = if base.ends_with("/log") { base.to_owned() } else { format!("{base}/log") };
        Client::new(&prefix, reach).map(Self)
    }
}

impl Place for Service {
    fn shown(&self, path: &str) -> String {
        self.0.url(path)
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Unread> {
        let unread = |cause: String| Unread { what: self.0.url(path), cause };
        // A service may close an idle connection just as it is used again: reading is asked once more.
        let answer = self.0.get(path).or_else(|_| self.0.get(path));
        let answer = answer.map_err(|fail| unread(fail.why.unwrap_or(fail.what)))?;
        match answer.status {
            200 => Ok(Some(answer.body)),
            404 | 410 => Ok(None),
            _ => Err(unread(answer.problem())),
        }
    }
}

impl<T: Place> Source for T {
    fn checkpoint(&self) -> Result<String, Unread> {
        text(self.read("checkpoint")?, &self.shown("checkpoint"))
    }

    fn tile(&self, path: tile::Path) -> Result<Option<Vec<u8>>, Unread> {
        self.read(&path.to_string())
    }

    fn attachment(&self, hash: &Hash) -> Result<Option<Vec<u8>>, Unread> {
        self.read(&format!("attachments/{hash}"))
    }

    fn rotations(&self) -> Result<Vec<u8>, Unread> {
        Ok(self.read("rotations")?.unwrap_or_default())
    }
}

fn text(bytes: Option<Vec<u8>>, what: &str) -> Result<String, Unread> {
    let unread = |cause: &str| Unread { what: what.to_owned(), cause: cause.to_owned() };
    let bytes = bytes.ok_or_else(|| unread("there is nothing"))?;
    String::from_utf8(bytes).map_err(|_| unread("it is not text"))
}

/// A folder or a URL, by its look.
pub(in crate::cli) fn of(place: &str, reach: &Reach) -> Result<Box<dyn Source>, Fail> {
    if place.contains("://") {
        return Ok(Box::new(Service::new(place, reach)?));
    }
    Ok(Box::new(Folder::new(Path::new(place))?))
}
