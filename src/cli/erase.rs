//! `naru erase`: a person whom a legal order names is to be forgotten.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::control;
use crate::cli::file::Mode;
use crate::cli::file::write_new;
use crate::cli::open;
use crate::cli::say::Fail;
use crate::cli::say::Say;
use crate::model::id::PartyId;
use crate::model::id::Ppid;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A person has herself forgotten by an `erasure.demand` of her own. This is for an order of law: the running
service (asked over a socket inside the data folder) makes the certificate over everything it has of her and
signs it with the operator's key. A regulator endorses it (`naru sign --endorse`), then it is submitted
(`naru submit`): with that her key is overwritten and her records are dropped. If she acts in between, the
certificate does not cover it and is refused: make another. Exit 5 if nobody has this ppid there.")]
pub(in crate::cli) struct Args {
    /// Folder made by `naru init`.
    #[arg(value_name = "DIR", required_unless_present = "config", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// Configuration of the log.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Case number of the order: public, so no name.
    #[arg(long, value_name = "CASE")]
    order: String,
    /// The person, as a party knows her.
    #[arg(long)]
    ppid: String,
    /// Whose ppid it is; default: the log's own.
    #[arg(long)]
    party: Option<String>,
    /// New file of the certificate, to be endorsed.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let file = args.dir.as_ref().map(|dir| dir.join("naru.toml")).or_else(|| args.config.clone());
    let config = open::config(file.as_deref(), &[])?;
    let wrong = |what: &str, text: &str| Fail::usage(format!("`{text}` is no {what}"));
    let ppid = Ppid::from_text(&args.ppid).ok_or_else(|| wrong("ppid", &args.ppid))?;
    if let Some(party) = args.party.as_deref().filter(|party| PartyId::parse(party).is_none()) {
        return Err(wrong("party", party));
    }
    if args.order.is_empty() || args.order.len() > 64 {
        return Err(Fail::usage("a case number has 1 to 64 bytes"));
    }
    let failed = || Fail::new("no certificate was made");
    let asked = json!({ "ppid": ppid.to_text(), "party": args.party, "order": args.order });
    let said = control::ask_erasure(&config.data, &asked).map_err(|error| failed().why(error))?;
    let Some(said) = said else {
        return Err(failed().why("no service runs on this data").exit(Exit::Unreachable));
    };
    if let Some(error) = said.get("error").and_then(Value::as_str) {
        return Err(failed().why(error));
    }
    let Some(item) = said.get("item").and_then(Value::as_str) else {
        return Err(failed().why("nobody has this ppid there").exit(Exit::Denied));
    };
    let item = STANDARD.decode(item).map_err(|error| failed().why(error))?;
    write_new(&args.out, &item, Mode::Public)?;
    let out = args.out.display();
    say.result(
        &json!({ "out": args.out }),
        &format!("{out}: 규제기관이 승인한 뒤 제출하십시오"),
        &format!("{out}: have a regulator endorse it, then submit it"),
    );
    Ok(Exit::Ok)
}
