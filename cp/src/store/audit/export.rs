//! The chain to be handed out: from one signed row to another, row by row as it is kept.

use mcpg_ledger::{Checkpoint, Hash, Head};

use super::number;
use crate::store::sql::{Row, Sql, values};
use crate::store::{Read, StoreError, UnixMillis};

const FIRST: Sql = Sql::both(
    "SELECT max(seq) AS seq FROM audit_checkpoints WHERE org_id = $1 AND created_at <= $2 AND seq > $3",
);
const LAST: Sql = Sql::both(
    "SELECT min(seq) AS seq FROM audit_checkpoints WHERE org_id = $1 AND created_at >= $2 AND seq > $3",
);
const BEFORE: Sql =
    Sql::both("SELECT hash FROM audit_checkpoints WHERE org_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT 1");
const HASH: Sql = Sql::both("SELECT hash FROM audit_rows WHERE org_id = $1 AND seq = $2");
const ROWS: Sql = Sql::both(
    "SELECT seq, hash, kind, row FROM audit_rows WHERE org_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4",
);

/// A part of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportRange {
    /// The organization's slug.
    pub organization: String,
    /// The chain.
    pub chain: [u8; 16],
    /// The row before the first.
    pub previous: Head,
    /// The hash of the last checkpoint before the first; zeros if there is none.
    pub previous_checkpoint: Hash,
    /// The last row.
    pub up_to: u64,
}

/// A row as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRow {
    /// Its number and the hash that is kept with it.
    pub head: Head,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The hash that the next checkpoint names it by, where it is one.
    pub checkpoint: Option<Hash>,
}

impl Read {
    /// The part of the chain that was added in a time: from the last row that was signed before it, to the first signature after it. All that is
    /// there, where no time is given.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the organization does not exist.
    pub async fn export_range(
        &mut self,
        from: Option<UnixMillis>,
        until: Option<UnixMillis>,
    ) -> Result<ExportRange, StoreError> {
        let chain = self.audit_chain().await?;
        let mut range = ExportRange {
            organization: chain.organization,
            chain: chain.chain,
            previous: chain.anchor,
            previous_checkpoint: chain.anchor_checkpoint,
            up_to: chain.head.seq,
        };
        let anchor = number(chain.anchor.seq)?;
        if let Some(from) = from
            && let Some(seq) = self.one(FIRST, values![from, anchor]).await?.int_opt("seq")?
        {
            range.previous = Head {
                seq: u64::try_from(seq).map_err(|_| StoreError::Corrupt { what: "seq" })?,
                hash: self.one(HASH, values![seq]).await?.array("hash")?,
            };
            let before = self.optional(BEFORE, values![seq]).await?;
            range.previous_checkpoint = before.map_or(Ok([0; 32]), |row| row.array("hash"))?;
        }
        if let Some(until) = until {
            let behind = number(range.previous.seq)?;
            if let Some(seq) = self.one(LAST, values![until, behind]).await?.int_opt("seq")? {
                // With the signature itself, which is the row behind.
                let seq = u64::try_from(seq).map_err(|_| StoreError::Corrupt { what: "seq" })?;
                range.up_to = range.up_to.min(seq + 1);
            }
        }
        Ok(range)
    }

    /// Rows of the chain behind one and up to another, as they are kept.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn chain_rows(
        &mut self,
        behind: u64,
        up_to: u64,
        limit: u32,
    ) -> Result<Vec<ChainRow>, StoreError> {
        // There are no holes: so many numbers are so many rows.
        let up_to = up_to.min(behind.saturating_add(u64::from(limit)));
        let values = values![number(behind)?, number(up_to)?, i64::from(limit)];
        self.all(ROWS, values).await?.iter().map(ChainRow::read).collect()
    }
}

impl ChainRow {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let seq = u64::try_from(row.int("seq")?).map_err(|_| StoreError::Corrupt { what: "seq" })?;
        let bytes = row.bytes("row")?;
        // One that a gateway has signed is of its own chain.
        let is_checkpoint = row.text("kind")? == "checkpoint";
        let checkpoint = is_checkpoint.then(|| Checkpoint::hash_of(&bytes)).flatten();
        Ok(Self { head: Head { seq, hash: row.array("hash")? }, bytes, checkpoint })
    }
}
