//! The `mcpg-cp` binary: the control plane, and the commands around it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line talks on its standard streams"
)]

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::Command::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mcpg-cp: {error:#}");
            ExitCode::FAILURE
        }
    }
}
