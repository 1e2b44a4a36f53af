//! The `naru` binary: everything is in [`naru::cli`].

use std::process::ExitCode;

/// Statements are made on one thread and dropped on another, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    naru::cli::main()
}
