//! What plugin sets, policies, gateway configurations, secret references and revocation lists say.

use std::collections::BTreeMap;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Actor, Line, Slug, Timestamp, WorkspacePath};

/// The plugins of a workspace, in order: `spec` of `MCPGPluginSet` without `workspace`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginSetSpec {
    /// The entries, in order.
    #[schemars(length(max = 256))]
    pub plugins: Vec<PluginEntry>,
    /// Whether an artifact without a valid signature is refused.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub require_signed: bool,
    /// Whose signatures are valid.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_keys: Vec<TrustedKey>,
    /// What each plugin may ask of the gateway: plugin id to names such as `cap.host.outbound_http`.
    #[schemars(extend("maxProperties" = 256))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capability_grants: BTreeMap<PluginId, Vec<Line<64>>>,
}

/// One plugin with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PluginEntry {
    /// Such as `policy.cedar`.
    pub id: PluginId,
    /// Tells two entries of one id apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Slug>,
    /// Where the artifact of a plugin that is not built in comes from, with its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Line<1024>>,
    /// `false` is shadow mode: decided and recorded, not applied.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub enforce: bool,
    /// The plugin's own settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Value>>,
}

/// A key whose signatures on artifacts are valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// The name that signatures refer to.
    pub id: Line<128>,
    /// The Ed25519 public key: a PEM block.
    #[schemars(length(min = 1, max = 4096))]
    pub public_key: String,
    /// Globs of the plugin ids that it may sign. Empty: any.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<Line<128>>,
}

/// The id of a plugin: `policy.cedar`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginId(String);

/// A bundle of policies for one engine. An environment's configuration mounts it at `./policies/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySpec {
    /// Which engine reads it.
    pub engine: PolicyEngine,
    /// The files by name.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1000))]
    pub files: BTreeMap<FileName, String>,
}

/// A policy engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PolicyEngine {
    /// `policy.cedar`.
    Cedar,
    /// `policy.opa`.
    Opa,
    /// `policy.casbin`.
    Casbin,
}

/// The name of a file in a bundle: up to eight parts of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`, none of which starts with a dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileName(String);

/// What the gateways of an environment run, beside the plugin set and the policies that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfigSpec {
    /// The plugin set of the workspace that is in force here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_set: Option<Slug>,
    /// The policies of the workspace that are mounted here, each at `./policies/<name>`.
    #[schemars(length(max = 100), extend("uniqueItems" = true))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Slug>,
    /// The upstreams, as in a gateway's file.
    #[schemars(length(max = 1000))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<Map<String, Value>>,
    /// How bindings are served as one, as in a gateway's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub federation: Option<Map<String, Value>>,
    /// Sessions, as in a gateway's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Map<String, Value>>,
    /// What happens when an upstream's tool is not as it was, as in a gateway's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinning: Option<Map<String, Value>>,
}

/// Artifacts that must not run anywhere in an organization.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevocationListSpec {
    /// The artifacts by their digest.
    #[schemars(length(max = 10_000))]
    pub artifacts: Vec<RevokedArtifact>,
}

/// An artifact that must not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokedArtifact {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: ArtifactDigest,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Line<500>>,
}

/// A name for a secret that gateways resolve. The control plane never sees the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretReference {
    /// The workspace.
    pub workspace: WorkspacePath,
    /// Its name there.
    pub name: Slug,
    /// Its entity tag, without the quotes.
    pub etag: String,
    /// Where gateways find it.
    pub reference: SecretUri,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Actor,
}

/// What a secret reference says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSecretReference {
    /// Where gateways find it.
    pub reference: SecretUri,
}

/// Where a secret is: `$secret://vault/kv/data/mcpg/api-keys/prod#token`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretUri(String);

/// The digest of an artifact: `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactDigest(String);

impl FromStr for ArtifactDigest {
    type Err = ArtifactDigestError;

    fn from_str(text: &str) -> Result<Self, ArtifactDigestError> {
        let digits = text.strip_prefix("sha256:").ok_or(ArtifactDigestError)?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() == 64 && digits.bytes().all(is_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ArtifactDigestError)
        }
    }
}

impl FromStr for PluginId {
    type Err = PluginIdError;

    fn from_str(text: &str) -> Result<Self, PluginIdError> {
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
        };
        let starts =
            text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if starts && text.len() <= 128 && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PluginIdError)
        }
    }
}

impl FromStr for FileName {
    type Err = FileNameError;

    fn from_str(text: &str) -> Result<Self, FileNameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_part = |part: &str| {
            (1..=60).contains(&part.len()) && !part.starts_with('.') && part.bytes().all(allowed)
        };
        let fits = text.split('/').count() <= 8 && text.split('/').all(is_part);
        if fits { Ok(Self(text.to_owned())) } else { Err(FileNameError) }
    }
}

impl FromStr for SecretUri {
    type Err = SecretUriError;

    fn from_str(text: &str) -> Result<Self, SecretUriError> {
        let rest = text.strip_prefix("$secret://").ok_or(SecretUriError)?;
        let (provider, path) = rest.split_once('/').ok_or(SecretUriError)?;
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=40).contains(&provider.len())
            && provider.bytes().all(allowed)
            && !path.is_empty()
            && text.len() <= 1024
            && path.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text.to_owned())) } else { Err(SecretUriError) }
    }
}

crate::text::text_access!(ArtifactDigest);
crate::text::wire_text!(
    ArtifactDigest,
    ArtifactDigestError,
    "^sha256:[0-9a-f]{64}$",
    71,
    71,
    "sha256:0000000000000000000000000000000000000000000000000000000000000000"
);
crate::text::text_access!(PluginId);
crate::text::text_access!(FileName);
crate::text::text_access!(SecretUri);
crate::text::wire_text!(PluginId, PluginIdError, "^[a-z0-9][a-z0-9._-]{0,127}$", 1, 128, "policy.cedar");
crate::text::wire_text!(
    FileName,
    FileNameError,
    "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,59}(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,59}){0,7}$",
    1,
    487,
    "all.cedar"
);
crate::text::wire_text!(
    SecretUri,
    SecretUriError,
    r"^\$secret://[a-z0-9-]{1,40}/[!-~]+$",
    12,
    1024,
    "$secret://vault/kv/data/mcpg/api-keys/prod#token"
);

/// A text that is no plugin's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a plugin's id has 1 to 128 of `a-z`, `0-9`, `.`, `-` and `_`, such as `policy.cedar`")]
pub struct PluginIdError;

/// A text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a digest is `sha256:` and 64 hexadecimal digits in lower case")]
pub struct ArtifactDigestError;

/// A text that names no file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a file of a bundle has up to 8 parts of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`, none of which starts with a dot"
)]
pub struct FileNameError;

/// A text that is no reference to a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a reference to a secret is `$secret://PROVIDER/PATH`, such as `$secret://env/API_KEY`")]
pub struct SecretUriError;

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_articles_plugin_set_is_read() {
        let spec: PluginSetSpec = serde_json::from_str(
            r#"{"plugins": [{"id": "identity.oidc"},
                {"id": "policy.cedar", "config": {"bundle": "oci://policies.acme.com/platform-team:1.0"}},
                {"id": "reliability.rate-limit", "enforce": false}]}"#,
        )
        .unwrap();
        assert_eq!(spec.plugins.iter().map(|entry| entry.enforce).collect::<Vec<_>>(), [true, true, false]);
        // What is as it would be anyway is not written.
        let json = serde_json::to_value(&spec).unwrap();
        assert_eq!(json["plugins"][0], serde_json::json!({ "id": "identity.oidc" }));
        assert!(json.get("require_signed").is_none());
        for wrong in [r#"{}"#, r#"{"plugins": [{"id": "A"}]}"#, r#"{"plugins": [], "x": 1}"#] {
            assert!(serde_json::from_str::<PluginSetSpec>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_of_files_stay_in_the_bundle() {
        for (text, fits) in [
            ("all.cedar", true),
            ("team/a.rego", true),
            ("", false),
            ("/etc/passwd", false),
            ("../a", false),
            ("a/../b", false),
            ("a//b", false),
            (".hidden", false),
            ("a/b/c/d/e/f/g/h", true),
            ("a/b/c/d/e/f/g/h/i", false),
        ] {
            assert_eq!(text.parse::<FileName>().is_ok(), fits, "{text}");
        }
    }

    #[test]
    fn secrets_are_referred_to_never_given() {
        for (text, fits) in [
            ("$secret://vault/kv/data/x#token", true),
            ("$secret://env/API_KEY", true),
            ("hunter2", false),
            ("$secret://", false),
            ("$secret://env/", false),
            ("$secret://env/a b", false),
        ] {
            assert_eq!(text.parse::<SecretUri>().is_ok(), fits, "{text}");
        }
    }
}
