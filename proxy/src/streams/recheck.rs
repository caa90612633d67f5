//! A stream outlives the revision that admitted it, and maybe its caller's right to it: it is judged again whenever a revision comes into
//! force, and now and then.

use std::sync::Arc;
use std::time::SystemTime;

use mcpg_filters::transform::redact::Redactor;
use mcpg_protocol::TargetKind;
use mcpg_protocol::catalogue::ClientClass;
use mcpg_sdk::{Call, Decision, Target};

use crate::federation::Located;
use crate::revision::{Endpoint, Revision, Route};
use crate::serve::Admitted;
use crate::sessions::caller_digest;

/// The same request under the revision in force; none if it would not be admitted, or not as what it is.
pub(super) async fn recheck(admitted: &Admitted, method: &str, now: SystemTime) -> Option<Admitted> {
    let revision = admitted.shared.revisions.scope(&admitted.revision.scope.scope)?;
    let scope = &revision.scope;
    let identified = scope.identity.identify(&admitted.credentials.borrow(), now).await.ok()?;
    let before = caller_digest(&admitted.revision.scope.scope, &admitted.caller);
    if caller_digest(&scope.scope, identified.caller()) != before {
        return None;
    }
    let endpoint = Arc::clone(scope.routes.find(&admitted.endpoint.path)?);
    if endpoint.naming != admitted.endpoint.naming
        || endpoint.is_transparent() != admitted.endpoint.is_transparent()
    {
        return None;
    }
    let admitted = Admitted { caller: Arc::clone(identified.caller()), now, ..admitted.clone() };
    let (routes, redactor) = decide(&admitted, &revision, &endpoint, method).await?;
    // What the client is told passes the redactor that the stream began with.
    if !admitted.redactor.covers(&redactor) {
        return None;
    }
    drop(identified);
    Some(Admitted { routes, endpoint, revision, ..admitted })
}

/// The bindings that policy permits, and what must be redacted; none if there are none.
async fn decide(
    admitted: &Admitted,
    revision: &Revision,
    endpoint: &Endpoint,
    method: &str,
) -> Option<(Vec<Arc<Route>>, Redactor)> {
    let policy = &revision.scope.policy;
    let mut redactor = revision.scope.redactor.with(policy.every_obligation()?).ok()?;
    let mut routes = Vec::with_capacity(endpoint.routes.len());
    for route in &endpoint.routes {
        let call = call(admitted, revision, &route.id, method, Target::Binding);
        match &policy.decide(&admitted.caller, &call).await.verdict.decision {
            Decision::Deny(_) => continue,
            Decision::Permit => {}
            Decision::PermitWithObligations(obligations) => redactor = redactor.with(obligations).ok()?,
        }
        routes.push(Arc::clone(route));
    }
    (!routes.is_empty()).then_some((routes, redactor))
}

/// Whether the caller may do something with a binding, as far as that can be told without doing it.
pub(super) async fn permits(admitted: &Admitted, binding: &str, method: &str, target: Target<'_>) -> bool {
    let call = call(admitted, &admitted.revision, binding, method, target);
    let decided = admitted.revision.scope.policy.decide(&admitted.caller, &call).await;
    !matches!(decided.verdict.decision, Decision::Deny(_))
}

fn call<'c>(
    admitted: &'c Admitted,
    revision: &'c Revision,
    binding: &'c str,
    method: &'c str,
    target: Target<'c>,
) -> Call<'c> {
    Call {
        scope: &revision.scope.scope,
        binding,
        method,
        target,
        arguments: None,
        source: admitted.source,
        now: admitted.now,
        approval_token: None,
    }
}

/// The binding of a resource or task at the endpoint, and what it is called there.
pub(super) async fn locate(
    admitted: &Admitted,
    kind: TargetKind,
    name: &str,
) -> Option<(Box<str>, Box<str>)> {
    let limits = &admitted.revision.message;
    let capabilities = admitted.session.as_ref().map_or("{}", |token| &token.client.capabilities);
    let requester = admitted.requester(ClientClass::of(capabilities, limits));
    let (federation, policy) = (&admitted.revision.federation, &admitted.revision.scope.policy);
    match federation.locate(&admitted.endpoint, &requester, policy, kind, name).await {
        Located::At { binding, name } => Some((binding, name.into())),
        Located::Ambiguous | Located::Unknown | Located::Unavailable(_) => None,
    }
}
