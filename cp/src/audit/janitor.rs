//! What is done to the audit chains in time: heads are signed, and what has had its time is removed behind a signed row.
//!
//! One replica does it, under a lease; done twice, it does no harm. INVARIANT: rows are removed only as the licence that is installed says. Where one is
//! installed that does not hold, nobody knows how long it would have had them kept, and nothing is removed.

use std::time::Duration;

use super::AuditSigner;
use crate::license::InForce;
use crate::store::{Actor, OrgId, Page, Store, StoreError, UnixMillis};
use mcpg_license::LicenseKeys;

const LEASE: &str = "audit";
/// How often what has had its time is looked for.
const REMOVE_EVERY_MS: i64 = 3_600_000;
const ORGS_AT_ONCE: u32 = 200;
/// Rows that are removed in one transaction.
const ROWS_AT_ONCE: u32 = 10_000;
/// Short, so that another replica, or this one after a crash, goes on soon: it is renewed while there is work, and two at once do no harm.
const LEASE_MS: i64 = 15_000;

/// Keeps the chains of all organizations.
#[derive(Debug)]
pub struct Janitor<'a> {
    /// The rows.
    pub store: Store,
    /// Signs heads.
    pub signer: &'a AuditSigner,
    /// The keys whose licences are believed.
    pub license_keys: &'a LicenseKeys,
    /// What this replica is called.
    pub holder: String,
}

/// What was done in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    /// Heads that were signed.
    pub signed: u64,
    /// Audit rows that were removed.
    pub rows: u64,
    /// Lines of usage that were removed.
    pub usage: u64,
}

impl Janitor<'_> {
    /// Does what is due, for as long as it is polled.
    pub async fn run(&self, sign_every: Duration) {
        let mut removed_at = self.store.now();
        loop {
            tokio::time::sleep(sign_every).await;
            let now = self.store.now();
            let removes = now - removed_at >= REMOVE_EVERY_MS;
            match self.round(removes).await {
                Ok(done) => tracing::debug!(?done, "the audit chains were looked after"),
                Err(error) => tracing::warn!(%error, "the audit chains were not looked after"),
            }
            if removes {
                removed_at = now;
            }
        }
    }

    /// Looks after every organization once, unless another replica does: none then.
    ///
    /// # Errors
    /// When the database is not available. What was done until then is.
    pub async fn round(&self, removes: bool) -> Result<Option<Done>, StoreError> {
        let mut page = Page::first(ORGS_AT_ONCE);
        let mut done = Done::default();
        loop {
            if !self.holds_lease().await? {
                return Ok(None);
            }
            let orgs = self.store.platform().orgs(&page).await?;
            for org in orgs.items {
                done.signed += u64::from(self.sign(&org.id).await?);
                if removes {
                    let now = self.store.now();
                    let in_force =
                        InForce::of(org.licence.as_deref(), org.slug.as_str(), self.license_keys, now);
                    if let Some(refused) = in_force.refused {
                        tracing::warn!(organization = %org.slug, %refused, "its licence does not hold, so none of its audit rows are removed");
                        continue;
                    }
                    let kept_ms = in_force.tier.audit_retention().as_millis();
                    let before = now - i64::try_from(kept_ms).unwrap_or(i64::MAX);
                    self.remove(&org.id, before, &mut done).await?;
                }
            }
            match orgs.next {
                Some(next) => page.after = Some(next),
                None => return Ok(Some(done)),
            }
        }
    }

    async fn holds_lease(&self) -> Result<bool, StoreError> {
        let lease = self.store.platform().acquire_lease(LEASE, &self.holder, LEASE_MS).await?;
        Ok(lease.is_some())
    }

    /// Signs the head, if there are rows behind the last signature.
    async fn sign(&self, org: &OrgId) -> Result<bool, StoreError> {
        let scope = self.store.scope(org.clone());
        let chain = scope.read().await?.audit_chain().await?;
        // The row behind a signed one is the signature.
        if chain.head.seq <= chain.signed_up_to + 1 && chain.signed_up_to > 0 {
            return Ok(false);
        }
        let mut write = scope.begin(Actor::system("audit")).await?;
        let signed = write.sign_head(self.signer.key()).await?.is_some();
        write.commit().await?;
        Ok(signed)
    }

    async fn remove(&self, org: &OrgId, before: UnixMillis, done: &mut Done) -> Result<(), StoreError> {
        let scope = self.store.scope(org.clone());
        loop {
            let mut write = scope.begin(Actor::system("audit")).await?;
            let removed = write.remove_audit_rows(before, ROWS_AT_ONCE).await?;
            if removed == 0 {
                break;
            }
            write.commit().await?;
            done.rows += removed;
            // Many rows may take longer than a lease.
            if !self.holds_lease().await? {
                return Ok(());
            }
        }
        let mut write = scope.begin(Actor::system("audit")).await?;
        done.usage += write.remove_usage(before).await?;
        write.commit().await
    }
}
