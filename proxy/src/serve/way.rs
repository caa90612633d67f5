//! Which way an admitted request takes: straight through, or through the gateway's own hands.
//!
//! Straight through goes what client and upstream can settle between themselves: one binding, over HTTP, in revisions of one
//! era. The bytes that were judged go out as they are, but for names and session ids. Everything else is served.

use std::time::{Duration, SystemTime};

use http::HeaderValue;
use mcpg_protocol::{Era, RpcError, raw};

use crate::gateway::{Beginning, Context, Direct};
use crate::pipeline::{Ask, Authorized};
use crate::refusal::Refusal;
use crate::revision::{Revision, Route};
use crate::sessions::{SessionToken, caller_digest, client_info};
use crate::upstream::ClientProfile;

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
pub(crate) async fn choose(context: &mut Context) -> Result<Way, Refusal> {
    let Some(authorized) = &context.authorized else {
        return Err(Refusal::new(RpcError::InternalError, None, "the request is not authorized"));
    };
    let Some(route) = authorized.route().filter(|route| route.http().is_some()) else {
        return Ok(Way::Served);
    };
    let direct = match authorized.protocol().era() {
        Era::Modern => Direct::default(),
        Era::Legacy if authorized.ask() == Ask::Initialize => {
            begin(authorized, route, &context.revision, SystemTime::now())?
        }
        Era::Legacy => within(authorized, route)?,
    };
    context.direct = direct;
    Ok(Way::Direct)
}

/// `initialize`: the upstream's session is sealed on its way to the client.
fn begin(
    authorized: &Authorized,
    route: &Route,
    revision: &Revision,
    now: SystemTime,
) -> Result<Direct, Refusal> {
    let token = begun(authorized, revision, now)?;
    let keys = std::sync::Arc::clone(&revision.sessions);
    let beginning = Beginning { keys, token, binding: route.id.as_str().into() };
    Ok(Direct { begins: Some(beginning), ..Direct::default() })
}

/// A session that begins, without upstreams yet.
///
/// # Errors
/// When the client does not say what it is, or there is no randomness.
pub(crate) fn begun(
    authorized: &Authorized,
    revision: &Revision,
    now: SystemTime,
) -> Result<SessionToken, Refusal> {
    let client = profile(authorized, revision)?;
    let nonce = SessionToken::fresh_nonce()
        .map_err(|error| Refusal::new(RpcError::InternalError, authorized.id(), error.to_string()))?;
    Ok(SessionToken {
        nonce,
        caller: caller_digest(&revision.scope.scope, authorized.caller()),
        endpoint: authorized.endpoint().path.as_str().into(),
        expires: unix_seconds(now + revision.session_ttl),
        client,
        upstreams: Vec::new(),
    })
}

/// What `initialize` says of its client (MCP 2025-11-25 `basic/lifecycle`, "Initialization").
fn profile(authorized: &Authorized, revision: &Revision) -> Result<ClientProfile, Refusal> {
    let malformed = |detail: &'static str| Refusal::new(RpcError::InvalidParams, authorized.id(), detail);
    let text = std::str::from_utf8(authorized.received()).map_err(|_| malformed("the body is no text"))?;
    let paths = [&["params", "capabilities"][..], &["params", "clientInfo"][..]];
    let [capabilities, info] =
        raw::find(text, paths, &revision.message).map_err(|_| malformed("the body is no JSON"))?;
    let object = |found: Option<raw::Raw<'_>>| -> Box<str> {
        found.filter(raw::Raw::is_object).map_or_else(|| "{}".into(), |found| found.text.into())
    };
    Ok(ClientProfile {
        protocol: authorized.protocol(),
        capabilities: object(capabilities),
        info: client_info(&object(info)),
    })
}

/// A message within a session: the upstream gets its own id of it.
fn within(authorized: &Authorized, route: &Route) -> Result<Direct, Refusal> {
    let upstream = authorized.session().and_then(|token| token.upstream(&route.id));
    let Some(upstream) = upstream.filter(|upstream| !upstream.id.is_empty()) else {
        return Ok(Direct::default());
    };
    let session = HeaderValue::from_str(&upstream.id).map_err(|_| {
        Refusal::new(RpcError::UnknownSession, authorized.id(), "the session id is no header")
    })?;
    Ok(Direct { session: Some(session), ..Direct::default() })
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
