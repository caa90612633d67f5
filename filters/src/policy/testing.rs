//! What the tests of policy share.

use mcpg_sdk::Caller;

use super::{Listed, PolicyChain};

/// Waits for a decision.
pub(crate) fn now<T>(decision: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(decision)
}

impl PolicyChain {
    /// Whether a list of one thing shows it.
    pub(crate) fn shows_for_tests(&self, caller: &Caller, listed: &Listed<'_>) -> bool {
        now(self.shown(caller, &[*listed])).items == [true]
    }
}
