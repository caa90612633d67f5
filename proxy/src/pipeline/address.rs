//! Which bindings a request is for, by the names in it.

use std::sync::Arc;

use bytes::Bytes;
use mcpg_protocol::{Envelope, RpcError, TargetKind, write_string};

use super::{Ask, Spoken};
use crate::refusal::Refusal;
use crate::revision::{Endpoint, Route};

/// Whom a request is for.
pub(super) enum Addressed<'a> {
    /// One binding. The name is the target's own, where the endpoint has another.
    One { route: &'a Arc<Route>, own_name: Option<&'a str> },
    /// Every binding of the endpoint.
    All,
}

/// Finds out whom a request is for.
///
/// # Errors
/// When it names something that no binding here can have.
pub(super) fn resolve<'a>(endpoint: &'a Endpoint, spoken: &'a Spoken<'_>) -> Result<Addressed<'a>, Refusal> {
    if let Some(route) = endpoint.only()
        && endpoint.is_transparent()
    {
        return Ok(Addressed::One { route, own_name: None });
    }
    let targeted = matches!(spoken.ask(), Ask::Target | Ask::Subscription);
    let Some(envelope) = spoken.envelope().filter(|_| targeted) else { return Ok(Addressed::All) };
    let Some(target) = &envelope.target else {
        let detail = "this method has no meaning for several bindings at once";
        return Err(Refusal::new(RpcError::MethodNotFound, spoken.id(), detail));
    };
    let found = match target.kind {
        TargetKind::Tool | TargetKind::Prompt | TargetKind::Task => endpoint.split_name(&target.name),
        TargetKind::Resource => endpoint.split_uri(&target.name),
    };
    match found {
        Some((route, own_name)) => Ok(Addressed::One { route, own_name: Some(own_name) }),
        None => Err(unknown(target.kind, spoken)),
    }
}

/// The message as the upstream knows its target.
pub(super) fn with_own_name(body: &Bytes, envelope: &Envelope<'_>, own_name: &str) -> Bytes {
    let Some(span) = envelope.spans.name.clone() else { return body.clone() };
    let (Some(before), Some(after)) = (body.get(..span.start), body.get(span.end..)) else {
        return body.clone();
    };
    let mut spliced = Vec::with_capacity(body.len());
    spliced.extend_from_slice(before);
    write_string(&mut spliced, own_name);
    spliced.extend_from_slice(after);
    Bytes::from(spliced)
}

/// MCP `server/tools`, "Error Handling": what does not exist is -32602. Legacy transports know no HTTP status for it.
fn unknown(kind: TargetKind, spoken: &Spoken<'_>) -> Refusal {
    let (what, form) = match kind {
        TargetKind::Tool => ("tool", "`<binding>.<tool>`"),
        TargetKind::Prompt => ("prompt", "`<binding>.<prompt>`"),
        TargetKind::Task => ("task", "`<binding>.<task>`"),
        TargetKind::Resource => ("resource", "`<binding>+<uri>`"),
    };
    let message = format!("unknown {what}: names here have the form {form}");
    let refusal =
        Refusal::worded(RpcError::InvalidParams, spoken.id(), "unknown_target", &message, message.clone());
    match spoken.protocol().era() {
        mcpg_protocol::Era::Legacy => refusal.with_status(200),
        mcpg_protocol::Era::Modern => refusal,
    }
}
