//! GET with `Last-Event-ID` of a stream that answered a request: it goes on where it broke off, at whatever instance.
//!
//! INVARIANT: what comes here answers the request that the event's id names, and no other: an upstream cannot answer for another one.

use std::sync::Arc;

use mcpg_protocol::streams::{EventId, Incoming};
use mcpg_protocol::{Limits, RpcError};
use tokio::sync::watch;

use super::refuse::refuse;
use super::session::routed;
use super::source::session_of;
use super::voice::outwards;
use crate::revision::Route;
use crate::serve::{Admitted, Client, ClientError};
use crate::sessions::{LocalSession, SessionToken};
use crate::upstream::{Message, UpstreamSession};

/// Carries on a stream of one binding.
pub(super) async fn resume(
    admitted: &Admitted,
    token: &SessionToken,
    local: &LocalSession,
    event: EventId,
    client: &mut dyn Client,
) -> Result<(), ClientError> {
    let route = admitted.routes.iter().find(|route| *route.id == *event.binding);
    let session = session_of(token, local, &event.binding);
    let (Some(route), Some((protocol, id))) = (route, session) else {
        let message = "`Last-Event-ID` is no event of this session";
        return refuse(client, RpcError::UnknownSession, None, message).await;
    };
    let opened = match UpstreamSession::attach(route, &id, protocol) {
        Ok(session) => session.stream(&admitted.on_behalf(), Some(&event.id)).await,
        Err(error) => Err(error),
    };
    let mut reply = match opened {
        Ok(Some(reply)) => reply,
        Ok(None) => {
            let message = "the upstream resumes no streams";
            return refuse(client, RpcError::MethodNotAllowed, None, message).await;
        }
        Err(error) => return refuse(client, error.rpc(), None, error.rpc().message()).await,
    };
    client.open_stream(&[]).await?;
    let mut leaving = admitted.shared.leaving.subscribe();
    loop {
        tokio::select! {
            biased;
            () = client.gone() => return Err(ClientError::Gone),
            () = local.ended() => return client.finish().await,
            () = left(&mut leaving) => return client.finish().await,
            said = reply.next() => match said {
                // However it ended: the client comes back if it still waits for something.
                Ok(None) | Err(_) => return client.finish().await,
                Ok(Some(message)) => {
                    if let Some(message) = renamed(message, admitted, route, &event) {
                        client.event(&message).await?;
                    }
                }
            },
        }
    }
}

/// Completes when the process begins to leave.
async fn left(leaving: &mut watch::Receiver<bool>) {
    let _ = leaving.wait_for(|leaving| *leaving).await;
}

/// A message under the names of the endpoint; none if it is not for this stream.
fn renamed(message: Message, admitted: &Admitted, route: &Arc<Route>, event: &EventId) -> Option<Message> {
    let limits = Limits::default();
    let event_id = message.event_id.as_deref();
    let event_id = event_id.and_then(|id| EventId::encode(&route.id, event.request.as_deref(), id));
    let event_id = event_id.map(String::into_boxed_str);
    if message.json.is_empty() {
        return Some(Message { event_id, ..message });
    }
    let incoming = Incoming::read(str::from_utf8(&message.json).ok()?, &limits).ok()??;
    if let Incoming::Response { id } = incoming
        && event.request.as_deref() != Some(id)
    {
        tracing::warn!(binding = route.id, "an upstream answers another request than the resumed one");
        return None;
    }
    let json = outwards(&message.json, &admitted.endpoint, route)?;
    let json = routed(&json, &route.id, &limits)?;
    Some(Message { json: json.into(), event_id, retry_ms: message.retry_ms })
}
