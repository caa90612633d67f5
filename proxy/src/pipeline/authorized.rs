//! A request that every stage let pass, and the last stages before it is one: its row, and what its decision obliges to.
//!
//! INVARIANT: `finish` is the only one that makes an [`Authorized`], and the row of its decision is in the log before.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use mcpg_filters::identity::Identified;
use mcpg_filters::policy::Decided;
use mcpg_filters::transform::redact::Redactor;
use mcpg_ledger::RequestId;
use mcpg_protocol::catalogue::inward;
use mcpg_protocol::{Accept, Revision as Protocol, RpcError};
use mcpg_sdk::{Call, Caller, Decision};

use super::{Arrival, Ask, Spoken, approval, decision_row, gate, obligations};
use crate::audit::AuditError;
use crate::refusal::Refusal;
use crate::revision::{Endpoint, Revision, Route};
use crate::sessions::SessionToken;

/// A request that every stage let pass.
pub struct Authorized {
    revision: Arc<Revision>,
    endpoint: Arc<Endpoint>,
    reach: Reach,
    ask: Ask,
    identified: Identified,
    received: Bytes,
    body: Bytes,
    own_name: Option<Box<str>>,
    source: IpAddr,
    now: SystemTime,
    id: Option<Box<str>>,
    protocol: Protocol,
    accept: Accept,
    session: Option<Arc<SessionToken>>,
    redactor: Redactor,
    idempotent: bool,
    traceparent: Option<Box<str>>,
}

/// The bindings that a request may reach.
pub enum Reach {
    /// The one that it is for.
    One(Arc<Route>),
    /// Those of the endpoint that policy permits, in order.
    Many(Vec<Arc<Route>>),
}

impl Authorized {
    /// The revision that it sees from beginning to end.
    pub fn revision(&self) -> &Arc<Revision> {
        &self.revision
    }

    /// Where it arrived.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The one binding that it is for; none where it is for the endpoint as a whole.
    pub fn route(&self) -> Option<&Arc<Route>> {
        match &self.reach {
            Reach::One(route) => Some(route),
            Reach::Many(_) => None,
        }
    }

    /// Every binding that it may reach.
    pub fn routes(&self) -> &[Arc<Route>] {
        match &self.reach {
            Reach::One(route) => std::slice::from_ref(route),
            Reach::Many(routes) => routes,
        }
    }

    /// What it wants.
    pub fn ask(&self) -> Ask {
        self.ask
    }

    /// Who asks.
    pub fn caller(&self) -> &Arc<Caller> {
        self.identified.caller()
    }

    /// The body exactly as received and judged. Names in it are the endpoint's.
    pub fn received(&self) -> &Bytes {
        &self.received
    }

    /// The body for the upstream: as received, but for the name of its target, which is the upstream's own.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The target's name as the upstream has it, where the endpoint has another.
    pub fn own_name(&self) -> Option<&str> {
        self.own_name.as_deref()
    }

    /// Where the request came from.
    pub fn source(&self) -> IpAddr {
        self.source
    }

    /// When it arrived.
    pub fn now(&self) -> SystemTime {
        self.now
    }

    /// The raw JSON-RPC id, for an error in place of the upstream's answer.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The revision that it is in.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The legacy session that it belongs to.
    pub fn session(&self) -> Option<&Arc<SessionToken>> {
        self.session.as_ref()
    }

    /// What the client can read.
    pub fn accept(&self) -> Accept {
        self.accept
    }

    /// Whether sending it twice does no more than sending it once.
    pub fn is_idempotent(&self) -> bool {
        self.idempotent
    }

    /// `traceparent` of the message's `_meta`, as received.
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// What must be redacted from the answer.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}

/// What is known of a request when it has been decided.
pub(super) struct Finish<'a> {
    pub(super) revision: &'a Arc<Revision>,
    pub(super) endpoint: &'a Arc<Endpoint>,
    pub(super) reach: Reach,
    pub(super) own_name: Option<&'a str>,
    pub(super) source: IpAddr,
    pub(super) arrival: Arrival,
    pub(super) session: Option<Arc<SessionToken>>,
    pub(super) request_id: RequestId,
}

/// The stages after the decision: its row is recorded, and what it obliges to compiled, before there is an [`Authorized`].
pub(super) async fn finish(
    parts: Finish<'_>,
    identified: Identified,
    received: &Bytes,
    spoken: &Spoken<'_>,
    call: &Call<'_>,
    decided: Decided,
) -> Result<Authorized, Refusal> {
    let Finish { revision, endpoint, reach, own_name, source, arrival, session, request_id } = parts;
    let scope = &revision.scope;
    scope.plugins.on_request();
    let row = decision_row(revision, &identified, call, spoken, &decided, request_id);
    let written = row.write(&scope.audit).await;
    permitted(&decided, endpoint, &reach, spoken)?;
    recorded(written, spoken)?;
    obligations::charge(scope, &identified, call, &decided, arrival, spoken.id())?;
    let redactor = obligations::redactor(scope, &decided, spoken)?;
    let body = match (own_name, spoken.envelope()) {
        (Some(own_name), Some(envelope)) => inward(received, envelope, own_name).map(Bytes::from),
        _ => None,
    };
    Ok(Authorized {
        revision: Arc::clone(revision),
        endpoint: Arc::clone(endpoint),
        reach,
        ask: spoken.ask(),
        body: body.unwrap_or_else(|| received.clone()),
        own_name: own_name.map(Box::from),
        source,
        now: arrival.wall,
        id: spoken.id().map(Box::from),
        protocol: spoken.protocol(),
        accept: spoken.accept(),
        session,
        redactor,
        idempotent: spoken.is_idempotent(),
        traceparent: spoken.traceparent().map(Box::from),
        identified,
        received: received.clone(),
    })
}

/// The row of a decision is in the log, or nothing follows from it.
pub(super) fn recorded(written: Result<(), AuditError>, spoken: &Spoken<'_>) -> Result<(), Refusal> {
    written.map_err(|error| Refusal::new(RpcError::AuditUnavailable, spoken.id(), error.to_string()))
}

/// Stage 6, its answer.
fn permitted(
    decided: &Decided,
    endpoint: &Endpoint,
    reach: &Reach,
    spoken: &Spoken<'_>,
) -> Result<(), Refusal> {
    let Decision::Deny(reason) = &decided.verdict.decision else { return Ok(()) };
    let denying = match reach {
        Reach::One(route) => std::slice::from_ref(route),
        Reach::Many(_) => endpoint.routes.as_slice(),
    };
    denying.iter().for_each(|route| route.metrics.denied.inc());
    let policy = reason.policy.as_deref().unwrap_or("none");
    let detail = format!("{} (policy {policy}, {}): {}", reason.engine, reason.code, reason.message);
    if reason.code == approval::UNAVAILABLE {
        let message = "the call needs an approval, and nobody can give it";
        return Err(Refusal::worded(RpcError::Denied, spoken.id(), approval::UNAVAILABLE, message, detail));
    }
    if reason.code == gate::TOOL_WITHHELD {
        let message = "the tool is withheld: its definition awaits approval";
        return Err(Refusal::worded(RpcError::Denied, spoken.id(), gate::TOOL_WITHHELD, message, detail));
    }
    // What nobody permits and no revision knows does not exist (MCP "Error Handling": 404, -32601).
    let unknown = reason.code == "not_permitted" && spoken.is_unknown_method();
    let error = if unknown { RpcError::MethodNotFound } else { RpcError::Denied };
    Err(Refusal::new(error, spoken.id(), detail).in_era(spoken.protocol().era()))
}
