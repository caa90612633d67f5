//! What a legacy session asks of the gateway itself: its beginning, pings, and the level of its log messages.
//!
//! Sources: MCP 2025-11-25 `basic/lifecycle`, `basic/utilities/ping`, `server/utilities/logging`.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use mcpg_protocol::bridge::LogLevel;
use mcpg_protocol::{Era, Revision as Protocol, RpcError, raw};
use mcpg_sdk::Caller;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::run::{id, refuse};
use super::{Admitted, Client, ClientError};
use crate::refusal::Refusal;
use crate::revision::{Endpoint, Revision};
use crate::sessions::{SESSION_ID, SessionToken, caller_digest};
use crate::upstream::{ClientProfile, UpstreamSession};

/// How long an upstream may take to note a level.
const SET_LEVEL_TIME_MAX: Duration = Duration::from_secs(5);

/// An `initialize`, from which a session is made.
pub(super) struct Begun<'a> {
    /// Who begins it.
    pub(super) caller: &'a Caller,
    /// Where.
    pub(super) endpoint: &'a Endpoint,
    /// The revision that it will be in.
    pub(super) protocol: Protocol,
    /// The message.
    pub(super) body: &'a Bytes,
    /// Its raw id.
    pub(super) id: Option<&'a str>,
    /// When.
    pub(super) now: SystemTime,
}

impl Begun<'_> {
    /// The session, without upstreams yet.
    ///
    /// # Errors
    /// When there is no randomness.
    pub(super) fn session(&self, revision: &Revision) -> Result<SessionToken, Refusal> {
        let nonce = SessionToken::fresh_nonce()
            .map_err(|error| Refusal::new(RpcError::InternalError, self.id, error.to_string()))?;
        Ok(SessionToken {
            nonce,
            caller: caller_digest(&revision.scope.scope, self.caller),
            endpoint: self.endpoint.path.as_str().into(),
            expires: unix_seconds(self.now + revision.session_ttl),
            client: self.profile(revision)?,
            upstreams: Vec::new(),
        })
    }

    /// What the client says of itself. What it leaves out it has not.
    fn profile(&self, revision: &Revision) -> Result<ClientProfile, Refusal> {
        let malformed = || Refusal::new(RpcError::InvalidParams, self.id, "the body cannot be read");
        let text = std::str::from_utf8(self.body).map_err(|_| malformed())?;
        let paths = [&["params", "capabilities"][..], &["params", "clientInfo"][..]];
        let [capabilities, info] = raw::find(text, paths, &revision.message).map_err(|_| malformed())?;
        let object = |found: Option<raw::Raw<'_>>| -> Box<str> {
            found.filter(raw::Raw::is_object).map_or_else(|| "{}".into(), |found| found.text.into())
        };
        Ok(ClientProfile { protocol: self.protocol, capabilities: object(capabilities), info: object(info) })
    }
}

/// `initialize` with several upstreams, or with one of the other era.
pub(super) async fn begin(admitted: &Admitted, client: &mut dyn Client) -> Result<(), ClientError> {
    let id = id(admitted);
    let begun = Begun {
        caller: &admitted.caller,
        endpoint: &admitted.endpoint,
        protocol: admitted.protocol,
        body: &admitted.body,
        id,
        now: admitted.now,
    };
    let token = match begun.session(&admitted.revision) {
        Ok(token) => token,
        Err(refusal) => return refuse(admitted, &refusal, client).await,
    };
    let introduced = match admitted.revision.federation.initialize(admitted, token).await {
        Ok(introduced) => introduced,
        Err(error) => {
            return refuse(admitted, &Refusal::new(error.0, id, error.to_string()), client).await;
        }
    };
    match admitted.revision.sessions.seal(&introduced.token) {
        Ok(sealed) => {
            let body = result(id, &introduced.result);
            client.json(200, &[(SESSION_ID, sealed)], body).await
        }
        Err(error) => {
            let refusal = Refusal::new(RpcError::InternalError, id, error.to_string());
            refuse(admitted, &refusal, client).await
        }
    }
}

/// `ping`: whoever answers is alive.
pub(super) async fn pong(admitted: &Admitted, client: &mut dyn Client) -> Result<(), ClientError> {
    client.json(200, &[], result(id(admitted), "{}")).await
}

/// `logging/setLevel`: noted here for upstreams of the modern era, and told to those that have sessions.
pub(super) async fn set_level(admitted: &Admitted, client: &mut dyn Client) -> Result<(), ClientError> {
    let level = level(admitted);
    let Some(level) = level else {
        let message = "`params.level` is none of the levels of RFC 5424";
        let refusal =
            Refusal::worded(RpcError::InvalidParams, id(admitted), "unknown_level", message, message);
        return refuse(admitted, &refusal.with_status(200), client).await;
    };
    let Some(token) = &admitted.session else {
        let message = "`Mcp-Session-Id` is missing: begin with `initialize`";
        let error = RpcError::InvalidRequest;
        let refusal = Refusal::worded(error, id(admitted), "session_required", message, message);
        return refuse(admitted, &refusal, client).await;
    };
    let local = admitted.shared.sessions.session(token, admitted.now);
    local.set_log_level(level);
    let replaced = local.upstreams();
    let mut telling = JoinSet::new();
    for route in &admitted.routes {
        let known = replaced.iter().chain(&token.upstreams).find(|known| *known.binding == *route.id);
        let Some(known) = known.filter(|_| route.known_era_for(Era::Legacy) != Some(Era::Modern)) else {
            continue;
        };
        let Ok(session) = UpstreamSession::attach(route, &known.id, known.protocol) else { continue };
        let (behalf, body) = (admitted.on_behalf().to_owned(), admitted.body.clone());
        telling.spawn(async move {
            let told = async {
                let mut reply = session.request(&behalf.borrow(), body, true).await?;
                while reply.next().await?.is_some() {}
                Ok::<_, crate::upstream::UpstreamError>(())
            };
            // An upstream without log messages refuses: then it has none to filter.
            let told = timeout(SET_LEVEL_TIME_MAX, told).await;
            tracing::debug!(binding = session.route().id, ?told, "told the level of log messages");
        });
    }
    while telling.join_next().await.is_some() {}
    client.json(200, &[], result(id(admitted), "{}")).await
}

fn level(admitted: &Admitted) -> Option<LogLevel> {
    let text = std::str::from_utf8(&admitted.body).ok()?;
    let [level] = raw::find(text, [&["params", "level"]], &admitted.revision.message).ok()?;
    level?.as_str()?.parse().ok()
}

fn result(id: Option<&str>, result: &str) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, id.unwrap_or("null")))
}

/// So that two who begin at once agree: whole seconds, rounded up.
fn unix_seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_secs() + u64::from(since.subsec_nanos() > 0)
}
