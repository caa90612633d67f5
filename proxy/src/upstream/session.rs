//! A session with an upstream of the legacy era.
//!
//! Sources: MCP 2025-11-25 `basic/lifecycle` and `basic/transports`; 2025-03-26 had no `MCP-Protocol-Version` header.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use mcpg_protocol::{Era, Revision, write_string};
use tokio::time::Instant;

use super::response::Incoming;
use super::{ClientProfile, Message, OnBehalf, Outgoing, Reply, UpstreamError, Verb};
use crate::revision::Route;

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Ids that the gateway gives to requests of its own.
const INITIALIZE_ID: &str = r#""mcpg-initialize""#;
const SESSION_ID_BYTES_MAX: usize = 1024;
const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// A session with an upstream.
///
/// Dropping it says nothing to the upstream: [`UpstreamSession::close`] does.
#[derive(Clone)]
pub struct UpstreamSession {
    route: Arc<Route>,
    link: Link,
    protocol: Revision,
}

/// What carries a session.
#[derive(Clone)]
enum Link {
    /// Streamable HTTP: the session's id, if the upstream gave one.
    Http { id: Option<HeaderValue> },
}

/// A session without its route: what waits with the route itself.
pub(super) struct Detached {
    link: Link,
    protocol: Revision,
}

impl Detached {
    /// The session.
    pub(super) fn attach(self, route: &Arc<Route>) -> UpstreamSession {
        UpstreamSession { route: Arc::clone(route), link: self.link, protocol: self.protocol }
    }
}

/// What an upstream said to `initialize`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialized {
    /// The revision that it agreed to.
    pub protocol: Revision,
    /// The raw text of its result.
    pub result: Box<str>,
}

impl UpstreamSession {
    /// Opens a session: `initialize` and `notifications/initialized`.
    ///
    /// # Errors
    /// When the upstream opens none, or only one in a revision that is not known here.
    pub async fn open(
        route: &Arc<Route>,
        on_behalf: &OnBehalf<'_>,
        profile: &ClientProfile,
    ) -> Result<(Self, Initialized), UpstreamError> {
        let mut reply = Self::initialize(route, on_behalf, profile).await?;
        let status = reply.status;
        let message = reply.answer(INITIALIZE_ID).await?;
        let Some(message) = message else { return Err(refused(status)) };
        let incoming = message.incoming()?;
        let Some(result) = incoming.result else {
            return Err(match incoming.failure() {
                Some(failure) => UpstreamError::Refused(failure),
                None => refused(status),
            });
        };
        let protocol = agreed(result.get())?;
        let id = reply.headers.get(SESSION_ID).cloned();
        if id.as_ref().is_some_and(|id| !is_session_id(id.as_bytes())) {
            return Err(UpstreamError::Invalid("a malformed session id".into()));
        }
        let initialized = Initialized { protocol, result: result.get().into() };
        let session = Self { route: Arc::clone(route), link: Link::Http { id }, protocol };
        session.send(on_behalf, Bytes::from_static(INITIALIZED)).await?;
        Ok((session, initialized))
    }

    /// The answer to `initialize`, whatever it is.
    pub(super) async fn initialize(
        route: &Arc<Route>,
        on_behalf: &OnBehalf<'_>,
        profile: &ClientProfile,
    ) -> Result<Reply, UpstreamError> {
        let outgoing = Outgoing::post(initialize(profile), false);
        route.exchange(on_behalf, outgoing).await
    }

    /// A session that was opened before, here or elsewhere. An empty `id` is that of an upstream that gives none.
    ///
    /// # Errors
    /// When the id is none that an upstream could have given.
    pub fn attach(route: &Arc<Route>, id: &str, protocol: Revision) -> Result<Self, UpstreamError> {
        let value = HeaderValue::from_str(id).ok().filter(|value| is_session_id(value.as_bytes()));
        if value.is_none() && !id.is_empty() {
            return Err(UpstreamError::SessionLost);
        }
        Ok(Self { route: Arc::clone(route), link: Link::Http { id: value }, protocol })
    }

    /// The session without its route.
    pub(super) fn detach(&self) -> Detached {
        Detached { link: self.link.clone(), protocol: self.protocol }
    }

    /// Whose session it is.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The revision that was agreed.
    pub fn protocol(&self) -> Revision {
        self.protocol
    }

    /// The upstream's id for it; empty where it gave none.
    pub fn id(&self) -> &str {
        match &self.link {
            Link::Http { id } => id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default(),
        }
    }

    /// Sends a request. The answer may carry notifications and requests of the upstream before the response, and events without
    /// data. Where the upstream ends the stream before it has answered, the answer goes on in the next, within
    /// `calls.deadline`.
    ///
    /// # Errors
    /// [`UpstreamError::SessionLost`] when the upstream does not know the session (any more).
    pub async fn request(
        &self,
        on_behalf: &OnBehalf<'_>,
        json: Bytes,
        repeatable: bool,
    ) -> Result<Reply, UpstreamError> {
        let deadline = Instant::now() + self.route.gate.calls().deadline;
        let id = Incoming::parse(&json)?.id.map(|id| Box::from(id.get()));
        let reply = self.exchange(on_behalf, Outgoing::post(json, repeatable)).await?;
        Ok(match id {
            Some(id) if reply.is_stream => reply.resuming(self, on_behalf, id, deadline),
            _ => reply,
        })
    }

    /// Sends a notification, or the answer to a request of the upstream.
    ///
    /// # Errors
    /// When the upstream does not take it.
    pub async fn send(&self, on_behalf: &OnBehalf<'_>, json: Bytes) -> Result<(), UpstreamError> {
        let reply = self.exchange(on_behalf, Outgoing::post(json, false).aside()).await?;
        if reply.status.is_success() { Ok(()) } else { Err(refused(reply.status)) }
    }

    /// The stream of what the upstream says on its own; none if it has no such stream.
    ///
    /// # Errors
    /// As [`UpstreamSession::request`].
    pub async fn stream(
        &self,
        on_behalf: &OnBehalf<'_>,
        last_event_id: Option<&str>,
    ) -> Result<Option<Reply>, UpstreamError> {
        let mut outgoing = Outgoing::bare(Verb::Get);
        if let Some(id) = last_event_id {
            let value = HeaderValue::from_bytes(id.as_bytes())
                .map_err(|_| UpstreamError::Invalid("an event id that no header can carry".into()))?;
            outgoing = outgoing.header(LAST_EVENT_ID, value);
        }
        let reply = self.exchange(on_behalf, outgoing).await?;
        match reply.status {
            StatusCode::METHOD_NOT_ALLOWED => Ok(None),
            status if !status.is_success() => Err(refused(status)),
            _ if !reply.is_stream => Err(UpstreamError::Invalid("no event stream".into())),
            _ => Ok(Some(reply)),
        }
    }

    /// Ends the session. An upstream that knows no end (405), or not this session, is content.
    ///
    /// # Errors
    /// When it cannot be told.
    pub async fn close(&self, on_behalf: &OnBehalf<'_>) -> Result<(), UpstreamError> {
        match &self.link {
            Link::Http { id: None } => Ok(()),
            Link::Http { id: Some(_) } => {
                match self.exchange(on_behalf, Outgoing::bare(Verb::Delete)).await {
                    Ok(_) | Err(UpstreamError::SessionLost) => Ok(()),
                    Err(error) => Err(error),
                }
            }
        }
    }

    async fn exchange(
        &self,
        on_behalf: &OnBehalf<'_>,
        mut outgoing: Outgoing,
    ) -> Result<Reply, UpstreamError> {
        let Link::Http { id } = &self.link;
        if self.protocol > Revision::V2025_03_26 {
            outgoing = outgoing.header(PROTOCOL_VERSION, HeaderValue::from_static(self.protocol.as_str()));
        }
        let in_session = id.is_some();
        if let Some(id) = id {
            outgoing = outgoing.header(SESSION_ID, id.clone());
        }
        let mut reply = self.route.exchange(on_behalf, outgoing).await?;
        match reply.status {
            StatusCode::NOT_FOUND if in_session => Err(UpstreamError::SessionLost),
            StatusCode::BAD_REQUEST if in_session => {
                let said = reply.next().await?;
                if said.as_ref().is_some_and(knows_no_session) {
                    return Err(UpstreamError::SessionLost);
                }
                Ok(reply.with_first(said))
            }
            _ => Ok(reply),
        }
    }
}

impl Reply {
    /// The response to the request of this raw id, past whatever comes before it; none where the answer ends without one.
    /// Responses to anything else are an error: an upstream that mixes up its requests is not to be believed.
    ///
    /// # Errors
    /// When the answer breaks off, takes too long or is none.
    pub async fn answer(&mut self, id: &str) -> Result<Option<Message>, UpstreamError> {
        while let Some(message) = self.next().await? {
            if message.json.is_empty() {
                continue;
            }
            let incoming = message.incoming()?;
            if incoming.answers(id) {
                self.settle().await;
                return Ok(Some(message));
            }
            // An error without an id answers what could not be read: ours, as there is no other.
            let nameless = incoming.id.is_none_or(|id| id.get() == "null");
            if incoming.is_response() && nameless && incoming.error.is_some() {
                return Ok(Some(message));
            }
            if incoming.is_response() {
                return Err(UpstreamError::Invalid("the response to another request".into()));
            }
        }
        Ok(None)
    }
}

fn initialize(profile: &ClientProfile) -> Bytes {
    let mut json = Vec::with_capacity(256);
    json.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
    json.extend_from_slice(INITIALIZE_ID.as_bytes());
    json.extend_from_slice(br#","method":"initialize","params":{"protocolVersion":"#);
    let protocol =
        if profile.protocol.era() == Era::Legacy { profile.protocol } else { Revision::V2025_11_25 };
    write_string(&mut json, protocol.as_str());
    json.extend_from_slice(br#","capabilities":"#);
    json.extend_from_slice(profile.capabilities.as_bytes());
    json.extend_from_slice(br#","clientInfo":"#);
    json.extend_from_slice(profile.info.as_bytes());
    json.extend_from_slice(b"}}");
    Bytes::from(json)
}

/// The revision that an `initialize` result agrees to.
fn agreed(result: &str) -> Result<Revision, UpstreamError> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Agreed {
        protocol_version: String,
    }
    let unknown = || UpstreamError::Invalid("`initialize` agreed to no revision that is known here".into());
    let agreed: Agreed = serde_json::from_str(result).map_err(|_| unknown())?;
    let revision: Revision = agreed.protocol_version.parse().map_err(|_| unknown())?;
    if revision.era() == Era::Legacy { Ok(revision) } else { Err(unknown()) }
}

/// Whether an upstream says by 400 what 404 is for, as servers do that are written after an example of the TypeScript SDK:
/// -32000 and "No valid session ID provided".
fn knows_no_session(message: &Message) -> bool {
    const SERVER_ERROR: i64 = -32000;
    let failure = message.incoming().ok().and_then(|incoming| incoming.failure());
    failure.is_some_and(|failure| {
        failure.code == SERVER_ERROR && failure.message.to_ascii_lowercase().contains("session")
    })
}

/// Visible ASCII, as the specification says, and not without end.
fn is_session_id(id: &[u8]) -> bool {
    !id.is_empty() && id.len() <= SESSION_ID_BYTES_MAX && id.iter().all(u8::is_ascii_graphic)
}

/// What a status that is no success means where a success was needed.
pub(crate) fn refused(status: StatusCode) -> UpstreamError {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            UpstreamError::Credentials(format!("the upstream answers HTTP {}", status.as_u16()).into())
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            let reason = format!("HTTP {}", status.as_u16()).into();
            UpstreamError::Unavailable { reason, sent: true }
        }
        status => UpstreamError::Invalid(format!("HTTP {}", status.as_u16()).into()),
    }
}

#[cfg(test)]
mod tests;
