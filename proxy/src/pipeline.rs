//! The life of a request up to its dispatch: every stage, in order, in one function.
//!
//! The stages read values that a revision built; the network is behind [`Exchange`]. What comes out is
//! [`Authorized`], which only this function makes and which is all that dispatch accepts.
//!
//! Order (docs/LIFE_OF_A_REQUEST.md): 1 listener (the guard, before this), 2 tenant, 3 identity, 4 envelope, 5 quota,
//! 6 policy, 7 gate, 8 plugins, 11 audit of the decision, 9 dispatch. Stages 10 and 11 (outcome) follow on the way
//! back, in `response` and `gateway`.

mod address;
mod envelope;
mod exchange;
mod gate;
mod identify;
mod obligations;
mod plugins;
mod record;
mod tenant;
mod whole;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use mcpg_filters::identity::Identified;
use mcpg_filters::policy::Decided;
use mcpg_filters::reliability::rate_limit;
use mcpg_filters::transform::redact::Redactor;
use mcpg_ledger::RequestId;
use mcpg_protocol::catalogue::inward;
use mcpg_protocol::{Accept, Era, Revision as Protocol, RpcError};
use mcpg_sdk::{Call, Caller, Decision};

pub use envelope::{Ask, BodyError, Spoken};
pub use exchange::{Arrival, Exchange};
pub use gate::Gates;
pub(crate) use identify::credentials;
pub use plugins::Plugins;
pub use record::{decision_row, outcome_row};

use crate::gateway::Gateway;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::resource_metadata;
use crate::revision::{Endpoint, Generation, Revision, Route, ScopeState};
use crate::sessions::{Arrived, SessionError, SessionToken};
use address::Addressed;
use tenant::Tenant;

/// What stands for the binding in a decision about several at once.
const WHOLE_ENDPOINT: &str = "*";

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

/// A request that a stage refused.
pub struct Refused {
    /// What the client is told.
    pub refusal: Refusal,
    /// What its scope is counted in, where it named one.
    pub metrics: Option<Arc<Metrics>>,
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

/// Takes a request through the stages. A refusal says which stage ended it, in its reason.
///
/// # Errors
/// When a stage refuses.
pub async fn admit<E: Exchange>(
    generation: &Generation,
    gateway: &Gateway,
    exchange: &mut E,
    request_id: RequestId,
    arrival: Arrival,
) -> Result<Authorized, Refused> {
    let tenant = tenant::resolve(generation, exchange).map_err(|(revision, refusal)| Refused {
        refusal,
        metrics: revision.map(|revision| Arc::clone(&revision.scope.metrics)),
    })?;
    admit_to(generation, &tenant, gateway, exchange, request_id, arrival)
        .await
        .map_err(|refusal| Refused { refusal, metrics: Some(Arc::clone(&tenant.revision.scope.metrics)) })
}

/// The stages from the third on, which are those of one scope.
async fn admit_to<E: Exchange>(
    generation: &Generation,
    tenant: &Tenant<'_>,
    gateway: &Gateway,
    exchange: &mut E,
    request_id: RequestId,
    arrival: Arrival,
) -> Result<Authorized, Refusal> {
    let Tenant { revision, endpoint } = tenant;
    let scope = &revision.scope;
    let identified = identify::identify(scope, exchange, generation, arrival).await?;
    let received = exchange.body(revision, endpoint).await.map_err(envelope::body_refusal)?;
    let spoken = Spoken::read(exchange.head(), &received, revision)?;
    let session = session(revision, gateway, endpoint, exchange.head(), &identified, &spoken, arrival)?;
    let search = address::Search {
        revision,
        caller: identified.caller(),
        head: exchange.head(),
        session: session.as_deref(),
    };
    let addressed = address::resolve(endpoint, &spoken, &search).await?;
    let source = generation.client(exchange.connection().peer, &exchange.head().headers);
    let call = match &addressed {
        Addressed::One { route, own_name } => spoken.call(scope, &route.id, *own_name, source, arrival.wall),
        Addressed::All => spoken.call(scope, WHOLE_ENDPOINT, None, source, arrival.wall),
    };
    charge(scope, &identified, &call, arrival, spoken.id())?;
    let (decided, reach) = match &addressed {
        Addressed::One { route, .. } => {
            (scope.policy.decide(identified.caller(), &call).await, Reach::One(Arc::clone(route)))
        }
        Addressed::All => whole::decide(scope, endpoint, &identified, &call).await,
    };
    let decided = scope.gates.pass(decided, &call);
    scope.plugins.on_request();
    let row = decision_row(revision, &identified, &call, &spoken, &decided, request_id);
    let recorded = row.write(&scope.audit).await;
    permitted(&decided, endpoint, &reach, &spoken)?;
    recorded.map_err(|error| Refusal::new(RpcError::AuditUnavailable, spoken.id(), error.to_string()))?;
    obligations::charge(scope, &identified, &call, &decided, arrival, spoken.id())?;
    let redactor = obligations::redactor(scope, &decided, &spoken)?;
    let own_name = match addressed {
        Addressed::One { own_name, .. } => own_name,
        Addressed::All => None,
    };
    let body = match (own_name, spoken.envelope()) {
        (Some(own_name), Some(envelope)) => inward(&received, envelope, own_name).map(Bytes::from),
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
        received: {
            drop(spoken);
            received
        },
    })
}

/// The description of an endpoint as an OAuth resource, by its path as the client addresses it.
///
/// # Errors
/// When no such endpoint is served here, or it is no OAuth resource.
pub fn describe<E: Exchange>(generation: &Generation, exchange: &E, path: &str) -> Result<Vec<u8>, Refusal> {
    let tenant = tenant::resolve_path(generation, exchange, path).map_err(|(_, refusal)| refusal)?;
    let resource = identify::resource(exchange.head(), exchange.connection(), generation, path);
    resource_metadata::document(&tenant.revision.scope.identity, resource).ok_or_else(|| {
        Refusal::new(RpcError::UnknownBinding, None, "the scope has no `identity.oidc`").closing()
    })
}

/// The legacy session that a request belongs to. The modern era has none: what a client sends of one means nothing there.
fn session(
    revision: &Revision,
    gateway: &Gateway,
    endpoint: &Endpoint,
    head: &Parts,
    identified: &Identified,
    spoken: &Spoken<'_>,
    arrival: Arrival,
) -> Result<Option<Arc<SessionToken>>, Refusal> {
    if spoken.protocol().era() == Era::Modern || spoken.ask() == Ask::Initialize {
        return Ok(None);
    }
    let arrived = Arrived {
        headers: &head.headers,
        endpoint: &endpoint.path,
        scope: &revision.scope.scope,
        caller: identified.caller(),
        now: arrival.wall,
    };
    match revision.sessions.admit(&arrived, &gateway.shared.sessions) {
        Ok(token) => Ok(Some(token)),
        Err(SessionError::Missing) => Ok(None),
        Err(error) => Err(Refusal::new(error.rpc(), spoken.id(), error.to_string())),
    }
}

/// Stage 5. A call is charged to every limit in turn; the first that is exhausted refuses it.
fn charge(
    scope: &ScopeState,
    identified: &Identified,
    call: &Call<'_>,
    arrival: Arrival,
    id: Option<&str>,
) -> Result<(), Refusal> {
    for quota in &scope.quotas {
        let verdict = quota.check(identified.caller(), call, arrival.monotonic_ns);
        if verdict != rate_limit::Verdict::Allowed {
            return Err(Refusal::limited(verdict, id));
        }
    }
    Ok(())
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
    if reason.code == gate::TOOL_WITHHELD {
        let message = "the tool is withheld: its definition awaits approval";
        return Err(Refusal::worded(RpcError::Denied, spoken.id(), gate::TOOL_WITHHELD, message, detail));
    }
    // What nobody permits and no revision knows does not exist (MCP "Error Handling": 404, -32601).
    let unknown = reason.code == "not_permitted" && spoken.is_unknown_method();
    let error = if unknown { RpcError::MethodNotFound } else { RpcError::Denied };
    Err(Refusal::new(error, spoken.id(), detail).in_era(spoken.protocol().era()))
}

#[cfg(test)]
mod tests;
