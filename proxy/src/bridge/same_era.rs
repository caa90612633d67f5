//! Client and upstream in one era, but not over one HTTP connection: the upstream is a process.
//!
//! Messages pass as they are, one by one. The client's own id goes through: the process' transport keeps requests of
//! several clients apart.
//!
//! Sources: MCP 2026-07-28 and 2025-11-25 `basic/transports`.

use std::sync::Arc;

use bytes::Bytes;
use mcpg_protocol::bridge::{Json, Packet, Request, modern_status};
use mcpg_protocol::{Era, RpcError, streams};

use super::failure::Failure;
use super::outlet::Outlet;
use super::to_modern::name_of;
use crate::revision::Route;
use crate::serve::{Admitted, ClientError};
use crate::sessions::Running;
use crate::upstream::{Message, ModernRequest, Reply, UpstreamError, UpstreamSession};

/// Serves a request to an upstream of the client's own era.
///
/// # Errors
/// When the client is gone.
pub(super) async fn serve(
    admitted: &Admitted,
    route: &Arc<Route>,
    request: &Request<'_>,
    body: &Bytes,
    outlet: &mut Outlet<'_>,
) -> Result<(), ClientError> {
    match begin(admitted, route, request, body).await {
        Ok(relay) => relay.run(outlet).await,
        // It is the client's own, and was there: it has to begin another.
        Err(Failure::Upstream(UpstreamError::SessionLost)) if is_of_session(admitted, route) => {
            outlet.fail(&Failure::SessionGone).await
        }
        Err(failure) => outlet.fail(&failure).await,
    }
}

/// Whether the client's session was begun with this binding.
fn is_of_session(admitted: &Admitted, route: &Route) -> bool {
    admitted.session.as_ref().is_some_and(|token| token.upstream(&route.id).is_some())
}

/// The session of a client's session with a binding: as it was sealed, or as this instance has replaced it.
pub(super) fn session_with(
    admitted: &Admitted,
    route: &Arc<Route>,
) -> Result<UpstreamSession, UpstreamError> {
    let Some(token) = &admitted.session else {
        // An upstream without sessions, at an endpoint of its own: each request stands alone.
        let alone = admitted.endpoint.is_transparent() && route.http().is_some();
        let attached = alone.then(|| UpstreamSession::attach(route, "", admitted.protocol));
        return attached.unwrap_or(Err(UpstreamError::SessionLost));
    };
    let local = admitted.shared.sessions.find(&token.nonce);
    let replaced = local.and_then(|local| local.upstream(&route.id));
    let known = replaced.or_else(|| token.upstream(&route.id).cloned()).ok_or(UpstreamError::SessionLost)?;
    UpstreamSession::attach(route, &known.id, known.protocol)
}

struct Relay<'a> {
    admitted: &'a Admitted,
    route: &'a Route,
    /// The raw JSON of the request's id.
    id: Json<'a>,
    reply: Reply,
    running: Option<Running>,
}

async fn begin<'a>(
    admitted: &'a Admitted,
    route: &'a Arc<Route>,
    request: &Request<'a>,
    body: &Bytes,
) -> Result<Relay<'a>, Failure> {
    let on_behalf = admitted.on_behalf();
    let repeatable = super::to_modern::is_repeatable(request.method());
    let (reply, running) = match admitted.protocol.era() {
        Era::Modern => {
            let name = name_of(request);
            let asked = ModernRequest {
                method: request.method().as_str(),
                name: name.as_deref(),
                body: body.clone(),
                headers: admitted.param_headers.clone(),
                repeatable,
            };
            (route.modern(&on_behalf, asked).await?, None)
        }
        Era::Legacy => {
            let session = session_with(admitted, route)?;
            let running = match &admitted.session {
                Some(token) => {
                    let local = admitted.shared.sessions.session(token, admitted.now);
                    Some(local.begin(request.id().raw(), Some(&route.id)).map_err(|error| {
                        Failure::said(RpcError::InvalidRequest, "id_in_use", error.to_string())
                    })?)
                }
                None => None,
            };
            (session.request(&on_behalf, body.clone(), repeatable).await?, running)
        }
    };
    Ok(Relay { admitted, route, id: request.id(), reply, running })
}

impl Relay<'_> {
    async fn run(mut self, outlet: &mut Outlet<'_>) -> Result<(), ClientError> {
        let status = self.reply.status.as_u16();
        loop {
            let cancelled = async {
                match &self.running {
                    Some(running) => running.cancelled().await,
                    None => std::future::pending().await,
                }
            };
            let read = tokio::select! {
                biased;
                () = cancelled => return outlet.silence().await,
                // Dropping the answer gives the request up where the era means that by it.
                () = outlet.gone() => return Err(ClientError::Gone),
                read = self.reply.next() => read,
            };
            let message = match read {
                Ok(Some(message)) if message.json.is_empty() => continue,
                Ok(Some(message)) => message,
                Ok(None) => return outlet.fail(&Failure::silent(status)).await,
                Err(error) => return outlet.fail(&error.into()).await,
            };
            match self.read(&message) {
                Ok(None) => match self.outward(message) {
                    Ok(json) => outlet.notice(json).await?,
                    Err(failure) => return outlet.fail(&failure).await,
                },
                Ok(Some(status)) => {
                    outlet.answer(status, message.json.to_vec()).await?;
                    self.reply.settle().await;
                    return Ok(());
                }
                Err(failure) => return outlet.fail(&failure).await,
            }
        }
    }

    /// The HTTP status that goes with a message, if it is the response.
    fn read(&self, message: &Message) -> Result<Option<u16>, Failure> {
        let limits = self.admitted.revision.message;
        let packet = Packet::parse(&message.json, &limits)?;
        let modern = self.admitted.protocol.era() == Era::Modern;
        match &packet {
            Packet::Request { .. } if modern => Err(Failure::invalid("a request of a modern server")),
            Packet::Request { .. } | Packet::Notification { .. } => Ok(None),
            Packet::Result { id, .. } if id.is_same_token(self.id) => Ok(Some(200)),
            Packet::Error { id: Some(id), .. } if id.is_same_token(self.id) => {
                let code = packet.failure().map_or(0, |(code, _)| code);
                Ok(Some(if modern { modern_status(code) } else { 200 }))
            }
            Packet::Result { .. } | Packet::Error { .. } => {
                Err(Failure::invalid("the response to another request"))
            }
        }
    }

    /// A message before the response, for a client that other bindings speak to as well.
    fn outward(&self, message: Message) -> Result<Bytes, Failure> {
        if self.admitted.endpoint.is_transparent() || self.admitted.protocol.era() == Era::Modern {
            return Ok(message.json);
        }
        let unreadable = || Failure::invalid("a request that cannot be passed on");
        let text = std::str::from_utf8(&message.json).map_err(|_| unreadable())?;
        let limits = self.admitted.revision.message;
        match streams::outward(text, &self.route.id, &limits).map_err(|_| unreadable())? {
            std::borrow::Cow::Borrowed(_) => Ok(message.json),
            std::borrow::Cow::Owned(routed) => Ok(Bytes::from(routed)),
        }
    }
}
