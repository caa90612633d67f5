//! Which bindings a request is for, by the names in it.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use mcpg_protocol::catalogue::ClientClass;
use mcpg_protocol::{Envelope, RpcError, TargetKind};
use mcpg_sdk::Caller;

use super::{Ask, Spoken};
use crate::federation::{Located, Requester};
use crate::refusal::Refusal;
use crate::revision::{Endpoint, Naming, Revision, Route};
use crate::serve::bearer;
use crate::sessions::SessionToken;

/// Whom a request is for.
pub(super) enum Addressed<'a> {
    /// One binding. The name is the target's own, where the endpoint has another.
    One { route: &'a Arc<Route>, own_name: Option<&'a str> },
    /// Every binding of the endpoint.
    All,
}

/// What bare names are looked up with.
pub(super) struct Search<'a> {
    /// The revision that the request sees.
    pub(super) revision: &'a Revision,
    /// Who asks.
    pub(super) caller: &'a Arc<Caller>,
    /// The request's head.
    pub(super) head: &'a Parts,
    /// The legacy session that it belongs to.
    pub(super) session: Option<&'a SessionToken>,
}

/// Finds out whom a request is for. Where names do not say it, upstreams' lists do.
///
/// # Errors
/// When it names something that no binding here can have.
pub(super) async fn resolve<'a>(
    endpoint: &'a Endpoint,
    spoken: &'a Spoken<'_>,
    search: &Search<'_>,
) -> Result<Addressed<'a>, Refusal> {
    if let Some(route) = endpoint.only()
        && endpoint.is_transparent()
    {
        return Ok(Addressed::One { route, own_name: None });
    }
    let targeted = matches!(spoken.ask(), Ask::Target | Ask::Subscription);
    let Some(envelope) = spoken.envelope().filter(|_| targeted) else { return Ok(Addressed::All) };
    let Some(target) = &envelope.target else {
        // `tasks/list`: which task is whose cannot be told once the lists are cut into pages of their own.
        return Err(Refusal::for_one_binding(spoken.protocol().era(), spoken.id()));
    };
    if let Some((route, own_name)) = endpoint.split(target.kind, &target.name) {
        return Ok(Addressed::One { route, own_name: Some(own_name) });
    }
    let located = match endpoint.naming {
        Naming::Prefixed => Located::Unknown,
        Naming::Bare => search.locate(endpoint, envelope, target.kind, &target.name).await,
    };
    let route = match &located {
        Located::At { binding, .. } => endpoint.route(binding),
        Located::Ambiguous | Located::Unknown | Located::Unavailable(_) => None,
    };
    // A bare name is the upstream's own already.
    let addressed = route.map(|route| Addressed::One { route, own_name: None });
    addressed.ok_or_else(|| unknown(&located, endpoint.naming, target.kind, spoken))
}

impl Search<'_> {
    async fn locate<'n>(
        &self,
        endpoint: &Endpoint,
        envelope: &Envelope<'_>,
        kind: TargetKind,
        name: &'n str,
    ) -> Located<'n> {
        let scope = &self.revision.scope;
        let of_session = || self.session.map(|session| &*session.client.capabilities);
        let capabilities = envelope.meta.client_capabilities.or_else(of_session).unwrap_or("{}");
        let requester = Requester {
            scope: scope.scope.clone(),
            caller: Arc::clone(self.caller),
            bearer: bearer(self.head).map(Bytes::copy_from_slice),
            traceparent: None,
            class: ClientClass::of(capabilities, &self.revision.message),
        };
        self.revision.federation.locate(endpoint, &requester, &scope.policy, kind, name).await
    }
}

/// MCP `server/tools`, "Error Handling": what does not exist is -32602. Legacy transports know no HTTP status for it.
fn unknown(located: &Located<'_>, naming: Naming, kind: TargetKind, spoken: &Spoken<'_>) -> Refusal {
    let (what, form) = match kind {
        TargetKind::Tool => ("tool", "`<binding>.<tool>`"),
        TargetKind::Prompt => ("prompt", "`<binding>.<prompt>`"),
        TargetKind::Task => ("task", "`<binding>.<task>`"),
        TargetKind::Resource => ("resource", "`<binding>+<uri>`"),
    };
    let message = match (located, naming) {
        (Located::Unavailable(reason), _) => return unavailable(reason, spoken),
        (Located::Ambiguous, _) => format!("several servers have a {what} of this name: say which by {form}"),
        (_, Naming::Bare) => format!("unknown {what}"),
        (_, Naming::Prefixed) => format!("unknown {what}: names here have the form {form}"),
    };
    let refusal =
        Refusal::worded(RpcError::InvalidParams, spoken.id(), "unknown_target", &message, message.clone());
    match spoken.protocol().era() {
        mcpg_protocol::Era::Legacy => refusal.with_status(200),
        mcpg_protocol::Era::Modern => refusal,
    }
}

/// Nobody who answers has it, and somebody does not answer.
fn unavailable(reason: &'static str, spoken: &Spoken<'_>) -> Refusal {
    let error = crate::federation::unavailable(reason);
    Refusal::new(error, spoken.id(), "a binding whose list cannot be had may have what was asked for")
}
