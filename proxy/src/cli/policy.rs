//! `mcpg policy`: what authors of policy ask before they ship it (docs/POLICY_TOOLS.md).

mod against;
mod asked;
mod explain;
mod opinion;
mod replay;
mod rows;
mod schema;
mod test;

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// Decide a table of cases and compare. Exits with 1 if one is decided otherwise.
    Test(test::Test),
    /// Say which policy of which engine decides a call, why, and what it read.
    Explain(Box<explain::Explain>),
    /// Decide the recorded calls of the audit log again, and list what would change.
    Replay(replay::Replay),
    /// Print the Cedar schema of a configuration, with the tools that its bindings have.
    Schema(schema::Schema),
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// JUnit's XML, for builds (`test`).
    Junit,
    /// A table with a header line (`replay`).
    Csv,
}

impl Policy {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Test(test) => test.run(),
            Self::Explain(explain) => explain.run(),
            Self::Replay(replay) => replay.run(),
            Self::Schema(schema) => schema.run(),
        }
    }
}
