//! Stage 11: what a decision and an outcome are in the audit log.
//!
//! INVARIANT: the row of a decision is handed to the log before the call is dispatched, and a call whose row was
//! refused is not dispatched.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mcpg_filters::identity::Identified;
use mcpg_filters::policy::{Decided, ShadowOpinion};
use mcpg_ledger::{Completion, DecisionRef, OutcomeRef, RequestId, RowRef, TargetRef, Texts, Verdict};
use mcpg_sdk::{Call, Decision, Target};

use super::Spoken;
use crate::audit::{AuditError, Ledger};
use crate::revision::Revision;

/// A decision as it will be recorded, borrowed from the request.
pub struct DecisionRow<'a> {
    row: DecisionRef<'a>,
    decided: &'a Decided,
    input: Option<String>,
}

/// The row of a decision.
pub fn decision_row<'a>(
    revision: &'a Revision,
    identified: &'a Identified,
    call: &'a Call<'a>,
    spoken: &Spoken<'_>,
    decided: &'a Decided,
    request_id: RequestId,
) -> DecisionRow<'a> {
    let (verdict, engine, deny_code) = match &decided.verdict.decision {
        Decision::Permit => (Verdict::Permit, None, None),
        Decision::PermitWithObligations(_) => (Verdict::PermitWithObligations, None, None),
        Decision::Deny(reason) => (Verdict::Deny, Some(reason.engine.as_str()), Some(reason.code.as_str())),
    };
    let first_engine = || decided.verdict.policies.first().map(|policy| &*policy.engine);
    let row = DecisionRef {
        time: unix_nanos(call.now),
        request_id,
        organization: call.scope.organization(),
        workspace: call.scope.workspace(),
        environment: call.scope.environment(),
        subject: &identified.caller().subject,
        auth_method: identified.auth_method().as_str(),
        source: call.source,
        binding: call.binding,
        method: call.method,
        target: match call.target {
            Target::Tool(name) => TargetRef::Tool(name),
            Target::Resource(uri) => TargetRef::Resource(uri),
            Target::Prompt(name) => TargetRef::Prompt(name),
            Target::Binding => TargetRef::Binding,
        },
        verdict,
        engine: engine.or_else(first_engine).unwrap_or("policy"),
        policies: Texts::NONE,
        deny_code,
        obligations: Texts::NONE,
        revision: revision.number,
        revision_digest: revision.digest,
        cached: decided.cached,
        arguments_digest: call.arguments.map(|arguments| *blake3::hash(arguments.as_bytes()).as_bytes()),
        protocol: spoken.protocol().as_str(),
        input: None,
        shadow: Texts::NONE,
    };
    let scope = &revision.scope;
    let input = scope.recorder.input(scope.policy.reads(call), identified.caller(), call);
    DecisionRow { row, decided, input }
}

impl DecisionRow<'_> {
    /// Records it, as safely as the log's mode promises.
    ///
    /// # Errors
    /// When it is not safe.
    pub async fn write(&self, audit: &Arc<Ledger>) -> Result<(), AuditError> {
        let verdict = &self.decided.verdict;
        let mut row = self.row;
        // One policy is the usual case and needs no list of its own.
        let one;
        let many: Vec<&str>;
        row.policies = match verdict.policies.as_slice() {
            [] => Texts::NONE,
            [policy] => {
                one = [&*policy.policy];
                Texts::Refs(&one)
            }
            policies => {
                many = policies.iter().map(|policy| &*policy.policy).collect();
                Texts::Refs(&many)
            }
        };
        let obligations: Vec<String> = match &verdict.decision {
            Decision::PermitWithObligations(obligations) => {
                obligations.iter().map(ToString::to_string).collect()
            }
            Decision::Permit | Decision::Deny(_) => Vec::new(),
        };
        row.obligations = Texts::Strings(&obligations);
        let shadow: Vec<String> = verdict.shadow.iter().map(opinion).collect();
        row.shadow = Texts::Strings(&shadow);
        row.input = self.input.as_deref();
        audit.record(&RowRef::Decision(&row)).await.map(|_| ())
    }
}

/// What an engine in shadow mode would have decided, in one text.
fn opinion(opinion: &ShadowOpinion) -> String {
    let engine = &opinion.engine;
    match &opinion.decision {
        Decision::Permit => format!("{engine}=permit"),
        Decision::PermitWithObligations(_) => format!("{engine}=permit_with_obligations"),
        Decision::Deny(reason) => format!("{engine}=deny:{}", reason.code),
    }
}

/// The row of an outcome.
pub fn outcome_row(
    request_id: RequestId,
    now: SystemTime,
    took: Duration,
    http_status: u16,
    response_bytes: usize,
    completion: Completion,
) -> RowRef<'static> {
    RowRef::Outcome(OutcomeRef {
        time: unix_nanos(now),
        request_id,
        http_status,
        response_bytes: response_bytes as u64,
        duration_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        completion,
    })
}

fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
