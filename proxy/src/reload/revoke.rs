//! What must not run any more, taken out of what is in force.

use std::sync::Arc;
use std::time::SystemTime;

use mcpg_config::RevocationList;
use mcpg_sdk::Scope;

use super::Reloader;
use crate::revision::BuildError;

impl Reloader {
    /// Puts a list of artifacts that must not run in force. What is in force and came from one of them is closed at once, whatever becomes of the reload,
    /// and the list stays: nothing that it names is built from now on.
    pub(super) async fn revoke(&self, scope: &Scope, list: &Arc<RevocationList>) -> Result<(), BuildError> {
        let is_news = self.pushed.revoke(scope, list);
        if let Some(revision) = self.gateway.revisions.scope(scope) {
            for artifact in revision.revoke(list) {
                tracing::warn!(%scope, artifact, "policies unloaded: every call of the scope is denied");
            }
        }
        if is_news && self.pushed.has(scope) {
            self.reload(SystemTime::now()).await.map(drop)
        } else {
            Ok(())
        }
    }
}
