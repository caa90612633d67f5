//! The request as an HTTP/2 upstream gets it, through Pingora, and what failures mean.

use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use http::{HeaderValue, Uri};
use mcpg_protocol::RpcError;
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::RequestHeader;

use super::Context;
use crate::dispatch::{connection_options, is_forwarded};

/// Makes the request the upstream's.
pub(super) fn prepare(request: &mut RequestHeader, context: &Context) -> Result<()> {
    let upstream = context.http()?;
    strip(request);
    request.set_uri(Uri::from(upstream.path_and_query.clone()));
    request.insert_header(HOST, upstream.authority.clone())?;
    if context.must_read_answer() {
        request.remove_header(&ACCEPT_ENCODING);
    }
    request.remove_header("mcp-session-id");
    let own = [
        ("mcp-name", &context.direct.name),
        ("mcp-session-id", &context.direct.session),
        ("authorization", &context.direct.authorization),
    ];
    for (name, value) in own.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))) {
        request.insert_header(name, value)?;
    }
    for (name, value) in &upstream.headers {
        request.insert_header(name.clone(), value.clone())?;
    }
    if context.generation.propagate_trace {
        let traceparent = context.trace.traceparent();
        let value = HeaderValue::from_bytes(&traceparent)
            .map_err(|error| Error::because(ErrorType::InternalError, "traceparent", error))?;
        request.insert_header(HeaderName::from_static("traceparent"), value)?;
        if context.trace.parent.is_none() {
            request.remove_header("tracestate");
        }
    }
    frame(request, context)
}

/// The body has the length that was judged.
fn frame(request: &mut RequestHeader, context: &Context) -> Result<()> {
    request.remove_header(&TRANSFER_ENCODING);
    match context.authorized.as_ref().map(|authorized| authorized.body().len()) {
        Some(length) if length > 0 => request.insert_header(CONTENT_LENGTH, length),
        _ => {
            request.remove_header(&CONTENT_LENGTH);
            Ok(())
        }
    }
}

fn strip(request: &mut RequestHeader) {
    let mut stripped = connection_options(request);
    stripped.extend(request.headers.keys().filter(|name| !is_forwarded(name.as_str())).cloned());
    for name in stripped {
        request.remove_header(&name);
    }
}

/// What the client is told when the call failed; none when the client itself is gone.
pub(super) fn classify(error: &Error) -> Option<RpcError> {
    match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, _) => None,
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
            | ErrorType::WriteError,
        ) => Some(RpcError::UpstreamUnavailable),
        (ErrorSource::Upstream, _) => Some(RpcError::UpstreamInvalid),
        _ => Some(RpcError::InternalError),
    }
}

#[cfg(test)]
mod tests;
