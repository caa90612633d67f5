//! The life of a request up to its dispatch: every stage, in order, in one function.
//!
//! The stages read values that a revision built; the network is behind [`Exchange`]. What comes out is
//! [`Authorized`], which only this function makes and which is all that dispatch accepts.
//!
//! Order (docs/LIFE_OF_A_REQUEST.md): 1 listener (the guard, before this), 2 tenant, 3 identity, 4 envelope, 5 quota,
//! 6 policy, 7 gate, 8 plugins, 11 audit of the decision, 9 dispatch. Stages 10 and 11 (outcome) follow on the way
//! back, in `response` and `gateway`.

mod envelope;
mod gate;
mod plugins;
mod record;
mod tenant;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use mcpg_filters::identity::{Credentials, Identified};
use mcpg_filters::policy::Decided;
use mcpg_filters::reliability::rate_limit;
use mcpg_filters::transform::redact::Redactor;
use mcpg_ledger::RequestId;
use mcpg_protocol::RpcError;
use mcpg_sdk::{Call, Decision};

pub use envelope::{BodyError, Spoken};
pub use gate::Gates;
pub use plugins::Plugins;
pub use record::{decision_row, outcome_row};

use crate::audit::AuditLog;
use crate::refusal::Refusal;
use crate::revision::{Revision, Route, ScopeState};

/// The request as the network has it.
pub trait Exchange: Send {
    /// Its head.
    fn head(&self) -> &Parts;

    /// Who sent it.
    fn source(&self) -> IpAddr;

    /// Its body, whole.
    fn body(
        &mut self,
        revision: &Revision,
        route: &Route,
    ) -> impl Future<Output = Result<Bytes, BodyError>> + Send;
}

/// When a request arrived, by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// For rows, expiry and policy.
    pub wall: SystemTime,
    /// For rates: nanoseconds of a monotonic clock.
    pub monotonic_ns: u64,
}

/// A request that every stage let pass.
pub struct Authorized {
    route: Arc<Route>,
    body: Bytes,
    id: Option<Box<str>>,
    redactor: Redactor,
    idempotent: bool,
    traceparent: Option<Box<str>>,
}

impl Authorized {
    /// Where it goes.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The body, exactly as received and judged.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The raw JSON-RPC id, for an error in place of the upstream's answer.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
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
    revision: &Revision,
    audit: &AuditLog,
    exchange: &mut E,
    request_id: RequestId,
    arrival: Arrival,
) -> Result<Authorized, Refusal> {
    let (scope, endpoint) = tenant::resolve(revision, exchange.head())?;
    let Some(route) = endpoint.only() else {
        return Err(Refusal::new(RpcError::UnknownBinding, None, "no endpoint has this path").closing());
    };
    let identified = identify(scope, exchange.head(), arrival)?;
    let body = exchange.body(revision, route).await.map_err(envelope::body_refusal)?;
    let spoken = Spoken::read(exchange.head(), &body, revision)?;
    let call = spoken.call(scope, route, exchange.source(), arrival.wall);
    charge(scope, &identified, &call, arrival, spoken.id())?;
    let decided = scope.policy.decide(identified.caller(), &call);
    let decided = scope.gates.pass(decided);
    scope.plugins.on_request();
    let row = decision_row(revision, &identified, &call, &spoken, &decided, request_id);
    let recorded = row.write(audit).await;
    permitted(&decided, &route.metrics.denied, &spoken)?;
    recorded.map_err(|error| Refusal::new(RpcError::AuditUnavailable, spoken.id(), error.to_string()))?;
    let redactor = redactor(scope, &decided, spoken.id())?;
    let (id, idempotent) = (spoken.id().map(Box::from), spoken.is_idempotent());
    let traceparent = spoken.traceparent().map(Box::from);
    drop(spoken);
    Ok(Authorized { route: Arc::clone(route), body, id, redactor, idempotent, traceparent })
}

/// Stage 3.
fn identify(scope: &ScopeState, head: &Parts, arrival: Arrival) -> Result<Identified, Refusal> {
    let credentials = Credentials::from_headers(&head.headers);
    scope
        .identity
        .identify(&credentials, arrival.wall)
        .map_err(|refusal| Refusal::new(RpcError::Unauthenticated, None, refusal.to_string()).closing())
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
fn permitted(decided: &Decided, denied: &prometheus::IntCounter, spoken: &Spoken<'_>) -> Result<(), Refusal> {
    let Decision::Deny(reason) = &decided.verdict.decision else { return Ok(()) };
    denied.inc();
    let policy = reason.policy.as_deref().unwrap_or("none");
    let detail = format!("{} (policy {policy}, {}): {}", reason.engine, reason.code, reason.message);
    // What nobody permits and no revision knows does not exist (MCP "Error Handling": 404, -32601).
    let unknown = reason.code == "not_permitted" && spoken.is_unknown_method();
    let error = if unknown { RpcError::MethodNotFound } else { RpcError::Denied };
    Err(Refusal::new(error, spoken.id(), detail))
}

/// Stage 10, compiled before the call has any effect: an obligation that cannot be met stops it here.
fn redactor(scope: &ScopeState, decided: &Decided, id: Option<&str>) -> Result<Redactor, Refusal> {
    let Decision::PermitWithObligations(obligations) = &decided.verdict.decision else {
        return Ok(scope.redactor.clone());
    };
    scope
        .redactor
        .with(obligations)
        .map_err(|error| Refusal::new(RpcError::ObligationNotApplicable, id, error.to_string()))
}

#[cfg(test)]
mod tests;
