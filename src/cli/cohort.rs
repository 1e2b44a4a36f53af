//! `naru cohort`: a party asks "may I?" about every line of a file.

use std::fs;
use std::fs::File;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::asker::Asker;
use crate::cli::asker::Topic;
use crate::cli::client::Client;
use crate::cli::file::beside;
use crate::cli::file::private;
use crate::cli::open;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::say::hex;
use crate::ledger::cohort;
use crate::ledger::cohort::Summary;
use crate::ledger::hash::Running;
use crate::node::clock::Watch;

/// A token is used no longer than this; the service gives it five minutes.
const TOKEN_TIME: Duration = Duration::from_secs(200);
/// Between two looks at a job.
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
FILE has one ppid a line. The verdicts come back in its order, one JSON line each, without the ppids;
the summary is signed by the log and binds both files. Both are compared with it.
Interrupted? The service goes on: `--resume ID` waits for a job and fetches what it made.
Exit 0: all lines have a verdict, permitted or not. Exit 6: the files are not those of the summary.")]
pub(in crate::cli) struct Args {
    /// The ppids, one a line.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    asker: Asker,
    #[command(flatten)]
    topic: Topic,
    /// The log's public key (`log.vkey` or `log.pem`): checks the summary's signature.
    #[arg(long, value_name = "FILE")]
    log_key: Option<PathBuf>,
    /// Where the verdicts go; default: FILE.verdicts.jsonl. The summary goes beside them.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Wait for this job instead of sending FILE again.
    #[arg(long, value_name = "ID")]
    resume: Option<String>,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let mut desk = Desk { args, client: args.asker.client()?, token: None };
    let id = match &args.resume {
        Some(id) => id.clone(),
        None => desk.send(say)?,
    };
    desk.wait(&id, say)?;
    let out = args.out.clone().unwrap_or_else(|| beside(&args.file, "verdicts.jsonl"));
    desk.fetch(&id, &out)?;
    let signed = desk.get(&format!("v1/cohorts/{id}/summary"))?;
    let kept = beside(&out, "summary.cose");
    fs::write(&kept, &signed).map_err(|cause| Fail::file(&kept, cause))?;
    let summary = compare(args, &signed, &out).map_err(|fail| fail.exit(Exit::Tampered))?;
    let checked = if args.log_key.is_some() { "holds" } else { "not-checked" };
    let document = json!({
        "id": id, "lines": summary.lines, "told": summary.told, "malformed": summary.malformed,
        "as_of": summary.as_of, "packs": summary.packs, "input": hex(&summary.input),
        "verdicts": hex(&summary.verdicts), "out": out, "summary": kept, "signature": checked,
    });
    let told: Vec<String> = summary.told.iter().map(|(reason, n)| format!("  {reason} {n}")).collect();
    let (told, bad, lines, out) = (told.join("\n"), summary.malformed, summary.lines, out.display());
    say.result(
        &document,
        &format!("{lines}줄 판정: {out}\n{told}\n  잘못된 줄 {bad}\n서명: {checked}"),
        &format!("{lines} lines have their verdict: {out}\n{told}\n  malformed {bad}\nsignature: {checked}"),
    );
    Ok(Exit::Ok)
}

/// One value of a query, percent-encoded but for what needs no care.
fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:,".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

struct Desk<'a> {
    args: &'a Args,
    client: Client,
    token: Option<(Watch, String)>,
}

impl Desk<'_> {
    fn bearer(&mut self) -> Result<String, Fail> {
        if let Some((since, token)) = &self.token
            && since.elapsed() < TOKEN_TIME
        {
            return Ok(token.clone());
        }
        let token = self.args.asker.token(&self.client)?;
        let bearer = format!("Bearer {token}");
        self.token = Some((Watch::start(), bearer.clone()));
        Ok(bearer)
    }

    fn get(&mut self, path: &str) -> Result<Vec<u8>, Fail> {
        let bearer = self.bearer()?;
        let answer = self.client.get_with(path, &[("authorization", &bearer)])?;
        if answer.status != 200 {
            return Err(Fail::new("the service does not show the job").why(answer.problem()));
        }
        Ok(answer.body)
    }

    /// Sends the file; answers the job's id.
    fn send(&mut self, say: &Say) -> Result<String, Fail> {
        let Args { file, topic, .. } = self.args;
        let Topic { purpose, class, action, categories, recipient, jurisdiction } = topic;
        let mut pairs =
            vec![("purpose", purpose.clone()), ("class", class.clone()), ("action", action.clone())];
        pairs.push(("categories", categories.join(",")));
        pairs.extend(recipient.clone().map(|r| ("recipient", r)));
        pairs.extend(jurisdiction.clone().map(|j| ("jurisdiction", j)));
        let query: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={}", escaped(v))).collect();
        let opened = File::open(file).map_err(|cause| Fail::file(file, cause))?;
        let size = opened.metadata().map_or(0, |data| data.len());
        let bar = say.progress(size, "bytes");
        let bearer = self.bearer()?;
        let answer = self.client.post_stream(
            &format!("v1/cohorts?{}", query.join("&")),
            "text/plain",
            &[("authorization", &bearer)],
            &mut bar.wrap_read(opened),
        )?;
        bar.finish_and_clear();
        if answer.status != 202 {
            return Err(Fail::new("the cohort was not taken in").why(answer.problem()));
        }
        let id = serde_json::from_slice::<Value>(&answer.body)
            .ok()
            .and_then(|status| status.get("id").and_then(Value::as_str).map(str::to_owned));
        let id = id.ok_or_else(|| Fail::new("the answer names no job"))?;
        say.remark(&format!("작업 {id}"), &format!("job {id}"));
        Ok(id)
    }

    /// Until the last verdict.
    fn wait(&mut self, id: &str, say: &Say) -> Result<(), Fail> {
        let mut bar = None;
        loop {
            let status: Value = serde_json::from_slice(&self.get(&format!("v1/cohorts/{id}"))?)
                .map_err(|error| Fail::new("the job's state is not JSON").why(error))?;
            let number = |name: &str| status.get(name).and_then(Value::as_u64).unwrap_or_default();
            let bar = bar.get_or_insert_with(|| say.progress(number("lines"), "lines"));
            bar.set_position(number("done"));
            match status.get("state").and_then(Value::as_str) {
                Some("done") => {
                    bar.finish_and_clear();
                    return Ok(());
                }
                Some("failed") => {
                    return Err(Fail::new("the job cannot go on").next("send the file again"));
                }
                _ => thread::sleep(PAUSE),
            }
        }
    }

    fn fetch(&mut self, id: &str, out: &Path) -> Result<(), Fail> {
        let bearer = self.bearer()?;
        let mut file = BufWriter::new(private(out)?);
        let path = format!("v1/cohorts/{id}/verdicts");
        let status = self.client.get_stream(&path, &[("authorization", &bearer)], &mut file)?;
        if status != 200 {
            return Err(Fail::new("the service does not give the verdicts").why(format!("status {status}")));
        }
        file.flush().map_err(|cause| Fail::file(out, cause))
    }
}

/// Holds both files against the summary, and the summary against the log's key if there is one.
fn compare(args: &Args, signed: &[u8], out: &Path) -> Result<Summary, Fail> {
    let wrong = |why: &dyn std::fmt::Display| Fail::new("the summary does not hold").why(why);
    let summary = match &args.log_key {
        Some(path) => {
            let log = open::log_key(path, Some(&args.asker.origin))?;
            cohort::open(signed, &log.keys).map_err(|error| wrong(&error))?
        }
        None => cohort::claimed(signed).map_err(|error| wrong(&error))?,
    };
    if summary.origin != args.asker.origin || summary.party != args.asker.party {
        return Err(wrong(&"it is of another log or another party"));
    }
    for (path, hash) in [(args.file.as_path(), summary.input), (out, summary.verdicts)] {
        if hash_of(path)? != hash {
            return Err(wrong(&format!("`{}` is not the file it binds", path.display())));
        }
    }
    Ok(summary)
}

fn hash_of(path: &Path) -> Result<[u8; 32], Fail> {
    let mut file = File::open(path).map_err(|cause| Fail::file(path, cause))?;
    let (mut running, mut piece) = (Running::default(), vec![0; 64 << 10]);
    loop {
        let read = file.read(&mut piece).map_err(|cause| Fail::file(path, cause))?;
        if read == 0 {
            return Ok(running.finish());
        }
        running.update(piece.get(..read).unwrap_or_default());
    }
}
