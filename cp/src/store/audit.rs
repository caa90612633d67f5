//! The audit chain of each organization, one for all replicas.
//!
//! INVARIANT: a row is appended only by who holds the lock on the chain's head (`FOR UPDATE`, or SQLite's one writer), in the
//! transaction whose work it is about. So there are no forks and no holes, and no change without its row.

mod checkpoints;
mod export;
mod forward;
mod operator;
mod query;
mod zones;

pub use checkpoints::{AuditChain, SignedHead};
pub use export::{ChainRow, ExportRange};
pub use forward::{Entry, Forward, Forwarded, Missing};
pub(super) use operator::Pending;
#[cfg(test)]
pub(super) use query::Bounds;
pub use query::{AuditQuery, AuditRow};

use mcpg_ledger::{Hash, Head};

use self::zones::Noted;
use super::sql::{Rows, Sql, Value, rows, values};
use super::{Read, StoreError, UnixMillis, Write};

const LOCK_HEAD: Sql = Sql::each(
    "SELECT chain, seq, hash, last_checkpoint FROM audit_heads WHERE org_id = $1",
    "SELECT chain, seq, hash, last_checkpoint FROM audit_heads WHERE org_id = $1 FOR UPDATE",
);
const MOVE_HEAD: Sql = Sql::both("UPDATE audit_heads SET seq = $2, hash = $3 WHERE org_id = $1");
const NEW_HEAD: Sql = Sql::both(
    "INSERT INTO audit_heads (org_id, chain, seq, hash, last_checkpoint, checkpoint_seq, anchor_seq, anchor_hash, \
     anchor_checkpoint) VALUES ($1, $2, 0, $3, $4, 0, 0, $3, $4)",
);
const APPEND: Rows = Rows::new(
    rows!(
        "INSERT INTO audit_rows (org_id, seq, hash, time, kind, workspace, environment, gateway_id, subject, target, \
         verdict, row) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    ),
    "INSERT INTO audit_rows (org_id, seq, hash, time, kind, workspace, environment, gateway_id, subject, target, \
     verdict, row) SELECT $1, u.* FROM UNNEST($2::bigint[], $3::bytea[], $4::bigint[], $5::text[], $6::text[], \
     $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bytea[]) AS u",
);

/// A row to be appended: what is hashed, and what it is found by.
#[derive(Debug, Clone)]
pub(super) struct NewRow {
    pub(super) time: UnixMillis,
    pub(super) kind: &'static str,
    pub(super) workspace: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) gateway: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) target: Option<String>,
    pub(super) verdict: Option<String>,
    pub(super) row: Vec<u8>,
}

/// A chain whose head is locked until the transaction ends.
pub(super) struct LockedHead {
    pub(super) chain: [u8; 16],
    pub(super) head: Head,
    pub(super) last_checkpoint: Hash,
}

impl Read {
    pub(super) async fn slug(&mut self) -> Result<String, StoreError> {
        const SLUG: Sql = Sql::both("SELECT slug FROM orgs WHERE org_id = $1");
        self.one(SLUG, values![]).await?.text("slug")
    }
}

impl Write {
    /// Begins the organization's chain.
    pub(super) async fn begin_chain(&mut self, slug: &str) -> Result<(), StoreError> {
        let chain = self.inner.clock.random();
        let head = Head::genesis(slug, &chain);
        self.execute(NEW_HEAD, values![&chain, &head.hash, &[0_u8; 32]]).await.map(|_| ())
    }

    /// Waits for the head of the chain and keeps it.
    pub(super) async fn lock_head(&mut self) -> Result<LockedHead, StoreError> {
        let row = self.one(LOCK_HEAD, values![]).await?;
        let seq = u64::try_from(row.int("seq")?).map_err(|_| StoreError::Corrupt { what: "seq" })?;
        Ok(LockedHead {
            chain: row.array("chain")?,
            head: Head { seq, hash: row.array("hash")? },
            last_checkpoint: row.array("last_checkpoint")?,
        })
    }

    /// Appends rows behind a locked head and moves it.
    pub(super) async fn append(
        &mut self,
        locked: &mut LockedHead,
        rows: Vec<NewRow>,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut placed = Vec::with_capacity(rows.len());
        let mut noted = Noted::default();
        for row in rows {
            locked.head = locked.head.after(&row.row);
            noted.add(locked.head.seq, &row)?;
            placed.push(row_values(locked.head, row)?);
        }
        let changed = self.execute_rows(&APPEND, placed).await?;
        self.note_zones(noted).await?;
        let moved = self.execute(MOVE_HEAD, values![number(locked.head.seq)?, &locked.head.hash]).await?;
        if changed == 0 || moved != 1 {
            return Err(StoreError::NotFound);
        }
        Ok(())
    }
}

fn row_values(head: Head, row: NewRow) -> Result<Vec<Value>, StoreError> {
    Ok(values![
        number(head.seq)?,
        &head.hash,
        row.time,
        row.kind,
        row.workspace,
        row.environment,
        row.gateway,
        row.subject,
        row.target,
        row.verdict,
        row.row,
    ])
}

pub(super) fn number(seq: u64) -> Result<i64, StoreError> {
    i64::try_from(seq).map_err(|_| StoreError::Invalid { what: "a number over 2^63" })
}
