//! Calls whose outcome comes in a later stretch than their decision.

use std::collections::HashMap;

use mcpg_ledger::ChainId;

use super::rows::{OpenCall, Place, RequestId};
use crate::store::ids::hex;
use crate::store::sql::{Rows, Sql, rows, values};
use crate::store::{StoreError, UnixMillis, Write};

const FIND: Sql = Sql::each(
    "SELECT request_id, gateway_id, workspace, environment, hour, tool, caller FROM audit_calls \
     WHERE org_id = $1 AND log = $2 AND request_id IN (SELECT value FROM json_each($3))",
    "SELECT request_id, gateway_id, workspace, environment, hour, tool, caller FROM audit_calls \
     WHERE org_id = $1 AND log = $2 AND request_id IN (SELECT json_array_elements_text($3::json))",
);
const REMOVE: Sql = Sql::each(
    "DELETE FROM audit_calls WHERE org_id = $1 AND log = $2 AND request_id IN (SELECT value FROM json_each($3))",
    "DELETE FROM audit_calls WHERE org_id = $1 AND log = $2 \
     AND request_id IN (SELECT json_array_elements_text($3::json))",
);
/// A request that asks for several things is decided on several times; its one outcome goes to the last.
const ADD: Rows = Rows::new(
    rows!(
        "INSERT INTO audit_calls (org_id, log, request_id, gateway_id, workspace, environment, hour, tool, caller, \
         created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (org_id, log, request_id) DO UPDATE SET tool = excluded.tool"
    ),
    "INSERT INTO audit_calls (org_id, log, request_id, gateway_id, workspace, environment, hour, tool, caller, \
     created_at) SELECT $1, u.* FROM UNNEST($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], \
     $7::bigint[], $8::text[], $9::text[], $10::bigint[]) AS u \
     ON CONFLICT (org_id, log, request_id) DO UPDATE SET tool = excluded.tool",
);
const SWEEP: Sql = Sql::both("DELETE FROM audit_calls WHERE org_id = $1 AND created_at < $2");

impl Write {
    /// The calls that wait for their outcome, of those that are asked for.
    pub(super) async fn waiting_calls(
        &mut self,
        log: &ChainId,
        requests: &[RequestId],
    ) -> Result<HashMap<RequestId, OpenCall>, StoreError> {
        if requests.is_empty() {
            return Ok(HashMap::new());
        }
        let ids: HashMap<String, RequestId> = requests.iter().map(|id| (hex(id), *id)).collect();
        let rows = self.all(FIND, values![hex(log), list(requests)]).await?;
        let mut calls = HashMap::with_capacity(rows.len());
        for row in &rows {
            let Some(id) = ids.get(&row.text("request_id")?) else { continue };
            let place = Place {
                gateway: row.text("gateway_id")?,
                workspace: row.text("workspace")?,
                environment: row.text("environment")?,
            };
            let (tool, caller) = (row.text("tool")?, row.text("caller")?);
            calls.insert(*id, OpenCall { place, hour: row.int("hour")?, tool, caller });
        }
        Ok(calls)
    }

    /// Notes calls that wait, and forgets those that wait no more.
    pub(super) async fn keep_calls<'c>(
        &mut self,
        log: &ChainId,
        ended: &[RequestId],
        begun: impl Iterator<Item = (&'c RequestId, &'c OpenCall)>,
    ) -> Result<(), StoreError> {
        if !ended.is_empty() {
            self.execute(REMOVE, values![hex(log), list(ended)]).await?;
        }
        let (log, now) = (hex(log), self.now);
        let rows = begun.map(|(id, call)| {
            let OpenCall { place, hour, tool, caller } = call;
            let Place { gateway, workspace, environment } = place;
            values![&log, hex(id), gateway, workspace, environment, *hour, tool, caller, now]
        });
        let rows = rows.collect();
        self.execute_rows(&ADD, rows).await.map(|_| ())
    }

    /// Forgets calls whose outcome never came; how many.
    ///
    /// # Errors
    /// When the database is not available.
    pub(in crate::store) async fn remove_waiting_calls(
        &mut self,
        before: UnixMillis,
    ) -> Result<u64, StoreError> {
        self.execute(SWEEP, values![before]).await
    }
}

/// Ids as a JSON array: one parameter, whatever the database.
fn list(requests: &[RequestId]) -> String {
    let ids: Vec<String> = requests.iter().map(|id| format!("\"{}\"", hex(id))).collect();
    format!("[{}]", ids.join(","))
}
