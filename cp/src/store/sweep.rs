//! Throwing away what has had its time: old idempotency keys, ended sessions, sign-ins that nobody ended.
//!
//! One replica does it at a time, under a lease; done twice, it does no harm. Audit rows go by their own rules
//! ([`super::Write::remove_audit_rows`]), which are the licence's.

use super::{Actor, KEEP_MS, Keeper, OrgId, Page, Store, StoreError};

/// What the lease is called.
const LEASE: &str = "sweep";

/// How long a session is still listed after its end.
const SESSIONS_KEPT_MS: i64 = 7 * 24 * 3_600_000;

/// How long a call is known whose outcome does not come.
const CALLS_KEPT_MS: i64 = 2 * 24 * 3_600_000;

/// How many organizations are read at once.
const ORGS_AT_ONCE: u32 = 200;

impl Store {
    /// Sweeps every organization, unless another replica does; how many rows went. `holder` names this replica. To be called every
    /// few minutes.
    ///
    /// # Errors
    /// When the database is not available. What was swept until then is.
    pub async fn sweep(&self, holder: &str) -> Result<Option<u64>, StoreError> {
        let platform = self.platform();
        let mut lease = Keeper::new(platform.clone(), LEASE, holder);
        let mut page = Page::first(ORGS_AT_ONCE);
        let mut removed = 0;
        if !lease.holds().await? {
            return Ok(None);
        }
        loop {
            let orgs = platform.orgs(&page).await?;
            for org in orgs.items {
                removed += self.sweep_org(org.id).await?;
                // Lost where this replica stood still for long: another one goes on.
                if !lease.holds().await? {
                    return Ok(Some(removed));
                }
            }
            match orgs.next {
                Some(next) => page.after = Some(next),
                None => return Ok(Some(removed)),
            }
        }
    }

    async fn sweep_org(&self, org: OrgId) -> Result<u64, StoreError> {
        let mut write = self.scope(org).begin(Actor::system("sweep")).await?;
        let now = write.now();
        let mut removed = write.remove_old_keys(now - KEEP_MS).await?;
        removed += write.remove_ended_sessions(now - SESSIONS_KEPT_MS).await?;
        removed += write.remove_ended_sign_ins().await?;
        removed += write.remove_waiting_calls(now - CALLS_KEPT_MS).await?;
        write.commit().await?;
        Ok(removed)
    }
}
