//! What was recorded and counted: audit rows, usage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{EnvironmentPath, Id, Slug, Timestamp};

/// One row of an organization's audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRow {
    /// Its place in the chain, from 1.
    pub sequence: u64,
    /// When it happened.
    pub time: Timestamp,
    /// What kind: `operator`, `decision`, `outcome`, `lifecycle`, `approval`, `gap`, `checkpoint`.
    pub kind: String,
    /// The gateway that recorded it; absent for the control plane's own rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Id>,
    /// The environment that it happened in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentPath>,
    /// What it says, by name.
    pub detail: Map<String, Value>,
    /// The row's hash in the chain: 64 hexadecimal digits.
    pub hash: String,
    /// The hash of the row before it.
    pub previous: String,
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
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only rows behind this one.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only rows of this time and later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only rows before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Only rows of this kind.
    #[schemars(length(max = 20))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// What was called, in one hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageRow {
    /// The hour's first moment.
    pub hour: Timestamp,
    /// Where.
    pub environment: EnvironmentPath,
    /// What.
    pub tool: String,
    /// By whom.
    pub caller: String,
    /// Calls that were decided.
    pub calls: u64,
    /// Those that were refused.
    pub denied: u64,
    /// Those that failed.
    pub failed: u64,
    /// Bytes of answers.
    pub response_bytes: u64,
}

/// Which hours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageQuery {
    /// The most rows of the page; 50 where it is absent.
    #[schemars(range(min = 1, max = 200))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// `next_cursor` of the page before.
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// From this hour on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Before this hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Only this workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Slug>,
}
