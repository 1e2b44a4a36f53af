//! `cargo bench --bench spine`: the figures of the spine, each beside the limit measured in the same run.
//!
//! Prints a Markdown table; medians of three. `--quick` uses small sizes, `--long` the large ones.
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
        let line = format!("| {what} | {value} | {limit} | {ratio} |");
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

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let has = |flag: &str| args.iter().any(|a| a == flag);
    let size = match (has("--quick"), has("--long")) {
        (true, _) => Size::Quick,
        (_, true) => Size::Long,
        (false, false) => Size::Usual,
    };
    let wants = |part: &str| {
        let parts: Vec<_> = args.iter().filter_map(|a| a.strip_prefix("--only=")).collect();
        parts.is_empty() || parts.contains(&part)
    };
    support::planted::deafen();
    println!("machine: {}\n", machine());
    let mut table = Table(String::new());
    table.row("what", "value", "limit of the same run", "ratio");
    table.row("---", "---:", "---:", "---:");
    if wants("writes") {
        writes::run(&mut table, size);
    }
    if wants("passkeys") {
        passkeys::run(&mut table, size);
    }
    if wants("engine") {
        writes::run_engine(&mut table, size);
    }
    if wants("decide") {
        decide::run(&mut table);
    }
    if wants("checks") {
        checks::run(&mut table, size);
    }
    if wants("load") {
        load::run(&mut table, size);
    }
    if wants("export") {
        carry::run(&mut table, size);
    }
    if wants("archive") {
        archive::run(&mut table, size);
    }
    if wants("growth") {
        growth::run(&mut table, size);
    }
    if wants("timing") {
        timing::run(&mut table, size);
    }
    if let Some(path) = args.iter().find_map(|a| a.strip_prefix("--out=")) {
        std::fs::write(path, table.0).unwrap();
    }
}
