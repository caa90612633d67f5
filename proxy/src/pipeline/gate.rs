//! Stage 7: gates, where a call waits for a person.

use std::sync::Arc;

use mcpg_config::PinRules;
use mcpg_filters::policy::{Decided, Verdict};
use mcpg_sdk::{Call, Decision, DenyReason, Target};

use crate::pinning::Pins;

/// Why a call of a withheld tool is denied, as a stable word.
pub(super) const TOOL_WITHHELD: &str = "tool_withheld";

/// The gates of a scope: tools whose definitions await approval. (The configuration refuses `gate.*` entries, of which this build
/// has none.)
pub struct Gates {
    pins: Arc<Pins>,
    rules: Vec<(String, PinRules)>,
}

impl Gates {
    /// Gates that know the rules of every binding.
    pub fn new(pins: Arc<Pins>, rules: Vec<(String, PinRules)>) -> Self {
        Self { pins, rules }
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
}

#[cold]
fn withheld(decided: Decided) -> Decided {
    if matches!(decided.verdict.decision, Decision::Deny(_)) {
        return decided;
    }
    let reason = DenyReason {
        engine: "pinning".to_owned(),
        policy: None,
        code: TOOL_WITHHELD.to_owned(),
        message: "the tool's definition awaits approval (`mcpg tools diff`)".to_owned(),
    };
    let shadow = decided.verdict.shadow.clone();
    let verdict = Verdict { decision: Decision::Deny(reason), policies: Vec::new(), shadow };
    Decided { verdict: Arc::new(verdict), cached: false }
}
