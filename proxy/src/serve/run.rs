//! Answers a request by the gateway's own hands.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName};
use mcpg_filters::identity::Credentials;
use mcpg_ledger::Completion;
use mcpg_protocol::RpcError;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::session::SessionClient;
use super::{Admitted, Client, ClientError};
use crate::gateway::{Context, Gateway};
use crate::pipeline::{Ask, Authorized};
use crate::refusal::Refusal;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What an event id may have; longer ones are none of ours.
const EVENT_ID_BYTES_MAX: usize = 8 * 1024;

/// Answers an authorized request.
///
/// # Errors
/// When the client is gone, or the request is not authorized.
pub(crate) async fn run(session: &mut Session, context: &mut Context, gateway: &Gateway) -> Result<()> {
    let Some(authorized) = &context.authorized else {
        return Error::e_explain(ErrorType::InternalError, "the request is not authorized");
    };
    let admitted = admitted(session, context, authorized, gateway);
    let id = authorized.id().map(Box::from);
    let ask = authorized.ask();
    let mut client = SessionClient::new(session, authorized.redactor().clone(), id);
    let outcome = answer(&admitted, ask, &mut client).await;
    let (status, completion) = (client.status, client.completion);
    context.status = status;
    context.completion = completion;
    match outcome {
        Ok(()) => Ok(()),
        Err(ClientError::Withheld) => {
            context.completion = Some(Completion::Withheld);
            session.write_response_body(None, true).await
        }
        Err(ClientError::Gone) => {
            Err(Error::explain(ErrorType::ConnectionClosed, "the client left").into_down())
        }
    }
}

fn admitted(session: &Session, context: &Context, authorized: &Authorized, gateway: &Gateway) -> Admitted {
    let headers = &session.req_header().headers;
    let last_event_id = headers
        .get(LAST_EVENT_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=EVENT_ID_BYTES_MAX).contains(&id.len()));
    Admitted {
        shared: Arc::clone(&gateway.shared),
        revision: Arc::clone(&context.revision),
        endpoint: Arc::clone(authorized.endpoint()),
        routes: authorized.routes().to_vec(),
        caller: Arc::clone(authorized.caller()),
        credentials: Arc::new(Credentials::from_headers(headers).to_kept()),
        source: authorized.source(),
        bearer: bearer(session.req_header()).map(Bytes::copy_from_slice),
        body: authorized.received().clone(),
        protocol: authorized.protocol(),
        accept: authorized.accept(),
        session: authorized.session().map(Arc::clone),
        last_event_id: last_event_id.map(Box::from),
        redactor: authorized.redactor().clone(),
        request_id: context.request_id,
        traceparent: context.revision.propagate_trace.then(|| context.trace.traceparent()),
        now: authorized.now(),
    }
}

/// The bearer token of a request.
pub(crate) fn bearer(head: &RequestHeader) -> Option<&[u8]> {
    let (scheme, token) = head.headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

async fn answer(admitted: &Admitted, ask: Ask, client: &mut dyn Client) -> Result<(), ClientError> {
    let _ = ask;
    let refusal = Refusal::new(RpcError::MethodNotFound, None, "not served");
    let _ = admitted;
    client.json(refusal.status(), &[], Bytes::from(refusal.body)).await
}
