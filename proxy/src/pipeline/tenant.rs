//! Stage 2: whom a request is for. Never a guess: what does not name one scope and one endpoint is refused.
//!
//! A request may say it four times: by the name that its TLS connection was made to, by its host, by its path
//! (`/t/{org}/{workspace}/{env}/mcp`) and, through a trusted proxy, by the tenant header. Whatever of these is there must agree.
//! A disagreement of names is 421, one with the header 403; what names nothing is 404. Paths are compared as received: nothing
//! is decoded or normalised.
//!
//! Sources: RFC 9110 section 15.5.20 (421), RFC 6066 section 3 (SNI), MCP `basic/transports` ("Security Warning": DNS rebinding).

use std::sync::Arc;

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use mcpg_protocol::RpcError;

use super::Exchange;
use crate::connection::Connection;
use crate::refusal::Refusal;
use crate::revision::{Endpoint, Generation, Place, Revision, Scopes};

/// What paths of scopes begin with.
const SCOPED: &str = "/t/";

/// Whom a request is for.
pub(super) struct Tenant<'a> {
    pub(super) revision: &'a Arc<Revision>,
    pub(super) endpoint: &'a Arc<Endpoint>,
}

/// A request that names no endpoint, and the scope that it names all the same.
pub(super) type Unresolved<'a> = (Option<&'a Arc<Revision>>, Refusal);

/// Finds the scope and the endpoint of a request.
///
/// # Errors
/// 421 for a host that is not served, or not with this connection or path; 403 for a foreign origin, or a tenant header that says
/// otherwise; 404 for what names no scope or no endpoint.
pub(super) fn resolve<'a>(
    generation: &'a Generation,
    exchange: &impl Exchange,
) -> Result<Tenant<'a>, Unresolved<'a>> {
    let head = exchange.head();
    configured(generation).map_err(|refusal| (None, refusal))?;
    let host = host(head).map_err(|refusal| (None, refusal))?;
    for origin in head.headers.get_all(ORIGIN) {
        let permitted = origin.to_str().is_ok_and(|origin| generation.server.permits_origin(origin, host));
        if !permitted && !matches!(generation.scopes.host(host), Place::Unserved) {
            let detail = "the request's `Origin` is not in `server.origins`";
            return Err((None, Refusal::new(RpcError::ForeignOrigin, None, detail).closing()));
        }
    }
    resolve_path(generation, exchange, head.uri.path())
}

/// Finds the scope and the endpoint at a path, whoever asks: web pages of other hosts may.
///
/// # Errors
/// As with [`resolve`], but for foreign origins.
pub(super) fn resolve_path<'a>(
    generation: &'a Generation,
    exchange: &impl Exchange,
    path: &str,
) -> Result<Tenant<'a>, Unresolved<'a>> {
    let named = named(generation, exchange.head(), exchange.connection(), path);
    let (revision, own_path) = named.map_err(|refusal| (None, refusal))?;
    match revision.scope.routes.find(own_path) {
        Some(endpoint) => Ok(Tenant { revision, endpoint }),
        None => Err((Some(revision), no_endpoint(path, &generation.scopes))),
    }
}

/// The scope, and the path within it.
pub(super) fn named<'a, 'p>(
    generation: &'a Generation,
    head: &Parts,
    connection: Connection<'_>,
    path: &'p str,
) -> Result<(&'a Arc<Revision>, &'p str), Refusal> {
    configured(generation)?;
    let scopes = &generation.scopes;
    let host = host(head)?;
    let place = scopes.host(host);
    if matches!(place, Place::Unserved) {
        return Err(misdirected("the request's `Host` is neither in `server.hosts` nor a scope's"));
    }
    let server_name = connection.tls.and_then(|tls| tls.server_name.as_deref());
    agrees_with_connection(scopes, server_name, host, place)?;
    let by_path = match path.strip_prefix(SCOPED) {
        None => None,
        Some(rest) => Some(by_path(rest, scopes).ok_or_else(|| no_endpoint(path, scopes))?),
    };
    let by_header = by_header(generation, head, connection)?;
    let path = by_path.map_or(path, |(_, path)| path);
    let by_path = by_path.map(|(revision, _)| revision);
    let revision = match (by_path, by_header) {
        (Some(path), Some(header)) if !Arc::ptr_eq(path, header) => {
            return Err(contradicted("the tenant header names another scope than the path"));
        }
        (Some(revision), _) if !admits(place, revision) => {
            return Err(misdirected("the path names another tenant than the host"));
        }
        (None, Some(revision)) if !admits(place, revision) => {
            return Err(contradicted("the tenant header names another scope than the host"));
        }
        (Some(revision), _) | (None, Some(revision)) => revision,
        (None, None) => only(place, scopes)?,
    };
    if let Some(tls) = connection.tls
        && revision.scope.has_own_tls
        && tls.scope.as_ref() != Some(&revision.scope.scope)
    {
        return Err(misdirected("the TLS connection was not made under the terms of the scope"));
    }
    Ok((revision, path))
}

/// A gateway that waits for its control plane serves nobody yet.
fn configured(generation: &Generation) -> Result<(), Refusal> {
    if !generation.scopes.is_empty() {
        return Ok(());
    }
    let detail =
        "nothing is served before the first revision: `/readyz` of the admin listener says why there is none";
    Err(Refusal::new(RpcError::NotConfigured, None, detail).closing())
}

/// A TLS connection that was made to one tenant's name carries no request to another's: what was agreed on in its handshake, a
/// client's certificate above all, was agreed with that tenant. (A name that is no tenant's says nothing: proxies in front
/// choose it.)
fn agrees_with_connection(
    scopes: &Scopes,
    server_name: Option<&str>,
    host: &str,
    place: Place<'_>,
) -> Result<(), Refusal> {
    let Some(server_name) = server_name else { return Ok(()) };
    if is_name_of(host, server_name) {
        return Ok(());
    }
    let agrees = match (scopes.server_name(server_name), place) {
        (Place::Unserved | Place::Gateway, _) => true,
        (Place::Scope(one), Place::Scope(other)) => Arc::ptr_eq(one, other),
        (Place::Organization(one, _), Place::Organization(other, _)) => one == other,
        (Place::Scope(_) | Place::Organization(..), _) => false,
    };
    if agrees {
        Ok(())
    } else {
        Err(misdirected("the TLS connection was made to another tenant's name than `Host`"))
    }
}

fn is_name_of(host: &str, server_name: &str) -> bool {
    mcpg_config::split_port(host).is_some_and(|(name, _)| name.eq_ignore_ascii_case(server_name))
}

/// The scope of `{org}/{workspace}/{env}/…`, and the path behind it.
fn by_path<'a, 'e>(rest: &'e str, scopes: &'a Scopes) -> Option<(&'a Arc<Revision>, &'e str)> {
    let (end, _) = rest.match_indices('/').nth(2)?;
    let (id, path) = rest.split_at_checked(end)?;
    Some((scopes.by_id(id)?, path))
}

/// The scope of the tenant header, where it comes from one who is believed. From everyone else it means nothing.
fn by_header<'a>(
    generation: &'a Generation,
    head: &Parts,
    connection: Connection<'_>,
) -> Result<Option<&'a Arc<Revision>>, Refusal> {
    let Some(name) = generation.scopes.header() else { return Ok(None) };
    let mut values = head.headers.get_all(name).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    if !generation.trusts(connection.peer) {
        return Ok(None);
    }
    if values.next().is_some() {
        return Err(contradicted("the tenant header stands there more than once"));
    }
    let scope = value.to_str().ok().and_then(|id| generation.scopes.by_id(id));
    scope.map(Some).ok_or_else(|| contradicted("the tenant header names no scope that is served"))
}

/// Whether a host leads to a scope.
fn admits(place: Place<'_>, revision: &Arc<Revision>) -> bool {
    match place {
        Place::Unserved => false,
        Place::Gateway => true,
        Place::Scope(scope) => Arc::ptr_eq(scope, revision),
        Place::Organization(organization, _) => revision.scope.scope.organization() == organization,
    }
}

/// The scope that a host alone names.
fn only<'a>(place: Place<'a>, scopes: &'a Scopes) -> Result<&'a Arc<Revision>, Refusal> {
    let (found, detail) = match place {
        Place::Scope(scope) => (Some(scope), ""),
        Place::Gateway => {
            (scopes.top_level(), "the gateway's own host names no scope: there is none at the top level")
        }
        Place::Organization(_, members) => (members.only(), "the organization has several scopes"),
        Place::Unserved => (None, "the host is not served"),
    };
    found.ok_or_else(|| {
        let message = "which environment? ask for `/t/{org}/{workspace}/{env}/mcp`";
        Refusal::worded(RpcError::UnknownBinding, None, "scope_required", message, detail).closing()
    })
}

/// A path that leads nowhere. `/v1/…` is where the control plane has its API.
fn no_endpoint(path: &str, scopes: &Scopes) -> Refusal {
    let detail = "no endpoint has this path";
    if path == "/v1" || path.starts_with("/v1/") {
        let message = "this is a gateway, and `/v1/` is the control plane's: MCP is at `/mcp`";
        return Refusal::worded(RpcError::UnknownBinding, None, "control_plane_path", message, detail)
            .closing();
    }
    if path.starts_with(SCOPED) && scopes.len() > 1 {
        let message = "no such endpoint: scopes are at `/t/{org}/{workspace}/{env}/mcp`";
        return Refusal::worded(RpcError::UnknownBinding, None, "unknown_scope", message, detail).closing();
    }
    Refusal::new(RpcError::UnknownBinding, None, detail).closing()
}

fn misdirected(detail: &'static str) -> Refusal {
    Refusal::new(RpcError::Misdirected, None, detail).closing()
}

fn contradicted(detail: &'static str) -> Refusal {
    let message = "the tenant header does not agree with the request";
    Refusal::worded(RpcError::Denied, None, "tenant_mismatch", message, detail).closing()
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
