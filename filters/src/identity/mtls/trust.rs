//! Whom `identity.mtls` trusts, what is revoked, and what was verified by the two: read and replaced together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use mcpg_sdk::Caller;

use crate::identity::certificate::cache::VerifiedCache;
use crate::identity::certificate::watched::Part;
use crate::identity::certificate::{Anchors, PeerCertificate, Revocations, Validity, pem};

/// A caller by a certificate that was verified.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) caller: Arc<Caller>,
    pub(super) credential: Option<Arc<str>>,
}

/// Issuers, revocations, and what was verified by them.
#[derive(Debug)]
pub(super) struct Trust {
    issuers: Option<Anchors>,
    pub(super) revocations: Revocations,
    pub(super) known: VerifiedCache<Known>,
}

impl Trust {
    /// Reads the files: the operator's list of what is denied, and PEM with issuers and their revocation lists.
    pub(super) fn read(parts: &[Part], denied: Option<&PathBuf>) -> Result<Self, String> {
        let mut revocations = Revocations::default();
        let mut issuers = Vec::new();
        let mut is_ca = false;
        for part in parts {
            let at = |error: String| format!("`{}`: {error}", part.path.display());
            if Some(&part.path) == denied {
                revocations.add_denied(part.text()?).map_err(|error| at(error.to_string()))?;
                continue;
            }
            is_ca = true;
            for block in pem::blocks(part.text()?).map_err(|error| at(error.to_string()))? {
                match block.label {
                    pem::CERTIFICATE => issuers.push(block.contents),
                    pem::CRL => {
                        revocations.add_list(block.contents).map_err(|error| at(error.to_string()))?;
                    }
                    other => return Err(at(format!("a bundle of issuers holds no `{other}`"))),
                }
            }
        }
        let issuers = is_ca.then(|| Anchors::new(issuers.iter().map(Vec::as_slice)));
        let issuers =
            issuers.transpose().map_err(|error| format!("the bundle of issuers is unusable: {error}"))?;
        Ok(Self { issuers, revocations, known: VerifiedCache::default() })
    }

    /// Whether certificates can be verified at all.
    pub(super) fn has_issuers(&self) -> bool {
        self.issuers.is_some()
    }

    /// Verifies a chain; on success, from when to when it holds.
    pub(super) fn verify(
        &self,
        certificate: &PeerCertificate,
        now: SystemTime,
    ) -> Result<Validity, &'static str> {
        let issuers = self.issuers.as_ref().ok_or("forwarded_unverified")?;
        let verified = issuers.verify(certificate, now).map_err(|error| error.code())?;
        let until = self.revocations.check(&verified, now)?;
        Ok(verified.validity.with_end(until))
    }

    /// Keeps what was verified.
    pub(super) fn keep(&self, key: [u8; 32], validity: Validity, known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        self.known.insert(key, validity, Arc::clone(&known));
        known
    }
}
