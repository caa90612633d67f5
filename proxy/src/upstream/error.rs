//! Why an upstream gave no answer.

use std::borrow::Cow;

use mcpg_protocol::RpcError;

use super::RpcFailure;

/// Why an upstream gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// It cannot be reached, or the connection broke.
    #[error("unavailable: {reason}")]
    Unavailable {
        /// What happened, for the operator.
        reason: Cow<'static, str>,
        /// Whether the request may have reached it.
        sent: bool,
    },
    /// It took too long.
    #[error("no answer in time")]
    Timeout {
        /// Whether the request may have reached it.
        sent: bool,
    },
    /// Its answer is no answer.
    #[error("invalid answer: {0}")]
    Invalid(Cow<'static, str>),
    /// Its answer is larger than allowed.
    #[error("the answer is larger than allowed")]
    TooLarge,
    /// It does not know the session (404).
    #[error("the session is unknown to the upstream")]
    SessionLost,
    /// Too many calls are under way.
    #[error("over `calls.concurrency_max`")]
    Busy,
    /// It failed too often of late.
    #[error("the circuit breaker is open")]
    BreakerOpen,
    /// It refused what the gateway asked on its own account.
    #[error("refused: {} {}", .0.code, .0.message)]
    Refused(RpcFailure),
    /// The gateway's own credentials for it cannot be had.
    #[error("no credentials for the upstream: {0}")]
    Credentials(Cow<'static, str>),
}

impl UpstreamError {
    /// What the client is told.
    pub fn rpc(&self) -> RpcError {
        match self {
            Self::Unavailable { .. } | Self::BreakerOpen | Self::Credentials(_) => {
                RpcError::UpstreamUnavailable
            }
            Self::Timeout { .. } => RpcError::UpstreamTimeout,
            Self::Invalid(_) | Self::TooLarge | Self::Refused(_) => RpcError::UpstreamInvalid,
            Self::SessionLost => RpcError::UnknownSession,
            Self::Busy => RpcError::Overloaded,
        }
    }

    /// Whether the upstream cannot have seen the request.
    pub fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { sent: false, .. }
                | Self::Timeout { sent: false }
                | Self::Busy
                | Self::BreakerOpen
                | Self::Credentials(_)
        )
    }
}
