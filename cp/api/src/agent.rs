//! What gateways and the control plane say to each other.
//!
//! A gateway enrols once with a token, registering a public key that it generated. From then on it signs a short-lived assertion for every
//! request: a compact JWS by EdDSA with `iss` (its id), `aud` (the control plane's URL), `iat`, `exp` (at most 60 seconds later), `jti`, `htm`
//! and `htu`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EnvironmentPath, HeldTerms, Id, Labels, Slug, Timestamp};

/// Enrols a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollGateway {
    /// The enrollment token.
    #[schemars(length(min = 1, max = 512))]
    pub token: String,
    /// The gateway's Ed25519 public key: 32 bytes, base64url.
    #[schemars(length(equal = 43), regex(pattern = "^[A-Za-z0-9_-]{43}$"))]
    pub public_key: String,
    /// Signature over the token by that key, base64url: who enrols has the private key.
    #[schemars(length(equal = 86), regex(pattern = "^[A-Za-z0-9_-]{86}$"))]
    pub proof: String,
    /// Its name in the environment.
    pub name: Slug,
    /// Its own labels. Those of the token take precedence.
    #[schemars(extend("maxProperties" = 20))]
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Its software version.
    #[schemars(length(min = 1, max = 64))]
    pub version: String,
}

/// A gateway has enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Enrolled {
    /// The gateway's id: `iss` of its assertions.
    pub gateway: Id,
    /// The environment that it serves.
    pub environment: EnvironmentPath,
    /// `aud` of its assertions.
    pub audience: String,
    /// The control plane's Ed25519 public key: 32 bytes, base64url. Its fingerprint stands in the enrollment token.
    pub control_plane_key: String,
    /// How often to say that it is there.
    pub heartbeat_seconds: u32,
}

/// Which revisions to stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevisionsQuery {
    /// The number of the revision that is in force already.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// One revision as it goes to a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedRevision {
    /// The environment that it is for.
    pub environment: EnvironmentPath,
    /// Its number.
    pub number: u64,
    /// BLAKE3 of the document: `blake3:` and 64 hexadecimal digits.
    pub digest: String,
    /// When it was published.
    pub created_at: Timestamp,
    /// The document.
    pub document: String,
    /// Ed25519 over the statement of environment, number, digest and time, base64url.
    pub signature: String,
}

/// What came of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    /// Its number.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    pub number: u64,
    /// Its digest.
    #[schemars(length(equal = 71), regex(pattern = "^blake3:[0-9a-f]{64}$"))]
    pub digest: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it was refused.
    #[schemars(length(max = 2000))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What came of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is in force.
    Applied,
    /// It was refused; the one before is in force.
    Rejected,
}

/// A gateway says that it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The revision in force.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<u64>,
    /// The organization's standing terms that it goes by. A gateway says so once the control plane has sent it some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<HeldTerms>,
    /// Its software version.
    #[schemars(length(min = 1, max = 64))]
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
}

/// Audit rows of a gateway's own log, as they stand in it. Without rows it asks how far the log is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditUpload {
    /// The chain of the log: 32 hexadecimal digits.
    #[schemars(length(equal = 32), regex(pattern = "^[0-9a-f]{32}$"))]
    pub log: String,
    /// The row before the first; number 0 and the chain's first hash where the first is row 1.
    pub previous: AuditHead,
    /// The rows in order, and what is left out between them.
    #[schemars(length(max = 2000))]
    pub rows: Vec<AuditEntry>,
    /// The hash of the last row.
    #[schemars(length(equal = 64), regex(pattern = "^[0-9a-f]{64}$"))]
    pub last: String,
}

/// A place in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditHead {
    /// The row's number.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub sequence: u64,
    /// The row's hash: 64 hexadecimal digits.
    #[schemars(length(equal = 64), regex(pattern = "^[0-9a-f]{64}$"))]
    pub hash: String,
}

/// A part of an [`AuditUpload`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AuditEntry {
    /// A row's canonical bytes, base64url.
    Row(#[schemars(length(min = 1, max = 1_398_102), regex(pattern = "^[A-Za-z0-9_-]+$"))] String),
    /// Rows that are not sent.
    Missing(AuditHole),
}

/// Rows that are not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditHole {
    /// How many there are.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    pub missing: u64,
    /// The hash of the last of them.
    #[schemars(length(equal = 64), regex(pattern = "^[0-9a-f]{64}$"))]
    pub hash: String,
    /// Why they are not sent.
    pub cause: AuditHoleCause,
}

/// Why rows are not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditHoleCause {
    /// They were gone before they were sent.
    Lost,
    /// They are about environments that the gateway is not enrolled in.
    Elsewhere,
}

/// How far a gateway's log is kept: what is up to here need not be sent again, and what is behind it is wanted next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditAccepted {
    /// The last row that is kept; number 0 for none.
    pub kept: AuditHead,
}
