//! The command line. Exit codes: 0 fine, 1 failed, 2 wrong usage or a configuration that does not hold, 3 an audit log that
//! does not verify.

mod approvals;
mod audit;
mod check;
mod keys;
mod policy;
mod tools;
mod users;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use mcpg::upstream::stdio::{Become, Keep};
use mcpg_sdk::Scope;

/// MCPG: a governed ingress for the Model Context Protocol.
#[derive(Debug, Parser)]
#[command(name = "mcpg", version, about, disable_help_subcommand = true)]
pub(crate) struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run the gateway until SIGTERM; SIGHUP reloads, SIGUSR2 upgrades.
    #[command(alias = "serve")]
    Run {
        /// The configuration file.
        #[arg(long, short, default_value = "/etc/mcpg/gateway.yaml", env = "MCPG_CONFIG")]
        config: PathBuf,
        /// Serve this scope of the file alone: `org/workspace/env`.
        #[arg(long)]
        scope: Option<Scope>,
    },
    /// Load a configuration as the gateway would, without running it.
    Check {
        /// The configuration file.
        config: PathBuf,
        /// Check this scope of the file as the gateway of it alone would have it: `org/workspace/env`.
        #[arg(long)]
        scope: Option<Scope>,
    },
    /// Print the JSON Schema of the configuration.
    Schema,
    /// Make API keys.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Make password hashes.
    #[command(subcommand)]
    Users(users::Users),
    /// Review and approve what tools say of themselves.
    #[command(subcommand)]
    Tools(tools::Tools),
    /// Test, explain and replay policy.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// See and decide the calls that wait for approval, on this machine.
    #[command(subcommand)]
    Approvals(approvals::Approvals),
    /// Read and verify the audit log.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Start a binding's server and end all that it starts. The gateway runs this by itself.
    #[command(hide = true)]
    Keep(Keep),
    /// Turn into a binding's server. `keep` runs this by itself.
    #[command(hide = true)]
    Become(Become),
}

/// Writes an answer. Whoever reads may have enough before its end (`| head`).
///
/// # Errors
/// When the standard output cannot be written.
fn say(text: impl Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    unless_closed(write!(out, "{text}").and_then(|()| out.flush()))
}

/// A closed pipe is the reader's business.
fn unless_closed(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the standard output"),
    }
}

impl Command {
    /// Does what was asked.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Run { config, scope } => {
                mcpg::server::run(&config, scope.as_ref()).map(|()| ExitCode::SUCCESS)
            }
            Action::Check { config, scope } => check::check(&config, scope.as_ref()),
            Action::Schema => check::schema(),
            Action::Keys(keys) => keys.run(),
            Action::Users(users) => users.run(),
            Action::Tools(tools) => tools.run(),
            Action::Policy(policy) => policy.run(),
            Action::Approvals(approvals) => approvals.run(),
            Action::Audit(audit) => audit.run(),
            Action::Keep(keep) => Ok(keep.run().map(ExitCode::from)?),
            Action::Become(become_server) => Err(become_server.run().into()),
        }
    }
}
