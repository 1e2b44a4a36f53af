//! `naru rotate`: the wrapping epoch of the person keys ends, the next begins; or the log's own key does.

use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::control;
use crate::cli::logkey;
use crate::cli::open;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::config::Config;
use crate::node::Error;
use crate::node::Node;
use crate::node::Rotated;
use crate::node::clock::Clock;
use crate::vault::Suite;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every person's key is wrapped by its epoch's key, a file beside keys/master.key. The service begins a new
epoch by itself, so that none is older than 30 days. This does it now, while the service runs (over a socket
inside the data folder), or by itself: wraps every key and every name again, then destroys the old key.
Whatever was erased before cannot be read any more from any older copy. Neither can anything else in it:
backups of ended epochs open for nobody, so make one (`naru backup`), and copy keys/ again, after this.
Broken off, it goes on by itself at the next start, or with this again.

With --log-key it is the log's own key that ends: the new key lies beside the old one first (keys/log.next.pem),
a `log.rotate` signed by both is recorded, from its entry on the new key signs, and for the days of the overlap
checkpoints bear both signatures. Whoever knows one key of the log knows the others by its list of rotations.
If the log has two operator keys, the statement is written to --out for both to endorse.")]
pub(in crate::cli) struct Args {
    /// Folder made by `naru init`.
    #[arg(value_name = "DIR", required_unless_present = "config", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// Configuration of the log.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How keys of the new epoch seal: aes-256-gcm, chacha20-poly1305 or aria-256-gcm.
    #[arg(long, default_value = "aes-256-gcm")]
    suite: String,
    /// End the log's own key instead: this file holds the next one (Ed25519, PEM).
    #[arg(long, value_name = "FILE", conflicts_with = "suite")]
    log_key: Option<PathBuf>,
    /// Days in which checkpoints bear the old log key's signature, too.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(0..=90))]
    pub(in crate::cli) overlap_days: u64,
    /// New file for the statement, to be endorsed by two operators.
    #[arg(long, value_name = "FILE", requires = "log_key")]
    pub(in crate::cli) out: Option<PathBuf>,
}

/// What the control socket answers.
pub(in crate::cli) fn told(rotated: &Rotated) -> Value {
    json!({ "epoch": rotated.epoch, "keys": rotated.keys, "names": rotated.names })
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let file = args.dir.as_ref().map(|dir| dir.join("naru.toml")).or_else(|| args.config.clone());
    let config = open::config(file.as_deref(), &[])?;
    if let Some(path) = &args.log_key {
        return logkey::run(args, path, &config, say);
    }
    let suite = Suite::parse(&args.suite).ok_or_else(|| {
        let known: Vec<&str> = Suite::ALL.into_iter().map(Suite::as_str).collect();
        Fail::usage(format!("`{}` is no suite", args.suite)).next(format!("choose of {}", known.join(", ")))
    })?;
    let failed = || {
        Fail::new("the wrapping epoch has not changed")
            .next("nothing is lost; the next start, or this again, goes on")
    };
    let said = match control::ask_rotation(&config.data, suite).map_err(|error| failed().why(error))? {
        Some(said) => said,
        None => told(&alone(&config, suite)?.map_err(|error| failed().why(error))?),
    };
    if let Some(error) = said.get("error").and_then(Value::as_str) {
        return Err(failed().why(error));
    }
    let figure = |name: &str| said.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (epoch, keys, names) = (figure("epoch"), figure("keys"), figure("names"));
    say.result(
        &said,
        &format!("포장 에폭 {epoch}: 열쇠 {keys}개, 이름 {names}개를 다시 포장했습니다"),
        &format!("wrapping epoch {epoch}: {keys} keys and {names} names wrapped again"),
    );
    say.remark(
        "이전 백업은 더 이상 열리지 않습니다. naru backup 을 다시 하고 keys/ 를 다시 복사하십시오.",
        "Older backups open for nobody now: run `naru backup`, and copy keys/ again.",
    );
    Ok(Exit::Ok)
}

/// No service runs: this process does it.
fn alone(config: &Config, suite: Suite) -> Result<Result<Rotated, Error>, Fail> {
    let (store, vault, keys) = (open::store(config)?, open::vault(config)?, open::keys(config)?);
    let settings = open::settings(config, open::grain(store.as_ref())?);
    let node = Node::open(settings, store, vault, keys, Clock::System)
        .map_err(|error| Fail::new("the log does not open").why(error).next("run `naru fsck`"))?;
    let rotated = node.rotate(suite);
    node.close();
    Ok(rotated)
}
