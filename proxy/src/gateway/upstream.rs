//! The request as the upstream gets it, and what its failures mean.

use std::str::FromStr as _;

use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Uri};
use mcpg_protocol::RpcError;
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::RequestHeader;

use super::Context;

/// Never sent on: the client's credentials (MCP "Authorization", token passthrough), what the gateway has judged itself, and
/// what peers could take for the word of a trusted proxy.
const STRIPPED: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "origin",
    "expect",
    "te",
    "via",
    "upgrade",
    "connection",
    "forwarded",
    "proxy-connection",
    "keep-alive",
    "client-cert",
    "client-cert-chain",
    "x-real-ip",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
];

/// Families of such headers.
const STRIPPED_PREFIXES: &[&str] =
    &["x-forwarded-", "x-mcpg-", "mcpg-", "x-envoy-", "x-client-cert", "x-ssl-"];

/// Makes the request the upstream's.
pub(super) fn prepare(request: &mut RequestHeader, context: &Context) -> Result<()> {
    let route = context.route()?;
    strip(request);
    request.set_uri(Uri::from(route.path_and_query.clone()));
    request.insert_header(HOST, route.authority.clone())?;
    if context.must_read_answer() {
        request.remove_header(&ACCEPT_ENCODING);
    }
    for (name, value) in &route.headers {
        request.insert_header(name.clone(), value.clone())?;
    }
    if context.revision.propagate_trace {
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
    for name in connection_options(&request.headers) {
        request.remove_header(&name);
    }
    for name in STRIPPED {
        request.remove_header(*name);
    }
    let families =
        |name: &&HeaderName| STRIPPED_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix));
    let found: Vec<HeaderName> = request.headers.keys().filter(families).cloned().collect();
    for name in found {
        request.remove_header(&name);
    }
}

/// Headers that `Connection` names belong to this hop (RFC 9110 section 7.6.1).
fn connection_options(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|option| HeaderName::from_str(option.trim()).ok())
        // Not these: dropping them is what the attack is after.
        .filter(|name| !matches!(*name, CONTENT_LENGTH | TRANSFER_ENCODING | HOST))
        .filter(|name| !name.as_str().starts_with("mcp-") && *name != http::header::CONTENT_TYPE)
        .collect()
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
