//! Whether a revision is what the control plane signed, for this environment, and newer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use mcpg_cp_api::{
    Enrolled, EnvironmentPath, ScopeDocument, SignedRevision, document_digest, key_fingerprint,
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
        let signature: Option<[u8; 64]> =
            URL_SAFE_NO_PAD.decode(&revision.signature).ok().and_then(|bytes| bytes.try_into().ok());
        let signature = Signature::from_bytes(&signature.ok_or(RevisionError::Signature)?);
        self.0.verify_strict(&revision.statement(), &signature).map_err(|_| RevisionError::Signature)?;
        if revision.environment != *environment {
            return Err(RevisionError::Environment(revision.environment.clone()));
        }
        if document_digest(&revision.document) != revision.digest {
            return Err(RevisionError::Digest);
        }
        serde_json::from_str(&revision.document).map_err(RevisionError::Document)
    }
}
