//! `naru packs replay`: what a candidate pack would have answered.

use std::path::PathBuf;

use serde_json::json;

use crate::cli::Exit;
use crate::cli::open::Offline;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::consent::Change;
use crate::consent::Trial;
use crate::model::id::Timestamp;
use crate::model::pack::parse_instant;
use crate::node::fsck;
use crate::node::read_pack;

/// A pack file is an attachment, and no larger.
const LARGEST: u64 = 1 << 20;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Decide the past again under a pack that is not in force, and show what changes.
    Replay(Replay),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The service must not be running on the data. Needs keys/master.key and keys/log.pem.
After every act of a person in the span, what the notices of its slot suggest is asked twice: under the
packs of that day, and with the candidate beside them (in place of older versions of itself). The table
has what differs; it names parties and purposes, never a person. Nothing is written.
Instants are written 2026-09-11T00:00:00+09:00.")]
struct Replay {
    /// Folder made by `naru init`.
    #[arg(value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// Configuration of the log.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The candidate: a pack file.
    #[arg(long, value_name = "FILE")]
    pack: PathBuf,
    /// Leave this pack out of the answers with the candidate.
    #[arg(long, value_name = "NAME")]
    instead_of: Vec<String>,
    /// First instant of the span; the log's first if absent.
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// First instant after the span; the log's end if absent.
    #[arg(long, value_name = "INSTANT")]
    until: Option<String>,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    match &args.command {
        Command::Replay(args) => replay(args, say),
    }
}

fn replay(args: &Replay, say: &Say) -> Result<Exit, Fail> {
    let span = (instant(args.from.as_deref(), 0)?, instant(args.until.as_deref(), u64::MAX)?);
    let size = std::fs::metadata(&args.pack).map_err(|cause| Fail::file(&args.pack, cause))?.len();
    if size > LARGEST {
        return Err(Fail::file(&args.pack, format!("{size} bytes, at most {LARGEST}")));
    }
    let bytes = std::fs::read(&args.pack).map_err(|cause| Fail::file(&args.pack, cause))?;
    let candidate = read_pack(&bytes).map_err(|error| Fail::file(&args.pack, error))?;
    let offline = Offline::open(args.dir.as_deref(), args.config.as_deref())?;
    let data = offline.data();
    let start = Trial::of(&candidate.pack);
    let mut trial = args.instead_of.iter().fold(start, |trial, name| trial.instead_of(name));
    let bar = say.progress(0, "entries");
    let report = fsck::replay_packs(&data, &mut trial, span, &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = report.map_err(|error| Fail::new("the data cannot be read").why(error))?;
    tell(say, &trial, candidate.pack.name(), report.faults.len());
    Ok(if report.faults.is_empty() { Exit::Ok } else { Exit::Tampered })
}

fn instant(text: Option<&str>, absent: u64) -> Result<Timestamp, Fail> {
    let Some(text) = text else { return Ok(Timestamp(absent)) };
    parse_instant(text).ok_or_else(|| {
        Fail::usage(format!("`{text}` is no instant")).next("write it like 2026-09-11T00:00:00+09:00")
    })
}

fn tell(say: &Say, trial: &Trial<'_>, name: &str, faults: usize) {
    let rows: Vec<_> = trial
        .changes()
        .map(|(c, n)| {
            let outcome = |o: &crate::consent::Outcome| {
                json!({ "decision": o.reason.permits(), "reason": o.reason.as_str(),
                        "pack": o.pack, "version": o.version, "rule": o.rule })
            };
            json!({ "controller": c.controller, "purpose": c.purpose, "class": c.class.as_str(),
                    "action": c.action, "before": outcome(&c.before), "after": outcome(&c.after), "count": n })
        })
        .collect();
    let document =
        json!({ "candidate": name, "asked": trial.asked(), "changed": rows, "unread_entries": faults });
    let table: String = trial.changes().map(|(change, n)| row(change, n)).collect();
    let unread = if faults == 0 { String::new() } else { format!("\n{faults} finding(s): run `naru fsck`") };
    let (asked, changed) = (trial.asked(), trial.changes().map(|(_, n)| n).sum::<u64>());
    say.result(
        &document,
        &format!("{name}: 물음 {asked}건 가운데 {changed}건의 답이 달라진다{table}{unread}"),
        &format!("{name}: {changed} of {asked} answers change{table}{unread}"),
    );
}

fn row(c: &Change, n: u64) -> String {
    format!(
        "\n{n:>8}  {} {} {} {}: {} ({}#{}) -> {} ({}#{})",
        c.controller,
        c.purpose,
        c.class.as_str(),
        c.action,
        c.before.reason.as_str(),
        c.before.pack,
        c.before.rule,
        c.after.reason.as_str(),
        c.after.pack,
        c.after.rule
    )
}
