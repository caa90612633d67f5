//! The licence of an organization, as the API shows it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What an organization has bought. Each tier includes the ones before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LicenseTier {
    /// Without a licence.
    #[default]
    Community,
    /// Tier 1.
    Pro,
    /// Tier 2.
    Team,
    /// Tier 3.
    Enterprise,
}

/// The licence that is in force. Without one: tier `community`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct License {
    /// Its entity tag, without the quotes.
    pub etag: String,
    /// The tier in force.
    pub tier: LicenseTier,
    /// Why a licence that is installed is not in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The licence's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license_id: Option<String>,
    /// The key that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Plugin ids, and globs over them, that it covers.
    pub entitlements: Vec<String>,
    /// Numbers that it grants, by name.
    pub quotas: BTreeMap<String, u64>,
    /// How long audit rows are kept.
    pub audit_retention_days: u32,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Installs a licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallLicense {
    /// The licence file: a signed token.
    #[schemars(
        length(min = 1, max = 16_384),
        regex(pattern = r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$")
    )]
    pub license: String,
}
