//! Stage 7: gates, where a call waits for a person.

use std::sync::Arc;

use mcpg_config::PinRules;
use mcpg_filters::gate::ApprovalGate;
use mcpg_filters::policy::{Decided, Verdict};
use mcpg_sdk::{Call, Decision, DenyReason, Target};

use crate::pinning::Pins;

/// Why a call of a withheld tool is denied, as a stable word.
pub(super) const TOOL_WITHHELD: &str = "tool_withheld";

/// The gates of a scope: tools whose definitions await approval, and those where single calls do.
pub struct Gates {
    pins: Arc<Pins>,
    rules: Vec<(String, PinRules)>,
    approvals: Vec<Arc<ApprovalGate>>,
}

impl Gates {
    /// Gates that know the rules of every binding.
    pub fn new(pins: Arc<Pins>, rules: Vec<(String, PinRules)>, approvals: Vec<Arc<ApprovalGate>>) -> Self {
        Self { pins, rules, approvals }
    }

    /// The pinned definitions.
    pub fn pins(&self) -> &Arc<Pins> {
        &self.pins
    }

    /// Puts the rules in force. Called when the revision comes into force.
    pub fn enforce(&self) {
        self.pins.configure(self.rules.iter().cloned());
    }

    /// What is left of the decision behind the gates. A denial stays one.
    pub fn pass(&self, decided: Decided, call: &Call<'_>) -> Decided {
        match call.target {
            Target::Tool(tool) if self.pins.is_withheld(call.binding, tool) => withheld(decided),
            _ => decided,
        }
    }

    /// Whether a decision is that of a withheld tool: no approval of a call stands for that of its tool.
    pub(super) fn withholds(decided: &Decided) -> bool {
        matches!(&decided.verdict.decision, Decision::Deny(reason) if reason.code == TOOL_WITHHELD)
    }

    /// The gate of a name, where single calls are approved.
    pub fn approval(&self, name: &str) -> Option<&Arc<ApprovalGate>> {
        self.approvals.iter().find(|gate| gate.goes_by(name))
    }

    /// The gate that wants every call of this kind approved, whatever policy says.
    pub(super) fn always(&self, call: &Call<'_>) -> Option<&Arc<ApprovalGate>> {
        let Target::Tool(tool) = call.target else { return None };
        self.approvals.iter().find(|gate| gate.terms().tools.name(call.binding, tool))
    }

    /// The gate that asks about a call: the one that names its tool, else the first that names none.
    pub(super) fn covering(&self, call: &Call<'_>) -> Option<&Arc<ApprovalGate>> {
        self.always(call).or_else(|| self.approvals.iter().find(|gate| gate.terms().tools.is_empty()))
    }
}

#[cold]
fn withheld(decided: Decided) -> Decided {
    if matches!(decided.verdict.decision, Decision::Deny(_)) {
        return decided;
    }
    let message = "the tool's definition awaits approval (`mcpg tools diff`)";
    denied(&decided, "pinning", TOOL_WITHHELD, message)
}

/// A denial of the gateway's own in a decision's place. What engines in shadow mode thought of the call stays.
#[cold]
pub(super) fn denied(decided: &Decided, engine: &str, code: &str, message: impl Into<String>) -> Decided {
    let reason = DenyReason {
        engine: engine.to_owned(),
        policy: None,
        code: code.to_owned(),
        message: message.into(),
    };
    let shadow = decided.verdict.shadow.clone();
    let verdict = Verdict { decision: Decision::Deny(reason), policies: Vec::new(), shadow };
    Decided { verdict: Arc::new(verdict), cached: false }
}
