//! `naru move`: what an archive of one log proves is said again in another, as far as it may be.
//!
//! The rules are `audit::moving`'s; here are files, keys, two services and the report.

mod service;

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::audit::archive;
use crate::audit::archive::Also;
use crate::audit::archive::Proven;
use crate::audit::moving::Held;
use crate::audit::moving::LeftOut;
use crate::audit::moving::Row;
use crate::audit::moving::Step;
use crate::cli::Exit;
use crate::cli::accepted::Accepted;
use crate::cli::client::Reach;
use crate::cli::moving::service::Desk;
use crate::cli::moving::service::Sent;
use crate::cli::open;
use crate::cli::open::LogKey;
use crate::cli::open::Trust;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::say::hex;
use crate::ledger::key::Signer;
use crate::model::id::KeyHash;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::KeyUse;
use crate::node::clock::Clock;

const HOUR_MS: u64 = 3_600_000;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The archive (`naru export`) is checked offline as `naru verify` checks it. What you closed is closed in
the other log first: refused, withdrawn, objected, disputed, paused. Then each grant that holds is signed
again by your key: for the other log, your name there, its notice. A passkey signs in a browser alone: who has
nothing else adds a device key before, on the first log's page (`/me`). Every statement says where it came
from and carries the evidence (`naru verify --moved-from` checks it). What stands in the first log stays.
Nothing is granted that is closed, expired or covered by an objection, and what you decided in the other
log already is left alone; so a second run, or one after a break, does nothing twice.
An archive does not know what happened after it: with --old-url the first log is asked, and without it
the archive must be young (--max-age). Neither shows that the log left a statement out of the archive
it signed: --promise does, with what `naru submit` kept.
Left out, by code: decided-here, nothing-stands, expired, objected-there, objected-here (nothing is
missing because of these); granted-here (closed in the first log, granted in the other: withdraw it there if
you mean that), newer-here (an objection would take back what you granted there since),
attested-only (the controller's word alone), minor (a guardian grants it), keys-rebound (your keys were
bound anew within 90 days), counted-there (its uses are counted in the first log), not-proven,
party-unknown, not-asked-here, other-words (read the notice, then --accept-notice ID), other-terms.
A refusal of the other log is told by its own code.
Exit 5 if something is missing in the other log then, or the archive is not yours; 6 if it does not hold;
8 if it is too old, or the first log says something else by now.")]
pub(in crate::cli) struct Args {
    /// Your archive of the first log (zip).
    #[arg(value_name = "ARCHIVE")]
    archive: PathBuf,
    #[command(flatten)]
    trust: Trust,
    /// File of your private key (PEM): a live key of yours in both logs.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// `http[s]://` URL of the other service.
    #[arg(long, value_name = "URL")]
    url: String,
    /// The other log's public key: `log.vkey`.
    #[arg(long, value_name = "FILE")]
    new_log_key: PathBuf,
    #[command(flatten)]
    reach: Reach,
    /// Ask the first service whether anything has changed since: its `http[s]://` URL.
    #[arg(long, value_name = "URL")]
    old_url: Option<String>,
    /// A promise of the first log that you kept (`.accepted.cbor`): its statement must be inside.
    #[arg(long = "promise", value_name = "FILE")]
    promises: Vec<PathBuf>,
    /// Without --old-url: hours since the archive's last entry, at most.
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    max_age: u64,
    /// Become a person of the other log with this key, if you are none there.
    #[arg(long)]
    enrol: bool,
    /// You have read this notice of the other log, and accept its words.
    #[arg(long, value_name = "ID")]
    accept_notice: Vec<String>,
    /// Folder for what is signed and what the other log promised.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Say what would be done, and sign nothing but logins.
    #[arg(long)]
    dry_run: bool,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let first = args.trust.read()?;
    let file = File::open(&args.archive).map_err(|cause| Fail::file(&args.archive, cause))?;
    let also = Also { hold: true, ..Also::default() };
    let mut source = BufReader::new(file);
    let proven = archive::verify_also(&mut source, &first.keys, &first.origin, None, also);
    let (proven, held) = proven.map_err(|error| {
        Fail::new(format!("`{}` proves nothing", args.archive.display()))
            .why(error)
            .next("fetch it again with `naru export`; nothing was moved")
            .exit(Exit::Tampered)
    })?;
    let held = held.ok_or_else(|| Fail::new("the archive was not read"))?;
    let signer = open::signer(&args.key)?;
    let now = Clock::System.now();
    must_be_hers(&held, &KeyHash(signer.public().hash()), now)?;
    must_be_new(args, &held, now)?;
    must_hold(args, &first, &proven, &held)?;
    let accepted = accepted(args)?;
    let mut desk = Desk::open(args, signer.as_ref(), &held)?;
    let here = desk.here(&held, accepted)?;
    let rows = held.plan(&here, now);
    let sent = desk.send(&held, &rows, say)?;
    Ok(Report { args, proven: &proven, held: &held, rows: &rows, sent: &sent, origin: desk.origin() }
        .tell(say))
}

/// Only who holds a live key of the archive's person may say her words again.
fn must_be_hers(held: &Held, key: &KeyHash, now: Timestamp) -> Result<(), Fail> {
    let keys = held.keys();
    let refused =
        |why: &str, next: &str| Err(Fail::new("nothing is moved").why(why).next(next).exit(Exit::Denied));
    if !keys.is_known() {
        return refused("its person asked to be forgotten, or never was", "nothing is left to move");
    }
    let at = now.max(held.as_of());
    if !keys.has_live_key(key, at) {
        let mut live = keys.keys().iter().filter(|own| keys.has_live_key(&own.key, at)).peekable();
        if live.peek().is_some() && live.all(|own| own.key_use == KeyUse::Passkey) {
            return refused(
                "every key that signs for the person of this archive is a passkey, which signs in a browser alone",
                "add a device key on the first log's page (`/me`): `naru keygen` makes one; then export again",
            );
        }
        return refused(
            "the key is none that signs for the person of this archive",
            "add it to your keys in the first log (`key.add`), and export again",
        );
    }
    Ok(())
}

/// An archive does not know what was withdrawn after it.
fn must_be_new(args: &Args, held: &Held, now: Timestamp) -> Result<(), Fail> {
    let stale = |why: String| {
        let next = "export again, and move that archive";
        Err(Fail::new("the archive is not the newest").why(why).next(next).exit(Exit::Stale))
    };
    if let Some(url) = &args.old_url {
        let first = args.trust.read()?;
        let changed = service::changed_since(url, &args.reach, &args.key, &first, held)?;
        return if changed == 0 {
            Ok(())
        } else {
            stale(format!("{changed} of its slots stand otherwise in the first log by now"))
        };
    }
    let age = now.0.saturating_sub(held.as_of().0) / HOUR_MS;
    if age > args.max_age {
        return stale(format!("its last entry is {age} hours old; --old-url would ask the first log"));
    }
    Ok(())
}

/// A log that left a statement out and signed the archive without it is convicted by its own promise.
fn must_hold(args: &Args, first: &LogKey, proven: &Proven, held: &Held) -> Result<(), Fail> {
    for path in &args.promises {
        let wrong = |why: &dyn std::fmt::Display| {
            Fail::new(format!("`{}` and the archive do not go together", path.display())).why(why)
        };
        let bytes = std::fs::read(path).map_err(|cause| Fail::file(path, cause))?;
        let kept = Accepted::parse(&bytes).map_err(|why| wrong(&why))?;
        kept.promise_of(first).map_err(|why| wrong(&why).exit(Exit::Tampered))?;
        if kept.index >= proven.head.size {
            let why = "the archive is from before that statement";
            return Err(wrong(&why).next("export again, and move that archive").exit(Exit::Stale));
        }
        let id = StatementId(kept.id);
        let past = format!("statement {id},");
        let told = proven.withheld.iter().any(|(_, what)| what.starts_with(&past));
        if !held.has(&id) && !told {
            let why = "the log promised a statement, and neither shows it in the archive nor says why not";
            return Err(wrong(&why)
                .next("is it yours? Then keep both: they convict the log")
                .exit(Exit::Tampered));
        }
    }
    Ok(())
}

fn accepted(args: &Args) -> Result<Vec<StatementId>, Fail> {
    let of = |text: &String| {
        StatementId::from_hex(text).ok_or_else(|| {
            Fail::usage(format!("`{text}` is no id of a notice")).next("64 hex digits, as the report shows")
        })
    };
    args.accept_notice.iter().map(of).collect()
}

/// What a run came to.
struct Report<'a> {
    args: &'a Args,
    proven: &'a Proven,
    held: &'a Held,
    rows: &'a [Row],
    sent: &'a [Sent],
    origin: &'a str,
}

/// What is said of one slot: outcome, code, whether something is missing in the other log.
fn outcome(row: &Row, sent: &Sent, dry: bool) -> (&'static str, String, bool) {
    let done = |word| (word, String::new(), false);
    match (&row.step, sent) {
        (Step::Leave(why), _) => ("left-out", why.as_str().to_owned(), !why.is_settled()),
        (_, Sent::Refused(code)) if code == "superseded" => {
            ("left-out", LeftOut::DecidedHere.as_str().to_owned(), false)
        }
        (_, Sent::Refused(code)) => ("refused", code.clone(), true),
        (Step::Grant(_), _) if dry => done("would-move"),
        (Step::Grant(_), _) => done("moved"),
        (Step::Close(_), _) if dry => done("would-close"),
        (Step::Close(_), _) => done("closed"),
    }
}

impl Report<'_> {
    fn tell(&self, say: &Say) -> Exit {
        let dry = self.args.dry_run;
        let told: Vec<_> =
            self.rows.iter().zip(self.sent).map(|(row, sent)| (row, sent, outcome(row, sent, dry))).collect();
        let count = |words: &[&str]| told.iter().filter(|(.., (word, ..))| words.contains(word)).count();
        let moved = count(&["moved", "would-move"]);
        let closed = count(&["closed", "would-close"]);
        let left = count(&["left-out"]);
        let refused = count(&["refused"]);
        let missing = told.iter().filter(|(.., (.., missing))| *missing).count();
        let slots: Vec<Value> = told.iter().map(|(row, sent, said)| slot(row, sent, said)).collect();
        let document = json!({
            "from": {
                "log": self.held.origin(), "size": self.proven.head.size, "root": hex(&self.proven.head.root),
                "as_of": self.held.as_of().0, "asked": self.args.old_url.is_some(),
            },
            "to": { "log": self.origin }, "dry_run": dry,
            "moved": moved, "closed": closed, "left_out": left, "refused": refused, "missing": missing,
            "slots": slots, "not_moved": self.held.others(),
        });
        let line = |(row, _, (word, code, _)): &(&Row, &Sent, (&str, String, bool))| {
            let slot = &row.slot;
            let (controller, purpose) = (slot.controller.as_str(), slot.purpose.as_str());
            let state = row.state.as_str();
            let read: String = row.unread.iter().map(|id| format!("\n    --accept-notice {id}")).collect();
            format!("  {word} {code:<15} {controller} {purpose} {} ({state}){read}", slot.class.as_str())
        };
        let lines: Vec<String> = told.iter().map(line).collect();
        let lines = lines.join("\n");
        let others: Vec<String> = self.held.others().iter().map(|(kind, n)| format!("{kind} {n}")).collect();
        let (from, to, others) = (self.held.origin(), self.origin, others.join(", "));
        say.result(
            &document,
            &format!(
                "{from} → {to}\n{lines}\n옮김 {moved}, 닫음 {closed}, 남김 {left}, 거부됨 {refused}; 빠진 것 {missing}\n\
                 옮기지 않는 진술: {others}"
            ),
            &format!(
                "{from} → {to}\n{lines}\nmoved {moved}, closed {closed}, left out {left}, refused {refused}; missing there {missing}\n\
                 statements that are never moved: {others}"
            ),
        );
        if missing == 0 { Exit::Ok } else { Exit::Denied }
    }
}

fn slot(row: &Row, sent: &Sent, (word, code, missing): &(&str, String, bool)) -> Value {
    let (id, index, again) = match sent {
        Sent::Recorded { id, index, again } => (Some(hex(id)), Some(*index), *again),
        Sent::Not | Sent::Refused(_) => (None, None, false),
    };
    json!({
        "controller": row.slot.controller.as_str(), "purpose": row.slot.purpose.as_str(),
        "class": row.slot.class.as_str(), "state": row.state.as_str(), "outcome": word,
        "why": Some(code).filter(|code| !code.is_empty()), "missing": missing,
        "from": row.from.map(|id| id.to_string()), "id": id, "index": index, "again": again,
        "notices": row.unread.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// Who signs.
type Key<'a> = &'a dyn Signer;
