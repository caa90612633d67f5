//! What the control plane and gateways sign, byte by byte, and what a revision's document holds.
//!
//! Every statement is a list of fields, each with its length before it (4 bytes, little-endian), the first of which says what it is: no statement
//! can be taken for another, and no field runs into the next. Signatures are Ed25519 (RFC 8032).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{EnvironmentPath, FileName, SignedRevision, SignedTerms, Slug, Timestamp};

const TERMS: &str = "mcpg.dev/v1/terms";
const REVISION: &str = "mcpg.dev/v1/revision";
const ENROLLMENT: &str = "mcpg.dev/v1/enrollment";

/// The header of every assertion, byte for byte, so that nothing in it is a choice: `{"alg":"EdDSA","typ":"mcpg-assertion+jwt"}`.
pub const ASSERTION_HEADER: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6Im1jcGctYXNzZXJ0aW9uK2p3dCJ9";
/// Seconds that an assertion lasts at most.
pub const ASSERTION_SECONDS_MAX: u64 = 60;

/// A revision's document: what a gateway serves in an environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScopeDocument {
    /// A gateway's file for this scope alone: `tenancy.scope`, `plugins`, `bindings` and what goes with them.
    pub scope: Map<String, Value>,
    /// The files beside it, such as those of `./policies/<name>`, by their path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<FileName, String>,
}

/// The claims of an assertion, by which a gateway says who it is in one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssertionClaims {
    /// The gateway's id.
    pub iss: String,
    /// The control plane's audience, as it said when the gateway enrolled.
    pub aud: String,
    /// When it was made, in seconds since 1970.
    pub iat: u64,
    /// When it ends, in seconds since 1970: at most [`ASSERTION_SECONDS_MAX`] later.
    pub exp: u64,
    /// Tells two assertions of one moment apart.
    pub jti: String,
    /// The request's method.
    pub htm: String,
    /// The request's path and query.
    pub htu: String,
}

impl SignedRevision {
    /// What its signature is over.
    pub fn statement(&self) -> Vec<u8> {
        revision_statement(&self.environment, self.number, &self.digest, self.created_at)
    }
}

impl SignedTerms {
    /// What its signature is over.
    pub fn statement(&self) -> Vec<u8> {
        terms_statement(&self.organization, self.version, &self.digest, self.created_at)
    }
}

/// The digest of a document: `blake3:` and 64 hexadecimal digits of BLAKE3 over its bytes.
pub fn document_digest(document: &str) -> String {
    format!("blake3:{}", blake3::hash(document.as_bytes()).to_hex())
}

/// The name of an Ed25519 public key: 32 hexadecimal digits, the first half of its BLAKE3.
///
/// An enrollment token is shown with the name of the control plane's key after a dot, `TOKEN.FINGERPRINT`: so enrolling is authenticated both
/// ways, whatever became of TLS. What the gateway sends is the token alone.
pub fn key_fingerprint(key: &[u8; 32]) -> String {
    let mut digits = blake3::hash(key).to_hex().to_string();
    digits.truncate(32);
    digits
}

/// What the signature of a revision is over.
pub fn revision_statement(
    environment: &EnvironmentPath,
    number: u64,
    digest: &str,
    created_at: Timestamp,
) -> Vec<u8> {
    statement(&[
        REVISION,
        environment.organization.as_str(),
        environment.workspace.as_str(),
        environment.environment.as_str(),
        &number.to_string(),
        digest,
        &created_at.to_string(),
    ])
}

/// What the signature of an organization's standing terms is over.
pub fn terms_statement(organization: &Slug, version: u64, digest: &str, created_at: Timestamp) -> Vec<u8> {
    statement(&[TERMS, organization.as_str(), &version.to_string(), digest, &created_at.to_string()])
}

/// What a gateway signs that enrols: the token, and the key that it is to be known by.
pub fn enrollment_statement(token: &str, public_key: &str) -> Vec<u8> {
    statement(&[ENROLLMENT, token, public_key])
}

fn statement(fields: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        // A field is a slug, a number or a token: far below 4 GiB.
        bytes.extend(u32::try_from(field.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(field.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(environment: &str, number: u64, digest: &str, at: i64) -> Vec<u8> {
        revision_statement(&environment.parse().unwrap(), number, digest, Timestamp::from_unix_ms(at))
    }

    fn terms(organization: &str, version: u64, digest: &str, at: i64) -> Vec<u8> {
        terms_statement(&organization.parse().unwrap(), version, digest, Timestamp::from_unix_ms(at))
    }

    #[test]
    fn every_field_counts() {
        let one = revision("acme/team/prod", 12, "blake3:00", 1);
        for other in [
            revision("acme/team/prod", 1, "2blake3:00", 1),
            revision("acme/team/dev", 12, "blake3:00", 1),
            revision("acm/eteam/prod", 12, "blake3:00", 1),
            revision("acme/team/prod", 12, "blake3:01", 1),
            revision("acme/team/prod", 12, "blake3:00", 2),
            enrollment_statement("acme", "team"),
            terms("acme", 12, "blake3:00", 1),
        ] {
            assert_ne!(one, other);
        }
        let one = terms("acme", 12, "blake3:00", 1);
        for other in [
            terms("acme2", 12, "blake3:00", 1),
            terms("acme", 1, "2blake3:00", 1),
            terms("acme", 12, "blake3:01", 1),
            terms("acme", 12, "blake3:00", 2),
        ] {
            assert_ne!(one, other);
        }
        assert_ne!(enrollment_statement("ab", "c"), enrollment_statement("a", "bc"));
    }

    #[test]
    fn the_statement_has_its_documented_bytes() {
        let expected = b"\x14\0\0\0mcpg.dev/v1/revision\x04\0\0\0acme\x04\0\0\0team\x04\0\0\0prod\x01\0\0\x007\x09\0\0\0blake3:00\x18\0\0\x001970-01-01T00:00:00.001Z";
        assert_eq!(revision("acme/team/prod", 7, "blake3:00", 1), expected);
    }
}
