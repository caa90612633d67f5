//! What a call's failure means.

use mcpg_protocol::RpcError;
use pingora_core::{Error, ErrorSource, ErrorType};

use crate::dispatch::OVER;

/// What the client is told when the call failed; none when the client itself is gone.
pub(super) fn classify(error: &Error) -> Option<RpcError> {
    match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, _) => None,
        (_, kind) if *kind == OVER => Some(RpcError::Denied),
        (
            _,
            ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout,
        ) => Some(RpcError::UpstreamTimeout),
        (
            _,
            ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::ConnectProxyFailure
            | ErrorType::TLSHandshakeFailure
            | ErrorType::InvalidCert
            | ErrorType::HandshakeError
            | ErrorType::ConnectionClosed
            | ErrorType::ReadError
            | ErrorType::WriteError
            | ErrorType::H2Error
            | ErrorType::H2Downgrade,
        ) => Some(RpcError::UpstreamUnavailable),
        (ErrorSource::Upstream, _) => Some(RpcError::UpstreamInvalid),
        _ => Some(RpcError::InternalError),
    }
}

#[cfg(test)]
mod tests;
