//! What gateways and the control plane say to each other.
//!
//! A gateway enrols once with a token, registering a public key that it generated. From then on it signs a short-lived assertion for every
//! request: a compact JWS by EdDSA with `iss` (its id), `aud` (the control plane's URL), `iat`, `exp` (at most 60 seconds later), `jti`, `htm`
//! and `htu`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EnvironmentPath, Id, Labels, Slug, Timestamp};

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
    /// Its software version.
    #[schemars(length(min = 1, max = 64))]
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
}

/// Audit rows of a gateway's own chain, as they stand in its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditUpload {
    /// The sequence number of the first row.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    pub first: u64,
    /// The rows' canonical bytes, base64url, without gaps.
    #[schemars(length(min = 1, max = 1000))]
    pub rows: Vec<String>,
}

/// How far a gateway's rows are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditAccepted {
    /// The sequence number of the last row that is kept: what is up to it need not be sent again.
    pub kept: u64,
}
