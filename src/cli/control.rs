//! A running service asked by its own operator: a socket inside the data folder.
//!
//! Whoever may open it may read the data folder, which holds the same rows and more; so
//! the file system says who may ask, and no key or token is needed. One request a
//! connection, one connection at a time. Lacks every other request than a snapshot.

use std::fs;
use std::io;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Weak;
use std::thread;
use std::time::Duration;

use crate::node::Error;
use crate::node::Node;
use crate::node::backup::CONTROL;
use crate::node::backup::file;

/// The socket of a service; gone when dropped.
#[derive(Debug)]
pub(in crate::cli) struct Control(PathBuf);

/// The one request.
const SNAPSHOT: &[u8; 9] = b"snapshot\n";
/// How long a reader may let a running service wait: the store keeps what the snapshot shows.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the moment itself may be waited for: the largest grain.
const MOMENT: Duration = Duration::from_secs(3_700);

fn socket(data: &Path) -> PathBuf {
    data.join(CONTROL).join("socket")
}

/// Listens for as long as the answer lives. The node is not kept alive by it.
///
/// # Errors
/// The socket cannot be made: its path may be too long for the system.
pub(in crate::cli) fn listen(node: &Arc<Node>, data: &Path) -> io::Result<Control> {
    let path = socket(data);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data.join(CONTROL))?;
    // We have the store open, so nobody else listens: a socket that is there was left by a crash.
    match fs::remove_file(&path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    let node = Arc::downgrade(node);
    thread::Builder::new().name("control".into()).spawn(move || {
        for stream in listener.incoming() {
            let answered = stream.and_then(|stream| answer(&node, &stream));
            if let Err(cause) = answered {
                tracing::warn!(%cause, "a request for a snapshot was not answered whole");
            }
        }
    })?;
    Ok(Control(path))
}

impl Drop for Control {
    fn drop(&mut self) {
        // Left behind, it is removed by the next start.
        drop(fs::remove_file(&self.0));
    }
}

fn answer(node: &Weak<Node>, stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = [0u8; SNAPSHOT.len()];
    (&mut &*stream).read_exact(&mut request)?;
    let mut out = BufWriter::with_capacity(1 << 16, stream);
    let refused = |why: &str, out: &mut dyn Write| file::refuse(why, out).map_err(io::Error::other);
    let Some(node) = node.upgrade().filter(|_| request == *SNAPSHOT) else {
        return refused("there is no such request", &mut out);
    };
    match node.snapshot() {
        Ok(moment) => {
            let origin = node.settings().origin.clone();
            // The snapshot alone is needed from here on: the service may stop meanwhile.
            drop(node);
            moment.send(&origin, &mut out).map_err(io::Error::other)
        }
        Err(error) => refused(&error.to_string(), &mut out),
    }
}

/// Asks the service that runs on the data; `None` if none does.
///
/// # Errors
/// There is one, and it does not answer.
pub(in crate::cli) fn ask(data: &Path, sink: &mut file::Sink<'_>) -> Result<Option<()>, Error> {
    let path = socket(data);
    let failed = |cause| Error::File { path: path.clone(), cause };
    let stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(cause) => return Err(failed(cause)),
    };
    stream.set_read_timeout(Some(MOMENT)).map_err(failed)?;
    (&stream).write_all(SNAPSHOT).map_err(failed)?;
    file::receive(&mut BufReader::with_capacity(1 << 16, &stream), sink).map(Some)
}
