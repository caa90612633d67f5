//! Gateways of an environment, how they enrol, and the revisions they run.

use std::collections::BTreeMap;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Actor, EnvironmentPath, HeldTerms, Id, Line, Slug, Timestamp};

/// Labels of a gateway, by which revisions are staged: `region: eu`.
pub type Labels = BTreeMap<LabelKey, Line<63>>;

/// The name of a label: 1 to 63 of `a-z`, `0-9`, `.`, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabelKey(String);

impl FromStr for LabelKey {
    type Err = LabelKeyError;

    fn from_str(text: &str) -> Result<Self, LabelKeyError> {
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
        };
        let fits = (1..=63).contains(&text.len()) && text.bytes().all(allowed);
        if fits { Ok(Self(text.to_owned())) } else { Err(LabelKeyError) }
    }
}

crate::text::text_access!(LabelKey);
crate::text::wire_text!(LabelKey, LabelKeyError, "^[a-z0-9._-]{1,63}$", 1, 63, "region");

/// A text that names no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a label's name has 1 to 63 of `a-z`, `0-9`, `.`, `_` and `-`")]
pub struct LabelKeyError;

/// A gateway that has enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gateway {
    /// Its id.
    pub id: Id,
    /// The environment.
    pub environment: EnvironmentPath,
    /// Its name there.
    pub name: Slug,
    /// Its labels.
    pub labels: Labels,
    /// How it is.
    pub status: GatewayStatus,
    /// Its software version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// BLAKE3 of its public key.
    pub key_fingerprint: String,
    /// The revision that it should run; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<u64>,
    /// The revision that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<u64>,
    /// The newest revision that it refused, if that is newer than the one it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<RejectedRevision>,
    /// The organization's standing terms that it should go by: their version, and that of the revocation list. Absent before a gateway was
    /// sent any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_terms: Option<HeldTerms>,
    /// Those that it goes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<HeldTerms>,
    /// When it was last heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Timestamp>,
    /// When it enrolled.
    pub enrolled_at: Timestamp,
}

/// How a gateway is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GatewayStatus {
    /// Enrolled, not heard of since.
    Enrolled,
    /// Heard of lately.
    Online,
    /// Not heard of for a while.
    Offline,
}

/// A revision that a gateway refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RejectedRevision {
    /// Its number.
    pub number: u64,
    /// Why, as the gateway said.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Lets one gateway enrol, once. The token itself is shown once, when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnrollmentToken {
    /// Its id.
    pub id: Id,
    /// The environment.
    pub environment: EnvironmentPath,
    /// Labels that the gateway will have.
    pub labels: Labels,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The gateway that used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<Id>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Actor,
}

/// A new enrollment token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateEnrollmentToken {
    /// How long it can be used: a minute to a week; an hour where it is absent.
    #[schemars(range(min = 60, max = 604_800))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u32>,
    /// Labels that the gateway will have.
    #[schemars(extend("maxProperties" = 20))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
}

/// An enrollment token that was just made. This is the only time that it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewEnrollmentToken {
    /// The token, for `control_plane.enroll_token`.
    pub token: String,
    /// What is known of it later.
    pub resource: EnrollmentToken,
}

/// What the gateways of an environment run, at one number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Revision {
    /// The environment.
    pub environment: EnvironmentPath,
    /// Its number, from 1.
    pub number: u64,
    /// BLAKE3 of the document: `blake3:` and 64 hexadecimal digits.
    pub digest: String,
    /// What its publisher said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The older revision whose document this is, if it is a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_of: Option<u64>,
    /// Which gateways get it.
    pub rollout: Rollout,
    /// How far it has come.
    pub progress: Progress,
    /// When it was published.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Actor,
}

/// Which gateways get a revision. Without anything: all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// How many in a hundred.
    #[schemars(range(min = 0, max = 100))]
    #[serde(default = "everybody")]
    pub percent: u8,
    /// Only gateways with all of these labels.
    #[schemars(extend("maxProperties" = 20))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
}

impl Default for Rollout {
    fn default() -> Self {
        Self { percent: everybody(), labels: BTreeMap::new() }
    }
}

fn everybody() -> u8 {
    100
}

/// How many gateways a revision has come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Those that should run it.
    pub wanted: u64,
    /// Those that said they do.
    pub applied: u64,
    /// Those that refused it.
    pub rejected: u64,
}

/// Publishes what the environment's configuration is now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishRevision {
    /// What to say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Line<500>>,
    /// Which gateways get it.
    #[serde(default)]
    pub rollout: Rollout,
}

/// What would be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevisionPreview {
    /// The document that gateways would get.
    pub document: String,
    /// BLAKE3 of it: `blake3:` and 64 hexadecimal digits.
    pub digest: String,
    /// Whether it differs from the newest revision's.
    pub changed: bool,
    /// What is probably not meant.
    pub warnings: Vec<String>,
}

/// Publishes an older revision's document as the next number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRevision {
    /// What to say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Line<500>>,
    /// Which gateways get it.
    #[serde(default)]
    pub rollout: Rollout,
}

/// A revision with its document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevisionDocument {
    /// What is known of it.
    pub revision: Revision,
    /// The document that gateways get, as it was signed.
    pub document: String,
    /// The control plane's signature, base64url.
    pub signature: String,
}
