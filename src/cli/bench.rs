//! `naru bench`: how fast this machine takes statements, beside what its cores could verify at most.
//!
//! A quick look for an operator; the whole table with its limits is `scripts/bench`.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::cli::Exit;
use crate::cli::demo;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::identity::item;
use crate::ledger::hash;
use crate::ledger::key::Ed25519Signer;
use crate::ledger::key::PublicKey;
use crate::ledger::key::Signer;
use crate::model::id::Nonce;
use crate::model::id::Timestamp;
use crate::model::statement::KeyCreate;
use crate::model::statement::KeyUse;
use crate::model::statement::Kind;
use crate::model::statement::Statement;
use crate::model::statement::V1;
use crate::node::clock::Watch;

/// Statements in one batch.
const BATCH: usize = 256;

/// Arguments of `naru bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Writes a log of its own into a new folder and leaves nothing behind.\n\
    The share says how near the log comes to the rate at which the cores can verify signatures.")]
pub(in crate::cli) struct Args {
    /// How many citizens enrol
    #[arg(long, value_name = "NUMBER", default_value_t = 20_000)]
    citizens: u32,
    /// Folder on the disk to be measured
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// Runs the measurement.
pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let dir = args.dir.join(format!("naru-bench-{}", std::process::id()));
    let measured = measure(args.citizens, &dir, say);
    // Also after a failure: nothing is left behind.
    let cleared = std::fs::remove_dir_all(&dir);
    let (limit, rate) = measured?;
    cleared.map_err(|cause| Fail::file(&dir, cause))?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = rate / limit;
    say.result(
        &json!({"cores": cores, "verifications_per_s": limit.round(), "statements_per_s": rate.round(), "share": share}),
        &format!("코어 {cores}개: 서명 검증 {limit:.0}/초, 검증되고 영속된 진술 {rate:.0}/초 ({share:.2})"),
        &format!("{cores} cores verify {limit:.0}/s; statements verified and durable {rate:.0}/s (share {share:.2})"),
    );
    Ok(Exit::Ok)
}

fn measure(citizens: u32, dir: &std::path::Path, say: &Say) -> Result<(f64, f64), Fail> {
    let node = demo::scratch(dir).map_err(Fail::new)?;
    let items = signed(citizens, node.now()).map_err(Fail::new)?;
    let limit = verifications(&items).map_err(Fail::new)?;
    let bar = say.progress(u64::from(citizens), "citizens");
    let watch = Watch::start();
    let mut tickets = std::collections::VecDeque::new();
    for batch in items.chunks(BATCH) {
        tickets.push_back((batch.len(), node.submit(batch.to_vec())));
        if tickets.len() > 8 {
            finish(tickets.pop_front(), &bar)?;
        }
    }
    while !tickets.is_empty() {
        finish(tickets.pop_front(), &bar)?;
    }
    let rate = f64::from(citizens) / watch.elapsed().as_secs_f64();
    bar.finish_and_clear();
    Ok((limit, rate))
}

fn finish(ticket: Option<(usize, crate::node::Ticket)>, bar: &indicatif::ProgressBar) -> Result<(), Fail> {
    let Some((n, ticket)) = ticket else { return Ok(()) };
    for outcome in ticket.wait() {
        outcome.map_err(Fail::new)?;
    }
    bar.inc(n as u64);
    Ok(())
}

fn signer(n: u32) -> Ed25519Signer {
    Ed25519Signer::from_seed(hash::sha256(&[b"naru bench", &n.to_be_bytes()]))
}

/// Signs one enrolment a citizen.
fn signed(citizens: u32, iat: Timestamp) -> Result<Vec<Vec<u8>>, crate::identity::Error> {
    let sign = |n: u32| {
        let mut nonce = [0u8; 16];
        nonce.iter_mut().zip(n.to_be_bytes()).for_each(|(o, b)| *o = b);
        let enrol = KeyCreate {
            v: V1,
            kind: Kind::KeyCreate,
            iat,
            nonce: Nonce(nonce),
            key_use: KeyUse::Device,
            recovery: None,
        };
        item::sign(&Statement::from(enrol), &signer(n))
    };
    (0..citizens).map(sign).collect()
}

/// Verifications a second on all cores: key from its bytes, strict.
fn verifications(items: &[Vec<u8>]) -> Result<f64, crate::ledger::key::Error> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let message = items.first().map_or(&[][..], Vec::as_slice);
    let key = signer(0);
    let signature = key.sign(message)?;
    let spki = key.public().spki();
    let watch = Watch::start();
    let count = || {
        let mut n = 0u32;
        while watch.elapsed() < Duration::from_secs(1) {
            PublicKey::from_spki(spki)?.verify(message, &signature)?;
            n += 1;
        }
        Ok::<u32, crate::ledger::key::Error>(n)
    };
    let counts: Result<Vec<u32>, _> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(count)).collect();
        // A thread that panicked counted nothing.
        threads.into_iter().map(|t| t.join().unwrap_or(Ok(0))).collect()
    });
    let n: f64 = counts?.into_iter().map(f64::from).sum();
    Ok(n / watch.elapsed().as_secs_f64())
}
