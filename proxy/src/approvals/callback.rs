//! What comes in from outside about calls that wait, below a scope's prefix:
//!
//! | path | who | what |
//! | --- | --- | --- |
//! | `POST /approvals/slack` | Slack | somebody pressed a button |
//! | `POST /approvals/webhook` | the webhook | somebody decided |
//! | `GET /approvals/{id}/{key}` | whoever has the link | how it stands |
//!
//! INVARIANT: nothing of a body is read before its signature holds, and whoever has none learns nothing but 401.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use mcpg_filters::gate::{Answer, Answerer, ApprovalGate, CallbackError, Conclusion, SLACK_ID, WEBHOOK_ID};
use mcpg_protocol::RpcError;
use pingora_core::Result;
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;
use serde_json::json;
use tokio::time::{Duration, timeout};

use super::{Answered, Approvals, page};
use crate::gateway::{Context, Gateway, connection};
use crate::pipeline;
use crate::refusal::Refusal;
use crate::revision::Revision;

const PREFIX: &str = "/approvals/";
/// What a callback may have: Slack sends the whole message along.
const BODY_BYTES_MAX: usize = 512 * 1024;
const BODY_TIME_MAX: Duration = Duration::from_secs(5);
/// The longest path of a page.
const PATH_BYTES_MAX: usize = 256;

/// Whether a path is one of these, in some scope.
pub(crate) fn is_ours(path: &str) -> bool {
    path.starts_with(PREFIX) || path.starts_with("/t/") && path.contains(PREFIX)
}

/// Answers. A refusal is answered by the caller.
///
/// # Errors
/// When the client is gone.
pub(crate) async fn serve(
    session: &mut ServerSession,
    context: &mut Context,
    gateway: &Arc<Gateway>,
) -> Result<Option<Refusal>> {
    let generation = Arc::clone(&context.generation);
    let path = session.req_header().uri.path().to_owned();
    let connection = connection(session);
    let found = pipeline::scope_of(&generation, session.req_header(), connection, &path);
    let (revision, own_path) = match found {
        Ok((revision, own_path)) => (Arc::clone(revision), own_path.to_owned()),
        Err(refusal) => return Ok(Some(refusal)),
    };
    let unknown =
        || Refusal::new(RpcError::UnknownBinding, None, "no gate of the scope has this path").closing();
    let Some(below) = own_path.strip_prefix(PREFIX).filter(|_| path.len() <= PATH_BYTES_MAX) else {
        return Ok(Some(unknown()));
    };
    let gate = match below {
        "slack" => Some(SLACK_ID),
        "webhook" => Some(WEBHOOK_ID),
        _ => None,
    };
    let answer = match gate {
        Some(id) => match revision.scope.gates.approval(id).map(Arc::clone) {
            Some(gate) => callback(session, gateway, &revision, &gate).await?,
            None => return Ok(Some(unknown())),
        },
        None => match look(session, gateway, &revision, below) {
            Some(answer) => answer,
            None => return Ok(Some(unknown())),
        },
    };
    context.status = answer.status.as_u16();
    write(session, answer).await.map(|()| None)
}

/// An answer.
struct Reply {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    /// Whether the rest of the request was not read.
    closing: bool,
}

impl Reply {
    fn empty(status: StatusCode) -> Self {
        Self { status, content_type: "", body: Bytes::new(), closing: false }
    }

    fn json(status: StatusCode, value: &serde_json::Value) -> Self {
        let body = Bytes::from(value.to_string());
        Self { status, content_type: "application/json", body, closing: false }
    }

    fn closing(self) -> Self {
        Self { closing: true, ..self }
    }
}

async fn callback(
    session: &mut ServerSession,
    gateway: &Arc<Gateway>,
    revision: &Revision,
    gate: &Arc<ApprovalGate>,
) -> Result<Reply> {
    if session.req_header().method != Method::POST {
        return Ok(Reply::empty(StatusCode::METHOD_NOT_ALLOWED).closing());
    }
    let body = match timeout(BODY_TIME_MAX, read(session)).await {
        Ok(Some(body)) => body,
        Ok(None) => return Ok(Reply::empty(StatusCode::PAYLOAD_TOO_LARGE).closing()),
        Err(_) => return Ok(Reply::empty(StatusCode::REQUEST_TIMEOUT).closing()),
    };
    let answer = match gate.callback(&session.req_header().headers, &body, SystemTime::now()) {
        Ok(Some(answer)) => answer,
        Ok(None) => return Ok(Reply::empty(StatusCode::OK)),
        Err(error) => {
            revision.scope.metrics.refused("approval_callback");
            tracing::warn!(gate = gate.id(), %error, "a callback was refused");
            return Ok(Reply::empty(match error {
                CallbackError::Malformed => StatusCode::BAD_REQUEST,
                CallbackError::Unsigned(_) | CallbackError::None => StatusCode::UNAUTHORIZED,
            }));
        }
    };
    // An id of another scope's is none here.
    let here = gateway.shared.approvals.find(&answer.id);
    let answer_here = here.is_some_and(|pending| pending.asking.scope == revision.scope.scope);
    let (shared, gate) = (Arc::clone(&gateway.shared), Arc::clone(gate));
    match answer.by {
        Answerer::Slack { .. } => {
            // Slack wants its answer within three seconds, and is told afterwards what came of it. Owned by the exchange that it
            // makes, which has deadlines of its own.
            tokio::spawn(async move {
                let by = answer.by.clone();
                let answered = if answer_here {
                    shared.approvals.answer(Some(&gate), answer).await
                } else {
                    Answered::Unknown
                };
                if let Some(text) = said(&answered)
                    && let Err(error) = gate.tell(&by, &text).await
                {
                    tracing::debug!(%error, "who pressed a button cannot be told what came of it");
                }
            });
            Ok(Reply::empty(StatusCode::OK))
        }
        _ if answer_here => Ok(reply(&take(&shared.approvals, &gate, answer).await)),
        _ => Ok(reply(&Answered::Unknown)),
    }
}

async fn take(approvals: &Approvals, gate: &ApprovalGate, answer: Answer) -> Answered {
    approvals.answer(Some(gate), answer).await
}

/// What who pressed a button alone is told; nothing where the message itself says it.
fn said(answered: &Answered) -> Option<String> {
    Some(match answered {
        Answered::Counted(_) => return None,
        Answered::Unknown => "This call does not wait any more.".to_owned(),
        Answered::Already(standing) => match standing.conclusion() {
            Some(Conclusion::Approved { by, .. }) => format!("This call was approved already, by {by}."),
            Some(Conclusion::Denied { by, .. }) => format!("This call was denied already, by {by}."),
            Some(Conclusion::Expired) => "This call has expired.".to_owned(),
            Some(Conclusion::Cancelled) => "This call was cancelled.".to_owned(),
            None => "This call cannot be decided at present.".to_owned(),
        },
        Answered::NotCounted(reason) => reason.to_string(),
    })
}

/// What a webhook is told.
fn reply(answered: &Answered) -> Reply {
    let (status, value) = match answered {
        Answered::Counted(conclusion) => (StatusCode::OK, json!({ "outcome": conclusion.as_str() })),
        Answered::Unknown => (StatusCode::NOT_FOUND, json!({ "error": "unknown" })),
        Answered::Already(standing) => {
            (StatusCode::CONFLICT, json!({ "error": "concluded", "outcome": standing.as_str() }))
        }
        Answered::NotCounted(reason) => {
            (StatusCode::FORBIDDEN, json!({ "error": "not_counted", "message": reason.to_string() }))
        }
    };
    Reply::json(status, &value)
}

/// The page of a call; none if there is no such, in this scope, under this key.
fn look(session: &ServerSession, gateway: &Gateway, revision: &Revision, below: &str) -> Option<Reply> {
    let (id, key) = below.split_once('/')?;
    let pending = gateway.shared.approvals.find(id)?;
    let asking = &pending.asking;
    // Compared in constant time: the key is what keeps the page private.
    let is_key = blake3::hash(asking.page_key.as_bytes()) == blake3::hash(key.as_bytes());
    if !is_key || asking.scope != revision.scope.scope {
        return None;
    }
    if !matches!(session.req_header().method, Method::GET | Method::HEAD) {
        return Some(Reply::empty(StatusCode::METHOD_NOT_ALLOWED).closing());
    }
    let body = page::render(&asking.question, asking.gate.id(), &pending.standing());
    Some(Reply {
        status: StatusCode::OK,
        content_type: "text/html; charset=utf-8",
        body: Bytes::from(body),
        closing: false,
    })
}

/// The body; none if it is too large or breaks off.
async fn read(session: &mut ServerSession) -> Option<Bytes> {
    let mut body = Vec::new();
    while let Some(piece) = session.read_request_body().await.ok()? {
        if body.len() + piece.len() > BODY_BYTES_MAX {
            return None;
        }
        body.extend_from_slice(&piece);
    }
    Some(Bytes::from(body))
}

async fn write(session: &mut ServerSession, reply: Reply) -> Result<()> {
    let mut head = ResponseHeader::build(reply.status, Some(10))?;
    let headers: &[(HeaderName, HeaderValue)] = &[
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::CONTENT_SECURITY)),
        (CONTENT_LENGTH, HeaderValue::from(reply.body.len())),
    ];
    for (name, value) in headers {
        head.insert_header(name, value)?;
    }
    if reply.status == StatusCode::METHOD_NOT_ALLOWED {
        head.insert_header(ALLOW, HeaderValue::from_static("GET, HEAD, POST"))?;
    }
    if !reply.content_type.is_empty() {
        head.insert_header(CONTENT_TYPE, HeaderValue::from_static(reply.content_type))?;
    }
    if reply.closing {
        session.set_keepalive(None);
    }
    let has_body = session.req_header().method != Method::HEAD && !reply.body.is_empty();
    session.write_response_header(Box::new(head)).await?;
    if has_body {
        session.write_response_body(reply.body, true).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Standing;
    use super::*;

    #[test]
    fn paths_are_known_in_every_scope() {
        for (path, expected) in [
            ("/approvals/slack", true),
            ("/approvals/a/b", true),
            ("/t/acme/team/prod/approvals/slack", true),
            ("/approvals", false),
            ("/mcp", false),
            ("/bindings/approvals/mcp", false),
            ("/APPROVALS/slack", false),
            ("/t/acme/team/prod/mcp", false),
        ] {
            assert_eq!(is_ours(path), expected, "{path}");
        }
    }

    #[test]
    fn those_who_are_too_late_are_told() {
        let already = |standing| said(&Answered::Already(standing)).unwrap();
        let by = || Conclusion::Approved { by: "slack:T1/U1".into(), reason: None };
        assert_eq!(already(Standing::Used(by())), "This call was approved already, by slack:T1/U1.");
        assert_eq!(already(Standing::Refused(Conclusion::Expired)), "This call has expired.");
        assert_eq!(already(Standing::Failed), "This call cannot be decided at present.");
        assert_eq!(said(&Answered::Counted(by())), None);
        assert_eq!(said(&Answered::Unknown).unwrap(), "This call does not wait any more.");
    }
}
