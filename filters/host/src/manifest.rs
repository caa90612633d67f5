//! A plugin's manifest: JSON, as its author wrote it.
//!
//! An unknown key is an error: a gateway that ignored one could ignore a restriction that the author relied on.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use mcpg_sdk::Capability;
use serde::Deserialize;

use crate::{Digest, DigestError, Mismatch};

/// No manifest needs more; a larger one is an attack or a mistake.
const MANIFEST_BYTES_MAX: usize = 64 * 1024;

/// What a plugin says it is and needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The plugin's id, by which the configuration names it.
    pub id: PluginId,
    /// The plugin's own version, for people.
    pub version: Option<String>,
    /// The stage it takes part in.
    pub kind: Option<Kind>,
    /// The bytes that the manifest speaks for.
    pub artifact: Option<Artifact>,
    /// Host capabilities without which it does not run.
    pub required_capabilities: BTreeSet<Capability>,
}

/// The bytes that a manifest speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Artifact {
    /// Their digest.
    pub digest: Digest,
    /// Their number.
    pub size_bytes: u64,
}

/// A stage of the pipeline that plugins take part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of the stages")]
pub enum Kind {
    Identity,
    Policy,
    Gate,
    Transform,
    Reliability,
    Observability,
    Secret,
}

/// A plugin's id: 1 to 128 of `a-z`, `0-9`, `.`, `-` and `_`, such as `redact-emails`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginId(String);

impl Manifest {
    /// Parses a manifest.
    ///
    /// # Errors
    /// When it is too large, no JSON of this shape, or names something that does not exist.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        if json.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge { bytes: json.len() });
        }
        let wire: Wire = serde_json::from_slice(json)?;
        let mut required_capabilities = BTreeSet::new();
        for name in &wire.required_capabilities {
            let capability = name.parse().map_err(|message| ManifestError::Capability { message })?;
            if !required_capabilities.insert(capability) {
                return Err(ManifestError::Twice { capability });
            }
        }
        let artifact = match wire.artifact {
            Some(artifact) => {
                Some(Artifact { digest: artifact.digest.parse()?, size_bytes: artifact.size_bytes })
            }
            None => None,
        };
        Ok(Self {
            id: wire.id.parse()?,
            version: wire.version,
            kind: wire.kind,
            artifact,
            required_capabilities,
        })
    }
}

impl Artifact {
    /// Checks bytes against the manifest.
    ///
    /// # Errors
    /// When they are other bytes.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), ArtifactError> {
        let size_bytes = bytes.len() as u64;
        if size_bytes != self.size_bytes {
            return Err(ArtifactError::Size { expected: self.size_bytes, actual: size_bytes });
        }
        Ok(self.digest.verify(bytes)?)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "identity",
            Self::Policy => "policy",
            Self::Gate => "gate",
            Self::Transform => "transform",
            Self::Reliability => "reliability",
            Self::Observability => "observability",
            Self::Secret => "secret",
        })
    }
}

impl PluginId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PluginId {
    type Err = PluginIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
        };
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PluginIdError { text: text.to_owned() })
        }
    }
}

impl fmt::Display for PluginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// More bytes than any manifest needs.
    #[error("the manifest has {bytes} bytes: {MANIFEST_BYTES_MAX} is the most")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// No JSON, or of another shape.
    #[error("the manifest does not parse")]
    Json(#[from] serde_json::Error),
    /// The id is none.
    #[error(transparent)]
    Id(#[from] PluginIdError),
    /// A capability that no host has.
    #[error("{message}")]
    Capability {
        /// Which.
        message: String,
    },
    /// A capability is listed twice.
    #[error("`{capability}` is required twice")]
    Twice {
        /// Which.
        capability: Capability,
    },
    /// The artifact's digest is none.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// Why bytes are not the artifact that a manifest speaks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// Too few or too many.
    #[error("the artifact has {actual} bytes, but the manifest says {expected}")]
    Size {
        /// What the manifest says.
        expected: u64,
        /// What is there.
        actual: u64,
    },
    /// As many, but others.
    #[error(transparent)]
    Digest(#[from] Mismatch),
}

/// Why a text is no plugin id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a plugin id: use 1 to 128 of `a-z`, `0-9`, `.`, `-` and `_`")]
pub struct PluginIdError {
    /// The text as given.
    pub text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    id: String,
    version: Option<String>,
    kind: Option<Kind>,
    artifact: Option<WireArtifact>,
    #[serde(default)]
    required_capabilities: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireArtifact {
    digest: String,
    size_bytes: u64,
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    /// The manifest of the security article.
    const REDACT_EMAILS: &str = r#"{
        "id": "redact-emails",
        "required_capabilities": ["cap.host.outbound_http", "cap.host.metrics_emit"]
    }"#;

    #[test]
    fn the_articles_manifest_parses_as_written() {
        let manifest = Manifest::parse(REDACT_EMAILS.as_bytes()).unwrap();
        assert_eq!(manifest.id.as_str(), "redact-emails");
        assert_eq!(
            manifest.required_capabilities,
            BTreeSet::from([Capability::OutboundHttp, Capability::MetricsEmit])
        );
        assert_eq!((manifest.version, manifest.kind, manifest.artifact), (None, None, None));
    }

    #[test]
    fn a_full_manifest_speaks_for_its_artifact() {
        let json = format!(
            r#"{{"id": "a", "version": "1.2.0", "kind": "transform", "artifact": {{"digest": "{}", "size_bytes": 3}}}}"#,
            Digest::of(b"abc")
        );
        let manifest = Manifest::parse(json.as_bytes()).unwrap();
        assert_eq!(manifest.kind, Some(Kind::Transform));
        let artifact = manifest.artifact.unwrap();
        assert_eq!(artifact.verify(b"abc"), Ok(()));
        assert_eq!(artifact.verify(b"abcd"), Err(ArtifactError::Size { expected: 3, actual: 4 }));
        assert!(matches!(artifact.verify(b"abd"), Err(ArtifactError::Digest(_))));
    }

    #[test]
    fn a_manifest_that_is_not_understood_is_refused() {
        let check = |json: &str, words: &str| {
            let error = Manifest::parse(json.as_bytes()).unwrap_err();
            let message = format!("{error} {}", error.source().map(ToString::to_string).unwrap_or_default());
            assert!(message.contains(words), "{json}: {message}");
        };
        check("", "EOF");
        check("[]", "expected struct");
        check("{}", "missing field `id`");
        check(r#"{"id": "a", "id": "b"}"#, "duplicate field `id`");
        check(r#"{"id": "a", "sandbox": "strict"}"#, "unknown field `sandbox`");
        check(r#"{"id": "a"} x"#, "trailing characters");
        check(r#"{"id": "../a"}"#, "`../a` is not a plugin id");
        check(r#"{"id": ""}"#, "is not a plugin id");
        check(r#"{"id": "a", "kind": "magic"}"#, "unknown variant `magic`");
        check(
            r#"{"id": "a", "required_capabilities": ["cap.host.root"]}"#,
            "`cap.host.root` is not a host capability",
        );
        check(
            r#"{"id": "a", "required_capabilities": ["cap.host.environment", "cap.host.environment"]}"#,
            "`cap.host.environment` is required twice",
        );
        check(
            r#"{"id": "a", "artifact": {"digest": "md5:00", "size_bytes": 1}}"#,
            "`md5:00` is not a digest",
        );
        check(r#"{"id": "a", "artifact": {"digest": "md5:00"}}"#, "missing field `size_bytes`");
        check(&" ".repeat(MANIFEST_BYTES_MAX + 1), "65537 bytes");
    }
}
