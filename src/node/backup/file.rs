//! What frames make a backup and a key file: writing both, inspecting both, unpacking both.
//!
//! A backup: head, the rows table by table, the files beside them, manifest, end. A key
//! file: head, the vault's files, end. They name each other: the manifest holds the key
//! file's sum, so keys of another backup are refused.

use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use crate::model::id::Hash;
use crate::node::Error;
use crate::node::backup::Moment;
use crate::node::backup::beside;
use crate::node::backup::files_of;
use crate::node::backup::frame;
use crate::node::backup::frame::CHUNK;
use crate::node::backup::frame::Frame;
use crate::node::backup::frame::Frames;
use crate::node::backup::frame::Head;
use crate::node::backup::frame::Manifest;
use crate::node::backup::frame::Sort;
use crate::node::backup::frame::VERSION;
use crate::node::backup::frame::Writer;
use crate::store;
use crate::store::Store;
use crate::store::Table;
use crate::vault::Vault;

/// Sees each frame of a moment: head and rows.
pub type Sink<'a> = dyn FnMut(Frame) -> Result<(), frame::Error> + 'a;
/// Hands a moment's frames to a sink.
pub type Feed<'a> = dyn FnMut(&mut Sink<'_>) -> Result<(), Error> + 'a;

impl Moment {
    /// Its head and its rows, in order.
    ///
    /// # Errors
    /// The store, or what the sink says.
    pub fn feed(&self, origin: &str, sink: &mut Sink<'_>) -> Result<(), Error> {
        let root = Hash(self.root);
        let (origin, note) = (origin.to_owned(), self.note.clone());
        sink(Frame::Head(Head { v: VERSION, origin, size: self.size, root, note }))?;
        for table in Table::ALL {
            let mut failed = None;
            self.rows.walk(table, &mut |key, value| {
                Ok(match sink(Frame::Row((table, key.to_vec(), value.to_vec()))) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failed = Some(error);
                        ControlFlow::Break(())
                    }
                })
            })?;
            failed.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// Writes it as a stream of its own: what a running service answers.
    ///
    /// # Errors
    /// The store; the stream.
    pub fn send(&self, origin: &str, out: &mut dyn Write) -> Result<(), Error> {
        let mut writer = Writer::new(Sort::Moment, out)?;
        self.feed(origin, &mut |frame| writer.put(&frame))?;
        writer.end()?;
        Ok(())
    }
}

/// Reads what [`Moment::send`] wrote.
///
/// # Errors
/// The stream, or what the sink says.
pub fn receive(input: &mut dyn Read, sink: &mut Sink<'_>) -> Result<(), Error> {
    let mut frames = Frames::new(Sort::Moment, input)?;
    while let Some(frame) = frames.next()? {
        if !matches!(frame, Frame::End(_)) {
            sink(frame)?;
        }
    }
    Ok(())
}

/// Tells, in place of a moment, why there is none.
///
/// # Errors
/// The stream.
pub fn refuse(why: &str, out: &mut dyn Write) -> Result<(), Error> {
    let mut writer = Writer::new(Sort::Moment, out)?;
    writer.put(&Frame::Refused(why.to_owned()))?;
    Ok(out.flush().map_err(frame::Error::from)?)
}

/// Writes a backup and its keys. `progress` hears the bytes written.
///
/// The keys are read after the rows: a person whose first statement is in the rows has her slot in
/// the file by then.
///
/// # Errors
/// The store or the service behind `feed`; the files of `data`; the two outputs.
pub fn write(
    feed: &mut Feed<'_>,
    data: &Path,
    (out, keys): (&mut dyn Write, &mut dyn Write),
    progress: &mut dyn FnMut(u64),
) -> Result<Manifest, Error> {
    let mut head = None;
    let begun = Vault::epoch_of(&data.join(VAULT))?;
    let mut writer = Writer::new(Sort::Backup, out)?;
    feed(&mut |frame| {
        if let Frame::Head(of) = &frame {
            head = Some(of.clone());
        }
        progress(writer.written());
        writer.put(&frame)
    })?;
    let head = head.ok_or(frame::Error::Frame("a moment without a head"))?;
    for path in beside(data)? {
        match put_file(&mut writer, data, &path) {
            // Gone since it was listed, as what is carried or has ended is: nothing of it was written.
            Err(Error::File { cause, .. }) if cause.kind() == std::io::ErrorKind::NotFound => {}
            put => put?,
        }
        progress(writer.written());
    }
    let keys = write_keys(&head, &data.join(VAULT), keys)?;
    if Vault::epoch_of(&data.join(VAULT))? != begun {
        return Err(Error::Rotating);
    }
    let Head { v, origin, size, root, note: _ } = head;
    let manifest = Manifest { v, origin, size, root, parts: writer.parts().to_vec(), keys };
    writer.put(&Frame::Manifest(manifest.clone()))?;
    writer.end()?;
    Ok(manifest)
}

fn write_keys(head: &Head, vault: &Path, out: &mut dyn Write) -> Result<Hash, Error> {
    let mut writer = Writer::new(Sort::Keys, out)?;
    writer.put(&Frame::Head(head.clone()))?;
    for path in files_of(vault)? {
        put_file(&mut writer, vault, &path)?;
    }
    Ok(writer.end()?)
}

/// Copies a file as long as it is now: what is appended meanwhile comes with the next backup.
fn put_file(writer: &mut Writer<'_>, folder: &Path, path: &Path) -> Result<(), Error> {
    let at = folder.join(path);
    let failed = |cause| Error::File { path: at.clone(), cause };
    let name = path.to_str().ok_or(frame::Error::Frame("the name of a file"))?;
    let mut file = File::open(&at).map_err(failed)?;
    let mut left = file.metadata().map_err(failed)?.len();
    writer.put(&Frame::File(name.to_owned()))?;
    while left > 0 {
        let mut chunk = Vec::new();
        let most = left.min(CHUNK as u64);
        Read::by_ref(&mut file).take(most).read_to_end(&mut chunk).map_err(failed)?;
        if chunk.is_empty() {
            break;
        }
        left -= chunk.len() as u64;
        writer.put(&Frame::Data(chunk))?;
    }
    Ok(())
}

/// What a file said of itself, once every sum in it was compared.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// Of what log, as of when.
    pub head: Head,
    /// Of a backup.
    pub manifest: Option<Manifest>,
    /// The sum over it.
    pub sum: Hash,
}

/// Reads a file to its end and compares every sum; keeps nothing.
///
/// # Errors
/// [`Error::Backup`]: it is damaged, cut, of another sort or version.
pub fn inspect(sort: Sort, input: &mut dyn Read, progress: &mut dyn FnMut(u64)) -> Result<Inspected, Error> {
    let mut frames = Frames::new(sort, input)?;
    let Some(Frame::Head(head)) = frames.next()? else { return Err(frame::Error::Frame("the head").into()) };
    let (mut manifest, mut sum, mut bytes) = (None, Hash([0; 32]), 0u64);
    while let Some(frame) = frames.next()? {
        match frame {
            Frame::End(end) => sum = end,
            _ if manifest.is_some() => return Err(frame::Error::Frame("what follows the manifest").into()),
            Frame::Manifest(of) => manifest = Some(of),
            Frame::Row((_, key, value)) => bytes += (key.len() + value.len()) as u64,
            Frame::Data(data) => bytes += data.len() as u64,
            Frame::File(_) | Frame::Refused(_) => {}
            Frame::Head(_) => return Err(frame::Error::Frame("a second head").into()),
        }
        progress(bytes);
    }
    if head.v != VERSION || manifest.is_some() != (sort == Sort::Backup) {
        return Err(frame::Error::Magic(sort).into());
    }
    if let Some(of) = &manifest {
        let damaged = of.parts.iter().zip(frames.parts()).find(|(said, found)| said != found);
        if let Some((said, _)) = damaged {
            return Err(frame::Error::Part(said.name.clone()).into());
        }
        let same = (of.v, &of.origin, of.size, of.root) == (head.v, &head.origin, head.size, head.root);
        if !same || of.parts.len() != frames.parts().len() {
            return Err(frame::Error::Frame("the manifest").into());
        }
    }
    Ok(Inspected { head, manifest, sum })
}

/// Puts a backup's rows into an empty store and its files into an empty folder.
///
/// # Errors
/// The file, the store, the folder. What was written then is worth nothing.
pub fn unpack(
    input: &mut dyn Read,
    store: &dyn Store,
    data: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    let mut frames = Frames::new(Sort::Backup, input)?;
    let Some(Frame::Head(_)) = frames.next()? else { return Err(frame::Error::Frame("the head").into()) };
    let (mut rest, mut bytes) = (None, 0u64);
    store.refill(&mut || {
        Ok(match frames.next().map_err(store::Error::from)? {
            Some(Frame::Row(row)) => {
                bytes += (row.1.len() + row.2.len()) as u64;
                progress(bytes);
                Some(row)
            }
            other => {
                rest = other;
                None
            }
        })
    })?;
    unpack_files(rest, &mut frames, data)
}

/// Puts the person keys into an empty folder.
///
/// # Errors
/// The file, the folder.
pub fn unpack_keys(input: &mut dyn Read, data: &Path) -> Result<(), Error> {
    let mut frames = Frames::new(Sort::Keys, input)?;
    let Some(Frame::Head(_)) = frames.next()? else { return Err(frame::Error::Frame("the head").into()) };
    let first = frames.next()?;
    unpack_files(first, &mut frames, &data.join(VAULT))
}

fn unpack_files(first: Option<Frame>, frames: &mut Frames<'_>, folder: &Path) -> Result<(), Error> {
    let (mut frame, mut open): (_, Option<(PathBuf, File)>) = (first, None);
    while let Some(now) = frame {
        match now {
            Frame::File(name) => {
                sync(open.take())?;
                open = Some(create(folder, &name)?);
            }
            Frame::Data(bytes) => {
                let (path, file) = open.as_mut().ok_or(frame::Error::Frame("bytes without a file"))?;
                file.write_all(&bytes).map_err(|cause| Error::File { path: path.clone(), cause })?;
            }
            Frame::Manifest(_) | Frame::End(_) => sync(open.take())?,
            Frame::Head(_) | Frame::Row(_) | Frame::Refused(_) => {
                return Err(frame::Error::Frame("a frame").into());
            }
        }
        frame = frames.next()?;
    }
    Ok(())
}

fn sync(open: Option<(PathBuf, File)>) -> Result<(), Error> {
    let Some((path, file)) = open else { return Ok(()) };
    file.sync_all().map_err(|cause| Error::File { path, cause })
}

/// A new file inside the folder, whatever the name says.
fn create(folder: &Path, name: &str) -> Result<(PathBuf, File), Error> {
    let inside = Path::new(name);
    let plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || name.is_empty() {
        return Err(frame::Error::Frame("the name of a file").into());
    }
    let path = folder.join(inside);
    let parent = path.parent().unwrap_or(folder);
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(parent);
    let made = made.and_then(|()| File::options().write(true).create_new(true).mode(0o600).open(&path));
    match made {
        Ok(file) => Ok((path, file)),
        Err(cause) => Err(Error::File { path, cause }),
    }
}

/// Folder of the person keys inside the data folder.
const VAULT: &str = "vault";
