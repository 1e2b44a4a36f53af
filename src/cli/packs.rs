//! `naru packs replay`: what a candidate pack would have answered.

use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::open::Offline;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::consent::Change;
use crate::consent::Outcome;
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
What use lines of the span say was asked is asked twice, as the person and the register stood then: under
the packs of that day, and with the candidate beside them (in place of older versions of itself). Without a
use log, or with `--of acts`, what the notices of its slot suggest is asked after every act of a person.
The table has what differs; it names parties, purposes and some decisions, never a person. Nothing is
written.
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
    /// What is asked again; use lines if there are any.
    #[arg(long, value_enum)]
    of: Option<Of>,
    /// First instant of the span; the log's first if absent.
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// First instant after the span; the log's end if absent.
    #[arg(long, value_name = "INSTANT")]
    until: Option<String>,
}

/// What is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Of {
    /// What was asked, as use lines say.
    Uses,
    /// What the acts of persons suggest.
    Acts,
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
    let mut progress = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let of = args.of.unwrap_or(if fsck::has_uses(&data) { Of::Uses } else { Of::Acts });
    let done = match of {
        Of::Uses => fsck::replay_uses(&data, &mut trial, span, &mut progress),
        Of::Acts => fsck::replay_packs(&data, &mut trial, span, &mut progress)
            .map(|report| (report, fsck::Asked::default())),
    };
    bar.finish_and_clear();
    let (report, asked) = done.map_err(|error| Fail::new("the data cannot be read").why(error))?;
    let name = candidate.pack.name();
    tell(say, &trial, &Told { name, of, asked, faults: report.faults.len() });
    Ok(if report.faults.is_empty() { Exit::Ok } else { Exit::Tampered })
}

fn instant(text: Option<&str>, absent: u64) -> Result<Timestamp, Fail> {
    let Some(text) = text else { return Ok(Timestamp(absent)) };
    parse_instant(text).ok_or_else(|| {
        Fail::usage(format!("`{text}` is no instant")).next("write it like 2026-09-11T00:00:00+09:00")
    })
}

/// What the table stands under.
struct Told<'a> {
    name: &'a str,
    of: Of,
    asked: fsck::Asked,
    faults: usize,
}

fn outcome(o: &Outcome) -> Value {
    json!({ "decision": o.reason.permits(), "reason": o.reason.as_str(),
            "pack": o.pack, "version": o.version, "rule": o.rule })
}

fn tell(say: &Say, trial: &Trial<'_>, told: &Told<'_>) {
    let Told { name, of, asked: lines, faults } = told;
    let rows: Vec<_> = trial
        .changes()
        .map(|(c, n)| {
            let sample: Vec<_> = trial.sample_of(c).iter().map(ToString::to_string).collect();
            json!({ "controller": c.controller, "purpose": c.purpose, "class": c.class.as_str(),
                    "action": c.action, "before": outcome(&c.before), "after": outcome(&c.after), "count": n,
                    "sample": sample })
        })
        .collect();
    let by_rule: Vec<_> = trial
        .by_rule()
        .into_iter()
        .map(|((before, after), n)| json!({ "before": outcome(before), "after": outcome(after), "count": n }))
        .collect();
    let document = json!({
        "candidate": name, "of": match of { Of::Uses => "uses", Of::Acts => "acts" },
        "asked": trial.asked(), "changed": rows, "by_rule": by_rule,
        "other_lines": lines.other, "left_out": lines.left_out, "unread_entries": faults,
    });
    let table: String = trial.changes().map(|(change, n)| row(change, n)).collect();
    let unread = if *faults == 0 { String::new() } else { format!("\n{faults} finding(s): run `naru fsck`") };
    let left = match lines.left_out {
        0 => String::new(),
        n => format!("\n{n} line(s) left out: narrow the span"),
    };
    let (asked, changed) = (trial.asked(), trial.changes().map(|(_, n)| n).sum::<u64>());
    say.result(
        &document,
        &format!("{name}: 물음 {asked}건 가운데 {changed}건의 답이 달라진다{table}{left}{unread}"),
        &format!("{name}: {changed} of {asked} answers change{table}{left}{unread}"),
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
