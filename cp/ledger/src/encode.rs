//! Canonical bytes of a row.
//!
//! INVARIANT: the encoding is injective. A version and a kind byte come first; they fix the list of fields; each field
//! is of fixed size or carries its length, each list its count, each option and choice a tag. No two different
//! rows share bytes, so moving a byte from one field to the next changes the row's hash.

use std::net::IpAddr;

use crate::row::{
    ApprovalEvent, ApprovalRef, Completion, DecisionRef, ForwardedRef, HoleCause, HoleRef, LifecycleEvent,
    LifecycleRef, OperatorRef, OutcomeRef, RowRef, TargetRef, Texts, Verdict,
};

/// No row is larger than this: a limit for the writer, and for a reader of damaged length fields.
pub const ROW_BYTES_MAX: usize = 1 << 20;

/// What a forwarded row may take beside the row in it.
pub(crate) const FORWARDING_BYTES_MAX: usize = 1024;

/// The version of the row encoding.
const VERSION: u8 = 1;

/// The version of decisions that hold their input or opinions of shadows: the fields of version 1, and these.
const VERSION_WITH_MORE: u8 = 2;

/// Kinds of rows.
const DECISION: u8 = 1;
const OUTCOME: u8 = 2;
const LIFECYCLE: u8 = 3;
const GAP: u8 = 4;
pub(crate) const CHECKPOINT: u8 = 5;
const APPROVAL: u8 = 7;
const OPERATOR: u8 = 8;
pub(crate) const FORWARDED: u8 = 9;
const HOLE: u8 = 10;

/// Why a row cannot be recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// The row's bytes exceed [`ROW_BYTES_MAX`].
    #[error("the row takes {bytes} bytes, the limit is {ROW_BYTES_MAX}")]
    TooLong {
        /// Its size.
        bytes: usize,
    },
}

/// Appends the canonical bytes of a row.
pub(crate) fn encode(row: &RowRef<'_>, out: &mut Vec<u8>) {
    match row {
        RowRef::Decision(row) => decision(row, out),
        RowRef::Outcome(row) => outcome(row, out),
        RowRef::Lifecycle(row) => lifecycle(row, out),
        RowRef::Approval(row) => approval(row, out),
        RowRef::Operator(row) => operator(row, out),
        RowRef::Forwarded(row) => forwarded(row, out),
        RowRef::Hole(row) => hole(row, out),
        RowRef::Gap { time, dropped } => {
            begin(GAP, *time, out);
            number(*dropped, out);
        }
    }
}

/// Appends what every row begins with.
pub(crate) fn begin(kind: u8, time: u64, out: &mut Vec<u8>) {
    begin_version(VERSION, kind, time, out);
}

fn begin_version(version: u8, kind: u8, time: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&[version, kind]);
    number(time, out);
}

/// Appends a number, little-endian.
pub(crate) fn number(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a text with its length.
pub(crate) fn text(value: &str, out: &mut Vec<u8>) {
    bytes(value.as_bytes(), out);
}

/// Appends bytes with their length. A length over `u32::MAX` saturates: the row is over its limit anyway and refused.
fn bytes(value: &[u8], out: &mut Vec<u8>) {
    count(value.len(), out);
    out.extend_from_slice(value);
}

fn count(value: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
}

fn texts(values: &Texts<'_>, out: &mut Vec<u8>) {
    count(values.len(), out);
    for value in (0..values.len()).filter_map(|index| values.nth(index)) {
        text(value, out);
    }
}

fn decision(row: &DecisionRef<'_>, out: &mut Vec<u8>) {
    let more = row.input.is_some() || !row.shadow.is_empty();
    let version = if more { VERSION_WITH_MORE } else { VERSION };
    begin_version(version, DECISION, row.time, out);
    out.extend_from_slice(&row.request_id);
    text(row.organization, out);
    text(row.workspace, out);
    text(row.environment, out);
    text(row.subject, out);
    text(row.auth_method, out);
    address(row.source, out);
    text(row.binding, out);
    text(row.method, out);
    target(row.target, out);
    out.push(match row.verdict {
        Verdict::Permit => 1,
        Verdict::PermitWithObligations => 2,
        Verdict::Deny => 3,
    });
    text(row.engine, out);
    texts(&row.policies, out);
    match row.deny_code {
        None => out.push(0),
        Some(code) => {
            out.push(1);
            text(code, out);
        }
    }
    texts(&row.obligations, out);
    number(row.revision, out);
    out.extend_from_slice(&row.revision_digest);
    out.push(u8::from(row.cached));
    match row.arguments_digest {
        None => out.push(0),
        Some(digest) => {
            out.push(1);
            out.extend_from_slice(&digest);
        }
    }
    text(row.protocol, out);
    if more {
        match row.input {
            None => out.push(0),
            Some(input) => {
                out.push(1);
                text(input, out);
            }
        }
        texts(&row.shadow, out);
    }
}

fn address(source: IpAddr, out: &mut Vec<u8>) {
    match source {
        IpAddr::V4(address) => {
            out.push(4);
            out.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            out.push(6);
            out.extend_from_slice(&address.octets());
        }
    }
}

fn target(target: TargetRef<'_>, out: &mut Vec<u8>) {
    let (tag, name) = match target {
        TargetRef::Binding => (0, ""),
        TargetRef::Tool(name) => (1, name),
        TargetRef::Resource(uri) => (2, uri),
        TargetRef::Prompt(name) => (3, name),
    };
    out.push(tag);
    text(name, out);
}

fn outcome(row: &OutcomeRef, out: &mut Vec<u8>) {
    begin(OUTCOME, row.time, out);
    out.extend_from_slice(&row.request_id);
    out.extend_from_slice(&row.http_status.to_le_bytes());
    number(row.response_bytes, out);
    number(row.duration_us, out);
    out.push(match row.completion {
        Completion::Complete => 1,
        Completion::ClientAborted => 2,
        Completion::UpstreamError => 3,
        Completion::Withheld => 4,
    });
}

fn approval(row: &ApprovalRef<'_>, out: &mut Vec<u8>) {
    begin(APPROVAL, row.time, out);
    out.extend_from_slice(&row.request_id);
    text(row.approval, out);
    out.push(match row.event {
        ApprovalEvent::Asked => 1,
        ApprovalEvent::Approved => 2,
        ApprovalEvent::Denied => 3,
        ApprovalEvent::Expired => 4,
        ApprovalEvent::Cancelled => 5,
        ApprovalEvent::Failed => 6,
    });
    text(row.gate, out);
    for optional in [row.by, row.reason] {
        match optional {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                text(value, out);
            }
        }
    }
    out.extend_from_slice(&row.bound);
}

fn operator(row: &OperatorRef<'_>, out: &mut Vec<u8>) {
    begin(OPERATOR, row.time, out);
    out.extend_from_slice(&row.request_id);
    text(row.organization, out);
    text(row.subject, out);
    text(row.auth_method, out);
    match row.source {
        None => out.push(0),
        Some(source) => {
            out.push(1);
            address(source, out);
        }
    }
    text(row.action, out);
    text(row.target, out);
    text(row.details, out);
}

fn forwarded(row: &ForwardedRef<'_>, out: &mut Vec<u8>) {
    begin(FORWARDED, row.time, out);
    text(row.gateway, out);
    out.extend_from_slice(&row.log);
    number(row.seq, out);
    out.extend_from_slice(&row.previous);
    bytes(row.row, out);
}

fn hole(row: &HoleRef<'_>, out: &mut Vec<u8>) {
    begin(HOLE, row.time, out);
    text(row.gateway, out);
    out.extend_from_slice(&row.log);
    number(row.after, out);
    number(row.up_to, out);
    out.extend_from_slice(&row.hash);
    out.push(match row.cause {
        HoleCause::Lost => 1,
        HoleCause::Elsewhere => 2,
    });
}

fn lifecycle(row: &LifecycleRef<'_>, out: &mut Vec<u8>) {
    begin(LIFECYCLE, row.time, out);
    match row.event {
        LifecycleEvent::Started { instance, version } => {
            out.push(1);
            text(instance, out);
            text(version, out);
        }
        LifecycleEvent::Stopped => out.push(2),
        LifecycleEvent::RevisionSwapped { revision, digest } => {
            out.push(3);
            number(revision, out);
            out.extend_from_slice(&digest);
        }
        LifecycleEvent::RevisionRefused { reason } => {
            out.push(4);
            text(reason, out);
        }
        LifecycleEvent::TailRecovered { segment, offset, bytes, digest } => {
            out.push(5);
            text(segment, out);
            number(offset, out);
            number(bytes, out);
            out.extend_from_slice(&digest);
        }
        LifecycleEvent::Resumed { cause, refused, lost } => {
            out.push(6);
            text(cause, out);
            number(refused, out);
            number(lost, out);
        }
    }
}
