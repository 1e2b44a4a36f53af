//! `naru packs`: what a candidate pack would have answered, and whether adopted ones said it truly.

use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::audit::adoption::Answer;
use crate::audit::adoption::Asked;
use crate::audit::adoption::Report;
use crate::audit::adoption::Verdict;
use crate::cli::Exit;
use crate::cli::file::Mode;
use crate::cli::file::write_new;
use crate::cli::open::Offline;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::consent::Adoption;
use crate::consent::Change;
use crate::consent::Outcome;
use crate::consent::PackFile;
use crate::consent::PackRef;
use crate::consent::Trial;
use crate::model::id::Timestamp;
use crate::model::pack::parse_instant;
use crate::model::statement::ReplayOf;
use crate::model::statement::Replayed;
use crate::node;
use crate::node::clock::Clock;
use crate::node::fsck;
use crate::node::fsck::Checked;
use crate::node::read_pack;
use crate::portability;

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
    /// Say whether what adopted packs say of the past under them is true
    Check(Check),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The service must not be running on the data. Needs keys/master.key and keys/log.pem.
Decides the past of every `pack.adopt` again that names a replay, and compares figure and report. Exit 6 if one
is false. `partly`: some of that past was destroyed since, and what is left contradicts nothing.")]
struct Check {
    /// Folder made by `naru init`.
    #[arg(value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// Configuration of the log.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The service must not be running on the data. Needs keys/master.key and keys/log.pem.
What use lines of the span say was asked is asked twice, as the person and the register stood then: under
the packs of that day, and with the candidate beside them (in place of older versions of itself). Without a
use log, or with `--of acts`, what the notices of its slot suggest is asked after every act of a person.
The table has what differs; it names parties, purposes and some decisions, never a person. Nothing is
written but the `--report`: the same by rule alone, to be attached and named by the pack's adoption, as the
field `replay` of the result says.
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
    /// New file for the report that the pack's adoption names.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// What is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Of {
    /// What was asked, as use lines say.
    Uses,
    /// What the acts of persons suggest.
    Acts,
}

impl From<Of> for ReplayOf {
    fn from(of: Of) -> Self {
        match of {
            Of::Uses => Self::Uses,
            Of::Acts => Self::Acts,
        }
    }
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    match &args.command {
        Command::Replay(args) => replay(args, say),
        Command::Check(args) => check(args, say),
    }
}

fn replay(args: &Replay, say: &Say) -> Result<Exit, Fail> {
    let mut span = (instant(args.from.as_deref(), 0)?, instant(args.until.as_deref(), u64::MAX)?);
    if args.report.is_some() {
        // What is said of the past ends where the past does.
        span.1 = span.1.min(Clock::System.now());
    }
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
    let done = fsck::replay(&data, of.into(), &mut trial, span, &mut progress);
    bar.finish_and_clear();
    let (report, asked) = done.map_err(unread)?;
    let whole = report.faults.is_empty() && asked.left_out == 0;
    let figure = match &args.report {
        Some(path) if whole => {
            let of = Asked {
                of: of.into(),
                span,
                size: report.counts.entries,
                instead_of: args.instead_of.clone(),
            };
            Some(write_report(path, &candidate, of, &trial)?)
        }
        Some(path) => {
            return Err(
                Fail::file(path, "not written: not all of the past could be asked").exit(Exit::Tampered)
            );
        }
        None => None,
    };
    let name = candidate.pack.name();
    tell(say, &trial, &Told { name, of, asked, faults: report.faults.len(), figure });
    Ok(if report.faults.is_empty() { Exit::Ok } else { Exit::Tampered })
}

/// Writes the report, and answers what an adoption says of it.
fn write_report(
    path: &Path,
    candidate: &PackFile,
    asked: Asked,
    trial: &Trial<'_>,
) -> Result<Replayed, Fail> {
    let pack = PackRef {
        name: candidate.pack.name().to_string(),
        version: candidate.pack.version(),
        hash: candidate.hash,
    };
    let report = Report::of(&pack, asked, trial);
    let bytes = report.bytes().map_err(Fail::new)?;
    write_new(path, &bytes, Mode::Public)?;
    report.figure().map_err(Fail::new)
}

fn unread(error: node::Error) -> Fail {
    Fail::new("the data cannot be read").why(error)
}

fn check(args: &Check, say: &Say) -> Result<Exit, Fail> {
    let offline = Offline::open(args.dir.as_deref(), args.config.as_deref())?;
    let bar = say.progress(0, "entries");
    let checked = fsck::check_adopted(&offline.data(), &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let checked = checked.map_err(unread)?;
    let rows: Vec<_> = checked.iter().map(judged).collect();
    let lines: String = checked.iter().map(|one| format!("\n{}", judged_line(one))).collect();
    say.result(
        &json!({ "adopted": rows }),
        &format!("채택된 규정 {}건{lines}", checked.len()),
        &format!("{} adopted pack(s){lines}", checked.len()),
    );
    let lies = checked.iter().any(|one| matches!(one.again, Some((Verdict::False, _))));
    Ok(if lies { Exit::Tampered } else { Exit::Ok })
}

fn judged(one: &Checked) -> Value {
    let mut row = adopted(&one.adoption);
    if let (Some(object), Some((verdict, again))) = (row.as_object_mut(), &one.again) {
        object.insert("verdict".into(), verdict.as_str().into());
        object.insert("again".into(), json!({ "asked": again.asked, "changed": again.changed }));
    }
    row
}

fn judged_line(one: &Checked) -> String {
    let line = adopted_line(&one.adoption);
    match &one.again {
        None => line,
        Some((verdict, again)) => {
            format!("{line}: {} (now {} of {})", verdict.as_str(), again.changed, again.asked)
        }
    }
}

/// An adopted pack as its adoption says it.
pub(in crate::cli) fn adopted(adoption: &Adoption) -> Value {
    let Adoption { pack, from, index, replay } = adoption;
    json!({
        "pack": pack.name, "version": pack.version, "sha256": pack.hash.to_string(),
        "from": portability::instant(*from), "index": index, "replay": replay.as_ref().map(figure),
    })
}

/// The same as a line.
pub(in crate::cli) fn adopted_line(adoption: &Adoption) -> String {
    let Adoption { pack, from, index, replay } = adoption;
    let said = replay.as_ref().map_or_else(
        || "without a replay".to_owned(),
        |r| format!("{} of {} past answers change, over {} entries", r.changed, r.asked, r.size),
    );
    format!("{} {} from {} (entry {index}): {said}", pack.name, pack.version, portability::instant(*from))
}

/// What an adoption says of the past, as its field `replay` is written.
fn figure(replay: &Replayed) -> Value {
    let mut row = json!({
        "of": replay.of.as_str(), "from": replay.from.0, "until": replay.until.0, "size": replay.size,
        "asked": replay.asked, "changed": replay.changed, "report": replay.report.to_string(),
    });
    if let Some(object) = row.as_object_mut().filter(|_| !replay.instead_of.is_empty()) {
        object.insert("instead-of".into(), json!(replay.instead_of));
    }
    row
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
    figure: Option<Replayed>,
}

fn outcome(o: &Outcome) -> Value {
    json!(Answer::from(o))
}

fn tell(say: &Say, trial: &Trial<'_>, told: &Told<'_>) {
    let Told { name, of, asked: lines, faults, figure: said } = told;
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
        "candidate": name, "of": ReplayOf::from(*of).as_str(),
        "asked": trial.asked(), "changed": rows, "by_rule": by_rule,
        "other_lines": lines.other, "left_out": lines.left_out, "unread_entries": faults,
        "replay": said.as_ref().map(figure),
    });
    let table: String = trial.changes().map(|(change, n)| row(change, n)).collect();
    let unread = if *faults == 0 { String::new() } else { format!("\n{faults} finding(s): run `naru fsck`") };
    let left = match lines.left_out {
        0 => String::new(),
        n => format!("\n{n} line(s) left out: narrow the span"),
    };
    let said = said.as_ref().map_or_else(String::new, |said| format!("\nreplay={}", figure(said)));
    let (asked, changed) = (trial.asked(), trial.changes().map(|(_, n)| n).sum::<u64>());
    say.result(
        &document,
        &format!("{name}: 물음 {asked}건 가운데 {changed}건의 답이 달라진다{table}{left}{unread}{said}"),
        &format!("{name}: {changed} of {asked} answers change{table}{left}{unread}{said}"),
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
