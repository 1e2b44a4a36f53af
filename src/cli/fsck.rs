//! `naru fsck`: one's own data, checked whole; derived things written again.

use std::path::PathBuf;

use serde_json::json;

use crate::cli::Exit;
use crate::cli::open::Offline;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::node::fsck;
use crate::node::fsck::Report;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The service must not be running on the data. Needs keys/master.key and keys/log.pem.
Checks commits, names, bodies, openings, signatures, the tree, checkpoint, anchor, mark, tiles,
attachments, and that every stored state is what the entries say. Exit 6 names what is wrong by entry.
--rebuild writes tiles and state again from the entries, then checks.")]
pub(in crate::cli) struct Args {
    /// Folder made by `naru init`.
    #[arg(value_name = "DIR", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// Configuration of the log.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write tiles and projection again first.
    #[arg(long)]
    rebuild: bool,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let offline = Offline::open(args.dir.as_deref(), args.config.as_deref())?;
    let data = offline.data();
    let bar = say.progress(0, "entries");
    let mut progress = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let failed = |error: crate::node::Error| {
        Fail::new("the data cannot be read")
            .why(error)
            .next("keep a copy of the folder, then restore from a backup")
            .exit(Exit::Tampered)
    };
    if args.rebuild {
        fsck::rebuild(&data, &mut progress).map_err(failed)?;
    }
    let report = fsck::check(&data, &mut progress).map_err(failed)?;
    bar.finish_and_clear();
    tell(say, &report, args.rebuild);
    Ok(if report.faults.is_empty() { Exit::Ok } else { Exit::Tampered })
}

fn tell(say: &Say, report: &Report, rebuilt: bool) {
    let counts = &report.counts;
    let faults: Vec<_> =
        report.faults.iter().map(|fault| json!({ "place": fault.place, "what": fault.what })).collect();
    let document = json!({
        "clean": report.faults.is_empty(), "entries": counts.entries, "public": counts.public,
        "sealed": counts.sealed, "persons": report.persons, "attachments": counts.attachments,
        "published": report.published, "lag": report.lag, "tiles_missing": report.tiles_missing,
        "lost": report.lost, "erased": report.erased, "unerased": report.unerased, "held": report.held,
        "items": report.items,
        "rebuilt": rebuilt, "findings": faults,
    });
    let lost =
        if report.lost == 0 { String::new() } else { format!(", {} lost before a restore", report.lost) };
    let erased = if report.erased == 0 { String::new() } else { format!(", {} erased", report.erased) };
    let figures = format!(
        "{} entries, {} public, {} sealed, {} persons, {} published, projection lags {}{}{}",
        counts.entries,
        counts.public,
        counts.sealed,
        report.persons,
        report.published,
        report.lag,
        lost,
        erased
    );
    if report.faults.is_empty() {
        say.result(&document, &format!("이상 없음\n{figures}"), &format!("sound\n{figures}"));
        return;
    }
    let list: String = report.faults.iter().map(|fault| format!("\n  {fault}")).collect();
    let n = report.faults.len();
    say.result(
        &document,
        &format!("이상 {n}건{list}\n{figures}"),
        &format!("{n} finding(s){list}\n{figures}"),
    );
}
