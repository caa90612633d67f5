//! The life of a request up to its dispatch: every stage, in order, in one function.
//!
//! The stages read values that a revision built; the network is behind [`Exchange`]. What comes out is
//! [`Authorized`], which only this function makes and which is all that dispatch accepts.
//!
//! Order (docs/LIFE_OF_A_REQUEST.md): 1 listener (the guard, before this), 2 tenant, 3 identity, 4 envelope, 5 quota,
//! 6 policy, 7 gate, 8 plugins, 11 audit of the decision, 9 dispatch. Stages 10 and 11 (outcome) follow on the way
//! back, in `response` and `gateway`.

mod address;
mod approval;
mod authorized;
mod envelope;
mod exchange;
mod gate;
mod identify;
mod obligations;
mod plugins;
mod record;
mod tenant;
mod whole;

use std::sync::Arc;

use http::request::Parts;
use mcpg_filters::identity::Identified;
use mcpg_filters::reliability::rate_limit;
use mcpg_ledger::RequestId;
use mcpg_protocol::{Era, RpcError};
use mcpg_sdk::Call;

pub use approval::Awaiting;
pub(crate) use approval::Granted;
pub use authorized::{Authorized, Reach};
pub use envelope::{Ask, BodyError, Spoken};
pub use exchange::{Arrival, Exchange};
pub use gate::Gates;
pub(crate) use identify::credentials;
pub use plugins::Plugins;
pub use record::{decision_row, outcome_row};

use crate::connection::Connection;
use crate::gateway::Gateway;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::resource_metadata;
use crate::revision::{Endpoint, Generation, Revision, ScopeState};
use crate::sessions::{Arrived, SessionError, SessionToken};
use address::Addressed;
use approval::Wanted;
use authorized::{Finish, finish, recorded};
use tenant::Tenant;

/// What stands for the binding in a decision about several at once.
const WHOLE_ENDPOINT: &str = "*";

/// What the stages make of a request.
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every request is authorized, and none pays for those that wait"
)]
pub enum Admission {
    /// Every stage let it pass.
    Authorized(Authorized),
    /// Every stage but the gate: it waits for a person.
    Awaiting(Box<Awaiting>),
}

/// A request that a stage refused.
pub struct Refused {
    /// What the client is told.
    pub refusal: Refusal,
    /// What its scope is counted in, where it named one.
    pub metrics: Option<Arc<Metrics>>,
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
) -> Result<Admission, Refused> {
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
) -> Result<Admission, Refusal> {
    let Tenant { revision, endpoint } = tenant;
    let scope = &revision.scope;
    let identified = identify::identify(scope, exchange, generation, arrival).await?;
    let received = exchange.body(revision).await.map_err(envelope::body_refusal)?;
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
    let mut decided = scope.gates.pass(decided, &call);
    count_shadows(scope, &decided);
    if !Gates::withholds(&decided) {
        match approval::wanted(scope, identified.caller(), &call, &decided, spoken.ask()).await {
            Wanted::No => {}
            Wanted::Nowhere(why) => decided = gate::denied(&decided, "approval", approval::UNAVAILABLE, why),
            Wanted::At(gate, obligations) => {
                let Reach::One(route) = reach else {
                    let detail = "an approval is for one binding";
                    return Err(Refusal::new(RpcError::InternalError, spoken.id(), detail));
                };
                let why = "the call waits for an approval";
                let waits = gate::denied(&decided, gate.id(), approval::REQUIRED, why);
                let row = decision_row(revision, &identified, &call, &spoken, &waits, request_id);
                recorded(row.write(&scope.audit).await, &spoken)?;
                let own_name = match addressed {
                    Addressed::One { own_name, .. } => own_name.map(Box::from),
                    Addressed::All => None,
                };
                let protocol = spoken.protocol();
                drop(spoken);
                return Ok(Admission::Awaiting(Box::new(Awaiting {
                    protocol,
                    revision: Arc::clone(revision),
                    endpoint: Arc::clone(endpoint),
                    base: approval_base(exchange, generation, endpoint),
                    route,
                    own_name,
                    identified,
                    received,
                    source,
                    arrival,
                    session,
                    request_id,
                    gate,
                    obligations,
                })));
            }
        }
    }
    let parts = Finish {
        revision,
        endpoint,
        reach,
        own_name: match addressed {
            Addressed::One { own_name, .. } => own_name,
            Addressed::All => None,
        },
        source,
        arrival,
        session,
        request_id,
    };
    finish(parts, identified, &received, &spoken, &call, decided).await.map(Admission::Authorized)
}

/// Where the scope is, as the client addresses it.
fn approval_base<E: Exchange>(exchange: &E, generation: &Generation, endpoint: &Endpoint) -> String {
    let path = exchange.head().uri.path();
    let prefix = path.strip_suffix(endpoint.path.as_str()).unwrap_or_default();
    identify::resource(exchange.head(), exchange.connection(), generation, prefix).to_string()
}

/// The scope that a request names, and the path within it, for what is no endpoint.
///
/// # Errors
/// When it names none.
pub(crate) fn scope_of<'a, 'p>(
    generation: &'a Generation,
    head: &Parts,
    connection: Connection<'_>,
    path: &'p str,
) -> Result<(&'a Arc<Revision>, &'p str), Refusal> {
    tenant::named(generation, head, connection, path)
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

/// Counts what engines in shadow mode think.
fn count_shadows(scope: &ScopeState, decided: &mcpg_filters::policy::Decided) {
    let permits = |decision: &mcpg_sdk::Decision| !matches!(decision, mcpg_sdk::Decision::Deny(_));
    for opinion in &decided.verdict.shadow {
        let differs = permits(&opinion.decision) != permits(&decided.verdict.decision);
        scope.metrics.shadowed(&opinion.engine, permits(&opinion.decision), differs);
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

#[cfg(test)]
mod tests;
