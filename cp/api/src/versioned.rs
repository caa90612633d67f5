//! Things that are kept in versions: plugin sets, policies, gateway configurations, revocation lists.
//!
//! A `PUT` makes the next version; a version never changes. The digest is BLAKE3 of the specification in canonical JSON
//! (members in order of name, no space), so equal content has an equal digest everywhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Actor, Slug, Target, Timestamp};

/// A versioned thing with its newest version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Versioned{T}")]
pub struct Versioned<T> {
    /// The node of the tenancy tree that it belongs to.
    pub on: Target,
    /// Its name there.
    pub name: Slug,
    /// Its entity tag, without the quotes.
    pub etag: String,
    /// The newest version's number.
    pub version: u64,
    /// The newest version's digest: `blake3:` and 64 hexadecimal digits.
    pub digest: String,
    /// What it says.
    pub spec: T,
    /// When the newest version was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Actor,
}

/// A versioned thing without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionedSummary {
    /// The node that it belongs to.
    pub on: Target,
    /// Its name there.
    pub name: Slug,
    /// Its entity tag, without the quotes.
    pub etag: String,
    /// The newest version's number.
    pub version: u64,
    /// The newest version's digest.
    pub digest: String,
    /// When the newest version was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Actor,
}

/// One version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Version")]
pub struct Version<T> {
    /// Its number, from 1.
    pub version: u64,
    /// Its digest.
    pub digest: String,
    /// What it says.
    pub spec: T,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Actor,
}

/// One version without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionSummary {
    /// Its number, from 1.
    pub version: u64,
    /// Its digest.
    pub digest: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Actor,
}

/// What the next version says. With `If-None-Match: *` the first, with `If-Match` the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Put{T}")]
pub struct PutVersion<T> {
    /// What it says.
    pub spec: T,
}

/// Which page of a list of versions, or of another whose order is by number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionsQuery {
    /// The most items of the page; 50 where it is absent.
    #[schemars(range(min = 1, max = 200))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// `next_cursor` of the page before.
    #[schemars(regex(pattern = "^(3[0-9]){1,18}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Whether to only try.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutQuery {
    /// Check everything, answer as if it were done, and do nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Which two versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiffQuery {
    /// The older one; the one before `to` where it is absent.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The newer one; the newest where it is absent.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

/// What differs between two versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diff {
    /// The older version; 0 where there is none.
    pub from: u64,
    /// The newer version.
    pub to: u64,
    /// What differs, in order of pointer.
    pub changes: Vec<Change>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Where: a JSON pointer into `spec`. Entries of plugins are found by `id` and `name`, not by place.
    pub pointer: String,
    /// What it was; absent where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is; absent where it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}
