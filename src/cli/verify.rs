//! `naru verify`: evidence of one statement or one decision, a promise, an archive, or a dossier, offline.

use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::audit::decision;
use crate::cli::Exit;
use crate::cli::accepted::Accepted;
use crate::cli::accepted::Kept;
use crate::cli::accepted::Unkept;
use crate::cli::carry;
use crate::cli::client::Reach;
use crate::cli::dossier;
use crate::cli::open;
use crate::cli::open::LogKey;
use crate::cli::open::Trust;
use crate::cli::readable;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::say::hex;
use crate::cli::source;
use crate::identity;
use crate::identity::item;
use crate::ledger::evidence::Evidence;
use crate::ledger::evidence::Opened;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Proves, with the log's key alone and without a network: the openings make the entry, the entry is
in the tree that the log signed, and (with the citizen's or a public form) who signed the statement.
Evidence of a decision proves that the line was among those the operator signed for in the log;
not that none is missing.
Of an archive (`naru export`) everything is checked: manifest, every byte, every evidence, the lists.
Statements that were moved here from another log (`naru move`) say so; with --moved-from it is proven
that the other log holds such a statement of the same slot, saying as much; not who signed it there.
A dossier (JSON) is checked line by line, its provisions against the packs that the log names; what
else it makes of the facts is not.
It does not prove that the log shows everybody the same tree: that needs witnesses, or an audit.
A promise (`.accepted.cbor`) is checked too; with --log it is compared with what that log shows:
exit 8 if the log shown does not reach the entry yet.
Exit 6 if anything does not hold: a broken promise convicts the log.")]
pub(in crate::cli) struct Args {
    /// Evidence as the service gave it, the answer `naru submit` kept (`.accepted.cbor`), or an archive (zip).
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    trust: Trust,
    /// Compare a promise with this log: an `http[s]://` URL, or an exported folder.
    #[arg(long = "log", value_name = "URL|DIR")]
    shown: Option<String>,
    #[command(flatten)]
    reach: Reach,
    /// The log's grain in ms, if known: the exact time must round down to the entry's.
    #[arg(long, value_name = "MS")]
    grain_ms: Option<u64>,
    /// Of an archive: the key (`.vkey`) of the log that statements in it say they came from.
    #[arg(long, value_name = "FILE")]
    moved_from: Option<PathBuf>,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let log = args.trust.read()?;
    if carry::is_archive(&args.file)? {
        let first = args.moved_from.as_deref().map(|path| open::log_key(path, None)).transpose()?;
        return carry::tell(&args.file, &log, args.grain_ms, first.as_ref(), say);
    }
    let bytes = std::fs::read(&args.file).map_err(|cause| Fail::file(&args.file, cause))?;
    if let Ok(accepted) = Accepted::parse(&bytes) {
        return promised(&accepted, args, &log, say);
    }
    if let Ok(evidence) = decision::Evidence::parse(&bytes) {
        return decided(&evidence, args, &log, say);
    }
    if let Ok(dossier) = serde_json::from_slice::<Value>(&bytes) {
        return dossier::checked(&dossier, &args.file, &log, args.grain_ms, say);
    }
    let proven = prove(&bytes, &log, args.grain_ms).map_err(|why| {
        Fail::new(format!("`{}` proves nothing", args.file.display()))
            .why(why)
            .next("compare log key and origin; if they are right, keep the file: it was altered or forged")
            .exit(Exit::Tampered)
    })?;
    let Proven { opened, signers, statement } = proven;
    let signed = if signers.is_empty() { "not-shown" } else { "holds" };
    let document = json!({
        "proven": true, "index": opened.index, "size": opened.size, "root": hex(&opened.root),
        "t": opened.t, "at": opened.at, "statement": statement, "signature": signed,
        "signers": signers, "checkpoint": opened.checkpoint, "witnessed": false,
    });
    let kind = statement.get("type").and_then(Value::as_str).unwrap_or("?");
    let who = signers.join("\n  ");
    let (index, size, root) = (opened.index, opened.size, hex(&opened.root));
    let at = opened.at.unwrap_or(opened.t);
    let ko = if signers.is_empty() {
        "서명: 이 형식에는 없음".into()
    } else {
        format!("서명 확인:\n  {who}")
    };
    let en = if signers.is_empty() {
        "signature: not shown by this form".to_owned()
    } else {
        format!("signed by:\n  {who}")
    };
    say.result(
        &document,
        &format!("증명됨: {kind}, 항목 {index} / 크기 {size}, 시각 {at}\n루트 {root}\n{ko}\n{statement}\nunwitnessed"),
        &format!("proven: {kind}, entry {index} of {size}, at {at}\nroot {root}\n{en}\n{statement}\nunwitnessed"),
    );
    Ok(Exit::Ok)
}

/// A decision: was this line among those the operator signed for in the log?
fn decided(evidence: &decision::Evidence, args: &Args, log: &LogKey, say: &Say) -> Result<Exit, Fail> {
    let proven = evidence.verify(&log.keys, &log.origin, args.grain_ms).map_err(|error| {
        Fail::new(format!("`{}` proves nothing", args.file.display()))
            .why(error)
            .next("compare log key and origin; if they are right, keep the file: it was altered or forged")
            .exit(Exit::Tampered)
    })?;
    let decision::Proven { line, exact, batch, signer, opened } = proven;
    let shown = |bytes: &[u8]| readable::of_cbor(bytes).map_err(Fail::new);
    let words = shown(&evidence.line)?;
    let reason = exact.as_ref().map(|exact| exact.reason.as_str());
    let document = json!({
        "proven": true, "decision": line.id.to_string(), "permitted": line.told.permits(),
        "told": line.told.as_str(), "reason": reason, "line": words,
        "exact": evidence.exact.as_ref().map(|bytes| shown(bytes)).transpose()?,
        "batch": batch.number, "from": batch.from.0, "until": batch.until.0,
        "signers": [signer.to_string()], "index": opened.index, "size": opened.size,
        "root": hex(&opened.root), "checkpoint": opened.checkpoint, "witnessed": false,
    });
    let (index, size, number, at) = (opened.index, opened.size, batch.number, line.at.0);
    let (asker, told) = (&line.asker, line.told.as_str());
    let ko_exact = reason.map_or_else(String::new, |reason| format!("\n결정된 사유: {reason}"));
    let en_exact = reason.map_or_else(String::new, |reason| format!("\ndecided: {reason}"));
    say.result(
        &document,
        &format!(
            "증명됨: {asker}의 물음에 시각 {at}에 {told}로 답함{ko_exact}\n이용 묶음 {number}, 항목 {index} / 크기 {size}\n\
             묶음에 서명한 키 (운영자의 키와 비교하십시오): {signer}\n{words}\nunwitnessed"
        ),
        &format!(
            "proven: {asker} asked and was told {told} at {at}{en_exact}\nuse batch {number}, entry {index} of {size}\n\
             the batch is signed by (compare with the operator's key): {signer}\n{words}\nunwitnessed"
        ),
    );
    Ok(Exit::Ok)
}

/// A promise: is it the log's, and does the log shown keep it?
fn promised(accepted: &Accepted, args: &Args, log: &LogKey, say: &Say) -> Result<Exit, Fail> {
    let tampered = |what: &str, why: String| {
        Fail::new(format!("`{}`: {what}", args.file.display()))
            .why(why)
            .next("keep the file and the checkpoint: both are signed")
            .exit(Exit::Tampered)
    };
    let source = args.shown.as_deref().map(|place| source::of(place, &args.reach)).transpose()?;
    let log = &match &source {
        Some(source) if log.keys.rotations().next().is_none() => log.at(source.as_ref())?,
        Some(_) | None => log.clone(),
    };
    let promise = accepted.promise_of(log).map_err(|why| tampered("the promise does not hold", why))?;
    let kept = match &source {
        None => None,
        Some(source) => Some(accepted.kept(source.as_ref(), log).map_err(|error| match error {
            Unkept::Log(why) => tampered("the log shown proves nothing", why),
            Unkept::Unread(unread) => Fail::new("the log cannot be read").why(unread).exit(Exit::Unreachable),
        })?),
    };
    let index = accepted.index;
    let (exit, word, ko, en) = match kept {
        None => (
            Exit::Ok,
            "unchecked",
            "지켜졌는지는 확인하지 않음 (--log)".into(),
            "kept or not: see --log".into(),
        ),
        Some(Kept::At(size)) => {
            (Exit::Ok, "kept", format!("크기 {size}에서 지켜짐"), format!("kept in the tree of {size}"))
        }
        Some(Kept::NotReached(size)) => (
            Exit::Stale,
            "not-reached",
            format!("체크포인트(크기 {size})가 아직 미치지 않음"),
            format!("the checkpoint of size {size} does not reach it"),
        ),
        Some(Kept::Broken(size)) => {
            let why = format!("the log signed another entry at index {index} in its tree of {size}");
            return Err(tampered("the promise is broken", why));
        }
    };
    let document = json!({
        "promise": true, "index": index, "at": promise.at, "kept": word, "id": hex(&accepted.id),
        "inert": accepted.inert,
    });
    let at = promise.at;
    say.result(
        &document,
        &format!("약속 확인: 항목 {index}, 시각 {at}\n{ko}"),
        &format!("promised: entry {index} at {at}\n{en}"),
    );
    Ok(exit)
}

struct Proven {
    opened: Opened,
    signers: Vec<String>,
    statement: Value,
}

fn prove(bytes: &[u8], log: &LogKey, grain_ms: Option<u64>) -> Result<Proven, String> {
    let evidence = Evidence::parse(bytes).map_err(|error| format!("it is no evidence: {error}"))?;
    let opened = evidence.verify(&log.keys, &log.origin, grain_ms).map_err(|error| error.to_string())?;
    let mut signers = Vec::new();
    if let Some(joined) = &opened.item {
        let verified = identity::open(joined).map_err(|error| error.to_string())?;
        signers.push(verified.signer().to_string());
        signers.extend(verified.signed().endorsers.iter().map(ToString::to_string));
    } else {
        item::statement_from(&opened.statement).map_err(|error| error.to_string())?;
    }
    let statement = readable::of_cbor(&opened.statement).map_err(|error| error.to_string())?;
    Ok(Proven { opened, signers, statement })
}
