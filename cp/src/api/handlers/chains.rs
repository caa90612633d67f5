//! The audit chain as a whole: handed out, its signed heads, the keys they are signed with.

use std::sync::Arc;

use http::{HeaderName, StatusCode, header};
use mcpg_cp_api::{AuditCheckpoint, AuditExportQuery, AuditKey, AuditKeys, ProblemCode, VersionsQuery};
use mcpg_ledger::{Checkpoint, key_id};

use super::super::call::TenantCall;
use super::super::input;
use super::super::refused::Refused;
use super::super::reply::{Content, Reply};
use super::{listed, page, time};
use crate::audit::export;
use crate::sign_in::token::hex;
use crate::store::SignedHead;

/// `GET /v1/orgs/{org}/audit/export`
pub async fn export(call: TenantCall) -> Result<Reply, Refused> {
    let query: AuditExportQuery = call.input.query()?;
    let (from, until) = (query.from.map(|time| time.unix_ms()), query.until.map(|time| time.unix_ms()));
    if from.zip(until).is_some_and(|(from, until)| from > until) {
        return Err(Refused::field(ProblemCode::Query, "?until", "use a time after `from`"));
    }
    let range = call.read().await?.export_range(from, until).await?;
    let name = format!("attachment; filename=\"{}.audit\"", call.tenant.slug);
    let scope = call.tenant.scope();
    let mut reply = Reply::empty(StatusCode::OK)
        .with_header(header::CONTENT_TYPE, "application/octet-stream")
        .with_header(header::CONTENT_DISPOSITION, &name)
        .with_header(HeaderName::from_static("x-accel-buffering"), "no");
    reply.body = Content::Stream(export::body(scope, Arc::clone(&call.service), range));
    Ok(reply)
}

/// `GET /v1/orgs/{org}/audit/checkpoints`
pub async fn checkpoints(call: TenantCall) -> Result<Reply, Refused> {
    let query: VersionsQuery = call.input.query()?;
    let page = page(query.limit, query.cursor.as_deref())?;
    if page.after.as_ref().is_some_and(|key| key.parse::<i64>().is_err()) {
        return Err(input::wrong_cursor());
    }
    let found = call.read().await?.audit_checkpoints(&page).await?;
    Ok(Reply::ok(&listed(found, checkpoint)?))
}

fn checkpoint(head: SignedHead) -> Result<AuditCheckpoint, Refused> {
    let SignedHead { seq, created_at, row, .. } = head;
    Ok(AuditCheckpoint {
        sequence: u64::try_from(seq).unwrap_or_default(),
        time: time(created_at),
        line: Checkpoint::line_of(&row),
    })
}

/// `GET /v1/orgs/{org}/audit/keys`
pub async fn keys(call: TenantCall) -> Result<Reply, Refused> {
    let current = call.service.audit.public();
    let keys = call.service.audit.known().iter().map(|key| AuditKey {
        id: hex(&key_id(key)),
        public_key: hex(key.as_bytes()),
        current: *key == current,
    });
    Ok(Reply::ok(&AuditKeys { items: keys.collect() }))
}
