//! Small files of the node's own, each written whole or not at all, and folders that may not be there.
//!
//! Lacks what is in them, and secrecy: whoever writes has sealed it. Trusted: the disk, which
//! tells its errors.

use std::fs;
use std::fs::DirEntry;
use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::path::Path;

use crate::node::Error;

/// The error of a file or folder.
pub(in crate::node) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    |cause| Error::File { path: path.to_owned(), cause }
}

/// Reads a file, if it is there.
pub(in crate::node) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    found(path, fs::read(path))
}

/// What a folder holds, in no order; nothing of one that is not there.
pub(in crate::node) fn list(folder: &Path) -> Result<impl Iterator<Item = Result<DirEntry, Error>>, Error> {
    let entries = found(folder, fs::read_dir(folder))?;
    Ok(entries.into_iter().flatten().map(|entry| entry.map_err(io_at(folder))))
}

fn found<T>(path: &Path, read: io::Result<T>) -> Result<Option<T>, Error> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(io_at(path)(cause)),
    }
}

/// Makes the names in a folder durable.
pub(in crate::node) fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_at(folder))
}

/// Writes a file whole or not at all, durable before it answers.
pub(in crate::node) fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let (new, path) = (folder.join(format!("{name}.new")), folder.join(name));
    let write = || {
        fs::write(&new, bytes)?;
        File::open(&new)?.sync_all()?;
        fs::rename(&new, &path)
    };
    write().map_err(io_at(&path))?;
    sync(folder)
}
