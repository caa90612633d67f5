//! `resources/subscribe` and `resources/unsubscribe` of legacy sessions.
//!
//! An upstream with a session behind the client's is asked itself. For every other the gateway remembers what the session wants to be
//! told of, and its stream listens to it; another instance does not know of it (docs/FEDERATION.md).

use bytes::Bytes;
use mcpg_protocol::{RpcError, raw};

use super::refuse::refuse;
use super::source::session_of;
use crate::serve::{Admitted, Client, ClientError};
use crate::upstream::UpstreamSession;

/// Subscribes to a resource, or ends that. `own_uri` is what the resource is called at the one binding that the request is for.
///
/// # Errors
/// When the client left, or the answer was withheld.
pub async fn subscribe(
    admitted: Admitted,
    own_uri: &str,
    client: &mut dyn Client,
) -> Result<(), ClientError> {
    let limits = admitted.revision.message;
    let text = str::from_utf8(&admitted.body).unwrap_or_default();
    let paths: [&[&str]; 2] = [&["id"], &["method"]];
    let [id, method] = raw::find(text, paths, &limits).unwrap_or_default();
    let id = id.map_or("null", |id| id.text);
    let method = method.and_then(|method| method.as_str()).unwrap_or_default();
    let (Some(token), [route]) = (&admitted.session, admitted.routes.as_slice()) else {
        return refuse(client, RpcError::InvalidRequest, Some(id), "the request is for no session").await;
    };
    let local = admitted.shared.sessions.session(token, admitted.now);
    let Some((protocol, session)) = session_of(token, &local, &route.id) else {
        let done = match method.as_ref() {
            "resources/subscribe" => local.subscribe(&route.id, own_uri).is_ok(),
            _ => {
                local.unsubscribe(&route.id, own_uri);
                true
            }
        };
        if !done {
            let message = "the session has as many subscriptions as it may";
            return refuse(client, RpcError::InvalidParams, Some(id), message).await;
        }
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
        return client.json(200, &[], Bytes::from(body)).await;
    };
    let own = raw::set(text, &["params", "uri"], &raw::string(own_uri), &limits).unwrap_or_default();
    let answered = async {
        let session = UpstreamSession::attach(route, &session, protocol)?;
        let mut reply = session.request(&admitted.on_behalf(), Bytes::from(own), false).await?;
        reply.answer(id).await
    };
    match answered.await {
        Ok(Some(answer)) => client.json(200, &[], answer.json).await,
        Ok(None) => {
            let error = RpcError::UpstreamInvalid;
            refuse(client, error, Some(id), error.message()).await
        }
        Err(error) => refuse(client, error.rpc(), Some(id), error.rpc().message()).await,
    }
}
