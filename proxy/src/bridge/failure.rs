//! Why a request gets no answer of its upstream's, and what its client is told.

use std::borrow::Cow;

use mcpg_protocol::bridge::{BridgeError, Capability, Impossible};
use mcpg_protocol::{Datum, Era, RpcError, write_error};

use crate::upstream::UpstreamError;

/// Why a request gets no answer of its upstream's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The upstream gave none.
    Upstream(UpstreamError),
    /// The upstream does not know the session, which is the client's own.
    SessionGone,
    /// The other era cannot say it.
    Impossible(Impossible),
    /// It needs a capability that the client did not declare.
    MissingCapability(Capability),
    /// Anything else: the row of the table, a finer word, and the message.
    Said {
        /// The row.
        error: RpcError,
        /// The word.
        detail: &'static str,
        /// The message.
        message: Cow<'static, str>,
    },
}

impl Failure {
    pub(super) fn said(error: RpcError, detail: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Said { error, detail, message: message.into() }
    }

    /// The upstream broke the protocol.
    pub(super) fn invalid(what: &'static str) -> Self {
        Self::Upstream(UpstreamError::Invalid(Cow::Borrowed(what)))
    }

    /// An answer of this HTTP status that ended without a response.
    pub(super) fn silent(status: u16) -> Self {
        let error = match status {
            200..=299 => UpstreamError::Invalid("no response".into()),
            401 | 403 => UpstreamError::Credentials(format!("the upstream answers HTTP {status}").into()),
            429 | 500.. => UpstreamError::Unavailable { reason: format!("HTTP {status}").into(), sent: true },
            _ => UpstreamError::Invalid(format!("HTTP {status}").into()),
        };
        Self::Upstream(error)
    }

    /// HTTP status and JSON-RPC response for a client of an era. `id` is raw JSON text.
    pub(super) fn write(&self, id: &str, era: Era) -> (u16, Vec<u8>) {
        let mut body = Vec::with_capacity(224);
        let error = self.rpc(era);
        match self {
            Self::Upstream(_) | Self::SessionGone => {
                write_error(&mut body, Some(id), error, error.message(), &[])
            }
            Self::Impossible(impossible) => {
                let data = [("detail", Datum::Text(impossible.word()))];
                write_error(&mut body, Some(id), error, &impossible.to_string(), &data);
            }
            Self::MissingCapability(capability) => {
                let data = [("requiredCapabilities", Datum::Raw(capability.as_required()))];
                write_error(&mut body, Some(id), error, error.message(), &data);
            }
            Self::Said { detail, message, .. } => {
                let data = [("detail", Datum::Text(detail))];
                write_error(&mut body, Some(id), error, message, &data);
            }
        }
        (status(error, era), body)
    }

    /// The row of the table that it is.
    pub(super) fn rpc(&self, era: Era) -> RpcError {
        match self {
            Self::SessionGone => RpcError::UnknownSession,
            // The session was the gateway's own: for the client there is none to be lost.
            Self::Upstream(UpstreamError::SessionLost) => RpcError::UpstreamUnavailable,
            Self::Upstream(error) => error.rpc(),
            Self::Impossible(_) => RpcError::BridgeImpossible,
            // A code of the modern era.
            Self::MissingCapability(_) if era == Era::Legacy => RpcError::BridgeImpossible,
            Self::MissingCapability(_) => RpcError::MissingClientCapability,
            Self::Said { error, .. } => *error,
        }
    }
}

/// In the era of sessions 404 says that the session is gone, and the client would begin another.
fn status(error: RpcError, era: Era) -> u16 {
    match (error, era) {
        (RpcError::MethodNotFound, Era::Legacy) => 200,
        (error, _) => error.status(),
    }
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        Self::Upstream(error)
    }
}

impl From<Impossible> for Failure {
    fn from(impossible: Impossible) -> Self {
        Self::Impossible(impossible)
    }
}

/// What an upstream said that cannot be translated.
impl From<BridgeError> for Failure {
    fn from(error: BridgeError) -> Self {
        match error {
            BridgeError::Impossible(impossible) => Self::Impossible(impossible),
            BridgeError::Json(_) | BridgeError::Shape(_) => {
                Self::Upstream(UpstreamError::Invalid(error.to_string().into()))
            }
        }
    }
}
