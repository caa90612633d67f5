//! What was recorded and counted: audit rows, usage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Id, Line, Timestamp};

/// One row of an organization's audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRow {
    /// Its place in the chain, from 1.
    pub sequence: u64,
    /// When it happened.
    pub time: Timestamp,
    /// What kind: `operator`, `decision`, `outcome`, `lifecycle`, `approval`, `gap`, `hole`,
    /// `checkpoint`.
    pub kind: String,
    /// The gateway that recorded it; absent for the control plane's own rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Id>,
    /// The workspace that it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The environment of that workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Who did it, or called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What it was done to, or what was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// The row's hash in the chain: 64 hexadecimal digits.
    pub hash: String,
    /// The bytes that were hashed, base64url: the row as the ledger's format has it.
    pub row: String,
}

/// Which rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// The most rows of the page; 50 where it is absent.
    #[schemars(range(min = 1, max = 200))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// `next_cursor` of the page before.
    #[schemars(regex(pattern = "^(3[0-9]){1,18}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only rows behind this one.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// The newest first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub newest_first: bool,
    /// Only rows of this time and later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only rows before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Only rows of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Line<20>>,
    /// Only rows about this subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Line<300>>,
    /// Only rows with this verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Line<40>>,
}

/// Which part of a chain: what was added to it in a time, from one signed row to another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditExportQuery {
    /// From the last row that was signed by then; from the first row where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// To the first signature from then on; to the last row where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A signed head of an audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditCheckpoint {
    /// The row that it speaks of.
    pub sequence: u64,
    /// When it was signed.
    pub time: Timestamp,
    /// What to keep elsewhere: a line of text that the verifier takes.
    pub line: String,
}

/// A key that heads of audit chains are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditKey {
    /// What signatures call it: 64 hexadecimal digits.
    pub id: String,
    /// The Ed25519 public key: 64 hexadecimal digits.
    pub public_key: String,
    /// Whether it signs now.
    pub current: bool,
}

/// The keys that heads of audit chains are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditKeys {
    /// Each that there has been, the oldest first.
    pub items: Vec<AuditKey>,
}

/// What was called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Sums, in the order of what is told apart.
    pub items: Vec<UsageRow>,
    /// Whether there is more than the limit.
    pub truncated: bool,
}

/// A sum of calls. What is not told apart is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageRow {
    /// The hour's first moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hour: Option<Timestamp>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Where in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// Calls that were decided.
    pub calls: u64,
    /// Those that were refused.
    pub denied: u64,
    /// Those that failed.
    pub failed: u64,
    /// Bytes of answers.
    pub response_bytes: u64,
    /// Time of answers, in microseconds.
    pub duration_us: u64,
}

/// Which hours, and what to tell apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageQuery {
    /// The most sums; 1,000 where it is absent.
    #[schemars(range(min = 1, max = 10_000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// From this hour on; 24 hours ago where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Before this hour; now where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Tell hours apart.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_hour: bool,
    /// Tell environments apart.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_environment: bool,
    /// Tell tools apart.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_tool: bool,
    /// Tell callers apart.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_caller: bool,
}
