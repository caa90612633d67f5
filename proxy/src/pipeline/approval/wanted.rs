//! Whether a call needs a person's approval, and at which gate.

use std::sync::Arc;

use mcpg_filters::gate::ApprovalGate;
use mcpg_filters::policy::Decided;
use mcpg_sdk::policy::ApprovalRead;
use mcpg_sdk::{Call, Caller, Decision, Obligation, Target};

use crate::pipeline::Ask;
use crate::revision::ScopeState;

/// Whether a call needs an approval.
pub(in crate::pipeline) enum Wanted {
    /// No.
    No,
    /// Yes, at this gate. The obligations are those of the permit that it would get.
    At(Arc<ApprovalGate>, Vec<Obligation>),
    /// Yes, and nobody can give it.
    Nowhere(String),
}

/// Finds out whether a call needs an approval.
pub(in crate::pipeline) async fn wanted(
    scope: &ScopeState,
    caller: &Caller,
    call: &Call<'_>,
    decided: &Decided,
    ask: Ask,
) -> Wanted {
    let is_single = ask == Ask::Target
        && matches!(call.target, Target::Tool(_) | Target::Resource(_) | Target::Prompt(_));
    let (obligations, probed) = match &decided.verdict.decision {
        Decision::Permit => (Vec::new(), false),
        Decision::PermitWithObligations(obligations) => (obligations.clone(), false),
        Decision::Deny(reason) => {
            let is_answer = matches!(reason.code.as_str(), "not_permitted" | "forbidden");
            if !is_answer || !is_single || scope.policy.reads(call).approval == ApprovalRead::Nothing {
                return Wanted::No;
            }
            // What it would be with a token. Nobody gets this decision.
            let probe = Call { approval_token: Some(PROBE), ..*call };
            match scope.policy.decide_uncached(caller, &probe).await.decision {
                Decision::Permit => (Vec::new(), true),
                Decision::PermitWithObligations(obligations) => (obligations, true),
                Decision::Deny(_) => return Wanted::No,
            }
        }
    };
    let named = obligations.iter().find_map(|obligation| match obligation {
        Obligation::RequireApproval { gate } => Some(gate.as_deref()),
        _ => None,
    });
    let always = scope.gates.always(call);
    if named.is_none() && !probed && always.is_none() {
        return Wanted::No;
    }
    if !is_single {
        return Wanted::Nowhere("only a call of one tool, prompt or resource can be approved".to_owned());
    }
    match named.flatten() {
        Some(name) => match scope.gates.approval(name) {
            Some(gate) => Wanted::At(Arc::clone(gate), obligations),
            None => Wanted::Nowhere(format!(
                "policy wants the approval of `{name}`, and no such gate is configured"
            )),
        },
        None => match scope.gates.covering(call) {
            Some(gate) => Wanted::At(Arc::clone(gate), obligations),
            None => Wanted::Nowhere("the call needs an approval, and no gate covers it".to_owned()),
        },
    }
}

/// The token of a call that nobody has approved. INVARIANT: it is seen by policy only, to ask what would be.
const PROBE: &str = "00000000000000000000000000000000";
