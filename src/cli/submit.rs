//! `naru submit`: signed items to a log, and the promise that comes back.

use std::path::Path;
use std::path::PathBuf;

use serde_json::json;

use crate::cli::Exit;
use crate::cli::accepted::Accepted;
use crate::cli::accepted::text;
use crate::cli::client::Client;
use crate::cli::client::Reach;
use crate::cli::file::Mode;
use crate::cli::file::beside;
use crate::cli::file::write_new;
use crate::cli::open::LogKey;
use crate::cli::open::Trust;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::say::hex;
use crate::cli::source::Service;
use crate::identity;
use crate::ledger::cose;
use crate::ledger::entry;
use crate::ledger::entry::Entry;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each answer is checked with the log's key: the entry opens to the statement that was sent, and the
promise covers it. It is stored as FILE.accepted.cbor: keep it, it convicts a log that loses the entry.
Exit 5 if a statement was refused, 6 if an answer does not hold.")]
pub(in crate::cli) struct Args {
    /// Signed items, as `naru sign` writes them.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// `http[s]://` URL of the service.
    #[arg(long, value_name = "URL")]
    url: String,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    trust: Trust,
    /// Wait until a signed checkpoint covers the entry.
    #[arg(long)]
    wait: bool,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let log = args.trust.read()?;
    let client = Client::new(&args.url, &args.reach)?;
    let mut exit = Exit::Ok;
    for file in &args.files {
        let item = std::fs::read(file).map_err(|cause| Fail::file(file, cause))?;
        let path = if args.wait { "v1/statements?wait=receipt" } else { "v1/statements" };
        let headers = [("accept", "application/cbor")];
        let answer = client.post(path, "application/cose", &headers, &item)?;
        if !matches!(answer.status, 200 | 201) {
            let problem = answer.problem();
            let document = json!({ "file": file, "accepted": false, "problem": problem });
            let shown = file.display();
            say.result(
                &document,
                &format!("거부됨 {shown}: {problem}"),
                &format!("refused {shown}: {problem}"),
            );
            exit = Exit::Denied;
            continue;
        }
        let accepted = checked(&answer.body, &item, &log, (&args.url, &args.reach))?.map_err(|why| {
            Fail::new(format!("the answer to `{}` does not hold", file.display()))
                .why(why)
                .next("keep statement and answer, and ask the operator")
                .exit(Exit::Tampered)
        })?;
        keep(file, &answer.body)?;
        tell(say, file, &accepted, answer.status);
    }
    Ok(exit)
}

/// Checks an answer with the log's key; another key may sign by now: then the log's rotations show
/// whether it is the log's.
pub(in crate::cli) fn checked(
    answer: &[u8],
    item: &[u8],
    log: &LogKey,
    (url, reach): (&str, &Reach),
) -> Result<Result<Accepted, String>, Fail> {
    Ok(match hold(answer, item, log) {
        Err(why) if Accepted::parse(answer).is_ok_and(|one| one.is_by_other_key(log)) => {
            match log.at(&Service::new(url, reach)?) {
                Ok(log) => hold(answer, item, &log),
                Err(_) => Err(why),
            }
        }
        held => held,
    })
}

fn tell(say: &Say, file: &Path, accepted: &Accepted, status: u16) {
    let id = hex(&accepted.id);
    let document = json!({
        "file": file, "accepted": true, "id": id, "index": accepted.index, "at": accepted.at,
        "duplicate": status == 200, "inert": accepted.inert,
    });
    let inert = accepted.inert.as_ref().map_or_else(String::new, |why| format!(" (inert: {why})"));
    let index = accepted.index;
    say.result(&document, &format!("기록됨 {index} {id}{inert}"), &format!("accepted {index} {id}{inert}"));
}

/// The answer to a duplicate may be newer than the one kept: the first stays. What it holds opens the entry.
pub(in crate::cli) fn keep(file: &Path, answer: &[u8]) -> Result<(), Fail> {
    let path = beside(file, "accepted.cbor");
    if path.exists() { Ok(()) } else { write_new(&path, answer, Mode::Secret) }
}

/// Checks an answer: the entry is the statement sent, the promise is the log's and covers it.
fn hold(answer: &[u8], item: &[u8], log: &LogKey) -> Result<Accepted, String> {
    let accepted: Accepted = Accepted::parse(answer)?;
    let sent = identity::open(item).map_err(text)?;
    if sent.id().0 != accepted.id {
        return Err("it is about another statement".into());
    }
    match (Entry::parse(&accepted.entry).map_err(text)?, &accepted.k1, &accepted.k2) {
        (Entry::Public { item: logged, .. }, None, None) => {
            // An equal id suffices: a second signature over the same statement is the same act.
            let logged = identity::open(&logged).map_err(text)?;
            if logged.id() != sent.id() {
                return Err("the entry is another statement".into());
            }
        }
        (Entry::Sealed { commitment, t }, Some(k1), Some(k2)) => {
            let proof = cose::proof_of(item).map_err(text)?;
            let (h1, h2) = (entry::opening(k1, sent.statement()), entry::opening(k2, &proof));
            if entry::commitment(accepted.at, &h1, &h2) != commitment {
                return Err("the entry does not open to the statement sent".into());
            }
            if accepted.at < t {
                return Err("the entry is of a later time than the promise".into());
            }
        }
        _ => return Err("entry and openings are of different kinds".into()),
    }
    accepted.promise_of(log)?;
    Ok(accepted)
}
