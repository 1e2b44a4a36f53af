//! `naru flag`: the operator has its service look at the use lines now.

use std::path::PathBuf;

use serde_json::Value;

use crate::cli::Exit;
use crate::cli::control;
use crate::cli::open;
use crate::cli::say::Fail;
use crate::cli::say::Say;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The service looks at each day by itself once it is over. This has it look at yesterday and today at
once, over a socket inside the data folder. What breaks a rule becomes an incident, sealed, signed by
the operator: seen by the regulator in scope and the accused. The same is never flagged twice.")]
pub(in crate::cli) struct Args {
    /// Folder made by `naru init`.
    #[arg(value_name = "DIR", required_unless_present = "config", conflicts_with = "config")]
    dir: Option<PathBuf>,
    /// Configuration of the log.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(in crate::cli) fn run(args: &Args, say: &Say) -> Result<Exit, Fail> {
    let file = args.dir.as_ref().map(|dir| dir.join("naru.toml")).or_else(|| args.config.clone());
    let config = open::config(file.as_deref(), &[])?;
    let failed = || Fail::new("the use lines were not looked at");
    let said = control::ask_findings(&config.data).map_err(|error| failed().why(error))?;
    let Some(said) = said else {
        return Err(failed().why("no service runs on this data").exit(Exit::Unreachable));
    };
    if let Some(error) = said.get("error").and_then(Value::as_str) {
        return Err(failed().why(error));
    }
    let all = said.get("incidents").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let new = all.iter().filter(|one| one.get("new").and_then(Value::as_bool) == Some(true)).count();
    let seen = all.len();
    say.result(
        &said,
        &format!("사건 {seen}건, 그중 새것 {new}건"),
        &format!("{seen} incidents, {new} of them new"),
    );
    Ok(Exit::Ok)
}
