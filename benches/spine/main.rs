//! `cargo bench --bench spine`: the figures of the spine, each beside the limit measured in the same run.
//!
//! Prints a Markdown table; medians of three, of checks of fifteen short rounds. `--quick` uses small
//! sizes, `--long` the large ones.
//! Statements are signed beforehand, by the load's own threads; the server runs in this process.
#![allow(
    clippy::allow_attributes,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark reads the clock and divides"
)]

mod archive;
mod carry;
mod checks;
mod client;
mod decide;
mod growth;
mod load;
mod memory;
mod passkeys;
mod postgres;
#[path = "../../tests/support/mod.rs"]
mod support;
mod timing;
mod writes;

use std::fmt::Write;
use std::time::Duration;
use std::time::Instant;

use ed25519_dalek::Signature;
use ed25519_dalek::Signer;
use ed25519_dalek::SigningKey;
use ed25519_dalek::VerifyingKey;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How much is done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    Quick,
    Usual,
    Long,
}

/// Rows of the table, printed as they come.
pub struct Table(String);

impl Table {
    pub fn row(&mut self, what: &str, value: &str, limit: &str, ratio: &str) {
        self.line(&format!("| {what} | {value} | {limit} | {ratio} |"));
    }

    pub fn line(&mut self, line: &str) {
        println!("{line}");
        writeln!(self.0, "{line}").unwrap();
    }
}

pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn rate(n: usize, time: Duration) -> f64 {
    n as f64 / time.as_secs_f64()
}

/// Verifications a second on two cores: key from bytes, `verify_strict`, 300-byte messages, 1,024 keys.
pub fn verify_limit() -> f64 {
    let made: Vec<([u8; 32], [u8; 300], Signature)> = (0..1_024u32)
        .map(|n| {
            let mut seed = [0u8; 32];
            seed[..4].copy_from_slice(&n.to_be_bytes());
            let key = SigningKey::from_bytes(&seed);
            let message = [n as u8; 300];
            (key.verifying_key().to_bytes(), message, key.sign(&message))
        })
        .collect();
    let start = Instant::now();
    let counts: Vec<usize> = std::thread::scope(|scope| {
        let work = || {
            let mut n = 0;
            while start.elapsed() < Duration::from_millis(1_000) {
                for (key, message, signature) in &made {
                    let key = VerifyingKey::from_bytes(key).unwrap();
                    key.verify_strict(message, signature).unwrap();
                }
                n += made.len();
            }
            n
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    rate(counts.iter().sum(), start.elapsed())
}

fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or("?");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores,{}", model.trim_start_matches([' ', '\t', ':']))
}

const HELP: &str = "\
The figures of the spine, each beside the limit measured in the same run: a Markdown table,
medians of three, of checks of fifteen short rounds.

usage: scripts/bench [--quick | --long] [--only=PART ...] [--out=FILE]

  --quick      small sizes: does it run?
  --long       the large ones
  --only=PART  this part, and others so named; all if none is
  --out=FILE   writes the table there, too
  --help       this text

parts:
";

/// A part of the table.
struct Part {
    name: &'static str,
    what: &'static str,
    run: fn(&mut Table, Size),
}

/// All parts, in the order in which they are measured.
const PARTS: [Part; 11] = [
    Part { name: "writes", what: "statements accepted, by batch and one by one", run: writes::run },
    Part { name: "passkeys", what: "passkey assertions", run: passkeys::run },
    Part { name: "engine", what: "the engine below it, alone", run: writes::run_engine },
    Part { name: "decide", what: "decisions in process", run: |table, _| decide::run(table) },
    Part { name: "checks", what: "checks over HTTP, with the use log", run: checks::run },
    Part { name: "load", what: "an open loop of statements", run: load::run },
    Part { name: "export", what: "one person carries away", run: carry::run },
    Part { name: "archive", what: "an archive beside a plain zip", run: archive::run },
    Part { name: "memory", what: "what writing and checking an archive takes", run: memory::run },
    Part { name: "growth", what: "bytes on disk, memory, time to open again", run: growth::run },
    Part { name: "timing", what: "whether answers tell strangers apart by time", run: timing::run },
];

fn help() -> String {
    let parts: String = PARTS.iter().map(|part| format!("  {:<12} {}\n", part.name, part.what)).collect();
    format!("{HELP}{parts}")
}

/// What is asked for.
struct Args {
    size: Size,
    /// Parts by name; all if there is none.
    only: Vec<String>,
    out: Option<String>,
}

/// Reads the arguments; `None` if help is asked for.
fn read(args: impl Iterator<Item = String>) -> Result<Option<Args>, String> {
    let mut asked = Args { size: Size::Usual, only: Vec::new(), out: None };
    for arg in args {
        match (arg.as_str(), arg.split_once('=')) {
            // Cargo's own word to every bench.
            ("--bench", _) => {}
            ("--help" | "-h", _) => return Ok(None),
            ("--quick", _) if asked.size != Size::Long => asked.size = Size::Quick,
            ("--long", _) if asked.size != Size::Quick => asked.size = Size::Long,
            ("--quick" | "--long", _) => return Err("`--quick` and `--long` exclude each other".into()),
            (_, Some(("--only", part))) if PARTS.iter().any(|one| one.name == part) => {
                asked.only.push(part.to_owned());
            }
            (_, Some(("--only", part))) => return Err(format!("there is no part `{part}`")),
            (_, Some(("--out", path))) if !path.is_empty() => asked.out = Some(path.to_owned()),
            _ => return Err(format!("`{arg}` is no argument")),
        }
    }
    Ok(Some(asked))
}

fn main() {
    let asked = match read(std::env::args().skip(1)) {
        Ok(Some(asked)) => asked,
        Ok(None) => return print!("{}", help()),
        Err(why) => {
            eprint!("{why}\n\n{}", help());
            std::process::exit(2);
        }
    };
    support::planted::deafen();
    println!("machine: {}\n", machine());
    let mut table = Table(String::new());
    table.row("what", "value", "limit of the same run", "ratio");
    table.row("---", "---:", "---:", "---:");
    for part in PARTS.iter().filter(|part| asked.only.is_empty() || asked.only.iter().any(|n| n == part.name))
    {
        (part.run)(&mut table, asked.size);
    }
    if let Some(path) = asked.out {
        std::fs::write(path, table.0).unwrap();
    }
}
