//! Stage 6 for a request that is for several bindings at once: each is decided, and those that deny are left out.

use std::sync::Arc;

use mcpg_filters::identity::Identified;
use mcpg_filters::policy::{Decided, Verdict};
use mcpg_sdk::{Call, Decision, Obligation};

use super::Reach;
use crate::revision::{Endpoint, ScopeState};

/// Decides for each binding. The decision of the whole is a permit if any binding permits, with the obligations of all that do;
/// else the first denial.
pub(super) async fn decide(
    scope: &ScopeState,
    endpoint: &Endpoint,
    identified: &Identified,
    call: &Call<'_>,
) -> (Decided, Reach) {
    let mut permitted = Vec::with_capacity(endpoint.routes.len());
    let mut denied: Option<Decided> = None;
    let mut obligations: Vec<Obligation> = Vec::new();
    let mut policies = Vec::new();
    let mut cached = true;
    let mut shadow = Vec::new();
    for route in &endpoint.routes {
        let call = Call { binding: &route.id, ..*call };
        let decided = scope.policy.decide(identified.caller(), &call).await;
        cached &= decided.cached;
        for opinion in &decided.verdict.shadow {
            if !shadow.contains(opinion) {
                shadow.push(opinion.clone());
            }
        }
        match &decided.verdict.decision {
            Decision::Deny(_) => {
                denied.get_or_insert(decided);
                continue;
            }
            Decision::Permit => {}
            Decision::PermitWithObligations(more) => obligations.extend(more.iter().cloned()),
        }
        for policy in &decided.verdict.policies {
            if !policies.contains(policy) {
                policies.push(policy.clone());
            }
        }
        permitted.push(Arc::clone(route));
    }
    match denied {
        Some(denied) if permitted.is_empty() => (denied, Reach::Many(permitted)),
        _ => {
            let obligations = Obligation::unite(obligations);
            let decision = if obligations.is_empty() {
                Decision::Permit
            } else {
                Decision::PermitWithObligations(obligations)
            };
            let verdict = Arc::new(Verdict { decision, policies, shadow });
            (Decided { verdict, cached }, Reach::Many(permitted))
        }
    }
}
