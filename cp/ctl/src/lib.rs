//! The operator's command line, a client of the control plane's API.
//!
//! A command line becomes one typed [`Command`] or an error that names the argument: nothing is sent that the API would
//! refuse for its form. Commands speak to the control plane by [`client::Client`], print by [`output::Output`], and end with
//! an [`Exit`] that scripts can go by.

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser};

pub use commands::Command;
pub use failure::{Exit, Failure};
pub use session::{Connection, Session};

use output::{Format, Output};

pub mod arguments;
pub mod client;
pub mod commands;
pub mod config;
mod failure;
pub mod manifest;
pub mod output;
mod session;
pub mod text;
pub mod yaml;

/// Operates an MCPG control plane.
#[derive(Debug, Parser)]
#[command(name = "mcpg-ctl", version, disable_help_subcommand = true, after_help = AFTER)]
pub struct CommandLine {
    #[command(flatten)]
    connection: Connection,
    /// How data is printed.
    #[arg(short, long, global = true, value_enum, default_value_t, help_heading = "Output")]
    output: Format,
    /// Print names only.
    #[arg(short, long, global = true, help_heading = "Output")]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "Exit codes: 0 done, 1 failed or refused, 2 usage or settings, 3 not found, 4 not permitted, 5 conflict, \
                     6 control plane unreachable, 7 a difference was found.";

/// Parses a command line, its first word being the program's name.
///
/// # Errors
/// What is wrong with it, or the help or version text that it asked for, as [`clap::Error`] prints them.
pub fn parse<I, T>(arguments: I) -> Result<CommandLine, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    CommandLine::try_parse_from(arguments)
}

/// Does what a command line asks for.
///
/// # Errors
/// Why it was not done.
pub async fn run(line: CommandLine) -> Result<Exit, Failure> {
    let output = Output { format: line.output, names_only: line.quiet };
    line.command.run(&Session::new(line.connection, output)).await
}

/// The whole grammar, for completions and the documentation.
pub fn grammar() -> clap::Command {
    CommandLine::command()
}

#[cfg(test)]
mod tests;
