//! A request that waits for a person, and its client meanwhile.
//!
//! Where the client reads event streams it gets one at once: comments keep it alive, and where it asked for progress it is told
//! that the call waits. Other clients wait for their answer in silence. A client that leaves, or cancels its request, has cancelled
//! its call. Nothing here holds a thread.
//!
//! Where the gate says so, and the client can show pages, it gets `input_required` instead and comes back for its call (MCP
//! 2026-07-28 `basic/patterns/mrtr`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mcpg_filters::gate::{Conclusion, Mode};
use mcpg_filters::transform::redact::Redactor;
use mcpg_protocol::bridge::{Packet, write_input_required};
use mcpg_protocol::{Method, RpcError, write_string};
use pingora_core::Result;
use pingora_core::protocols::http::ServerSession;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::run::{admitted, answer, end};
use super::wire::SessionClient;
use super::{Client as _, ClientError, Shared};
use crate::approvals::{NoRoom, Standing, Ticket};
use crate::gateway::{Context, Gateway, SessionExchange};
use crate::pipeline::{Ask, Authorized, Awaiting, Granted};
use crate::refusal::Refusal;
use crate::sessions::caller_digest;
use crate::upstream::Message;

/// How often a client is told that its call still waits.
const PROGRESS: Duration = Duration::from_secs(10);
/// What a client may come back after, where there is no room.
const RETRY_SECONDS: u64 = 30;

/// What became of a request that waited.
pub(crate) enum Waited {
    /// It goes on, as if it had not waited.
    Authorized(Box<Authorized>),
    /// It was answered.
    Answered,
    /// It is refused.
    Refused(Refusal),
}

/// Waits with a request.
///
/// # Errors
/// When the client is gone.
pub(crate) async fn wait(
    session: &mut ServerSession,
    context: &mut Context,
    gateway: &Gateway,
    awaiting: Box<Awaiting>,
) -> Result<Waited> {
    let ticket = match begin(session, gateway, &awaiting).await {
        Ok(Begun::Waiting(ticket)) => ticket,
        Ok(Begun::Page { json, ticket }) => {
            // First it waits, then the client hears of it: it may come back at once.
            let pending = Arc::clone(ticket.pending());
            ticket.leave();
            let mut client = SessionClient::new(session, Redactor::default(), None);
            let outcome = client.json(200, &[], json).await;
            context.status = client.status;
            if outcome.is_err() {
                pending.refuse_now(Conclusion::Cancelled);
            }
            return end(session, context, outcome).await.map(|()| Waited::Answered);
        }
        Err(refusal) => return Ok(Waited::Refused(refusal)),
    };
    let id: Option<Box<str>> = awaiting.id().map(Box::from);
    let streams = awaiting.can_stream(session.req_header());
    let token = awaiting.request().and_then(|request| Some(Box::from(request.progress_token()?.raw())));
    let mut client = SessionClient::new(session, Redactor::default(), id.clone());
    let waited = sit(&mut client, streams, token, &ticket, gateway).await;
    let (streaming, broken) = (client.is_streaming(), client.is_broken());
    let standing = match waited {
        Ok(standing) if !broken => standing,
        Ok(_) | Err(_) => {
            drop(ticket);
            return end(session, context, Err(ClientError::Gone)).await.map(|()| Waited::Answered);
        }
    };
    let authorized = match Granted::from(&ticket) {
        Some(granted) => {
            let generation = Arc::clone(&context.generation);
            awaiting.resume(granted, &generation, gateway, &SessionExchange::new(session)).await
        }
        None => Err(refused(&standing, id.as_deref())),
    };
    match authorized {
        Ok(authorized) if streaming => stream_on(session, context, gateway, authorized).await,
        Ok(authorized) => Ok(Waited::Authorized(Box::new(authorized))),
        Err(refusal) if streaming => {
            note(context, &refusal, &ticket);
            let mut client = SessionClient::streaming(session, Redactor::default(), id);
            let outcome = client.json(200, &[], Bytes::copy_from_slice(&refusal.body)).await;
            context.status = client.status;
            end(session, context, outcome).await.map(|()| Waited::Answered)
        }
        Err(refusal) => Ok(Waited::Refused(refusal)),
    }
}

/// Gives up the call that a legacy client cancels with this notification, if one waits for a person.
pub(super) fn cancel(authorized: &Authorized, shared: &Shared) {
    let (Ask::Told, Some(token), false) =
        (authorized.ask(), authorized.session(), shared.approvals.is_empty())
    else {
        return;
    };
    let limits = &authorized.revision().message;
    let Ok(Packet::Notification { method: Method::Cancelled, params }) =
        Packet::parse(authorized.received(), limits)
    else {
        return;
    };
    if let Some(id) = params.get("requestId").filter(|id| id.is_token()) {
        let caller = caller_digest(&authorized.revision().scope.scope, authorized.caller());
        shared.approvals.cancelled(&caller, &token.nonce, id.raw());
    }
}

enum Begun {
    Waiting(Ticket),
    /// The client gets a page to look at.
    Page {
        json: Bytes,
        ticket: Ticket,
    },
}

/// Takes a place for a request, or the one that it comes back for, and lets the gate ask.
async fn begin(
    session: &ServerSession,
    gateway: &Gateway,
    awaiting: &Awaiting,
) -> std::result::Result<Begun, Refusal> {
    let head = session.req_header();
    if awaiting.lacks_session() {
        let message = "`Mcp-Session-Id` is missing: begin with `initialize`";
        let error = RpcError::InvalidRequest;
        return Err(Refusal::worded(error, awaiting.id(), "session_required", message, message));
    }
    if let Some(ticket) = awaiting.comes_back(gateway, head)? {
        return Ok(Begun::Waiting(ticket));
    }
    let shows = match awaiting.gate().terms().mode {
        Mode::Wait => false,
        Mode::Auto => awaiting.can_elicit(),
        Mode::Elicit if awaiting.can_elicit() => true,
        Mode::Elicit => {
            let message = "the call needs an approval, for which the client has to show a page: it does not declare \
                           `elicitation.url`";
            let error = RpcError::MissingClientCapability;
            return Err(Refusal::new(error, awaiting.id(), message));
        }
    };
    let asking = awaiting.asking(head).await?;
    let page = if shows { Some((awaiting.page(&asking), awaiting.seal(&asking)?)) } else { None };
    let ticket = gateway.shared.approvals.ask(asking).map_err(|error| no_room(error, awaiting.id()))?;
    ticket
        .pending()
        .record_asked()
        .await
        .map_err(|error| Refusal::new(RpcError::AuditUnavailable, awaiting.id(), error.to_string()))?;
    ticket.announce();
    let Some((url, state)) = page else { return Ok(Begun::Waiting(ticket)) };
    let entry = elicitation(&url, ticket.pending().id());
    let id = awaiting.id().unwrap_or("null");
    let json = write_input_required(id, [("approval", entry.as_slice())], &state);
    Ok(Begun::Page { json: Bytes::from(json), ticket })
}

/// Waits until somebody answers, the client leaves, or the process does.
async fn sit(
    client: &mut SessionClient<'_>,
    streams: bool,
    token: Option<Box<str>>,
    ticket: &Ticket,
    gateway: &Gateway,
) -> std::result::Result<Standing, ClientError> {
    if streams && ticket.pending().is_open() {
        client.open_stream(&[]).await?;
    }
    let mut leaving = gateway.shared.leaving.subscribe();
    let mut told = 0_u32;
    let mut tell_at = Instant::now();
    loop {
        tokio::select! {
            biased;
            standing = ticket.wait() => return Ok(standing),
            () = client.gone() => return Err(ClientError::Gone),
            () = left(&mut leaving) => {
                ticket.pending().refuse_now(Conclusion::Cancelled);
                return Ok(ticket.pending().concluded().await);
            }
            () = sleep_until(tell_at), if client.is_streaming() && token.is_some() => {}
        }
        if let Some(token) = &token {
            told = told.saturating_add(1);
            tell_at = Instant::now() + PROGRESS;
            let json = progress(token, told);
            client.event(&Message { json, ..Message::default() }).await?;
        }
    }
}

/// Completes when the process begins to leave.
async fn left(leaving: &mut watch::Receiver<bool>) {
    let _ = leaving.wait_for(|leaving| *leaving).await;
}

/// Answers an authorized request on the stream that has begun.
async fn stream_on(
    session: &mut ServerSession,
    context: &mut Context,
    gateway: &Gateway,
    authorized: Authorized,
) -> Result<Waited> {
    context.join_trace(authorized.traceparent());
    let admitted = admitted(session, context, &authorized, gateway);
    let (ask, own) = (authorized.ask(), authorized.body().clone());
    let (redactor, id) = (authorized.redactor().clone(), authorized.id().map(Box::from));
    context.authorized = Some(authorized);
    let mut client = SessionClient::streaming(session, redactor, id);
    let outcome = answer(admitted, ask, &own, &mut client).await;
    context.status = client.status;
    context.completion = client.completion;
    end(session, context, outcome).await.map(|()| Waited::Answered)
}

/// Somebody said no.
const APPROVAL_DENIED: &str = "approval_denied";

/// What a client is told whose call was not approved: also why, if who said no gave a reason, but not who.
fn refused(standing: &Standing, id: Option<&str>) -> Refusal {
    let (error, reason, message) = match standing {
        Standing::Refused(Conclusion::Denied { reason: Some(why), .. }) => {
            let message = format!("the call was not approved: {why}");
            return Refusal::worded(RpcError::Denied, id, APPROVAL_DENIED, &message, message.clone());
        }
        Standing::Refused(Conclusion::Denied { .. }) => {
            (RpcError::Denied, APPROVAL_DENIED, "the call was not approved")
        }
        Standing::Refused(Conclusion::Expired) => {
            (RpcError::Denied, "approval_expired", "nobody approved the call in time")
        }
        Standing::Refused(_) => (RpcError::Denied, "approval_cancelled", "the call was cancelled"),
        Standing::Failed => (
            RpcError::Denied,
            "approval_unavailable",
            "the call needs an approval, and nobody can be asked for it",
        ),
        Standing::Open | Standing::Deciding | Standing::Approved(_) | Standing::Used(_) => {
            (RpcError::InputStateUnknown, "approval_over", "the approval is over, or was used")
        }
    };
    Refusal::worded(error, id, reason, message, message)
}

fn no_room(error: NoRoom, id: Option<&str>) -> Refusal {
    let message = error.to_string();
    let rpc = match error {
        NoRoom::Caller => RpcError::RateLimited,
        NoRoom::All => RpcError::Overloaded,
        NoRoom::Closed => return Refusal::new(RpcError::Draining, id, message),
    };
    let mut refusal = Refusal::worded(rpc, id, "approvals_pending", &message, message.clone());
    refusal.retry_after = Some(RETRY_SECONDS);
    refusal
}

fn note(context: &Context, refusal: &Refusal, ticket: &Ticket) {
    ticket.pending().asking.metrics.refused(refusal.reason);
    tracing::info!(
        request_id = %mcpg_cp_api::trace_context::Hex(&context.request_id),
        approval = ticket.pending().id(),
        reason = refusal.reason,
        detail = %refusal.detail,
        "request refused"
    );
}

/// `notifications/progress`. It grows without ever amounting to anything, so that what the upstream reports later is more.
fn progress(token: &str, count: u32) -> Bytes {
    Bytes::from(format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{},"message":"waiting for approval"}}}}"#,
        f64::from(count) / 1e9
    ))
}

/// An input request that shows the user a page.
fn elicitation(url: &str, id: &str) -> Vec<u8> {
    let mut out = br#"{"method":"elicitation/create","params":{"mode":"url","message":"#.to_vec();
    write_string(&mut out, "This call waits for approval. Repeat it once it is approved.");
    out.extend_from_slice(br#","url":"#);
    write_string(&mut out, url);
    out.extend_from_slice(br#","elicitationId":"#);
    write_string(&mut out, id);
    out.extend_from_slice(b"}}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_meanwhile_is_json() {
        let one: serde_json::Value = serde_json::from_slice(&progress("\"t\"", 1)).unwrap();
        let two: serde_json::Value = serde_json::from_slice(&progress("7", 2)).unwrap();
        assert_eq!(
            (&one["params"]["progressToken"], &two["params"]["progressToken"]),
            (&"t".into(), &7.into())
        );
        let value = |message: &serde_json::Value| message["params"]["progress"].as_f64().unwrap();
        assert!(0.0 < value(&one) && value(&one) < value(&two) && value(&two) < 0.001);
        let page: serde_json::Value = serde_json::from_slice(&elicitation("https://a/\"b", "x")).unwrap();
        assert_eq!(page["params"]["url"], "https://a/\"b");
    }

    #[test]
    fn every_end_has_a_word() {
        for (standing, reason, status) in [
            (Standing::Refused(Conclusion::Expired), "approval_expired", 403),
            (Standing::Refused(Conclusion::Cancelled), "approval_cancelled", 403),
            (Standing::Failed, "approval_unavailable", 403),
            (Standing::Used(Conclusion::Approved { by: "a".into(), reason: None }), "approval_over", 409),
        ] {
            let refusal = refused(&standing, Some("1"));
            assert_eq!((refusal.reason, refusal.status()), (reason, status));
        }
        let denied = |reason: Option<&str>| {
            let reason = reason.map(|reason| reason.parse().unwrap());
            let denied = Standing::Refused(Conclusion::Denied { by: "os:bob(7)".into(), reason });
            String::from_utf8(refused(&denied, Some("1")).body).unwrap()
        };
        assert!(denied(None).contains("\"message\":\"the call was not approved\""));
        let why = denied(Some("not \"today\""));
        assert!(why.contains(r#""message":"the call was not approved: not \"today\"""#), "{why}");
        assert!(why.contains("approval_denied") && !why.contains("bob"), "{why}");
        assert_eq!(no_room(NoRoom::Caller, None).status(), 429);
        assert_eq!(no_room(NoRoom::All, None).retry_after, Some(RETRY_SECONDS));
    }
}
