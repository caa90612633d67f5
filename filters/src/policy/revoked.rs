//! An engine whose bundle is revoked: its policies are not loaded, and it denies everything.

use std::sync::Arc;
use std::time::Duration;

use mcpg_sdk::policy::{EngineDecision, EngineError, PolicyEngine, PolicyInput, ReadSet, Reads};

/// In the place of an engine.
#[derive(Debug)]
pub struct RevokedEngine {
    id: &'static str,
    error: EngineError,
    /// Nothing.
    reads: Reads,
    warnings: [String; 1],
}

impl RevokedEngine {
    /// In the place of the engine `id`, whose bundle is revoked.
    pub fn new(id: &'static str, error: EngineError) -> Self {
        let warnings = [format!("every call is denied: {error}")];
        Self { id, error, reads: Reads::new(&Arc::new(ReadSet::default())), warnings }
    }
}

impl PolicyEngine for RevokedEngine {
    fn id(&self) -> &str {
        self.id
    }

    fn reads(&self) -> &Reads {
        &self.reads
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn decide(&self, _: &PolicyInput<'_>, _: Duration) -> Result<EngineDecision, EngineError> {
        Err(self.error.clone())
    }
}
