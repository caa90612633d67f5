//! Signed heads of the chain, and the removal of its beginning.
//!
//! INVARIANT: rows are removed only from the beginning, and only up to a row that a checkpoint speaks of. The checkpoint is the
//! first row that is left, so what remains begins with a signature over all that is gone. The chain's beginning moves first, in one transaction, and the rows
//! before it go in many: however many there are between two signatures, nobody waits long.

use ed25519_dalek::SigningKey;
use mcpg_ledger::{Checkpoint, CheckpointClaim, Hash, Head};
use serde_json::json;

use super::{NewRow, number};
use crate::store::sql::{Row, Sql, values};
use crate::store::{Listed, Page, Read, StoreError, UnixMillis, Write};

const CHAIN: Sql = Sql::both(
    "SELECT h.chain, h.seq, h.hash, h.last_checkpoint, h.checkpoint_seq, h.anchor_seq, h.anchor_hash, \
     h.anchor_checkpoint, o.slug FROM audit_heads h JOIN orgs o ON o.org_id = $1 WHERE h.org_id = $1",
);
const LIST: Sql = Sql::both(
    "SELECT seq, hash, row, created_at FROM audit_checkpoints WHERE org_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
);
const ADD: Sql = Sql::both(
    "INSERT INTO audit_checkpoints (org_id, seq, hash, row, created_at) VALUES ($1, $2, $3, $4, $5)",
);
const SIGNED: Sql =
    Sql::both("UPDATE audit_heads SET last_checkpoint = $2, checkpoint_seq = $3 WHERE org_id = $1");
const FARTHEST: Sql = Sql::both(
    "SELECT max(seq) AS seq FROM audit_checkpoints WHERE org_id = $1 AND seq > $2 AND created_at < $3",
);
const BEFORE: Sql =
    Sql::both("SELECT hash FROM audit_checkpoints WHERE org_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT 1");
const ROW: Sql = Sql::both("SELECT hash FROM audit_rows WHERE org_id = $1 AND seq = $2");
const OLDEST: Sql = Sql::both("SELECT min(seq) AS seq FROM audit_rows WHERE org_id = $1");
const REMOVE: Sql = Sql::both("DELETE FROM audit_rows WHERE org_id = $1 AND seq <= $2");
const ANCHOR: Sql = Sql::both(
    "UPDATE audit_heads SET anchor_seq = $2, anchor_hash = $3, anchor_checkpoint = $4 WHERE org_id = $1",
);

/// Where a chain begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditChain {
    /// The organization's slug, which is part of the chain's hashes.
    pub organization: String,
    /// The chain.
    pub chain: [u8; 16],
    /// Its last row.
    pub head: Head,
    /// The last row that a checkpoint speaks of; 0 before the first.
    pub signed_up_to: u64,
    /// The row before the first that is here; number 0 where nothing was removed.
    pub anchor: Head,
    /// The hash of the last checkpoint before the rows that are here; zeros if there is none.
    pub anchor_checkpoint: Hash,
}

/// A signed head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    /// The row that it speaks of.
    pub seq: i64,
    /// The hash by which the next one names it.
    pub hash: Hash,
    /// The bytes of its row, signature and all.
    pub row: Vec<u8>,
    /// When it was signed.
    pub created_at: UnixMillis,
}

impl AuditChain {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let number = |column| {
            u64::try_from(row.int(column)?).map_err(|_| StoreError::Corrupt { what: "a number of a row" })
        };
        Ok(Self {
            organization: row.text("slug")?,
            chain: row.array("chain")?,
            head: Head { seq: number("seq")?, hash: row.array("hash")? },
            signed_up_to: number("checkpoint_seq")?,
            anchor: Head { seq: number("anchor_seq")?, hash: row.array("anchor_hash")? },
            anchor_checkpoint: row.array("anchor_checkpoint")?,
        })
    }
}

impl Read {
    /// Where the organization's chain begins and ends.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the organization does not exist.
    pub async fn audit_chain(&mut self) -> Result<AuditChain, StoreError> {
        AuditChain::read(&self.one(CHAIN, values![]).await?)
    }

    /// The signed heads, the oldest first. They stay when rows are removed.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where the page's key is no number.
    pub async fn audit_checkpoints(&mut self, page: &Page) -> Result<Listed<SignedHead>, StoreError> {
        let after = page.after_number()?.unwrap_or(0);
        let rows = self.all(LIST, values![after, page.fetch()]).await?;
        let read = |row: &Row| {
            Ok::<_, StoreError>(SignedHead {
                seq: row.int("seq")?,
                hash: row.array("hash")?,
                row: row.bytes("row")?,
                created_at: row.int("created_at")?,
            })
        };
        let heads = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(page.listed(heads, |head| head.seq.to_string()))
    }
}

impl Write {
    /// Signs the head, as a row of the chain. None where nothing but a checkpoint has been added since the last one.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn sign_head(&mut self, key: &SigningKey) -> Result<Option<SignedHead>, StoreError> {
        // What is noted belongs before the signature.
        self.append_pending().await?;
        let organization = self.slug().await?;
        let mut locked = self.lock_head().await?;
        let signed_up_to = self.audit_chain().await?.signed_up_to;
        let is_signed = signed_up_to > 0 && locked.head.seq <= signed_up_to + 1;
        if locked.head.seq == 0 || is_signed {
            return Ok(None);
        }
        let now = self.now;
        let claim = CheckpointClaim {
            time: u64::try_from(now).unwrap_or_default().saturating_mul(1_000_000),
            organization: &organization,
            chain: locked.chain,
            head: locked.head,
            previous: locked.last_checkpoint,
        };
        let checkpoint = Checkpoint::sign(&claim, key);
        let (seq, hash) = (number(claim.head.seq)?, checkpoint.hash());
        let row = NewRow {
            time: now,
            kind: "checkpoint",
            workspace: None,
            environment: None,
            gateway: None,
            subject: None,
            target: None,
            verdict: None,
            row: checkpoint.as_bytes().to_vec(),
        };
        self.append(&mut locked, vec![row]).await?;
        self.execute(SIGNED, values![&hash, seq]).await?;
        self.execute(ADD, values![seq, &hash, checkpoint.as_bytes(), now]).await?;
        Ok(Some(SignedHead { seq, hash, row: checkpoint.as_bytes().to_vec(), created_at: now }))
    }

    /// Removes rows that are older than a time, from the beginning up to a signed row, so many at once. Returns how many went; 0 once there is nothing
    /// more to remove.
    ///
    /// The chain begins behind all of them at once: nobody is shown rows of which some are gone. What is left before its beginning goes first.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn remove_audit_rows(&mut self, before: UnixMillis, rows_max: u32) -> Result<u64, StoreError> {
        let chain = self.audit_chain().await?;
        // Nobody else has anything to do with them: the head need not be locked.
        let removed = self.remove_before(number(chain.anchor.seq)?, rows_max).await?;
        if removed > 0 {
            return Ok(removed);
        }
        // Nobody else removes, appends or signs meanwhile.
        self.lock_head().await?;
        let chain = self.audit_chain().await?;
        let anchor = number(chain.anchor.seq)?;
        let Some(seq) = self.one(FARTHEST, values![anchor, before]).await?.int_opt("seq")? else {
            return Ok(0);
        };
        let hash: Hash = self.one(ROW, values![seq]).await?.array("hash")?;
        let previous = self.optional(BEFORE, values![seq]).await?;
        let previous = previous.map_or(Ok([0; 32]), |row| row.array("hash"))?;
        self.execute(ANCHOR, values![seq, &hash, &previous]).await?;
        let target = format!("org/{}", chain.organization);
        self.note(
            "audit.remove",
            target,
            json!({ "up_to": seq, "older_than": before, "rows": seq - anchor }),
        );
        self.remove_before(seq, rows_max).await
    }

    /// Removes rows up to the one that the chain begins behind.
    async fn remove_before(&mut self, anchor: i64, rows_max: u32) -> Result<u64, StoreError> {
        let Some(oldest) = self.one(OLDEST, values![]).await?.int_opt("seq")? else { return Ok(0) };
        if oldest > anchor {
            return Ok(0);
        }
        let up_to = oldest.saturating_add(i64::from(rows_max)) - 1;
        let removed = self.execute(REMOVE, values![up_to.min(anchor)]).await?;
        self.remove_zones(up_to.min(anchor)).await?;
        Ok(removed)
    }
}
