//! Answers a request by the gateway's own hands.

use std::io::Cursor;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use mcpg_cp_api::trace_context::Hex;
use mcpg_ledger::Completion;
use mcpg_protocol::{Era, RpcError, raw};
use pingora_core::protocols::http::ServerSession;
use pingora_core::{Error, ErrorType, Result};

use super::wire::SessionClient;
use super::{Admitted, Client, ClientError, session};
use crate::bridge;
use crate::dispatch::Over;
use crate::federation;
use crate::gateway::{Context, Gateway, connection};
use crate::guard::Rest;
use crate::pipeline::{Ask, Authorized, credentials};
use crate::refusal::Refusal;
use crate::streams;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What an event id may have; longer ones are none of ours.
const EVENT_ID_BYTES_MAX: usize = 8 * 1024;

/// Answers an authorized request, or says what is left of it where it may last.
///
/// # Errors
/// When the client is gone, or the request is not authorized.
pub(crate) async fn run(
    session: &mut ServerSession,
    context: &mut Context,
    gateway: &Gateway,
) -> Result<Option<Rest>> {
    let Some(authorized) = &context.authorized else {
        return Error::e_explain(ErrorType::InternalError, "the request is not authorized");
    };
    let admitted = admitted(session, context, authorized, gateway);
    if matches!(authorized.ask(), Ask::Listen | Ask::Stream) {
        return Ok(Some(rest(session, context, admitted)));
    }
    on(session, context, admitted).await.map(|()| None)
}

/// When the stream of a session that passes straight through must end; none for what ends by itself.
pub(crate) fn over(session: &ServerSession, context: &Context, gateway: &Gateway) -> Option<Over> {
    let authorized = context.authorized.as_ref().filter(|authorized| authorized.ask() == Ask::Stream)?;
    let watch = streams::Watch::new(admitted(session, context, authorized, gateway));
    Some(Box::pin(watch.over()))
}

/// A stream that may last, to be served by the guard of its connection: what a request is handled with is much larger than a stream.
/// An empty session and context take the place of its own.
fn rest(session: &mut ServerSession, context: &mut Context, admitted: Admitted) -> Rest {
    let nothing = ServerSession::new_http1(Box::new(Cursor::new(Vec::new())));
    let mut session = Box::new(std::mem::replace(session, nothing));
    let mut own = Box::new(context.take());
    Box::pin(async move {
        let served = on(&mut session, &mut own, admitted).await;
        own.finish(session.body_bytes_sent());
        drop(own);
        served.ok()?;
        session.finish().await.ok().flatten().map(|reusable| reusable.into_parts().0)
    })
}

/// Answers an authorized request on its session.
async fn on(session: &mut ServerSession, context: &mut Context, admitted: Admitted) -> Result<()> {
    let Some(authorized) = &context.authorized else {
        return Error::e_explain(ErrorType::InternalError, "the request is not authorized");
    };
    let id = authorized.id().map(Box::from);
    let (ask, own) = (authorized.ask(), authorized.body().clone());
    let mut client = SessionClient::new(session, authorized.redactor().clone(), id);
    let outcome = answer(admitted, ask, &own, &mut client).await;
    let (status, completion) = (client.status, client.completion);
    context.status = status;
    context.completion = completion;
    end(session, context, outcome).await
}

/// Ends the answer as it came out.
pub(super) async fn end(
    session: &mut ServerSession,
    context: &mut Context,
    outcome: Result<(), ClientError>,
) -> Result<()> {
    match outcome {
        Ok(()) => Ok(()),
        Err(ClientError::Withheld) => {
            context.completion = Some(Completion::Withheld);
            session.write_response_body(Bytes::new(), true).await
        }
        Err(ClientError::Gone) => {
            Err(Error::explain(ErrorType::ConnectionClosed, "the client left").into_down())
        }
    }
}

pub(super) fn admitted(
    session: &ServerSession,
    context: &Context,
    authorized: &Authorized,
    gateway: &Gateway,
) -> Admitted {
    let headers = &session.req_header().headers;
    let last_event_id = headers
        .get(LAST_EVENT_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=EVENT_ID_BYTES_MAX).contains(&id.len()));
    let credentials = credentials(session.req_header(), connection(session), &context.generation);
    Admitted {
        shared: Arc::clone(&gateway.shared),
        revision: Arc::clone(authorized.revision()),
        endpoint: Arc::clone(authorized.endpoint()),
        routes: authorized.routes().to_vec(),
        caller: Arc::clone(authorized.caller()),
        credentials: Arc::new(credentials.to_kept()),
        source: authorized.source(),
        bearer: bearer(session.req_header()).map(Bytes::copy_from_slice),
        body: authorized.received().clone(),
        param_headers: match authorized.protocol().era() {
            Era::Modern => param_headers(headers),
            Era::Legacy => Vec::new(),
        },
        protocol: authorized.protocol(),
        accept: authorized.accept(),
        session: authorized.session().map(Arc::clone),
        last_event_id: last_event_id.map(Box::from),
        redactor: authorized.redactor().clone(),
        request_id: context.request_id,
        traceparent: context.generation.propagate_trace.then(|| context.trace.traceparent()),
        now: authorized.now(),
    }
}

/// What the client says in headers of single arguments (MCP 2026-07-28 `basic/transports`, "Custom Headers from Tool Parameters").
fn param_headers(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let is_param = |name: &HeaderName| name.as_str().starts_with("mcp-param-");
    headers
        .iter()
        .filter(|(name, _)| is_param(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The bearer token of a request.
pub(crate) fn bearer(head: &Parts) -> Option<&[u8]> {
    let (scheme, token) = head.headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Who answers. `own` is the message as its one upstream shall read it.
pub(super) async fn answer(
    admitted: Admitted,
    ask: Ask,
    own: &Bytes,
    client: &mut dyn Client,
) -> Result<(), ClientError> {
    // What takes much room is put aside: a stream that lasts must not keep the room that another kind of request would need.
    match ask {
        Ask::Initialize => Box::pin(session::begin(&admitted, client)).await,
        Ask::Ping => session::pong(&admitted, client).await,
        Ask::SetLevel => Box::pin(session::set_level(&admitted, client)).await,
        Ask::Discover => federation::serve_discover(&admitted, client).await,
        Ask::List(_) => federation::serve_list(&admitted, client).await,
        Ask::Listen => Box::pin(streams::listen(admitted, client)).await,
        Ask::Subscription => {
            let uri = own_uri(&admitted, own).unwrap_or_default();
            Box::pin(streams::subscribe(admitted, &uri, client)).await
        }
        Ask::Stream => Box::pin(streams::get(admitted, client)).await,
        Ask::End => streams::end(admitted, client).await,
        Ask::Told => bridge::client_message(&admitted, client).await,
        Ask::Target | Ask::Extension => Box::pin(call(&admitted, ask, own, client)).await,
    }
}

/// A call of one binding that cannot pass straight through.
async fn call(
    admitted: &Admitted,
    ask: Ask,
    own: &Bytes,
    client: &mut dyn Client,
) -> Result<(), ClientError> {
    let here = admitted.protocol.era();
    // What policy leaves of several does not say which of them was meant.
    let told_apart = ask != Ask::Extension || admitted.endpoint.only().is_some();
    let (true, [route]) = (told_apart, admitted.routes.as_slice()) else {
        return refuse(admitted, &Refusal::for_one_binding(here, id(admitted)), client).await;
    };
    let there = match route.known_era_for(here) {
        Some(era) => Ok(era),
        None => route.era_for(&admitted.on_behalf(), here).await,
    };
    match (here, there) {
        (_, Err(error)) => {
            let refusal = Refusal::new(error.rpc(), id(admitted), error.to_string());
            refuse(admitted, &refusal, client).await
        }
        // What a method of an extension means in the other era, nobody here could say.
        (here, Ok(there)) if here != there && ask == Ask::Extension => {
            let detail = "a method of an extension, and the upstream speaks another era than the client";
            let refusal = Refusal::new(RpcError::MethodNotFound, id(admitted), detail);
            refuse(admitted, &refusal.in_era(here), client).await
        }
        (_, Ok(there)) => bridge::call(admitted, route, there, own, client).await,
    }
}

/// The resource that a message is about, as its upstream calls it.
fn own_uri(admitted: &Admitted, own: &Bytes) -> Option<String> {
    let text = std::str::from_utf8(own).ok()?;
    let [uri] = raw::find(text, [&["params", "uri"]], &admitted.revision.message).ok()?;
    uri?.as_str().map(std::borrow::Cow::into_owned)
}

/// The raw id of the message, if it has one.
pub(super) fn id(admitted: &Admitted) -> Option<&str> {
    let text = std::str::from_utf8(&admitted.body).ok()?;
    let [id] = raw::find(text, [&["id"]], &admitted.revision.message).ok()?;
    id.map(|id| id.text)
}

/// Answers with a refusal. Counted and logged like one of a stage.
pub(super) async fn refuse(
    admitted: &Admitted,
    refusal: &Refusal,
    client: &mut dyn Client,
) -> Result<(), ClientError> {
    admitted.revision.scope.metrics.refused(refusal.reason);
    tracing::info!(
        request_id = %Hex(&admitted.request_id),
        status = refusal.status(),
        reason = refusal.reason,
        detail = %refusal.detail,
        "request refused"
    );
    client.json(refusal.status(), &[], Bytes::copy_from_slice(&refusal.body)).await
}
