//! EDGE. The command line: `naru COMMAND`.
//!
//! Data goes to stdout, everything else to stderr; `--json` makes one document of
//! the data. A secret is a file, never a flag. What each exit code means stands in
//! [`Exit`]. Lacks: rules; every command is a thin way to a part of the library.

mod accepted;
mod asker;
mod audit;
mod backup;
mod begin;
mod bench;
mod carry;
mod check;
mod client;
mod cohort;
mod control;
mod demo;
mod dossier;
mod erase;
mod expire;
mod export_log;
mod file;
mod flag;
mod fsck;
mod keygen;
mod logkey;
mod mirror;
mod moving;
mod open;
mod packs;
mod readable;
mod receive;
mod recovery;
mod restore;
mod rotate;
mod say;
mod serve;
mod sign;
mod source;
mod submit;
mod verify;

use std::process::ExitCode;

use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;

use crate::cli::say::Fail;
use crate::cli::say::Say;

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, permitted, or checked and sound.
    Ok,
    /// 1: it could not be done; the message says why.
    Failed,
    /// 2: wrong use: an unknown flag, a missing value, a fault in the configuration.
    Usage,
    /// 5: asked and denied, or a statement was refused.
    Denied,
    /// 6: checked and found tampered with, forged, or unproven.
    Tampered,
    /// 7: the service does not answer.
    Unreachable,
    /// 8: sound, but older than allowed.
    Stale,
}

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Denied => 5,
            Self::Tampered => 6,
            Self::Unreachable => 7,
            Self::Stale => 8,
        }
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done, permitted, or checked and sound
  1  it could not be done; the message says why
  2  wrong use, or a fault in the configuration
  5  denied, or a statement was refused
  6  tampered with, forged, or unproven
  7  the service does not answer
  8  sound, but older than allowed";

/// Naru, a consent ledger: signed statements in, a log that anybody can check, answers out.
#[derive(Debug, Parser)]
#[command(name = "naru", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    /// Write the result as one JSON document.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See it work: a year of consents in process, then live steps, then a service to try.
    Demo(demo::Args),
    /// Make a key pair: the private key into a new file, the public key beside it.
    Keygen(keygen::Args),
    /// Begin a log: keys, configuration, genesis, first checkpoint, first anchor.
    Init(begin::Args),
    /// Run the service on a log.
    Serve(serve::Args),
    /// Build, fill in and sign a statement; or endorse what somebody else signed.
    Sign(sign::Args),
    /// Send signed items to a log and check the promises that come back.
    Submit(submit::Args),
    /// Ask as a party: may I? Exit 0 permit, 5 denied.
    Check(check::Args),
    /// Ask as a party about every line of a file; one verdict each, one signed summary.
    Cohort(cohort::Args),
    /// Carry away everything of yours under one checkpoint, as a person; checked as it arrives.
    Export(carry::Args),
    /// Say again in another log what your archive of this one proves: closed first, then granted.
    Move(moving::Args),
    /// Check evidence or a whole archive offline, knowing only the log's key.
    Verify(verify::Args),
    /// Have the service look at its use lines now, and flag what breaks a rule.
    Flag(flag::Args),
    /// Fetch the dossier of an incident as a regulator: JSON, or one readable page.
    Dossier(dossier::Args),
    /// Check what anybody can check of a whole log: a URL or an exported folder.
    Audit(audit::Args),
    /// Check one's own data whole, against its keys; rebuild what is derived.
    Fsck(fsck::Args),
    /// Policy packs: decide the past again under another one.
    Packs(packs::Args),
    /// Copy the data as of one checkpoint, while the service runs; the person keys apart.
    Backup(backup::Args),
    /// Put a backup back, and catch up with the public log.
    Restore(restore::Args),
    /// Make the certificate by which a legal order has a person forgotten.
    Erase(erase::Args),
    /// Destroy and certify what is past its term now: the service does it once a day.
    Expire(expire::Args),
    /// End the wrapping epoch of the person keys, while the service runs: older copies open for nobody.
    Rotate(rotate::Args),
    /// Write the public log as a folder of static files.
    ExportLog(export_log::Args),
    /// Keep a verified copy of the public log, from a URL or a folder.
    Mirror(mirror::Args),
    /// Measure how fast this machine takes statements.
    Bench(bench::Args),
}

/// The command line as `clap` knows it: for tests, completions and manual pages.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the process's own arguments.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let say = Say::new(cli.json);
    let done = match &cli.command {
        Command::Demo(args) => return demo::run(args),
        Command::Keygen(args) => keygen::run(args, &say),
        Command::Init(args) => begin::run(args, &say),
        Command::Serve(args) => serve::run(args, &say),
        Command::Sign(args) => sign::run(args, &say),
        Command::Submit(args) => submit::run(args, &say),
        Command::Check(args) => check::run(args, &say),
        Command::Cohort(args) => cohort::run(args, &say),
        Command::Export(args) => carry::run(args, &say),
        Command::Move(args) => moving::run(args, &say),
        Command::Verify(args) => verify::run(args, &say),
        Command::Flag(args) => flag::run(args, &say),
        Command::Dossier(args) => dossier::run(args, &say),
        Command::Audit(args) => audit::run(args, &say),
        Command::Fsck(args) => fsck::run(args, &say),
        Command::Packs(args) => packs::run(args, &say),
        Command::Backup(args) => backup::run(args, &say),
        Command::Restore(args) => restore::run(args, &say),
        Command::Erase(args) => erase::run(args, &say),
        Command::Expire(args) => expire::run(args, &say),
        Command::Rotate(args) => rotate::run(args, &say),
        Command::ExportLog(args) => export_log::run(args, &say),
        Command::Mirror(args) => mirror::run(args, &say),
        Command::Bench(args) => bench::run(args, &say),
    };
    let exit = done.unwrap_or_else(|fail: Fail| say.fail(&fail));
    ExitCode::from(exit.code())
}
