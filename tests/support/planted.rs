//! What must never be read in a log line, a problem or a figure, watched for as long as tests run.
//!
//! Worlds plant what they know of persons and keys. The first world of a process listens to
//! everything that may be logged, by whomever and at the most talkative level; a line that says something
//! planted, in whatever spelling, ends the process at once. The HTTP tests ask the same of every problem
//! and of the metrics.

use std::io;
use std::sync::Mutex;
use std::sync::Once;
use std::sync::PoisonError;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tracing_subscriber::util::SubscriberInitExt;

/// So many spellings at most: later ones are of the same kinds.
const MOST: usize = 1_024;

static PLANTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LISTENS: Once = Once::new();

fn plant(spelling: String) {
    let mut planted = PLANTED.lock().unwrap_or_else(PoisonError::into_inner);
    if planted.len() < MOST && !planted.contains(&spelling) {
        planted.push(spelling);
    }
}

/// Words of a person.
pub fn words(text: &str) {
    plant(text.to_owned());
}

/// Bytes that name a person, or a secret: in hex, in base64, and as a list of numbers.
pub fn bytes(bytes: &[u8]) {
    plant(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    // The last group may hold what follows.
    let whole = bytes.len() / 3 * 4;
    for text in [URL_SAFE_NO_PAD.encode(bytes), STANDARD_NO_PAD.encode(bytes)] {
        plant(text[..whole].to_owned());
    }
    let numbers: Vec<String> = bytes.iter().take(12).map(u8::to_string).collect();
    plant(numbers.join(", "));
}

/// What of `text` was planted, if anything.
pub fn found(text: &str) -> Option<String> {
    let planted = PLANTED.lock().unwrap_or_else(PoisonError::into_inner);
    planted.iter().find(|spelling| text.contains(spelling.as_str())).cloned()
}

/// What is logged is heard; once somebody asks, it is kept as well.
static KEPT: Mutex<Option<Vec<u8>>> = Mutex::new(None);

#[derive(Clone, Copy)]
struct Heard;

impl io::Write for Heard {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        if let Some(planted) = found(&text) {
            // A test that unwinds might be one that expects to.
            eprintln!("a log line says what nobody may read (`{planted}`): {text}");
            std::process::abort();
        }
        if let Some(kept) = KEPT.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            kept.extend_from_slice(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Listens from now on, once in a process: to everything but the tests' own HTTP client.
pub fn listen() {
    LISTENS.call_once(|| {
        let asked = "trace,ureq=off,ureq_proto=off,rustls=off";
        let listener = naru::telemetry::listener(asked, naru::telemetry::Format::Json, || Heard).unwrap();
        // A process with these stories twice (`tests/lag.rs`) listens once, for the first of them.
        drop(listener.try_init());
        words("800101-1234567");
    });
}

/// Hears nothing in this process: searching every line of the most talkative level costs a bench more
/// than what it measures.
pub fn deafen() {
    LISTENS.call_once(|| ());
}

/// Keeps what is logged from now on.
pub fn keep() {
    listen();
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
}

/// What was kept: one JSON object a line.
pub fn kept() -> String {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8(kept.clone().unwrap_or_default()).unwrap()
}
