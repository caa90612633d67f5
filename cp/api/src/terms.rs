//! The standing terms of an organization: what holds for all of its gateways, whatever revision they run.
//!
//! They are beside the revisions, and not in them: a list of revoked artifacts is in force the moment it is put, with no word of anybody's unpublished
//! changes, through every rollout, and after every rollback. The document is small, signed by the key that signs revisions, and its version only grows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{LicenseTier, RevokedArtifact, Slug, Timestamp};

/// Terms as they go to a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SignedTerms {
    /// The organization that they are of.
    pub organization: Slug,
    /// Grows with every change.
    pub version: u64,
    /// BLAKE3 of the document: `blake3:` and 64 hexadecimal digits.
    pub digest: String,
    /// When they became these.
    pub created_at: Timestamp,
    /// The document: [`Terms`] as JSON.
    pub document: String,
    /// Ed25519 over the statement of organization, version, digest and time, base64url.
    pub signature: String,
}

/// What an organization's gateways go by. Members that a gateway does not know are left alone: a list must arrive at older ones, too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Terms {
    /// Artifacts that must not run.
    pub revocation_list: RevokedArtifacts,
    /// What the organization has bought.
    pub license: LicenseTerms,
}

/// Artifacts that must not run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokedArtifacts {
    /// The version of the organization's list; 0 before the first.
    pub version: u64,
    /// The artifacts by their digest.
    pub artifacts: Vec<RevokedArtifact>,
}

/// What an organization has bought: its licence, verified by the control plane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LicenseTerms {
    /// The tier in force.
    pub tier: LicenseTier,
    /// Plugin ids, and globs over them, that it covers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<String>,
    /// Numbers that it grants, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quotas: BTreeMap<String, u64>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Which terms a gateway goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldTerms {
    /// Their version.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    pub version: u64,
    /// The version of the revocation list in them; 0 where there is none yet.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub revocation_list: u64,
}
