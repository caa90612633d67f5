//! DELETE: the end of a legacy session, and of the upstreams' sessions behind it.

use std::time::Duration;

use mcpg_protocol::RpcError;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::refuse::refuse;
use crate::serve::{Admitted, Client, ClientError};
use crate::upstream::UpstreamSession;

/// How long the upstreams may take. The session is over here in any case.
const END_TIME_MAX: Duration = Duration::from_secs(5);

/// Ends a legacy session.
///
/// # Errors
/// When the client left.
pub async fn end(admitted: Admitted, client: &mut dyn Client) -> Result<(), ClientError> {
    let Some(token) = admitted.session.clone() else {
        return refuse(client, RpcError::InvalidRequest, None, "the request has no `Mcp-Session-Id`").await;
    };
    let local = admitted.shared.sessions.end(&token);
    let mut upstreams = token.upstreams.clone();
    upstreams.extend(local.map(|local| local.upstreams()).unwrap_or_default());
    let mut ending = JoinSet::new();
    for upstream in upstreams {
        let route = admitted.routes.iter().find(|route| *route.id == *upstream.binding);
        let session =
            route.and_then(|route| UpstreamSession::attach(route, &upstream.id, upstream.protocol).ok());
        if let Some(session) = session {
            let behalf = admitted.on_behalf().to_owned();
            ending.spawn(async move {
                if let Err(error) = session.close(&behalf.borrow()).await {
                    tracing::debug!(binding = session.route().id, %error, "an upstream's session was not ended");
                }
            });
        }
    }
    let by = Instant::now() + END_TIME_MAX;
    while let Ok(Some(_)) = timeout_at(by, ending.join_next()).await {}
    client.empty(204, &[]).await
}
