//! What is left of decisions once a person has approved.

use std::sync::Arc;

use mcpg_filters::policy::{Decided, PolicyRef, Verdict};
use mcpg_sdk::{Decision, Obligation};

use super::{Granted, UNAVAILABLE};
use crate::pipeline::gate::denied;

/// Both must permit: the first denial stands, else obligations unite.
pub(super) fn both(one: Decided, other: Decided) -> Decided {
    let obligations = match (&one.verdict.decision, &other.verdict.decision) {
        (Decision::Deny(_), _) => return one,
        (_, Decision::Deny(_)) => return other,
        (left, right) => [left, right]
            .into_iter()
            .flat_map(|decision| match decision {
                Decision::PermitWithObligations(obligations) => obligations.as_slice(),
                Decision::Permit | Decision::Deny(_) => &[],
            })
            .cloned()
            .collect(),
    };
    let mut policies: Vec<PolicyRef> = one.verdict.policies.clone();
    policies.extend(other.verdict.policies.iter().filter(|it| !one.verdict.policies.contains(it)).cloned());
    permit(&one, obligations, policies)
}

/// The decision about a call that was approved: without what the approval has met. An approval that another gate had to give is
/// none.
pub(super) fn approved(decided: Decided, granted: &Granted) -> Decided {
    let Decision::PermitWithObligations(obligations) = &decided.verdict.decision else { return decided };
    let mut left = Vec::with_capacity(obligations.len());
    for obligation in obligations {
        match obligation {
            Obligation::RequireApproval { gate: Some(name) } if !granted.gate.goes_by(name) => {
                let message = format!("the call needs the approval of `{name}`, and has another's");
                return denied(&decided, granted.gate.id(), UNAVAILABLE, message);
            }
            Obligation::RequireApproval { .. } => {}
            other => left.push(other.clone()),
        }
    }
    permit(&decided, left, decided.verdict.policies.clone())
}

/// A permit in a decision's place.
fn permit(decided: &Decided, obligations: Vec<Obligation>, policies: Vec<PolicyRef>) -> Decided {
    let obligations = Obligation::unite(obligations);
    let decision =
        if obligations.is_empty() { Decision::Permit } else { Decision::PermitWithObligations(obligations) };
    let shadow = decided.verdict.shadow.clone();
    Decided { verdict: Arc::new(Verdict { decision, policies, shadow }), cached: decided.cached }
}
