//! Whether a revision, or terms, are what the control plane signed, and for this environment and its organization.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use mcpg_cp_api::{
    Enrolled, EnvironmentPath, HeldTerms, ScopeDocument, SignedRevision, SignedTerms, Slug, Terms,
    document_digest, key_fingerprint,
};

/// Why a revision is not taken.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// It is not signed by the control plane that the gateway enrolled with.
    #[error("its signature is not by the control plane's key")]
    Signature,
    /// The document is another than the signed one.
    #[error("its digest is not that of its document")]
    Digest,
    /// It is somebody else's.
    #[error("it is for `{0}`")]
    Environment(EnvironmentPath),
    /// The document has another form.
    #[error("its document cannot be read: {0}")]
    Document(serde_json::Error),
}

/// Why terms are not taken.
#[derive(Debug, thiserror::Error)]
pub enum TermsError {
    /// They are not signed by the control plane that the gateway enrolled with.
    #[error("their signature is not by the control plane's key")]
    Signature,
    /// The document is another than the signed one.
    #[error("their digest is not that of their document")]
    Digest,
    /// They are somebody else's.
    #[error("they are of the organization `{0}`")]
    Organization(Slug),
    /// The document has another form.
    #[error("their document cannot be read: {0}")]
    Document(serde_json::Error),
    /// There are newer ones.
    #[error(
        "they are version {} with revocation list {}, and version {} with revocation list {} is in force",
        sent.version, sent.revocation_list, has.version, has.revocation_list
    )]
    Older {
        /// Those in force.
        has: HeldTerms,
        /// Those that were sent.
        sent: HeldTerms,
    },
}

/// The key of a control plane.
#[derive(Debug, Clone)]
pub(super) struct ControlPlaneKey(VerifyingKey);

impl ControlPlaneKey {
    /// The key that a control plane presents. None if it is none, or not the expected one.
    pub(super) fn of(enrolled: &Enrolled, expected: Option<&str>) -> Option<Self> {
        let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(&enrolled.control_plane_key).ok()?.try_into().ok()?;
        let is_expected = expected.is_none_or(|expected| key_fingerprint(&bytes) == expected);
        VerifyingKey::from_bytes(&bytes).ok().filter(|key| is_expected && !key.is_weak()).map(Self)
    }

    /// Reads the document of a revision that this key has signed for an environment.
    pub(super) fn open(
        &self,
        revision: &SignedRevision,
        environment: &EnvironmentPath,
    ) -> Result<ScopeDocument, RevisionError> {
        self.holds(&revision.statement(), &revision.signature).ok_or(RevisionError::Signature)?;
        if revision.environment != *environment {
            return Err(RevisionError::Environment(revision.environment.clone()));
        }
        if document_digest(&revision.document) != revision.digest {
            return Err(RevisionError::Digest);
        }
        serde_json::from_str(&revision.document).map_err(RevisionError::Document)
    }

    /// Reads the terms of an organization that this key has signed.
    pub(super) fn open_terms(&self, signed: &SignedTerms, organization: &Slug) -> Result<Terms, TermsError> {
        self.holds(&signed.statement(), &signed.signature).ok_or(TermsError::Signature)?;
        if signed.organization != *organization {
            return Err(TermsError::Organization(signed.organization.clone()));
        }
        if document_digest(&signed.document) != signed.digest {
            return Err(TermsError::Digest);
        }
        serde_json::from_str(&signed.document).map_err(TermsError::Document)
    }

    /// Whether a signature, base64url, is this key's.
    fn holds(&self, statement: &[u8], signature: &str) -> Option<()> {
        let signature: [u8; 64] = URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
        self.0.verify_strict(statement, &Signature::from_bytes(&signature)).ok()
    }
}
