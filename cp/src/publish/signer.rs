//! The key that revisions and standing terms are signed with. Gateways know it from the token that they enrol with.

use std::fmt;
use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey};
use mcpg_cp_api::{
    EnvironmentPath, Slug, Timestamp, document_digest, key_fingerprint, revision_statement, terms_statement,
};

use crate::sign_in::key_file::{self, StateError};
use crate::store::{NewRevision, Numbered};

const KEY_FILE: &str = "revision-signing.key";

/// Signs revisions.
pub struct RevisionSigner {
    key: SigningKey,
    fingerprint: String,
}

/// What is said of a revision.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// What its publisher says.
    pub note: String,
    /// The number whose document it has, if it was published before.
    pub rollback_of: Option<i64>,
}

impl RevisionSigner {
    /// The key of the state folder; made of `random` where there is none. Replicas share the folder's files.
    ///
    /// # Errors
    /// When the file cannot be read or made, is no key, or others may read it.
    pub fn load(state: &Path, random: [u8; 32]) -> Result<Self, StateError> {
        key_file::secret(state, KEY_FILE, random).map(|seed| Self::from_seed(&seed))
    }

    /// A signer with a key of one's own.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let fingerprint = key_fingerprint(key.verifying_key().as_bytes());
        Self { key, fingerprint }
    }

    /// The public key.
    pub fn public_key(&self) -> [u8; 32] {
        *self.key.verifying_key().as_bytes()
    }

    /// Its name, as it stands in enrollment tokens.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Signs a document that gets a number.
    pub fn sign(
        &self,
        environment: &EnvironmentPath,
        document: &str,
        numbered: Numbered,
        about: About,
    ) -> NewRevision {
        let number = u64::try_from(numbered.number).unwrap_or_default();
        let at = Timestamp::from_unix_ms(numbered.created_at);
        let statement = revision_statement(environment, number, &document_digest(document), at);
        NewRevision {
            document: document.as_bytes().to_vec(),
            signature: self.key.sign(&statement).to_bytes().to_vec(),
            key_id: self.fingerprint.clone(),
            note: about.note,
            rollback_of: about.rollback_of,
        }
    }

    /// Signs an organization's terms that get a version.
    pub fn sign_terms(&self, organization: &Slug, document: &str, numbered: Numbered) -> Vec<u8> {
        let version = u64::try_from(numbered.number).unwrap_or_default();
        let at = Timestamp::from_unix_ms(numbered.created_at);
        let statement = terms_statement(organization, version, &document_digest(document), at);
        self.key.sign(&statement).to_bytes().to_vec()
    }
}

impl fmt::Debug for RevisionSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevisionSigner").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}
