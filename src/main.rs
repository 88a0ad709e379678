//! The `vedette` binary: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    vedette::cli::run(vedette::cli::Cli::parse())
}
