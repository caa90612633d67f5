//! The standing terms of an organization: what they are now, signed once for all who ask.
//!
//! What they say is a function of the newest revocation list, the installed licence and the time. Whoever finds that it is not what was signed
//! last signs the next version; so a control plane that dies after a change was committed, and before anybody was told, loses nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcpg_cp_api::{
    LicenseTerms, RevocationListSpec, RevokedArtifacts, SignedTerms, Slug, Terms, Timestamp, document_digest,
};
use mcpg_license::LicenseKeys;

use super::signer::RevisionSigner;
use crate::canonical;
use crate::license::InForce;
use crate::store::{Actor, Read, Scoped, StandingTerms, StoreError, UnixMillis};

/// How often somebody else may put terms at the same time before it is given up.
const TRIES: usize = 3;

/// Terms as they are now.
#[derive(Debug, Clone)]
pub struct CurrentTerms {
    /// As gateways get them.
    pub signed: SignedTerms,
    /// When they end by themselves: the licence's end.
    pub until: Option<UnixMillis>,
}

/// What an organization's terms are now. Signs and stores them where they are others than before.
///
/// # Errors
/// When the store cannot be read, or written where it must be.
pub async fn current_terms(
    scope: &Scoped,
    signer: &RevisionSigner,
    license_keys: &LicenseKeys,
) -> Result<CurrentTerms, StoreError> {
    let mut tries = 1;
    loop {
        match try_current(scope, signer, license_keys).await {
            Err(StoreError::Contention) if tries < TRIES => tries += 1,
            outcome => return outcome,
        }
    }
}

async fn try_current(
    scope: &Scoped,
    signer: &RevisionSigner,
    license_keys: &LicenseKeys,
) -> Result<CurrentTerms, StoreError> {
    let now = scope.now();
    let mut read = scope.read().await?;
    let found = Said::read(&mut read, license_keys, now).await?;
    let stored = read.standing_terms().await?;
    // SQLite has one writer.
    drop(read);
    if let Some(stored) = stored.filter(|terms| terms.is(found.document.as_bytes(), signer.fingerprint())) {
        return found.signed(&stored);
    }
    let mut write = scope.begin(Actor::system("terms")).await?;
    // Read again: what is signed is what the same moment says.
    let found = Said::read(&mut write, license_keys, now).await?;
    let sign = |numbered| signer.sign_terms(&found.organization, &found.document, numbered);
    let stored = write.put_standing_terms(found.document.as_bytes(), signer.fingerprint(), sign).await?;
    write.commit().await?;
    tracing::info!(organization = %found.organization, version = stored.version, "terms signed");
    found.signed(&stored)
}

/// What the terms are to say.
struct Said {
    organization: Slug,
    document: String,
    until: Option<UnixMillis>,
}

impl Said {
    async fn read(read: &mut Read, license_keys: &LicenseKeys, now: UnixMillis) -> Result<Self, StoreError> {
        let corrupt = |_| StoreError::Corrupt { what: "revocation list" };
        let org = read.org().await?;
        let revocation_list = match read.revocation_list().await? {
            None => RevokedArtifacts::default(),
            Some(list) => {
                let spec: RevocationListSpec = serde_json::from_slice(&list.bytes).map_err(corrupt)?;
                let version =
                    u64::try_from(list.version).map_err(|_| StoreError::Corrupt { what: "version" })?;
                RevokedArtifacts { version, artifacts: spec.artifacts }
            }
        };
        let in_force = InForce::of(org.licence.as_deref(), org.slug.as_str(), license_keys, now);
        let license = license_terms(&in_force);
        let until = license.expires_at.map(|at| at.unix_ms());
        let document = canonical::bytes(&Terms { revocation_list, license }).map_err(corrupt)?;
        let document = String::from_utf8(document).map_err(|_| StoreError::Corrupt { what: "terms" })?;
        Ok(Self { organization: org.slug, document, until })
    }

    fn signed(self, stored: &StandingTerms) -> Result<CurrentTerms, StoreError> {
        let version = u64::try_from(stored.version).map_err(|_| StoreError::Corrupt { what: "version" })?;
        let signed = SignedTerms {
            organization: self.organization,
            version,
            digest: document_digest(&self.document),
            created_at: Timestamp::from_unix_ms(stored.created_at),
            document: self.document,
            signature: URL_SAFE_NO_PAD.encode(&stored.signature),
        };
        Ok(CurrentTerms { signed, until: self.until })
    }
}

fn license_terms(in_force: &InForce) -> LicenseTerms {
    let held = in_force.license.as_ref();
    let expires_at = held.and_then(|held| i64::try_from(held.expires_at).ok());
    LicenseTerms {
        tier: in_force.tier_shown(),
        entitlements: held
            .map(|held| held.globs.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
        quotas: in_force.quotas(),
        expires_at: expires_at.map(|seconds| Timestamp::from_unix_ms(seconds.saturating_mul(1000))),
    }
}
