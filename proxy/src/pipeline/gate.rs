//! Stage 7: gates, where a call waits for a person.

use mcpg_filters::policy::Decided;

/// The gates of a scope. This build has none to load (the configuration refuses `gate.*` entries), so
/// a decision passes as it is: a denial stays one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gates;

impl Gates {
    /// What is left of the decision behind the gates.
    pub fn pass(&self, decided: Decided) -> Decided {
        decided
    }
}
