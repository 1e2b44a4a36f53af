//! `naru expire`: what is past its term is destroyed and certified now.

use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::control;
use crate::cli::open;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::config::Config;
use crate::node::Error;
use crate::node::Expired;
use crate::node::Node;
use crate::node::clock::Clock;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nothing personal is kept without a term: grants and their evidence, and requests nobody answered, go so long
after their end as the policy pack says; the service looks once a day. What another log has delivered goes when
its demand lets it be kept no longer; the service looks within ten minutes. This does it now, while the service runs
(over a socket inside the data folder) or by itself. The bodies are destroyed and certified in the log, in
batches; where a slot stands, and every proof, stays as it was. What a regulator holds is spared. Broken off,
it goes on by itself at the next start, or with this again.")]
pub(in crate::cli) struct Args {
    /// Folder made by `naru init`.
    #[arg(value_name = "DIR", required_unless_present = "config", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// Configuration of the log.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What the control socket answers.
pub(in crate::cli) fn told(expired: &Expired) -> Value {
    json!({
        "records": expired.records, "requests": expired.requests, "certificates": expired.certificates, "items": expired.items,
    })
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let file = args.dir.as_ref().map(|dir| dir.join("naru.toml")).or_else(|| args.config.clone());
    let config = open::config(file.as_deref(), &[])?;
    let failed = || {
        Fail::new("not everything past its term is destroyed")
            .next("what was done stands; the next round, or this again, goes on")
    };
    let said = match control::ask_expiry(&config.data).map_err(|error| failed().why(error))? {
        Some(said) => said,
        None => told(&alone(&config)?.map_err(|error| failed().why(error))?),
    };
    if let Some(error) = said.get("error").and_then(Value::as_str) {
        return Err(failed().why(error));
    }
    let figure = |name: &str| said.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (records, requests, items) = (figure("records"), figure("requests"), figure("items"));
    say.result(
        &said,
        &format!(
            "보유 기간이 지난 기록 {records}건을 파기하고 증명하였습니다 (요청 {requests}건 포함); 다른 곳에서 받은 항목 {items}건을 파기하였습니다"
        ),
        &format!(
            "{records} records past their term destroyed and certified, {requests} requests among them; {items} received items past their data life destroyed"
        ),
    );
    Ok(Exit::Ok)
}

/// No service runs: this process does it.
fn alone(config: &Config) -> Result<Result<Expired, Error>, Fail> {
    let (store, vault, keys) = (open::store(config)?, open::vault(config)?, open::keys(config)?);
    let settings = open::settings(config, open::grain(store.as_ref())?);
    let node = Node::open(settings, store, vault, keys, Clock::System)
        .map_err(|error| Fail::new("the log does not open").why(error).next("run `naru fsck`"))?;
    let expired = node.expire();
    node.close();
    Ok(expired)
}
