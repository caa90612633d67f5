//! `audit`: an organization's audit chain.

use clap::Subcommand;

use crate::failure::{Exit, Failure};
use crate::session::Session;

pub mod tail;

/// What can be done with the audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Prints the last rows, and with `--follow` those to come.
    Tail(tail::Tail),
}

impl Verb {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        match self {
            Self::Tail(tail) => tail.run(session).await,
        }
    }
}
