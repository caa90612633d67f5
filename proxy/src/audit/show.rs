//! `mcpg audit show DIR`: the rows of a log as JSON, one object a line, read by the verifier's decoder.

use std::path::{Path, PathBuf};

use mcpg_ledger::verify::{Decision, Lifecycle, Record, RecordError, RowBody, records};
use serde_json::{Value, json};

use super::verify_dir::{ReadError, lanes_below, segments};

/// Why rows could not be shown to the end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShowError {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A segment cannot be opened.
    #[error("cannot read `{}`", path.display())]
    Segment {
        /// The segment.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A segment's bytes are no rows from some place on.
    #[error("{} in `{}`", source, path.display())]
    Record {
        /// The segment.
        path: PathBuf,
        /// What is wrong.
        source: RecordError,
    },
}

/// Hands every row of the logs in a directory to `line` as a JSON object, in order. Shows what is there: whether it is what was written says
/// [`super::verify_dir::verify_dir`].
///
/// # Errors
/// When files cannot be read or end in the middle of a row. Rows before that were handed over.
pub fn show_dir(dir: &Path, mut line: impl FnMut(&Value)) -> Result<(), ShowError> {
    for lane in lanes_below(dir)? {
        for (_, path) in segments(&lane)? {
            let bytes =
                std::fs::read(&path).map_err(|source| ShowError::Segment { path: path.clone(), source })?;
            for record in records(&bytes) {
                let record = record.map_err(|source| ShowError::Record { path: path.clone(), source })?;
                line(&to_json(&record));
            }
        }
    }
    Ok(())
}

/// One row as a JSON object. Numbers over 2^53 and bytes are texts.
pub fn to_json(record: &Record) -> Value {
    let mut value = match &record.row.body {
        RowBody::Decision(decision) => decision_json(decision),
        RowBody::Outcome(outcome) => json!({
            "kind": "outcome",
            "request_id": hex(&outcome.request_id),
            "http_status": outcome.http_status,
            "response_bytes": outcome.response_bytes,
            "duration_us": outcome.duration_us,
            "completion": outcome.completion,
        }),
        RowBody::Lifecycle(event) => lifecycle_json(event),
        RowBody::Approval(approval) => json!({
            "kind": "approval",
            "request_id": hex(&approval.request_id),
            "approval": approval.approval,
            "event": approval.event,
            "gate": approval.gate,
            "by": approval.by,
            "reason": approval.reason,
            "bound": hex(&approval.bound),
        }),
        RowBody::Gap { dropped } => json!({ "kind": "gap", "dropped": dropped }),
        RowBody::Checkpoint(checkpoint) => json!({
            "kind": "checkpoint",
            "organization": checkpoint.organization,
            "chain": hex(&checkpoint.chain),
            "covers": checkpoint.seq,
            "head": hex(&checkpoint.head),
            "key": hex(&checkpoint.key),
        }),
        _ => json!({ "kind": "unknown" }),
    };
    if let Some(object) = value.as_object_mut() {
        object.insert("seq".to_owned(), record.seq.into());
        object.insert("hash".to_owned(), hex(&record.hash).into());
        object.insert("time".to_owned(), rfc3339(record.row.time).into());
    }
    value
}

fn decision_json(decision: &Decision) -> Value {
    let input =
        decision.input.as_deref().map(|input| serde_json::from_str(input).unwrap_or_else(|_| input.into()));
    json!({
        "kind": "decision",
        "request_id": hex(&decision.request_id),
        "scope": format!("{}/{}/{}", decision.organization, decision.workspace, decision.environment),
        "subject": decision.subject,
        "auth_method": decision.auth_method,
        "source": decision.source.to_string(),
        "binding": decision.binding,
        "method": decision.method,
        "target_kind": decision.target_kind,
        "target": decision.target,
        "decision": decision.verdict,
        "engine": decision.engine,
        "policies": decision.policies,
        "deny_code": decision.deny_code,
        "obligations": decision.obligations,
        "revision": decision.revision,
        "revision_digest": hex(&decision.revision_digest),
        "cached": decision.cached,
        "arguments_digest": decision.arguments_digest.as_ref().map(|digest| hex(digest)),
        "protocol": decision.protocol,
        "input": input.unwrap_or(Value::Null),
        "shadow": decision.shadow,
    })
}

fn lifecycle_json(event: &Lifecycle) -> Value {
    let mut value = match event {
        Lifecycle::Started { instance, version } => {
            json!({ "event": "started", "instance": instance, "version": version })
        }
        Lifecycle::Stopped => json!({ "event": "stopped" }),
        Lifecycle::RevisionSwapped { revision, digest } => {
            json!({ "event": "revision_swapped", "revision": revision, "digest": hex(digest) })
        }
        Lifecycle::RevisionRefused { reason } => json!({ "event": "revision_refused", "reason": reason }),
        Lifecycle::TailRecovered { segment, offset, bytes, digest } => json!({
            "event": "tail_recovered",
            "segment": segment,
            "offset": offset,
            "bytes": bytes,
            "digest": hex(digest),
        }),
        Lifecycle::Resumed { cause, refused, lost } => {
            json!({ "event": "resumed", "cause": cause, "refused": refused, "lost": lost })
        }
        _ => json!({ "event": "unknown" }),
    };
    if let Some(object) = value.as_object_mut() {
        object.insert("kind".to_owned(), "lifecycle".into());
    }
    value
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `2026-07-28T09:30:00.123456789Z`.
fn rfc3339(unix_nanos: u64) -> String {
    let nanos = i64::try_from(unix_nanos).unwrap_or(i64::MAX);
    chrono::DateTime::from_timestamp_nanos(nanos).to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)
}
