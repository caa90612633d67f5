//! Stage 2: whom a request is for. Never a guess: what does not name a scope and an endpoint is refused.
//!
//! Sources: RFC 9110 section 15.5.20 (421), MCP `basic/transports` ("Security Warning": DNS rebinding).

use std::sync::Arc;

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use mcpg_protocol::RpcError;

use crate::refusal::Refusal;
use crate::revision::{Endpoint, Revision, ScopeState};

/// Finds the scope and the endpoint of a request.
///
/// # Errors
/// 421 for a host that is not served, 403 for a foreign origin, 404 for an unknown path.
pub(super) fn resolve<'a>(
    revision: &'a Revision,
    head: &Parts,
) -> Result<(&'a ScopeState, &'a Arc<Endpoint>), Refusal> {
    let host = host(head)?;
    for origin in head.headers.get_all(ORIGIN) {
        let permitted = origin.to_str().is_ok_and(|origin| revision.server.permits_origin(origin, host));
        if !permitted && revision.server.hosts.permits(host) {
            let detail = "the request's `Origin` is not in `server.origins`";
            return Err(Refusal::new(RpcError::ForeignOrigin, None, detail).closing());
        }
    }
    resolve_path(revision, head, head.uri.path())
}

/// Finds the scope and the endpoint at a path, whoever asks: web pages of other hosts may.
///
/// # Errors
/// As with [`resolve`], but for foreign origins.
pub(super) fn resolve_path<'a>(
    revision: &'a Revision,
    head: &Parts,
    path: &str,
) -> Result<(&'a ScopeState, &'a Arc<Endpoint>), Refusal> {
    if !revision.server.hosts.permits(host(head)?) {
        let detail = "the request's `Host` is not in `server.hosts`";
        return Err(Refusal::new(RpcError::Misdirected, None, detail).closing());
    }
    let scope = &revision.scope;
    match scope.routes.find(path) {
        Some(endpoint) => Ok((scope, endpoint)),
        None => Err(Refusal::new(RpcError::UnknownBinding, None, "no endpoint has this path").closing()),
    }
}

/// The authority that the client asked for: `Host`, or `:authority` in HTTP/2. Both at once must agree.
pub(super) fn host(head: &Parts) -> Result<&str, Refusal> {
    let malformed = || {
        let message = "the request needs exactly one `Host` that agrees with its target";
        Refusal::worded(RpcError::InvalidRequest, None, "host", message, message).closing()
    };
    let mut hosts = head.headers.get_all(HOST).into_iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.to_str().map_err(|_| malformed())?),
        (None, _) => None,
        (Some(_), Some(_)) => return Err(malformed()),
    };
    match (head.uri.authority().map(http::uri::Authority::as_str), host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => Err(malformed()),
        (Some(host), _) | (None, Some(host)) => Ok(host),
        (None, None) => Err(malformed()),
    }
}
