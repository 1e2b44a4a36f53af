//! The `naru` binary: everything is in [`naru::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    naru::cli::main()
}
