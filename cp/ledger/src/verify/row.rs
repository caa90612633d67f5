//! Rows as read back: owned, printable, decoded without the encoder.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::format::{Cursor, Hash, row_hash};

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub time: u64,
    /// What it says.
    pub body: RowBody,
}

/// What a row says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowBody {
    /// Policy answered.
    Decision(Box<Decision>),
    /// A call ended.
    Outcome(Outcome),
    /// Something happened to the gateway.
    Lifecycle(Lifecycle),
    /// Something happened to an approval.
    Approval(Box<Approval>),
    /// Somebody changed something in the control plane.
    Operator(Box<Operator>),
    /// A gateway's row, taken over.
    Forwarded(Box<Forwarded>),
    /// Rows of a gateway's log that are not taken over.
    Hole(Box<Hole>),
    /// Rows were dropped here.
    Gap {
        /// How many.
        dropped: u64,
    },
    /// The head was signed.
    Checkpoint(Checkpoint),
}

/// One policy decision.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are those of `DecisionRef`, documented there and in docs/AUDIT.md"
)]
pub struct Decision {
    pub request_id: [u8; 16],
    pub organization: String,
    pub workspace: String,
    pub environment: String,
    pub subject: String,
    pub auth_method: String,
    pub source: IpAddr,
    pub binding: String,
    pub method: String,
    pub target_kind: &'static str,
    pub target: String,
    pub verdict: &'static str,
    pub engine: String,
    pub policies: Vec<String>,
    pub deny_code: Option<String>,
    pub obligations: Vec<String>,
    pub revision: u64,
    pub revision_digest: Hash,
    pub cached: bool,
    pub arguments_digest: Option<Hash>,
    pub protocol: String,
    pub input: Option<String>,
    pub shadow: Vec<String>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are those of `OutcomeRef`, documented there and in docs/AUDIT.md"
)]
pub struct Outcome {
    pub request_id: [u8; 16],
    pub http_status: u16,
    pub response_bytes: u64,
    pub duration_us: u64,
    pub completion: &'static str,
}

/// Something that happened to an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are those of `ApprovalRef`, documented there and in docs/AUDIT.md"
)]
pub struct Approval {
    pub request_id: [u8; 16],
    pub approval: String,
    pub event: &'static str,
    pub gate: String,
    pub by: Option<String>,
    pub reason: Option<String>,
    pub bound: Hash,
}

/// A change in the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are those of `OperatorRef`, documented there and in docs/AUDIT.md"
)]
pub struct Operator {
    pub request_id: [u8; 16],
    pub organization: String,
    pub subject: String,
    pub auth_method: String,
    pub source: Option<IpAddr>,
    pub action: String,
    pub target: String,
    pub details: String,
}

/// A gateway's row within the chain of its organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// The gateway instance.
    pub gateway: String,
    /// The chain of its log.
    pub log: [u8; 16],
    /// The row's number there.
    pub seq: u64,
    /// The hash of the row before it there.
    pub previous: Hash,
    /// Its own hash there.
    pub hash: Hash,
    /// What it says. Never itself a forwarded row.
    pub row: Row,
}

/// Rows of a gateway's log that are not within the chain of its organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// The gateway instance.
    pub gateway: String,
    /// The chain of its log.
    pub log: [u8; 16],
    /// The number of the row before them there.
    pub after: u64,
    /// The number of the last of them there.
    pub up_to: u64,
    /// The hash of that one there.
    pub hash: Hash,
    /// Why: `lost`, `elsewhere`.
    pub cause: &'static str,
}

/// What happened to the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are those of `LifecycleEvent`, documented there and in docs/AUDIT.md"
)]
#[non_exhaustive]
pub enum Lifecycle {
    Started { instance: String, version: String },
    Stopped,
    RevisionSwapped { revision: u64, digest: Hash },
    RevisionRefused { reason: String },
    TailRecovered { segment: String, offset: u64, bytes: u64, digest: Hash },
    Resumed { cause: String, refused: u64, lost: u64 },
}

/// A signed head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The chain's organization.
    pub organization: String,
    /// The chain.
    pub chain: [u8; 16],
    /// The last row covered.
    pub seq: u64,
    /// That row's hash.
    pub head: Hash,
    /// The hash of the checkpoint before; zeros for the first.
    pub previous: Hash,
    /// The id of the key.
    pub key: Hash,
}

impl Row {
    /// Decodes a row. None if it is not exactly one row of version 1, or a decision of version 2.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode(bytes)
    }
}

pub(super) fn decode(bytes: &[u8]) -> Option<Row> {
    let mut input = Cursor(bytes);
    let version = input.u8()?;
    let kind = input.u8()?;
    let time = input.u64()?;
    // The only rows of version 2 are decisions.
    if !matches!((version, kind), (1, _) | (2, 1)) {
        return None;
    }
    let body = match kind {
        1 => {
            let mut decision = decision(&mut input)?;
            if version == 2 {
                decision.input = if input.flag()? { Some(input.text()?) } else { None };
                decision.shadow = input.texts()?;
                if decision.input.is_none() && decision.shadow.is_empty() {
                    return None;
                }
            }
            RowBody::Decision(Box::new(decision))
        }
        2 => RowBody::Outcome(outcome(&mut input)?),
        3 => RowBody::Lifecycle(lifecycle(&mut input)?),
        4 => RowBody::Gap { dropped: input.u64()? },
        5 => RowBody::Checkpoint(checkpoint(&mut input)?),
        7 => RowBody::Approval(Box::new(approval(&mut input)?)),
        8 => RowBody::Operator(Box::new(operator(&mut input)?)),
        9 => RowBody::Forwarded(Box::new(forwarded(&mut input)?)),
        10 => RowBody::Hole(Box::new(hole(&mut input)?)),
        _ => return None,
    };
    input.is_empty().then_some(Row { time, body })
}

fn decision(input: &mut Cursor<'_>) -> Option<Decision> {
    // The order of the struct's fields is the order of the bytes.
    Some(Decision {
        request_id: input.array()?,
        organization: input.text()?,
        workspace: input.text()?,
        environment: input.text()?,
        subject: input.text()?,
        auth_method: input.text()?,
        source: address(input)?,
        binding: input.text()?,
        method: input.text()?,
        target_kind: ["binding", "tool", "resource", "prompt"].get(usize::from(input.u8()?))?,
        target: input.text()?,
        verdict: match input.u8()? {
            1 => "permit",
            2 => "permit_with_obligations",
            3 => "deny",
            _ => return None,
        },
        engine: input.text()?,
        policies: input.texts()?,
        deny_code: if input.flag()? { Some(input.text()?) } else { None },
        obligations: input.texts()?,
        revision: input.u64()?,
        revision_digest: input.array()?,
        cached: input.flag()?,
        arguments_digest: if input.flag()? { Some(input.array()?) } else { None },
        protocol: input.text()?,
        input: None,
        shadow: Vec::new(),
    })
}

fn address(input: &mut Cursor<'_>) -> Option<IpAddr> {
    match input.u8()? {
        4 => input.array::<4>().map(|octets| IpAddr::V4(Ipv4Addr::from(octets))),
        6 => input.array::<16>().map(|octets| IpAddr::V6(Ipv6Addr::from(octets))),
        _ => None,
    }
}

fn operator(input: &mut Cursor<'_>) -> Option<Operator> {
    Some(Operator {
        request_id: input.array()?,
        organization: input.text()?,
        subject: input.text()?,
        auth_method: input.text()?,
        source: if input.flag()? { Some(address(input)?) } else { None },
        action: input.text()?,
        target: input.text()?,
        details: input.text()?,
    })
}

fn forwarded(input: &mut Cursor<'_>) -> Option<Forwarded> {
    let (gateway, log) = (input.text()?, input.array()?);
    let (seq, previous) = (input.u64()?, input.array()?);
    let length = input.length()?;
    let bytes = input.slice(length)?;
    // One level: the kind is told apart before the inner row is read.
    if matches!(bytes.get(1), Some(8..=10)) {
        return None;
    }
    let row = decode(bytes)?;
    Some(Forwarded { gateway, log, seq, previous, hash: row_hash(&previous, seq, bytes), row })
}

fn hole(input: &mut Cursor<'_>) -> Option<Hole> {
    let hole = Hole {
        gateway: input.text()?,
        log: input.array()?,
        after: input.u64()?,
        up_to: input.u64()?,
        hash: input.array()?,
        cause: match input.u8()? {
            1 => "lost",
            2 => "elsewhere",
            _ => return None,
        },
    };
    (hole.up_to > hole.after).then_some(hole)
}

fn outcome(input: &mut Cursor<'_>) -> Option<Outcome> {
    Some(Outcome {
        request_id: input.array()?,
        http_status: input.u16()?,
        response_bytes: input.u64()?,
        duration_us: input.u64()?,
        completion: match input.u8()? {
            1 => "complete",
            2 => "client_aborted",
            3 => "upstream_error",
            4 => "withheld",
            _ => return None,
        },
    })
}

fn approval(input: &mut Cursor<'_>) -> Option<Approval> {
    Some(Approval {
        request_id: input.array()?,
        approval: input.text()?,
        event: match input.u8()? {
            1 => "asked",
            2 => "approved",
            3 => "denied",
            4 => "expired",
            5 => "cancelled",
            6 => "failed",
            _ => return None,
        },
        gate: input.text()?,
        by: if input.flag()? { Some(input.text()?) } else { None },
        reason: if input.flag()? { Some(input.text()?) } else { None },
        bound: input.array()?,
    })
}

fn lifecycle(input: &mut Cursor<'_>) -> Option<Lifecycle> {
    Some(match input.u8()? {
        1 => Lifecycle::Started { instance: input.text()?, version: input.text()? },
        2 => Lifecycle::Stopped,
        3 => Lifecycle::RevisionSwapped { revision: input.u64()?, digest: input.array()? },
        4 => Lifecycle::RevisionRefused { reason: input.text()? },
        5 => Lifecycle::TailRecovered {
            segment: input.text()?,
            offset: input.u64()?,
            bytes: input.u64()?,
            digest: input.array()?,
        },
        6 => Lifecycle::Resumed { cause: input.text()?, refused: input.u64()?, lost: input.u64()? },
        _ => return None,
    })
}

fn checkpoint(input: &mut Cursor<'_>) -> Option<Checkpoint> {
    let checkpoint = Checkpoint {
        organization: input.text()?,
        chain: input.array()?,
        seq: input.u64()?,
        head: input.array()?,
        previous: input.array()?,
        key: input.array()?,
    };
    // The signature is checked over the raw bytes.
    input.array::<64>()?;
    Some(checkpoint)
}
