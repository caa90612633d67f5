//! `audit`: an organization's audit chain.

use clap::Subcommand;

use crate::failure::{Exit, Failure};
use crate::session::Session;

pub mod export;
pub mod tail;
pub mod verify;

/// What can be done with the audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Prints the last rows, and with `--follow` those to come.
    Tail(tail::Tail),
    /// Writes the chain to a file that can be verified anywhere.
    Export(export::Export),
    /// Checks a chain: that every row is what was written, in its place, and signed.
    Verify(verify::Verify),
}

impl Verb {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        match self {
            Self::Tail(tail) => tail.run(session).await,
            Self::Export(export) => export.run(session).await,
            Self::Verify(verify) => verify.run(session).await,
        }
    }
}
