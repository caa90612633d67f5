//! Idempotency keys: a request that is sent twice is done once.
//!
//! A request claims its key in a transaction of its own, does its work, and completes the key in the work's transaction. So
//! the work is in force exactly if the key is complete. A claim that is left behind by a crash can be taken over
//! after [`CLAIM_MS`]; whoever comes back late with the old claim cannot complete it, and its work is rolled back.

use super::sql::{Sql, values};
use super::{ClaimNonce, StoreError, UnixMillis, Write};

/// How long a request may take before another may take its key over. Longer than any handler may run.
pub const CLAIM_MS: i64 = 120_000;

/// How long keys are kept.
pub const KEEP_MS: i64 = 24 * 3_600_000;

const CLAIM: Sql = Sql::both(
    "INSERT INTO idempotency_keys (org_id, owner, key, request, claim, claimed_at) VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (org_id, owner, key) DO NOTHING",
);
const READ: Sql = Sql::each(
    "SELECT request, claim, claimed_at, status, body FROM idempotency_keys \
     WHERE org_id = $1 AND owner = $2 AND key = $3",
    "SELECT request, claim, claimed_at, status, body FROM idempotency_keys \
     WHERE org_id = $1 AND owner = $2 AND key = $3 FOR UPDATE",
);
const TAKE_OVER: Sql = Sql::both(
    "UPDATE idempotency_keys SET request = $4, claim = $5, claimed_at = $6, status = NULL, body = NULL \
     WHERE org_id = $1 AND owner = $2 AND key = $3",
);
const COMPLETE: Sql = Sql::both(
    "UPDATE idempotency_keys SET status = $5, body = $6 \
     WHERE org_id = $1 AND owner = $2 AND key = $3 AND claim = $4 AND status IS NULL",
);
const RELEASE: Sql = Sql::both(
    "DELETE FROM idempotency_keys WHERE org_id = $1 AND owner = $2 AND key = $3 AND claim = $4 AND status IS NULL",
);
const SWEEP: Sql = Sql::both("DELETE FROM idempotency_keys WHERE org_id = $1 AND claimed_at < $2");

/// A key that a request has for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimId {
    owner: String,
    key: String,
    nonce: ClaimNonce,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The key is the request's: do the work and complete it.
    New(ClaimId),
    /// The same request is under way.
    Running,
    /// The same request was answered with this.
    Done {
        /// The status.
        status: u16,
        /// The body.
        body: Vec<u8>,
    },
    /// The key was used for another request.
    Mismatch,
}

impl Write {
    /// Claims a key for a request. To be committed by itself.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn claim_key(&mut self, owner: &str, key: &str, request: &str) -> Result<Claim, StoreError> {
        let now = self.now;
        let nonce = ClaimNonce::new(&*self.inner.clock);
        let claim = ClaimId { owner: owner.to_owned(), key: key.to_owned(), nonce: nonce.clone() };
        if self.execute(CLAIM, values![owner, key, request, &nonce, now]).await? == 1 {
            return Ok(Claim::New(claim));
        }
        let row = self.one(READ, values![owner, key]).await?;
        let age = now - row.int("claimed_at")?;
        let status = row.int_opt("status")?;
        if age > KEEP_MS || (status.is_none() && age > CLAIM_MS) {
            self.execute(TAKE_OVER, values![owner, key, request, &nonce, now]).await?;
            return Ok(Claim::New(claim));
        }
        if row.text("request")? != request {
            return Ok(Claim::Mismatch);
        }
        let Some(status) = status else { return Ok(Claim::Running) };
        let status = u16::try_from(status).map_err(|_| StoreError::Corrupt { what: "status" })?;
        Ok(Claim::Done { status, body: row.bytes("body")? })
    }

    /// Completes a key, in the transaction that does the work.
    ///
    /// # Errors
    /// [`StoreError::Contention`] where the claim was taken over: the work must not be committed.
    pub async fn complete_key(
        &mut self,
        claim: &ClaimId,
        status: u16,
        body: &[u8],
    ) -> Result<(), StoreError> {
        let values = values![&claim.owner, &claim.key, &claim.nonce, i64::from(status), body];
        if self.execute(COMPLETE, values).await? == 1 { Ok(()) } else { Err(StoreError::Contention) }
    }

    /// Gives a key back whose work was not done.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn release_key(&mut self, claim: &ClaimId) -> Result<(), StoreError> {
        self.execute(RELEASE, values![&claim.owner, &claim.key, &claim.nonce]).await.map(|_| ())
    }

    /// Removes keys that were claimed before a time; how many.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn remove_old_keys(&mut self, before: UnixMillis) -> Result<u64, StoreError> {
        self.execute(SWEEP, values![before]).await
    }
}
