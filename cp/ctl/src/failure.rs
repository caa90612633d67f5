//! Why a command has failed, and what the shell is told.

use std::io;

use mcpg_cp_api::ProblemCode;

use crate::client::ClientError;
use crate::config::ConfigError;

/// What the shell is told. The numbers are documented in docs/CLI.md and do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Not done, or not as it should be: refused, rejected, failed.
    Failed = 1,
    /// The command line or the settings are wrong.
    Usage = 2,
    /// There is no such thing, or none for this caller.
    NotFound = 3,
    /// No credential, one that does not hold, or too low a role or tier.
    NotPermitted = 4,
    /// It exists already, has changed since it was read, or others depend on it.
    Conflict = 5,
    /// The control plane cannot be reached, proven or waited for.
    Unreachable = 6,
    /// A comparison or a verification has found a difference.
    Different = 7,
}

/// Why a command has failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The control plane has not done it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The operator's own settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Standard output cannot be written.
    #[error("cannot write to the standard output: {0}")]
    Output(#[from] io::Error),
    /// What was asked for cannot be done as it was asked for.
    #[error("{0}")]
    Usage(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// It has failed on this side.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    /// Whether nobody reads the output any more, as behind `| head`: no failure of ours.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What may help, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Client(error) if error.code() == Some(ProblemCode::Unauthenticated) => Some(
                "say a token by `--token-file`, `MCPG_CP_TOKEN_FILE` or `MCPG_CP_TOKEN`, or sign in: `mcpg-ctl login ORG`",
            ),
            Self::Client(ClientError::Broken { .. } | ClientError::Deadline { .. }) => {
                Some("whether it was done is not known: look before you repeat it")
            }
            _ => None,
        }
    }

    /// What the shell is told.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => of_client(error),
            Self::Config(_) | Self::Usage(_) => Exit::Usage,
            Self::NotFound(_) => Exit::NotFound,
            Self::Output(_) | Self::Failed(_) => Exit::Failed,
        }
    }
}

fn of_client(error: &ClientError) -> Exit {
    match error {
        ClientError::Plain { .. } | ClientError::NotLoopback { .. } | ClientError::Authority { .. } => {
            Exit::Usage
        }
        ClientError::Unreachable { .. }
        | ClientError::Unproven { .. }
        | ClientError::Broken { .. }
        | ClientError::Deadline { .. }
        | ClientError::Busy { .. } => Exit::Unreachable,
        ClientError::Refused(refusal) => match (refusal.code, refusal.status) {
            // The licence is what does not permit it.
            (Some(ProblemCode::Tier), _) | (_, 401 | 403) => Exit::NotPermitted,
            (_, 404) => Exit::NotFound,
            (_, 409 | 412 | 428) => Exit::Conflict,
            (_, 502..=504) => Exit::Unreachable,
            _ => Exit::Failed,
        },
        ClientError::Tls(_) | ClientError::Answer { .. } | ClientError::Request { .. } => Exit::Failed,
    }
}
