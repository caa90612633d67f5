//! What policy obliges the gateway to, carried out or prepared before the call has any effect.
//!
//! INVARIANT: an obligation that cannot be met, or that nothing here knows, stops the call.

use mcpg_filters::identity::Identified;
use mcpg_filters::policy::Decided;
use mcpg_filters::reliability::rate_limit;
use mcpg_filters::transform::redact::Redactor;
use mcpg_protocol::RpcError;
use mcpg_sdk::{Call, Decision, Obligation};

use super::{Arrival, Spoken};
use crate::refusal::Refusal;
use crate::revision::ScopeState;

/// Charges the call to the rate classes that policy put it into.
///
/// # Errors
/// When a class is exhausted, or is none of any limit.
pub(super) fn charge(
    scope: &ScopeState,
    identified: &Identified,
    call: &Call<'_>,
    decided: &Decided,
    arrival: Arrival,
    id: Option<&str>,
) -> Result<(), Refusal> {
    for obligation in obligations(decided) {
        let Obligation::RateClass { class } = obligation else { continue };
        let mut known = false;
        for quota in &scope.quotas {
            let verdict = quota.check_class(class, identified.caller(), call, arrival.monotonic_ns);
            known |= verdict.is_some();
            if let Some(verdict) = verdict.filter(|verdict| *verdict != rate_limit::Verdict::Allowed) {
                return Err(Refusal::limited(verdict, id));
            }
        }
        if !known {
            let detail = format!("no `reliability.rate-limit` has the class `{class}`");
            return Err(Refusal::new(RpcError::ObligationNotApplicable, id, detail));
        }
    }
    Ok(())
}

/// Stage 10, compiled before the call has any effect. What may bring the results of calls decided before brings them under every
/// obligation that any call may have.
///
/// # Errors
/// When an obligation cannot be met.
pub(super) fn redactor(
    scope: &ScopeState,
    decided: &Decided,
    spoken: &Spoken<'_>,
) -> Result<Redactor, Refusal> {
    let refuse = |detail| Refusal::new(RpcError::ObligationNotApplicable, spoken.id(), detail);
    let mut redactor = scope.redactor.clone();
    let ours = obligations(decided);
    if let Some(unmet) = ours.iter().find(|obligation| !is_carried_out(obligation)) {
        return Err(refuse(format!("nothing here carries out `{unmet}`")));
    }
    if !ours.is_empty() {
        redactor = redactor.with(ours).map_err(|error| refuse(error.to_string()))?;
    }
    if spoken.may_bring_earlier_results() {
        let unknown = || refuse("a policy engine cannot tell its obligations".to_owned());
        let every = scope.policy.every_obligation().ok_or_else(unknown)?;
        redactor = redactor.with(every).map_err(|error| refuse(error.to_string()))?;
    }
    Ok(redactor)
}

fn obligations(decided: &Decided) -> &[Obligation] {
    match &decided.verdict.decision {
        Decision::PermitWithObligations(obligations) => obligations,
        Decision::Permit | Decision::Deny(_) => &[],
    }
}

/// Whether the redactor, the limits or the audit row see to it. Approvals are the gate's, which has passed the call or not.
fn is_carried_out(obligation: &Obligation) -> bool {
    matches!(obligation, Obligation::Redact { .. } | Obligation::RateClass { .. } | Obligation::Note { .. })
}
