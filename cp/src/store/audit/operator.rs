//! What operators did: collected while a transaction runs, appended when it is committed.

use mcpg_ledger::{OperatorRef, RowRef};
use serde_json::Value as Json;

use super::NewRow;
use crate::store::{StoreError, Write};

/// A row that is not yet in the chain.
#[derive(Debug)]
pub(in crate::store) struct Pending {
    action: &'static str,
    target: String,
    workspace: Option<String>,
    environment: Option<String>,
    details: Json,
}

/// The most that the details of one row take; longer ones are left out, and the row says so.
const DETAILS_BYTES_MAX: usize = 16 * 1024;

impl Write {
    /// Notes what the actor did: `action` to `target`. The target's path tells where it belongs.
    pub(in crate::store) fn note(&mut self, action: &'static str, target: String, details: Json) {
        let mut parts = target.split('/').skip(2).map(str::to_owned);
        let is_below = target.starts_with("workspace/") || target.starts_with("env/");
        let (workspace, environment) = if is_below { (parts.next(), parts.next()) } else { (None, None) };
        let environment = environment.filter(|_| target.starts_with("env/"));
        self.pending.push(Pending { action, target, workspace, environment, details });
    }

    /// Appends what was noted.
    pub(in crate::store) async fn append_pending(&mut self) -> Result<(), StoreError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let organization = self.slug().await?;
        let pending = std::mem::take(&mut self.pending);
        let rows = pending.into_iter().map(|pending| self.encoded(&organization, pending)).collect();
        let mut locked = self.lock_head().await?;
        self.append(&mut locked, rows).await
    }

    fn encoded(&self, organization: &str, pending: Pending) -> NewRow {
        let mut details = pending.details.to_string();
        if details.len() > DETAILS_BYTES_MAX {
            details = r#"{"omitted":"too long"}"#.to_owned();
        }
        let mut row = Vec::with_capacity(256);
        RowRef::Operator(&OperatorRef {
            time: u64::try_from(self.now).unwrap_or_default().saturating_mul(1_000_000),
            request_id: self.actor.request_id,
            organization,
            subject: &self.actor.subject,
            auth_method: &self.actor.method,
            source: self.actor.source,
            action: pending.action,
            target: &pending.target,
            details: &details,
        })
        .encode(&mut row);
        NewRow {
            time: self.now,
            kind: "operator",
            workspace: pending.workspace,
            environment: pending.environment,
            gateway: None,
            subject: Some(self.actor.subject.clone()),
            target: Some(pending.action.to_owned()),
            verdict: None,
            row,
        }
    }
}
