//! `naru audit`: what anybody can check of a whole log.

use std::path::Path;
use std::path::PathBuf;

use serde_json::json;

use crate::audit;
use crate::audit::Known;
use crate::audit::Report;
use crate::audit::Source;
use crate::audit::Unread;
use crate::audit::case::Bundle;
use crate::cli::Exit;
use crate::cli::client::Reach;
use crate::cli::open::LogKey;
use crate::cli::open::Trust;
use crate::cli::packs;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::source;
use crate::ledger::checkpoint::Checkpoint;
use crate::node::clock::Clock;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads every bundle, tile and attachment and derives the rest again: the tree, its root, every tile,
every public statement with its signatures and its authority, the numbering of use batches.
Exit 6 names each place that is wrong. Sealed entries need their openings: see `naru verify`.
The age of a log is that of its newest entry.")]
pub(in crate::cli) struct Args {
    /// An `http[s]://` URL of the service, or a folder written by `naru export-log`.
    #[arg(value_name = "URL|DIR")]
    place: String,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    trust: Trust,
    /// A checkpoint kept from an earlier visit: the log must extend it.
    #[arg(long = "from", value_name = "OLD_CHECKPOINT")]
    older: Option<PathBuf>,
    /// Seconds the newest entry may be old; beyond it the exit code is 8.
    #[arg(long, value_name = "SECONDS")]
    max_age: Option<u64>,
    /// Openings that a regulator was given under one case (`naru dossier --open`): compared with the log.
    #[arg(long, value_name = "BUNDLE")]
    case: Option<PathBuf>,
    /// Write the checkpoint that was checked, for the next `--from`.
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let log = args.trust.read()?;
    let source = source::of(&args.place, &args.reach)?;
    let older = match &args.older {
        None => None,
        Some(path) => Some(std::fs::read_to_string(path).map_err(|cause| Fail::file(path, cause))?),
    };
    let bar = say.progress(0, "entries");
    let known = Known { key: &log.key, origin: &log.origin, older: older.as_deref() };
    let report = audit::audit(source.as_ref(), &known, &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = report.map_err(unread)?;
    let now = Clock::System.now();
    let age_s = now.0.saturating_sub(report.newest_t) / 1_000;
    let stale = args.max_age.is_some_and(|most| age_s > most);
    tell(say, &report, age_s, stale);
    if !report.is_clean() {
        return Ok(Exit::Tampered);
    }
    if let (Some(path), Some(head)) = (&args.case, &report.checkpoint)
        && !case(path, source.as_ref(), (&log.at(source.as_ref())?, head), say)?
    {
        return Ok(Exit::Tampered);
    }
    if let Some(path) = &args.keep {
        let note = source.checkpoint().map_err(unread)?;
        std::fs::write(path, note).map_err(|cause| Fail::file(path, cause))?;
    }
    Ok(if stale { Exit::Stale } else { Exit::Ok })
}

/// The openings of one case, against the log just audited; whether all of them hold.
fn case(
    path: &Path,
    source: &dyn Source,
    (log, head): (&LogKey, &Checkpoint),
    say: &Say,
) -> Result<bool, Fail> {
    let bytes = std::fs::read(path).map_err(|cause| Fail::file(path, cause))?;
    let bundle = Bundle::parse(&bytes, &log.origin).map_err(|why| Fail::file(path, why))?;
    let checked = bundle.check(source, (&log.keys, head), None).map_err(unread)?;
    let (case, opened, withheld) = (&bundle.case, checked.opened.len(), checked.withheld);
    let findings: Vec<_> =
        checked.findings.iter().map(|(record, what)| json!({ "record": record, "what": what })).collect();
    let document = json!({
        "case": case, "opened": opened, "withheld": withheld, "findings": findings,
        "records": checked.opened.iter().map(|(index, kind)| json!({ "index": index, "type": kind.as_str() }))
            .collect::<Vec<_>>(),
    });
    let list: String =
        checked.findings.iter().map(|(record, what)| format!("\n  {record}: {what}")).collect();
    say.result(
        &document,
        &format!("사건 {case}: 열람 기록 {opened}건 확인, 열리지 않은 것 {withheld}건{list}"),
        &format!("case {case}: {opened} record(s) hold, {withheld} not given{list}"),
    );
    Ok(checked.findings.is_empty())
}

fn unread(error: Unread) -> Fail {
    Fail::new("the log cannot be read").why(error).exit(Exit::Unreachable)
}

fn tell(say: &Say, report: &Report, age_s: u64, stale: bool) {
    let size = report.checkpoint.as_ref().map(|c| c.size);
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|f| json!({ "place": f.place.to_string(), "what": f.what.to_string() }))
        .collect();
    let counts = &report.counts;
    let document = json!({
        "clean": report.is_clean(), "size": size, "extends": report.extends,
        "root": report.checkpoint.as_ref().map(|c| crate::cli::say::hex(&c.root)),
        "entries": counts.entries, "public": counts.public, "applied": counts.applied,
        "sealed": counts.sealed, "attachments": counts.attachments, "tiles": report.tiles,
        "use_batches": counts.use_batches, "erasures": counts.erasures, "erased": counts.erased,
        "erasures_by_term": counts.scheduled,
        "adopted": report.adopted.iter().map(packs::adopted).collect::<Vec<_>>(),
        "age_s": age_s, "stale": stale, "witnessed": false, "cosignatures": report.cosignatures,
        "findings": findings,
    });
    let list: String = report.findings.iter().map(|f| format!("\n  {f}")).collect();
    let adopted: String =
        report.adopted.iter().map(|one| format!("\nadopted {}", packs::adopted_line(one))).collect();
    let extends = report.extends.map_or_else(String::new, |size| format!("\nextends {size}"));
    let figures = format!(
        "{} entries, {} public ({} applied), {} sealed, {} attachments, {} tiles{extends}{adopted}\nunwitnessed",
        counts.entries, counts.public, counts.applied, counts.sealed, counts.attachments, report.tiles
    );
    let n = report.findings.len();
    let old = |text: &str| if stale { format!("\n{text}: {age_s} s") } else { String::new() };
    if report.is_clean() {
        say.result(
            &document,
            &format!("이상 없음\n{figures}{}", old("오래됨")),
            &format!("sound\n{figures}{}", old("stale")),
        );
    } else {
        say.result(
            &document,
            &format!("변조 또는 규칙 위반 {n}건{list}\n{figures}"),
            &format!("{n} finding(s){list}\n{figures}"),
        );
    }
}
