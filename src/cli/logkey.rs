//! `naru rotate --log-key`: the log's own key ends, the next begins.
//!
//! The new key is put beside the old one, then the statement is made, then recorded, then the files take
//! their new names. Which of the files signs, the log says; so a crash anywhere leaves a log that opens, and
//! the same command goes on. Of two operators each endorses the statement first, so it is written for them.

use std::fs;
use std::fs::File;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_bytes::ByteBuf;
use serde_json::Value;
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::Exit;
use crate::cli::control;
use crate::cli::file::Mode;
use crate::cli::file::write_new;
use crate::cli::keygen::draw;
use crate::cli::open;
use crate::cli::rotate::Args;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::cli::say::hex;
use crate::config::Config;
use crate::identity::item;
use crate::ledger::cose;
use crate::ledger::key;
use crate::ledger::key::Signer;
use crate::ledger::note;
use crate::ledger::note::Vkey;
use crate::model::id::Nonce;
use crate::model::statement::Kind;
use crate::model::statement::LogRotate;
use crate::model::statement::ServerKey;
use crate::model::statement::V1;
use crate::node::Node;
use crate::node::clock::Clock;

const DAY_MS: u64 = 86_400_000;

/// What the service is asked: to say which key signs, to hold another, to record the statement.
fn ask(config: &Config, asked: &Value) -> Result<Value, Fail> {
    let failed = || Fail::new("the log key has not changed").next("nothing is lost; this again goes on");
    let said = match control::ask_log_key(&config.data, asked).map_err(|error| failed().why(error))? {
        Some(said) => said,
        None => {
            let (store, vault, keys) = (open::store(config)?, open::vault(config)?, open::keys(config)?);
            let settings = open::settings(config, open::grain(store.as_ref())?);
            let node = Node::open(settings, store, vault, keys, Clock::System)
                .map_err(|error| Fail::new("the log does not open").why(error).next("run `naru fsck`"))?;
            let said = answered(&node, asked);
            node.close();
            said
        }
    };
    match said.get("error").and_then(Value::as_str) {
        Some(error) => Err(failed().why(error)),
        None => Ok(said),
    }
}

/// What the node says to that.
pub(in crate::cli) fn answered(node: &Node, asked: &Value) -> Value {
    let text = |name: &str| asked.get(name).and_then(Value::as_str);
    if let Some(pem) = text("pem") {
        match key::signer_from_pem(pem) {
            Ok(signer) => node.hold_log_key(signer),
            Err(error) => return json!({ "error": error.to_string() }),
        }
    }
    let mut index = None;
    if let Some(item) = text("item") {
        let Ok(item) = STANDARD.decode(item) else { return json!({ "error": "the request cannot be read" }) };
        match node.record(vec![item]).pop() {
            Some(Ok(accepted)) => index = Some(accepted.index),
            Some(Err(refusal)) => return json!({ "error": refusal.to_string() }),
            None => return json!({ "error": "there was no answer" }),
        }
        // The first checkpoint of the new key need not wait.
        if let Err(stop) = node.tick() {
            return json!({ "error": stop.to_string() });
        }
    }
    let operators = node.register().operators().count();
    json!({ "key": hex(&node.log_key().hash()), "operators": operators, "index": index })
}

pub(in crate::cli) fn run(args: &Args, path: &Path, config: &Config, say: &Say) -> Result<Exit, Fail> {
    let pem = Zeroizing::new(fs::read_to_string(path).map_err(|cause| Fail::file(path, cause))?);
    let new = open::signer(path)?;
    let vkey = Vkey::new(&config.origin, note::Kind::Log, new.public()).map_err(|error| {
        Fail::usage(format!("`{}` is no key for a log", path.display()))
            .why(error)
            .next("make an Ed25519 key")
    })?;
    let (now, operators) = standing(config)?;
    if now == hex(&new.public().hash()) {
        settle(config, &now)?;
        let document = json!({ "index": null, "vkey": vkey.to_string(), "recorded": true });
        say.result(
            &document,
            &format!("이미 이 열쇠로 서명합니다\n{vkey}"),
            &format!("the log signs with it already\n{vkey}"),
        );
        return Ok(Exit::Ok);
    }
    // What an earlier rotation left is put in order first.
    settle(config, &now)?;
    prepare(config, &pem, new.as_ref())?;
    let item = statement(config, &now, new.as_ref(), args.overlap_days)?;
    if operators > 1 {
        return for_both(args, config, (&pem, &item), &vkey, say);
    }
    let said = ask(config, &json!({ "pem": pem.as_str(), "item": STANDARD.encode(&item) }))?;
    settle(config, &hex(&new.public().hash()))?;
    let index = said.get("index").and_then(Value::as_u64).unwrap_or_default();
    let (document, old) =
        (json!({ "index": index, "vkey": vkey.to_string(), "recorded": true }), open::beside(config, "old"));
    say.result(
        &document,
        &format!("항목 {index}부터 새 열쇠로 서명합니다\n{vkey}"),
        &format!("from entry {index} on the new key signs\n{vkey}"),
    );
    let (days, old) = (args.overlap_days, old.display());
    say.remark(
        &format!("{days}일 뒤에 {old} 를 지우십시오."),
        &format!("Publish the new key, and remove {old} after {days} days."),
    );
    Ok(Exit::Ok)
}

/// The key that signs now, and how many operator keys there are.
fn standing(config: &Config) -> Result<(String, u64), Fail> {
    let said = ask(config, &json!({}))?;
    let key = said.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok((key, said.get("operators").and_then(Value::as_u64).unwrap_or(1)))
}

/// The statement, written for the operators: the service has the key already when it comes back.
fn for_both(
    args: &Args,
    config: &Config,
    (pem, item): (&str, &[u8]),
    vkey: &Vkey,
    say: &Say,
) -> Result<Exit, Fail> {
    let out = args.out.as_deref().ok_or_else(|| {
        Fail::usage("`--out` is missing")
            .why("the log has two operator keys: each endorses the statement first")
            .next("give --out FILE, have both endorse it (`naru sign --endorse`), then `naru submit` it")
    })?;
    ask(config, &json!({ "pem": pem }))?;
    write_new(out, item, Mode::Public)?;
    let shown = out.display();
    say.result(
        &json!({ "out": out, "vkey": vkey.to_string(), "recorded": false }),
        &format!("{shown}: 두 운영자가 모두 승인한 뒤 제출하십시오\n{vkey}"),
        &format!("{shown}: have both operators endorse it, then submit it\n{vkey}"),
    );
    Ok(Exit::Ok)
}

/// Puts the new key beside the old one, durably: from here on a start knows both.
fn prepare(config: &Config, pem: &str, new: &dyn Signer) -> Result<(), Fail> {
    let next = open::beside(config, "next");
    if next.exists() {
        let same = open::signer(&next)?.public() == new.public();
        return if same {
            Ok(())
        } else {
            Err(Fail::usage(format!("`{}` holds another key for a rotation", next.display()))
                .next("finish that rotation, or remove the file if it was never recorded"))
        };
    }
    write_new(&next, pem.as_bytes(), Mode::Secret)?;
    sync_folder(&next)
}

/// The rotation, by the key that signs now, endorsed by the one that comes.
fn statement(config: &Config, now: &str, new: &dyn Signer, days: u64) -> Result<Vec<u8>, Fail> {
    let held = open::log_signers(config)?;
    let old = held.iter().find(|signer| hex(&signer.public().hash()) == now).ok_or_else(|| {
        Fail::new(format!("the key that signs now is not at `{}`", config.log_key.display()))
            .next("put it back: a rotation is signed by the key that ends")
    })?;
    let at = Clock::System.now();
    let statement = LogRotate {
        v: V1,
        kind: Kind::LogRotate,
        iat: at,
        nonce: Nonce(draw()?),
        server_key: ServerKey::Log,
        new: ByteBuf::from(new.public().spki()),
        overlap_until: at.plus_ms(days.saturating_mul(DAY_MS)),
    };
    let item = item::sign(&statement.into(), old.as_ref()).map_err(Fail::new)?;
    cose::endorse(new, &item).map_err(Fail::new)
}

/// Gives the files their names once the log says that the next key signs. A crash between the two renames
/// leaves both keys: a start looks at all three names.
fn settle(config: &Config, now: &str) -> Result<(), Fail> {
    let (next, old) = (open::beside(config, "next"), open::beside(config, "old"));
    if !next.exists() || hex(&open::signer(&next)?.public().hash()) != now {
        return Ok(());
    }
    if config.log_key.exists() {
        fs::rename(&config.log_key, &old).map_err(|cause| Fail::file(&old, cause))?;
    }
    fs::rename(&next, &config.log_key).map_err(|cause| Fail::file(&config.log_key, cause))?;
    sync_folder(&config.log_key)
}

fn sync_folder(path: &Path) -> Result<(), Fail> {
    let folder = path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|open| open.sync_all()).map_err(|cause| Fail::file(folder, cause))
}
