//! What was recorded and counted: the audit chain, usage.
//!
//! An endpoint of a workspace or an environment sees the rows that are about it alone; the organization's sees all.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpg_cp_api::{AuditQuery, AuditRow, Line, ProblemCode, Target, Usage, UsageQuery, UsageRow};

use super::super::call::TenantCall;
use super::super::input;
use super::super::refused::Refused;
use super::super::reply::Reply;
use super::{id, listed, page, time};
use crate::sign_in::token::hex;
use crate::store::{self, UsageCounts, UsageKey};

const HOUR_MS: i64 = 3_600_000;
/// The largest number that every reader of JSON reads alike.
const NUMBER_MAX: u64 = 9_007_199_254_740_991;
const USAGE_MAX: u16 = 10_000;
/// Sums in the answer to Prometheus.
const METRICS_MAX: u32 = 5_000;

/// The workspace and the environment that the path names, which must exist.
async fn place(
    call: &TenantCall,
    read: &mut store::Read,
) -> Result<(Option<String>, Option<String>), Refused> {
    match &call.target {
        Target::Organization(_) => Ok((None, None)),
        Target::Workspace(path) => {
            read.workspace(&path.workspace).await?;
            Ok((Some(path.workspace.to_string()), None))
        }
        Target::Environment(path) => {
            read.environment(&path.workspace, &path.environment).await?;
            Ok((Some(path.workspace.to_string()), Some(path.environment.to_string())))
        }
    }
}

fn audit_row(row: store::AuditRow) -> Result<AuditRow, Refused> {
    Ok(AuditRow {
        sequence: u64::try_from(row.seq).unwrap_or_default(),
        time: time(row.time),
        kind: row.kind,
        gateway: row.gateway_id.as_ref().map(id).transpose()?,
        workspace: row.workspace,
        environment: row.environment,
        subject: row.subject,
        target: row.target,
        verdict: row.verdict,
        hash: hex(&row.hash),
        row: URL_SAFE_NO_PAD.encode(row.row),
    })
}

/// `GET …/audit`
pub async fn list_audit(call: TenantCall) -> Result<Reply, Refused> {
    let query: AuditQuery = call.input.query()?;
    let mut page = page(query.limit, query.cursor.as_deref())?;
    if page.after.as_ref().is_some_and(|key| key.parse::<i64>().is_err()) {
        return Err(input::wrong_cursor());
    }
    if let (None, Some(after)) = (&page.after, query.after) {
        if after > NUMBER_MAX {
            return Err(Refused::field(ProblemCode::Query, "?after", "use a row's number"));
        }
        page.after = Some(after.to_string());
    }
    let mut read = call.read().await?;
    let (workspace, environment) = place(&call, &mut read).await?;
    let filter = store::AuditQuery {
        newest_first: query.newest_first,
        workspace,
        environment,
        kind: query.kind.map(Line::into),
        subject: query.subject.map(Line::into),
        target: None,
        verdict: query.verdict.map(Line::into),
        from: query.since.map(|time| time.unix_ms()),
        until: query.until.map(|time| time.unix_ms()),
    };
    let found = read.audit_rows(&filter, &page).await?;
    Ok(Reply::ok(&listed(found, audit_row)?))
}

fn usage_row(query: &store::UsageQuery, key: UsageKey, counts: UsageCounts) -> UsageRow {
    let told = |apart: bool, text: String| Some(text).filter(|_| apart);
    let number = |number: i64| u64::try_from(number).unwrap_or_default();
    UsageRow {
        hour: Some(time(key.hour)).filter(|_| query.by_hour),
        workspace: told(query.by_environment, key.workspace),
        environment: told(query.by_environment, key.environment),
        tool: told(query.by_tool, key.tool),
        caller: told(query.by_caller, key.caller),
        calls: number(counts.calls),
        denied: number(counts.denied),
        failed: number(counts.failed),
        response_bytes: number(counts.bytes),
        duration_us: number(counts.duration_us),
    }
}

/// `GET …/usage`
pub async fn read_usage(call: TenantCall) -> Result<Reply, Refused> {
    let query: UsageQuery = call.input.query()?;
    let limit = query.limit.unwrap_or(1000);
    if !(1..=USAGE_MAX).contains(&limit) {
        return Err(Refused::field(ProblemCode::Query, "?limit", "use 1 to 10000"));
    }
    let mut read = call.read().await?;
    let (workspace, environment) = place(&call, &mut read).await?;
    let until = query.until.map_or(call.input.now, |time| time.unix_ms());
    let filter = store::UsageQuery {
        from: query.since.map_or(until.saturating_sub(24 * HOUR_MS), |time| time.unix_ms()),
        until,
        workspace,
        environment,
        by_hour: query.by_hour,
        by_environment: query.by_environment,
        by_tool: query.by_tool,
        by_caller: query.by_caller,
        // One more than wanted shows whether there is more.
        limit: u32::from(limit) + 1,
    };
    let mut found = read.usage(&filter).await?;
    let truncated = found.len() > usize::from(limit);
    found.truncate(usize::from(limit));
    let items = found.into_iter().map(|(key, counts)| usage_row(&filter, key, counts)).collect();
    Ok(Reply::ok(&Usage { items, truncated }))
}

/// A name, what it means, and its number.
type Family = (&'static str, &'static str, fn(&UsageCounts) -> i64);

/// `GET …/metrics`: the sums of the hour before the present one, by environment and tool, as gauges.
pub async fn metrics(call: TenantCall) -> Result<Reply, Refused> {
    let hour = call.input.now - call.input.now.rem_euclid(HOUR_MS);
    let filter = store::UsageQuery {
        from: hour - HOUR_MS,
        until: hour,
        by_environment: true,
        by_tool: true,
        limit: METRICS_MAX,
        ..store::UsageQuery::default()
    };
    let found = call.read().await?.usage(&filter).await?;
    let mut text = String::new();
    let families: [Family; 4] = [
        ("mcpg_cp_hour_calls", "Calls in the last whole hour.", |counts| counts.calls),
        ("mcpg_cp_hour_denied", "Calls that were refused in the last whole hour.", |counts| counts.denied),
        ("mcpg_cp_hour_failed", "Calls that failed in the last whole hour.", |counts| counts.failed),
        ("mcpg_cp_hour_response_bytes", "Bytes of answers in the last whole hour.", |counts| counts.bytes),
    ];
    for (name, help, value) in families {
        // Writing to a text does not fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (key, counts) in &found {
            let labels =
                [("workspace", &key.workspace), ("environment", &key.environment), ("tool", &key.tool)];
            let labels = labels.map(|(label, text)| format!("{label}=\"{}\"", escaped(text)));
            let _ = writeln!(text, "{name}{{{}}} {}", labels.join(","), value(counts));
        }
    }
    Ok(Reply::text("text/plain; version=0.0.4", text))
}

/// A label's value in the text format of Prometheus.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_cannot_write_lines_of_its_own() {
        assert_eq!(escaped("a\"} 1\nmcpg_cp_x 2\\"), "a\\\"} 1\\nmcpg_cp_x 2\\\\");
    }
}
