//! A legacy client in front of a modern upstream.
//!
//! Each request goes out by itself, with what the client said at `initialize`. What the upstream requires before it answers
//! is asked on the client's event stream, under ids of the gateway's own; the request is repeated with the answers, until
//! it is answered. A client that cancels its request, or ends its session, closes the upstream's stream; one that merely
//! loses its connection has not cancelled anything, and the upstream is heard to the end.
//!
//! Sources: MCP 2025-11-25 `basic/transports` ("Sending Messages to the Server"), `basic/utilities/cancellation`;
//! 2026-07-28 `basic/patterns/mrtr`.

mod input;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcpg_protocol::bridge::{
    Capabilities, Json, LogLevel, ModernMeta, ModernResult, Packet, Relayed, Request, Retry,
    capabilities_to_modern, error_to_legacy, progress_with_token, relay, result_to_legacy,
};
use mcpg_protocol::{Limits, Method, Revision as Protocol, RpcError};
use tokio::time::{Instant, sleep, timeout_at};

use self::upstream::Upstream;
pub(super) use self::upstream::name_of;
use super::failure::Failure;
use super::fresh_id;
use super::outlet::Outlet;
use crate::revision::Route;
use crate::serve::{Admitted, ClientError};
use crate::sessions::{LocalSession, Running};
use crate::upstream::{Message, Reply};

/// How often an upstream may answer one request with `input_required`.
const ROUNDS_MAX: u32 = 16;
/// Before a request is repeated that the upstream wants repeated without asking anything.
const REPEAT_PAUSE: Duration = Duration::from_millis(100);
const REPEAT_PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long an upstream is heard whose client has lost its connection.
const ORPHAN_TIME_MAX: Duration = Duration::from_secs(60);
/// What a client that never said gets to hear.
const DEFAULT_LEVEL: LogLevel = LogLevel::Info;

/// Serves a request of a legacy client to a modern upstream.
///
/// # Errors
/// When the client is gone.
pub(super) async fn serve(
    admitted: &Admitted,
    route: &Arc<Route>,
    request: &Request<'_>,
    outlet: &mut Outlet<'_>,
) -> Result<(), ClientError> {
    let bridged = request.is_bridged(Protocol::V2026_07_28).map_err(Failure::Impossible);
    let prepared = match bridged.and_then(|()| Prepared::new(admitted, route, request)) {
        Ok(prepared) => prepared,
        Err(failure) => return outlet.fail(&failure).await,
    };
    let Ok(running) = prepared.local.begin(request.id().raw(), Some(&route.id)) else {
        let message = "a request with this id is still served";
        return outlet.fail(&Failure::said(RpcError::InvalidRequest, "id_in_use", message)).await;
    };
    let upstream = Upstream::new(admitted, route);
    let mut conversation =
        Conversation { prepared, request, upstream: &upstream, running, orphaned_at: None };
    match conversation.run(outlet).await {
        Ok(end) => conversation.deliver(end, outlet).await,
        Err(stop) => stop.tell(outlet).await,
    }
}

/// What all rounds of a request have in common.
pub(super) struct Prepared<'a> {
    route: &'a Arc<Route>,
    local: Arc<LocalSession>,
    client: Protocol,
    capabilities: Box<str>,
    info: Box<str>,
    declared: Capabilities,
    level: LogLevel,
    limits: Limits,
    input_timeout: Duration,
}

/// A request, from round to round.
struct Conversation<'a> {
    prepared: Prepared<'a>,
    request: &'a Request<'a>,
    upstream: &'a Upstream,
    running: Running,
    /// When the client was last there, once it is not any more.
    orphaned_at: Option<Instant>,
}

/// Why a request is not served to its end.
pub(super) enum Stop {
    /// The client is to be told.
    Failed(Failure),
    /// The client has cancelled it.
    Cancelled,
    /// There is no client any more.
    Client(ClientError),
}

/// What the upstream said at last: the whole message.
struct End(Message);

impl<'a> Prepared<'a> {
    fn new(admitted: &Admitted, route: &'a Arc<Route>, request: &Request<'_>) -> Result<Self, Failure> {
        let limits = admitted.revision.message;
        let Some(token) = &admitted.session else {
            return Err(Failure::said(RpcError::InvalidRequest, "no_session", "the request has no session"));
        };
        let local = admitted.shared.sessions.session(token, admitted.now);
        let malformed =
            |_| Failure::said(RpcError::InternalError, "session", RpcError::InternalError.message());
        let revision = token.client.protocol;
        let capabilities =
            capabilities_to_modern(&token.client.capabilities, revision, &limits).map_err(malformed)?;
        // `roots/list` and the like have no way back from anything else.
        let declared = if can_ask(request.method()) {
            Capabilities::parse(&token.client.capabilities, revision, &limits).map_err(malformed)?
        } else {
            Capabilities::default()
        };
        let level = local.log_level().unwrap_or(DEFAULT_LEVEL);
        Ok(Self {
            route,
            local,
            client: revision,
            capabilities: capabilities.into(),
            info: token.client.info.clone(),
            declared,
            level,
            limits,
            input_timeout: admitted.revision.input_timeout,
        })
    }
}

impl Conversation<'_> {
    /// Repeats the request until the upstream answers it.
    async fn run(&mut self, outlet: &mut Outlet<'_>) -> Result<End, Stop> {
        let mut responses: Option<String> = None;
        let mut state: Option<String> = None;
        for round in 0..ROUNDS_MAX {
            let retry = (round > 0)
                .then_some(Retry { input_responses: responses.as_deref(), request_state: state.as_deref() });
            let mut message = self.round(retry, outlet).await?;
            let limits = self.prepared.limits;
            if is_header_mismatch(&message, &limits) && self.upstream.refresh(self.request) {
                // The tool's definition may have changed, and with it the headers that a call must have.
                message = self.round(retry, outlet).await?;
            }
            let packet = Packet::parse(&message.json, &limits).map_err(Failure::from)?;
            let Packet::Result { result, .. } = &packet else { return Ok(End(message)) };
            let read = ModernResult::read(result, self.request.method(), &limits).map_err(Failure::from)?;
            let ModernResult::InputRequired { requests, state: raw } = read else { return Ok(End(message)) };
            responses = if requests.is_empty() {
                self.pause(round, outlet).await?;
                None
            } else {
                Some(self.input(&requests, outlet).await?)
            };
            state = raw.map(str::to_owned);
        }
        let message = "the upstream server asked for input too often";
        Err(Failure::said(RpcError::UpstreamInvalid, "too_many_rounds", message).into())
    }

    /// One request to the upstream, and its response.
    async fn round(&mut self, retry: Option<Retry<'_>>, outlet: &mut Outlet<'_>) -> Result<Message, Stop> {
        let id = fresh_id();
        let about = ModernMeta {
            capabilities: &self.prepared.capabilities,
            info: &self.prepared.info,
            log_level: Some(self.prepared.level),
        };
        let body = self.request.to_modern(&id, about, retry);
        let first = retry.is_none();
        let (upstream, request) = (self.upstream, self.request);
        let call = upstream.call(request, Bytes::from(body), first && is_repeatable(request.method()));
        tokio::pin!(call);
        let mut reply: Reply = loop {
            tokio::select! {
                biased;
                () = self.running.cancelled() => return Err(Stop::Cancelled),
                () = outlet.gone(), if self.orphaned_at.is_none() => self.orphaned_at = Some(Instant::now()),
                reply = &mut call => break reply?,
            }
        };
        let status = reply.status.as_u16();
        loop {
            let until = self.orphaned_at.map(|since| since + ORPHAN_TIME_MAX);
            let read = tokio::select! {
                biased;
                () = self.running.cancelled() => return Err(Stop::Cancelled),
                () = outlet.gone(), if self.orphaned_at.is_none() => {
                    self.orphaned_at = Some(Instant::now());
                    continue;
                }
                read = within(until, reply.next()) => read,
            };
            let Some(read) = read else { return Err(Stop::Client(ClientError::Gone)) };
            match read.map_err(Failure::from)? {
                None => return Err(Failure::silent(status).into()),
                Some(message) if message.json.is_empty() => {}
                Some(message) => {
                    if let Some(message) = self.hear(&id, message, outlet).await? {
                        reply.settle().await;
                        return Ok(message);
                    }
                }
            }
        }
    }

    /// A message of the upstream. Some if it is the response.
    async fn hear(
        &mut self,
        id: &str,
        message: Message,
        outlet: &mut Outlet<'_>,
    ) -> Result<Option<Message>, Stop> {
        let limits = self.prepared.limits;
        let packet = Packet::parse(&message.json, &limits).map_err(Failure::from)?;
        let ours = Json::parse(id, &limits).map_err(Failure::from)?;
        let notice = match &packet {
            Packet::Result { .. } | Packet::Error { .. } => {
                return match packet.answers() {
                    Some(theirs) if !theirs.is_same_token(ours) => {
                        Err(Failure::invalid("the response to another request").into())
                    }
                    _ => Ok(Some(message)),
                };
            }
            // The modern era has no requests of servers: there is nobody who could answer it.
            Packet::Request { .. } => return Err(Failure::invalid("a request of a modern server").into()),
            Packet::Notification { method, params } => {
                let token = self.request.progress_token();
                match relay(method, params, token, Some(self.prepared.level)) {
                    Relayed::Progress => token
                        .and_then(|token| progress_with_token(&packet, token.raw(), &limits))
                        .map(Bytes::from),
                    Relayed::Log => Some(message.json.clone()),
                    Relayed::Withdrawn(_) | Relayed::ListChanged | Relayed::Nothing => None,
                }
            }
        };
        if let Some(notice) = notice.filter(|_| self.orphaned_at.is_none()) {
            match outlet.notice(notice).await {
                Ok(()) => {}
                Err(ClientError::Gone) => self.orphaned_at = Some(Instant::now()),
                Err(error) => return Err(Stop::Client(error)),
            }
        }
        Ok(None)
    }

    /// Waits before a request is repeated that the upstream wants repeated as it is.
    async fn pause(&mut self, round: u32, outlet: &mut Outlet<'_>) -> Result<(), Stop> {
        let pause = REPEAT_PAUSE.saturating_mul(1 << round.min(8)).min(REPEAT_PAUSE_MAX);
        tokio::select! {
            biased;
            () = self.running.cancelled() => Err(Stop::Cancelled),
            // Nothing is under way that could be heard to its end.
            () = outlet.gone() => Err(Stop::Client(ClientError::Gone)),
            () = sleep(pause) => Ok(()),
        }
    }

    /// Answers the client.
    async fn deliver(&self, End(message): End, outlet: &mut Outlet<'_>) -> Result<(), ClientError> {
        if self.orphaned_at.is_some() {
            return Err(ClientError::Gone);
        }
        let limits = self.prepared.limits;
        let json = match Packet::parse(&message.json, &limits) {
            Ok(Packet::Result { result, .. }) => {
                result_to_legacy(outlet.id(), self.request.method(), &result, self.prepared.client, &limits)
            }
            Ok(Packet::Error { error, .. }) => error_to_legacy(outlet.id(), &error).1,
            Ok(_) => return outlet.fail(&Failure::invalid("no response")).await,
            Err(error) => return outlet.fail(&error.into()).await,
        };
        outlet.answer(200, json).await
    }
}

impl Stop {
    async fn tell(self, outlet: &mut Outlet<'_>) -> Result<(), ClientError> {
        match self {
            Self::Failed(failure) => outlet.fail(&failure).await,
            Self::Cancelled => outlet.silence().await,
            Self::Client(error) => Err(error),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Whether the upstream found other headers than it wants.
fn is_header_mismatch(message: &Message, limits: &Limits) -> bool {
    let packet = Packet::parse(&message.json, limits).ok();
    let failure = packet.as_ref().and_then(Packet::failure);
    failure.is_some_and(|(code, _)| code == i64::from(RpcError::HeaderMismatch.code()))
}

/// What a future gives before a time, if there is one.
async fn within<T>(until: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match until {
        Some(until) => timeout_at(until, future).await.ok(),
        None => Some(future.await),
    }
}

/// Whether an upstream may require input for a request.
fn can_ask(method: &Method<'_>) -> bool {
    matches!(method, Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead)
}

/// Whether sending a request twice does no more than sending it once.
pub(super) fn is_repeatable(method: &Method<'_>) -> bool {
    matches!(method, Method::PromptsGet | Method::ResourcesRead | Method::CompletionComplete)
}
