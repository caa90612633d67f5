//! Which way an admitted request takes: straight through, or through the gateway's own hands.
//!
//! Straight through goes what client and upstream can settle between themselves: one binding, over HTTP, in revisions of one
//! era. The bytes that were judged go out as they are, but for names and session ids. Everything else is served.

use std::sync::Arc;

use http::HeaderValue;
use mcpg_protocol::{Era, RpcError, encode_header_value};

use super::rewrite::{Outward, Shown};
use super::session::Begun;
use super::{Shared, wait};

use crate::gateway::{Beginning, Context, Direct};
use crate::pipeline::{Ask, Authorized};
use crate::refusal::Refusal;
use crate::response::Rewrite;
use crate::revision::{Revision, Route};
use crate::upstream::{OnBehalf, UpstreamError};

/// Which way a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Straight through to its binding.
    Direct,
    /// By the gateway's own hands.
    Served,
}

/// Chooses the way of a request, and prepares what is different on the direct one.
///
/// # Errors
/// When it can take none.
pub(crate) async fn choose(
    context: &mut Context,
    shared: &Shared,
    bearer: Option<&[u8]>,
) -> Result<Way, Refusal> {
    let Some(authorized) = &context.authorized else {
        return Err(Refusal::new(RpcError::InternalError, None, "the request is not authorized"));
    };
    needs_session(authorized)?;
    wait::cancel(authorized, shared);
    let Some(route) = authorized.route() else { return Ok(Way::Served) };
    let served = authorized.ask() == Ask::Listen || route.http().is_none();
    if served || authorized.protocol().era() != era(authorized, route, bearer).await? {
        return Ok(Way::Served);
    }
    let direct = match authorized.protocol().era() {
        Era::Modern => Direct::default(),
        Era::Legacy if authorized.ask() == Ask::Initialize => {
            begin(authorized, route, authorized.revision())?
        }
        Era::Legacy => match within(authorized, route, shared)? {
            Some(direct) => direct,
            None => return Ok(Way::Served),
        },
    };
    let name = own_name_header(authorized)?;
    let rewrite = rewrite(authorized, route, authorized.revision());
    let on_behalf = OnBehalf { caller: authorized.caller(), bearer, traceparent: None };
    let authorization =
        route.authorization(&on_behalf).await.map_err(|error| unavailable(authorized, &error))?;
    context.direct = Direct { name, authorization, rewrite, ..direct };
    Ok(Way::Direct)
}

/// The era in which the upstream is spoken to for this client.
async fn era(authorized: &Authorized, route: &Arc<Route>, bearer: Option<&[u8]>) -> Result<Era, Refusal> {
    let client = authorized.protocol().era();
    if let Some(era) = route.known_era_for(client) {
        return Ok(era);
    }
    let on_behalf = OnBehalf { caller: authorized.caller(), bearer, traceparent: None };
    route.era_for(&on_behalf, client).await.map_err(|error| unavailable(authorized, &error))
}

fn unavailable(authorized: &Authorized, error: &UpstreamError) -> Refusal {
    Refusal::new(error.rpc(), authorized.id(), error.to_string())
}

/// A legacy client of several bindings is in a session: without one there is nothing to tell its upstreams apart by
/// (MCP 2025-11-25 `basic/transports`, "Session Management": 400).
fn needs_session(authorized: &Authorized) -> Result<(), Refusal> {
    let free = matches!(authorized.ask(), Ask::Initialize | Ask::Ping);
    let needs = authorized.protocol().era() == Era::Legacy
        && !authorized.endpoint().is_transparent()
        && !free
        && authorized.session().is_none();
    if needs {
        let message = "`Mcp-Session-Id` is missing: begin with `initialize`";
        let error = RpcError::InvalidRequest;
        return Err(Refusal::worded(error, authorized.id(), "session_required", message, message));
    }
    Ok(())
}

/// `Mcp-Name` for the upstream, where the name in the message is not the one that the client gave.
fn own_name_header(authorized: &Authorized) -> Result<Option<HeaderValue>, Refusal> {
    let Some(name) = authorized.own_name() else { return Ok(None) };
    match HeaderValue::from_str(&encode_header_value(name)) {
        Ok(value) if authorized.protocol().era() == Era::Modern => Ok(Some(value)),
        Ok(_) => Ok(None),
        Err(_) => {
            Err(Refusal::new(RpcError::InvalidParams, authorized.id(), "a name that no header can carry"))
        }
    }
}

/// What is done to the messages of the answer.
fn rewrite(
    authorized: &Authorized,
    route: &Arc<Route>,
    revision: &Arc<Revision>,
) -> Option<Box<dyn Rewrite>> {
    let era = authorized.protocol().era();
    match authorized.ask() {
        Ask::List(kind) => Some(Box::new(Shown {
            kind,
            revision: Arc::clone(revision),
            route: Arc::clone(route),
            caller: Arc::clone(authorized.caller()),
            source: authorized.source(),
            now: authorized.now(),
            private: era == Era::Modern,
            shown: Vec::new(),
        })),
        _ if authorized.endpoint().is_transparent() => None,
        _ => Some(Box::new(Outward::new(route, revision.message, era, authorized.id()))),
    }
}

/// `initialize`: the upstream's session is sealed on its way to the client.
fn begin(authorized: &Authorized, route: &Route, revision: &Revision) -> Result<Direct, Refusal> {
    let token = Begun {
        caller: authorized.caller(),
        endpoint: authorized.endpoint(),
        protocol: authorized.protocol(),
        body: authorized.received(),
        id: authorized.id(),
        now: authorized.now(),
    };
    let token = token.session(revision)?;
    let keys = Arc::clone(&revision.sessions);
    let beginning = Beginning { keys, token, binding: route.id.as_str().into() };
    Ok(Direct { begins: Some(beginning), ..Direct::default() })
}

/// A message within a session: the upstream gets its own id of it. None where the session's upstream is not the one that is
/// sealed in the token, so that it cannot pass straight through.
fn within(authorized: &Authorized, route: &Route, shared: &Shared) -> Result<Option<Direct>, Refusal> {
    // An upstream without sessions: it says itself what it thinks of that.
    let Some(token) = authorized.session() else { return Ok(Some(Direct::default())) };
    let Some(upstream) = token.upstream(&route.id) else { return Ok(None) };
    let transparent = authorized.endpoint().is_transparent();
    if !transparent
        && shared.sessions.find(&token.nonce).is_some_and(|local| local.upstream(&route.id).is_some())
    {
        return Ok(None);
    }
    if authorized.ask() == Ask::End {
        shared.sessions.end(token);
    }
    if upstream.id.is_empty() {
        return Ok(Some(Direct::default()));
    }
    let session = HeaderValue::from_str(&upstream.id).map_err(|_| {
        Refusal::new(RpcError::UnknownSession, authorized.id(), "the session id is no header")
    })?;
    Ok(Some(Direct { session: Some(session), ..Direct::default() }))
}
