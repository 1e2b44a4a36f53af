//! The `naru` binary.

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
enum Command {
    /// A year of consent in process, then a few live steps
    Demo(naru::cli::demo::Args),
}

fn main() -> ExitCode {
    let Command::Demo(args) = Command::parse();
    naru::cli::demo::run(&args)
}
