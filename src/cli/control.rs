//! A running service asked by its own operator: a socket inside the data folder.
//!
//! Whoever may open it may read the data folder, which holds the same rows and more; so
//! the file system says who may ask, and no key or token is needed. One request a
//! connection, one connection at a time: a snapshot, a look at the use lines, a rotation, a round
//! of what is past its term.

use std::fs;
use std::io;
use std::io::BufRead;
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

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::expire;
use crate::cli::logkey;
use crate::cli::rotate;
use crate::model::id::PartyId;
use crate::model::id::Ppid;
use crate::node::Error;
use crate::node::Node;
use crate::node::backup::CONTROL;
use crate::node::backup::file;
use crate::node::incidents::Flagged;
use crate::reidentification::DAY_MS;
use crate::vault::Suite;

/// The socket of a service; gone when dropped.
#[derive(Debug)]
pub(in crate::cli) struct Control(PathBuf);

/// A request for a snapshot.
const SNAPSHOT: &[u8; 9] = b"snapshot\n";
/// A request to look at the use lines and to flag what they show.
const FINDINGS: &[u8; 9] = b"findings\n";
/// A request to end the wrapping epoch; the digit is the suite's id.
const ROTATION: &[u8; 7] = b"rotate-";
/// A request to destroy what is past its term.
const EXPIRY: &[u8; 9] = b"expire..\n";
/// A request for a certificate of erasure; who and why follows in one line.
const ERASURE: &[u8; 9] = b"erasure:\n";
/// A request about the log's own key; what is asked follows in one line.
const LOG_KEY: &[u8; 9] = b"log-key:\n";
/// Longest line that says who and why, bytes.
const MAX_LINE: u64 = 4_096;
/// Longest list of what was flagged, bytes.
const MAX_LIST: u64 = 16 << 20;
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
                tracing::warn!(%cause, "a request of the operator's was not answered whole");
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
    if request == *FINDINGS {
        let said =
            node.upgrade().map_or_else(|| json!({ "error": "the service ends" }), |node| flagged(&node));
        out.write_all(said.to_string().as_bytes())?;
        return out.flush();
    }
    if let Some([digit @ b'0'..=b'9', b'\n']) = request.strip_prefix(ROTATION) {
        let ends = || json!({ "error": "the service ends" });
        let said = node.upgrade().map_or_else(ends, |node| rotated(&node, digit - b'0'));
        out.write_all(said.to_string().as_bytes())?;
        return out.flush();
    }
    if request == *EXPIRY {
        let ends = || json!({ "error": "the service ends" });
        let said = node.upgrade().map_or_else(ends, |node| expired(&node));
        out.write_all(said.to_string().as_bytes())?;
        return out.flush();
    }
    if request == *ERASURE {
        let mut asked = String::new();
        BufReader::new(stream.take(MAX_LINE)).read_line(&mut asked)?;
        let ends = || json!({ "error": "the service ends" });
        let said = node.upgrade().map_or_else(ends, |node| certificate(&node, &asked));
        out.write_all(said.to_string().as_bytes())?;
        return out.flush();
    }
    if request == *LOG_KEY {
        let mut asked = Zeroizing::new(String::new());
        BufReader::new(stream.take(MAX_LINE)).read_line(&mut asked)?;
        let ends = || json!({ "error": "the service ends" });
        let asked = serde_json::from_str(&asked).unwrap_or_default();
        let said = node.upgrade().map_or_else(ends, |node| logkey::answered(&node, &asked));
        out.write_all(said.to_string().as_bytes())?;
        return out.flush();
    }
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

/// Looks at the lines of yesterday and today, flags, and makes a batch so that they can be proven.
pub(in crate::cli) fn flagged(node: &Node) -> Value {
    let look = || {
        node.sync_uses()?;
        let now = node.now();
        let flagged = node.flag_findings(now.rounded_to(DAY_MS).minus_ms(DAY_MS), now.plus_ms(1))?;
        node.batch_uses()?;
        Ok::<_, Error>(flagged)
    };
    match look() {
        Err(error) => json!({ "error": error.to_string() }),
        Ok(flagged) => {
            let one = |f: &Flagged| {
                let refused = f.outcome.as_ref().and_then(|outcome| outcome.as_ref().err());
                json!({
                    "incident": f.incident.to_string(), "party": f.finding.party.as_str(),
                    "detector": f.finding.detector.as_str(), "new": f.outcome.is_some(), "refused": refused,
                })
            };
            json!({ "incidents": flagged.iter().map(one).collect::<Vec<_>>() })
        }
    }
}

fn rotated(node: &Node, suite: u8) -> Value {
    let Some(suite) = Suite::of_id(suite) else { return json!({ "error": "there is no such suite" }) };
    match node.rotate(suite) {
        Ok(rotated) => rotate::told(&rotated),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn expired(node: &Node) -> Value {
    match node.expire() {
        Ok(expired) => expire::told(&expired),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

/// The certificate over a person, signed by the operator; no `item` if nobody has the ppid.
fn certificate(node: &Node, asked: &str) -> Value {
    let asked: Value = serde_json::from_str(asked).unwrap_or_default();
    let text = |name: &str| asked.get(name).and_then(Value::as_str);
    let party = text("party").and_then(PartyId::parse);
    let (Some(ppid), Some(order)) = (text("ppid").and_then(Ppid::from_text), text("order")) else {
        return json!({ "error": "the request cannot be read" });
    };
    match node.erasure_by_order(party.as_ref(), ppid, order) {
        Ok(item) => json!({ "item": item.map(|item| STANDARD.encode(item)) }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

/// Asks the service that runs on the data about the log's own key, or gives it the next; `None` if none runs.
///
/// # Errors
/// There is one, and it does not answer.
pub(in crate::cli) fn ask_log_key(data: &Path, asked: &Value) -> Result<Option<Value>, Error> {
    ask_for(data, &[LOG_KEY.as_slice(), asked.to_string().as_bytes(), b"\n"].concat())
}

/// Has the service that runs on the data make a certificate of erasure; `None` if none runs.
///
/// # Errors
/// There is one, and it does not answer.
pub(in crate::cli) fn ask_erasure(data: &Path, asked: &Value) -> Result<Option<Value>, Error> {
    ask_for(data, &[ERASURE.as_slice(), asked.to_string().as_bytes(), b"\n"].concat())
}

/// Has the service that runs on the data destroy what is past its term; `None` if none runs.
///
/// # Errors
/// There is one, and it does not answer.
pub(in crate::cli) fn ask_expiry(data: &Path) -> Result<Option<Value>, Error> {
    ask_for(data, EXPIRY)
}

/// Has the service that runs on the data end its wrapping epoch; `None` if none runs.
///
/// # Errors
/// There is one, and it does not answer.
pub(in crate::cli) fn ask_rotation(data: &Path, suite: Suite) -> Result<Option<Value>, Error> {
    let digit = b'0'.saturating_add(suite.id());
    ask_for(data, &[ROTATION.as_slice(), &[digit, b'\n']].concat())
}

/// Has the service that runs on the data look at its use lines; `None` if none runs.
///
/// # Errors
/// There is one, and it does not answer.
pub(in crate::cli) fn ask_findings(data: &Path) -> Result<Option<Value>, Error> {
    ask_for(data, FINDINGS)
}

/// Sends a request whose answer is one JSON document.
fn ask_for(data: &Path, request: &[u8]) -> Result<Option<Value>, Error> {
    let path = socket(data);
    let failed = |cause| Error::File { path: path.clone(), cause };
    let Some(stream) = connect(&path)? else { return Ok(None) };
    stream.set_read_timeout(Some(MOMENT)).map_err(failed)?;
    (&stream).write_all(request).map_err(failed)?;
    let mut said = Vec::new();
    stream.take(MAX_LIST).read_to_end(&mut said).map_err(failed)?;
    serde_json::from_slice(&said).map(Some).map_err(|error| failed(io::Error::other(error)))
}

fn connect(path: &Path) -> Result<Option<UnixStream>, Error> {
    match UnixStream::connect(path) {
        Ok(stream) => Ok(Some(stream)),
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(cause) => Err(Error::File { path: path.to_owned(), cause }),
    }
}

/// Asks the service that runs on the data; `None` if none does.
///
/// # Errors
/// There is one, and it does not answer.
pub(in crate::cli) fn ask(data: &Path, sink: &mut file::Sink<'_>) -> Result<Option<()>, Error> {
    let path = socket(data);
    let failed = |cause| Error::File { path: path.clone(), cause };
    let Some(stream) = connect(&path)? else { return Ok(None) };
    stream.set_read_timeout(Some(MOMENT)).map_err(failed)?;
    (&stream).write_all(SNAPSHOT).map_err(failed)?;
    file::receive(&mut BufReader::with_capacity(1 << 16, &stream), sink).map(Some)
}
