//! What a client says on its own in a session: answers to requests of upstreams, and notifications.
//!
//! An answer finds its way by its id: the gateway's own questions have ids that no binding's are like, and what an upstream asked
//! went out under `<binding>:<its own id>`. An answer that nobody waits for is dropped: it came too late, or to another
//! instance than asked. Whatever it is, the client gets 202, as the specification says.
//!
//! | notification | goes to |
//! | --- | --- |
//! | `cancelled` | the request, if it runs here; the session with its binding, or with each that may have it |
//! | `roots/list_changed` | every session |
//! | `progress` | the session whose request it is on |
//! | `initialized` | nobody: the gateway has said so to each upstream itself |
//! | any other | the session of the only binding; where there are several, nobody |
//!
//! Sources: MCP 2025-11-25 `basic/transports` ("Sending Messages to the Server"), `basic/utilities/cancellation`, `client/roots`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcpg_protocol::bridge::{Json, Object, Packet};
use mcpg_protocol::catalogue::{Prefix, unrelate};
use mcpg_protocol::{Era, Method, RpcError, streams};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::same_era::session_with;
use crate::revision::Route;
use crate::serve::{Admitted, Client, ClientError};

/// How long an upstream may take to take a message.
const SEND_TIME_MAX: Duration = Duration::from_secs(10);

/// Passes a client's answer or notification on, and answers 202.
///
/// # Errors
/// When the client is gone.
pub async fn client_message(admitted: &Admitted, client: &mut dyn Client) -> Result<(), ClientError> {
    let limits = admitted.revision.message;
    // INVARIANT: the pipeline has read the message.
    let Ok(packet) = Packet::parse(&admitted.body, &limits) else {
        return client.empty(RpcError::InvalidRequest.status(), &[]).await;
    };
    // Without a session there is nothing that could be meant: the modern era cancels by closing the stream.
    if admitted.protocol.era() == Era::Legacy {
        match &packet {
            Packet::Result { .. } | Packet::Error { .. } => answered(admitted, &packet).await,
            Packet::Notification { method, params } => notified(admitted, method, params).await,
            Packet::Request { .. } => {}
        }
    }
    client.empty(202, &[]).await
}

/// An answer to the gateway or to an upstream.
async fn answered(admitted: &Admitted, packet: &Packet<'_>) {
    let Some(id) = packet.answers() else {
        tracing::debug!("a client could not read what it was asked");
        return;
    };
    if let Some(text) = id.text().filter(|text| text.starts_with('~')) {
        let local = admitted.session.as_ref().and_then(|token| admitted.shared.sessions.find(&token.nonce));
        let taken = local.is_some_and(|local| local.answer(&text, admitted.body.clone()));
        if !taken {
            tracing::debug!("an answer that nobody waits for here");
        }
        return;
    }
    routed(admitted).await;
}

async fn notified(admitted: &Admitted, method: &Method<'_>, params: &Object<'_>) {
    match method {
        Method::Cancelled => cancelled(admitted, params).await,
        Method::RootsListChanged => send_to(admitted, &admitted.routes, &admitted.body).await,
        Method::Progress => routed(admitted).await,
        Method::Initialized => {}
        _ => {
            if let [only] = admitted.routes.as_slice()
                && admitted.endpoint.is_transparent()
            {
                send_to(admitted, std::slice::from_ref(only), &admitted.body).await;
            }
        }
    }
}

async fn cancelled(admitted: &Admitted, params: &Object<'_>) {
    let Some(id) = params.get("requestId").filter(|id| id.is_token()).map(Json::raw) else { return };
    let local = admitted.session.as_ref().and_then(|token| admitted.shared.sessions.find(&token.nonce));
    let running = local.and_then(|local| local.cancel(id));
    let binding = running.flatten();
    // One that runs here says where. Else it may be any upstream's: those that do not know the id ignore it.
    let routes: Vec<_> = admitted
        .routes
        .iter()
        .filter(|route| binding.as_deref().is_none_or(|binding| route.id == binding))
        .cloned()
        .collect();
    send_to(admitted, &routes, &admitted.body).await;
}

/// A message whose id or progress token says which upstream it is for.
async fn routed(admitted: &Admitted) {
    if let ([only], true) = (admitted.routes.as_slice(), admitted.endpoint.is_transparent()) {
        return send_to(admitted, std::slice::from_ref(only), &admitted.body).await;
    }
    let limits = admitted.revision.message;
    let Ok(text) = std::str::from_utf8(&admitted.body) else { return };
    let Ok(Some(routed)) = streams::inward(text, &limits) else {
        tracing::debug!("an answer to nobody's question");
        return;
    };
    let Some(route) = admitted.routes.iter().find(|route| *route.id == *routed.binding) else {
        tracing::debug!(binding = %routed.binding, "an answer to a binding that the caller may not reach");
        return;
    };
    let prefix = Prefix::new(&route.id);
    let body = match unrelate(routed.message.as_bytes(), &prefix, &limits) {
        Ok(body) => Bytes::from(body.into_owned()),
        Err(_) => return,
    };
    send_to(admitted, std::slice::from_ref(route), &body).await;
}

/// Sends a message to the sessions with these bindings, those that there are, at once.
async fn send_to(admitted: &Admitted, routes: &[Arc<Route>], body: &Bytes) {
    let mut sending = JoinSet::new();
    for route in routes {
        let Ok(session) = session_with(admitted, route) else { continue };
        let (behalf, body) = (admitted.on_behalf().to_owned(), body.clone());
        sending.spawn(async move {
            let sent = timeout(SEND_TIME_MAX, session.send(&behalf.borrow(), body)).await;
            if !matches!(sent, Ok(Ok(()))) {
                tracing::debug!(binding = session.route().id, "a client's message was not taken");
            }
        });
    }
    while sending.join_next().await.is_some() {}
}
