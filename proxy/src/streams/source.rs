//! What the gateway listens to upstream.
//!
//! For all who share it: `subscriptions/listen` where the upstream speaks the modern era, else a session of the gateway's own with its
//! stream and `resources/subscribe`. For the client of a legacy session: the stream of the upstream's session behind it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use mcpg_protocol::streams::{Change, Changes, Filter, listen_request};
use mcpg_protocol::{Era, Limits, Revision as Protocol, raw};

use super::part::{Opened, Source, SourceError};
use crate::revision::Route;
use crate::sessions::{LocalSession, SessionToken};
use crate::upstream::{Behalf, ClientProfile, Lease, ModernRequest, Reply, UpstreamError, UpstreamSession};

/// The raw ids of the gateway's own requests.
const LISTEN_ID: &str = r#""mcpg-listen""#;
const SUBSCRIBE_ID: &str = r#""mcpg-subscribe""#;
const WITH_TASKS: &str = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
/// JSON-RPC errors that say that asking again is pointless: no such method, not with these parameters, not with this
/// client.
const POINTLESS: [i64; 3] = [-32601, -32602, -32021];

/// What the gateway listens to for all who share it.
pub(super) struct Listening {
    route: Arc<Route>,
    behalf: Behalf,
    filter: Filter,
    limits: Limits,
    session: Option<OwnSession>,
}

/// A session of the gateway's own, which ends when it is dropped.
struct OwnSession {
    lease: Lease,
    honoured: Filter,
}

impl Listening {
    /// To what `filter` names.
    pub(super) fn new(route: &Arc<Route>, behalf: Behalf, filter: Filter) -> Self {
        Self { route: Arc::clone(route), behalf, filter, limits: Limits::default(), session: None }
    }

    /// The modern era.
    async fn listen(&self) -> Result<Opened, SourceError> {
        let own = ClientProfile::own(Protocol::V2026_07_28);
        let capabilities = if self.filter.tasks.is_empty() { &*own.capabilities } else { WITH_TASKS };
        let meta = format!(
            concat!(
                r#"{{"io.modelcontextprotocol/protocolVersion":"{}","#,
                r#""io.modelcontextprotocol/clientInfo":{},"io.modelcontextprotocol/clientCapabilities":{}}}"#
            ),
            own.protocol, own.info, capabilities
        );
        let request = ModernRequest {
            method: "subscriptions/listen",
            name: None,
            body: Bytes::from(listen_request(LISTEN_ID, &meta, &self.filter)),
            headers: Vec::new(),
            repeatable: true,
        };
        let mut reply = self.route.modern(&self.behalf.borrow(), request).await?;
        if reply.is_stream && reply.status.is_success() {
            return Ok(Opened { messages: reply.messages, honoured: None });
        }
        let failure = refusal(&mut reply).await?;
        if failure.is_none() && matches!(reply.status.as_u16(), 400 | 404 | 405) {
            self.route.doubt_standing();
        }
        Err(failure.unwrap_or_else(|| refused(reply.status)))
    }

    /// The era of sessions.
    async fn listen_in_session(&mut self, last: Option<&str>) -> Result<Opened, SourceError> {
        if let Some(session) = &self.session {
            match session.lease.stream(&self.behalf.borrow(), last).await {
                Ok(stream) => return opened(stream, Some(session.honoured.clone())),
                Err(UpstreamError::SessionLost) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.session = None;
        let profile = ClientProfile::own(Protocol::V2025_11_25);
        let lease = self.route.lease(&self.behalf.borrow(), &profile).await?;
        let honoured = self.subscribe(&lease).await?;
        if honoured.is_empty() {
            return Err(SourceError::Silent);
        }
        let stream = lease.stream(&self.behalf.borrow(), None).await?;
        let opened = opened(stream, Some(honoured.clone()));
        self.session = Some(OwnSession { lease, honoured });
        opened
    }

    /// What of the filter the upstream honours.
    async fn subscribe(&self, lease: &Lease) -> Result<Filter, UpstreamError> {
        let told = |list| ["capabilities", list, "listChanged"];
        let (tools, prompts, resources) = (told("tools"), told("prompts"), told("resources"));
        let paths: [&[&str]; 4] = [&tools, &prompts, &resources, &["capabilities", "resources", "subscribe"]];
        let [tools, prompts, resources, subscribe] =
            raw::find(&lease.initialized().result, paths, &self.limits).unwrap_or_default();
        let is_offered =
            |offer: Option<raw::Raw<'_>>| offer.and_then(|offer| offer.as_bool()).unwrap_or(false);
        let offered: Changes = Change::ALL
            .into_iter()
            .zip([tools, prompts, resources])
            .filter_map(|(change, offer)| is_offered(offer).then_some(change))
            .collect();
        let mut honoured = Filter::of_changes(self.filter.changes.and(offered));
        if is_offered(subscribe) {
            for uri in &self.filter.resources {
                let message = format!(
                    r#"{{"jsonrpc":"2.0","id":{SUBSCRIBE_ID},"method":"resources/subscribe","params":{{"uri":{}}}}}"#,
                    raw::string(uri)
                );
                let mut reply = lease.request(&self.behalf.borrow(), Bytes::from(message), true).await?;
                let answer = reply.answer(SUBSCRIBE_ID).await?;
                if answer.is_some_and(|answer| answer.incoming().is_ok_and(|it| it.result.is_some())) {
                    honoured.resources.push(uri.clone());
                }
            }
        }
        Ok(honoured)
    }
}

#[async_trait]
impl Source for Listening {
    async fn open(&mut self, last: Option<&str>) -> Result<Opened, SourceError> {
        let opened = match self.route.era_for(&self.behalf.borrow(), Era::Modern).await {
            Ok(Era::Modern) => self.listen().await,
            Ok(Era::Legacy) => self.listen_in_session(last).await,
            Err(error) => Err(error.into()),
        };
        // What one caller's token has brought does not come back by waiting.
        opened.map_err(|error| match error {
            SourceError::Failed(UpstreamError::Credentials(reason)) if self.route.is_per_caller() => {
                SourceError::Lost(UpstreamError::Credentials(reason))
            }
            error => error,
        })
    }
}

/// The stream of the upstream's session behind a client's.
pub(super) struct Behind {
    route: Arc<Route>,
    behalf: Behalf,
    token: Arc<SessionToken>,
    local: Arc<LocalSession>,
    /// The session that the last stream was of.
    session: Option<Box<str>>,
}

impl Behind {
    /// Of a binding, if the client has a session there.
    pub(super) fn find(
        route: &Arc<Route>,
        behalf: Behalf,
        token: &Arc<SessionToken>,
        local: &Arc<LocalSession>,
    ) -> Option<Self> {
        let session = session_of(token, local, &route.id)?.1;
        Some(Self {
            route: Arc::clone(route),
            behalf,
            token: Arc::clone(token),
            local: Arc::clone(local),
            session: Some(session),
        })
    }
}

#[async_trait]
impl Source for Behind {
    async fn open(&mut self, last: Option<&str>) -> Result<Opened, SourceError> {
        let (protocol, id) =
            session_of(&self.token, &self.local, &self.route.id).ok_or(UpstreamError::SessionLost)?;
        // Another session knows nothing of what was said in the one before.
        let last = last.filter(|_| self.session.as_ref() == Some(&id));
        let session = UpstreamSession::attach(&self.route, &id, protocol)?;
        self.session = Some(id);
        opened(session.stream(&self.behalf.borrow(), last).await?, None)
    }
}

/// The session with a binding behind a client's: the latest that is known.
pub(super) fn session_of(
    token: &SessionToken,
    local: &LocalSession,
    binding: &str,
) -> Option<(Protocol, Box<str>)> {
    let upstream = local.upstream(binding).or_else(|| token.upstream(binding).cloned())?;
    Some((upstream.protocol, upstream.id))
}

fn opened(stream: Option<Reply>, honoured: Option<Filter>) -> Result<Opened, SourceError> {
    let stream = stream.ok_or(SourceError::Silent)?;
    Ok(Opened { messages: stream.messages, honoured })
}

/// What an answer that is no stream says; none if it says nothing.
async fn refusal(reply: &mut Reply) -> Result<Option<SourceError>, UpstreamError> {
    let Some(message) = reply.answer(LISTEN_ID).await? else { return Ok(None) };
    let failure = message.incoming()?.failure();
    Ok(failure.map(|failure| match POINTLESS.contains(&failure.code) {
        true => SourceError::Silent,
        false => UpstreamError::Refused(failure).into(),
    }))
}

fn refused(status: StatusCode) -> SourceError {
    let reason = format!("HTTP {}", status.as_u16());
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => UpstreamError::Credentials(reason.into()),
        status if status.is_server_error() => {
            UpstreamError::Unavailable { reason: reason.into(), sent: true }
        }
        _ => UpstreamError::Invalid(reason.into()),
    }
    .into()
}
