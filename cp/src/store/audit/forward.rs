//! Taking over the rows of gateways' logs into the chain of their organization.
//!
//! A gateway sends stretches of its log, and again whatever it has heard no answer for. INVARIANT: every row of a log is taken over
//! once: how far it has come is in `audit_sources`, whose row is locked first, and moves in the transaction that appends. A stretch that
//! overlaps what is there must be the same where it meets it. The gateway is who it proved to be, and its rows are its organization's.

use std::borrow::Cow;

use mcpg_ledger::verify::{Row as LedgerRow, RowBody};
use mcpg_ledger::{ChainId, ForwardedRef, Hash, Head, ROW_BYTES_MAX, RowRef};

use super::{NewRow, number};
use crate::store::ids::hex;
use crate::store::sql::{Sql, values};
use crate::store::{GatewayId, StoreError, Write};

const LOCK: Sql = Sql::each(
    "SELECT seq, hash FROM audit_sources WHERE org_id = $1 AND gateway_id = $2 AND log = $3",
    "SELECT seq, hash FROM audit_sources WHERE org_id = $1 AND gateway_id = $2 AND log = $3 FOR UPDATE",
);
const CREATE: Sql = Sql::both(
    "INSERT INTO audit_sources (org_id, gateway_id, log, seq, hash, updated_at) VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (org_id, gateway_id, log) DO NOTHING",
);
const MOVE: Sql = Sql::both(
    "UPDATE audit_sources SET seq = $4, hash = $5, updated_at = $6 \
     WHERE org_id = $1 AND gateway_id = $2 AND log = $3",
);

/// A stretch of a gateway's log: rows with numbers that follow each other.
#[derive(Debug, Clone, Copy)]
pub struct Forward<'a> {
    /// The chain of the log.
    pub log: ChainId,
    /// The number of the row before the first, and its hash.
    pub previous: Head,
    /// The rows' bytes.
    pub rows: &'a [Cow<'a, [u8]>],
    /// The hash of the last row, as the gateway has it.
    pub last: Hash,
    /// Rows before these are lost to the gateway: go on behind the hole.
    pub after_hole: bool,
}

/// What became of a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwarded {
    /// The log is here up to this row: the gateway need not keep what is before.
    pub up_to: u64,
    /// How many rows of the stretch were not here yet.
    pub added: usize,
}

impl Write {
    /// Appends the rows of a stretch that are not here yet.
    ///
    /// # Errors
    /// [`StoreError::OutOfOrder`] where rows are missing before them; [`StoreError::Forked`] where they are others than those that
    /// were taken over; [`StoreError::Invalid`] where they are no rows, or another organization's; [`StoreError::NotFound`] where
    /// the gateway is retired or unknown.
    pub async fn forward(
        &mut self,
        gateway: &GatewayId,
        stretch: &Forward<'_>,
    ) -> Result<Forwarded, StoreError> {
        let gateway = self.gateway(gateway).await?;
        if gateway.retired_at.is_some() {
            return Err(StoreError::NotFound);
        }
        let environment = self.environment_by_id(&gateway.environment_id).await?;
        let organization = self.slug().await?;
        let log = hex(&stretch.log);
        let now = self.now;
        let genesis = Head::genesis(&organization, &stretch.log);
        self.execute(CREATE, values![&gateway.id, &log, 0_i64, &genesis.hash, now]).await?;
        let row = self.one(LOCK, values![&gateway.id, &log]).await?;
        let seq = u64::try_from(row.int("seq")?).map_err(|_| StoreError::Corrupt { what: "seq" })?;
        let known = Head { seq, hash: row.array("hash")? };

        let (fresh, last) = fresh(known, stretch)?;
        let added = fresh.len();
        if added == 0 {
            return Ok(Forwarded { up_to: known.seq, added });
        }
        let mut rows = Vec::with_capacity(added);
        for (previous, bytes) in fresh {
            let mut row = found_by(bytes, &organization)?;
            row.workspace = Some(environment.workspace.to_string());
            row.environment = Some(environment.slug.to_string());
            row.gateway = Some(gateway.id.to_string());
            RowRef::Forwarded(&ForwardedRef {
                time: u64::try_from(now).unwrap_or_default().saturating_mul(1_000_000),
                gateway: gateway.id.as_str(),
                log: stretch.log,
                seq: previous.seq.wrapping_add(1),
                previous: previous.hash,
                row: bytes,
            })
            .encode(&mut row.row);
            rows.push(row);
        }
        let mut locked = self.lock_head().await?;
        self.append(&mut locked, rows).await?;
        self.execute(MOVE, values![&gateway.id, &log, number(last.seq)?, &last.hash, now]).await?;
        Ok(Forwarded { up_to: last.seq, added })
    }
}

/// Rows, each with the head before it.
type Fresh<'a> = Vec<(Head, &'a [u8])>;

/// The rows of a stretch behind what is known, each with the head before it, and the head after them.
fn fresh<'a>(known: Head, stretch: &Forward<'a>) -> Result<(Fresh<'a>, Head), StoreError> {
    let mut head = stretch.previous;
    // Where the stretch passes the known head it must have its hash.
    let meets = |head: Head| head.seq != known.seq || head.hash == known.hash;
    if head.seq > known.seq && !stretch.after_hole {
        return Err(StoreError::OutOfOrder { expected: known.seq + 1 });
    }
    let mut fresh = Vec::new();
    let mut is_same = meets(head);
    for row in stretch.rows {
        if row.len() > ROW_BYTES_MAX {
            return Err(StoreError::Invalid { what: "a row over its limit" });
        }
        if head.seq >= known.seq {
            fresh.push((head, row.as_ref()));
        }
        head = head.after(row);
        is_same &= meets(head);
    }
    if head.hash != stretch.last {
        return Err(StoreError::Invalid { what: "a stretch that does not end in its hash" });
    }
    if !is_same {
        return Err(StoreError::Forked { seq: known.seq });
    }
    Ok((fresh, head))
}

/// What a row is found by. The rows are read by the verifier's own decoder: what it would not read is not taken over.
fn found_by(bytes: &[u8], organization: &str) -> Result<NewRow, StoreError> {
    let invalid = StoreError::Invalid { what: "bytes that are no row" };
    let decoded = LedgerRow::decode(bytes).ok_or(invalid)?;
    let time = i64::try_from(decoded.time / 1_000_000).unwrap_or(i64::MAX);
    let mut row = NewRow {
        time,
        kind: "",
        workspace: None,
        environment: None,
        gateway: None,
        subject: None,
        target: None,
        verdict: None,
        row: Vec::with_capacity(bytes.len() + 160),
    };
    let (kind, of) = match decoded.body {
        RowBody::Decision(decision) => {
            row.subject = searchable(decision.subject);
            row.target = searchable(decision.target);
            row.verdict = Some(decision.verdict.to_owned());
            ("decision", Some(decision.organization))
        }
        RowBody::Outcome(_) => ("outcome", None),
        RowBody::Lifecycle(_) => ("lifecycle", None),
        RowBody::Approval(approval) => {
            row.subject = approval.by.and_then(searchable);
            ("approval", None)
        }
        RowBody::Gap { .. } => ("gap", None),
        RowBody::Checkpoint(checkpoint) => ("checkpoint", Some(checkpoint.organization)),
        // These are made here only.
        _ => return Err(StoreError::Invalid { what: "a row of a control plane" }),
    };
    if of.is_some_and(|of| of != organization) {
        return Err(StoreError::Invalid { what: "a row of another organization" });
    }
    row.kind = kind;
    Ok(row)
}

/// The most bytes of a text that rows are searched by.
const SEARCHABLE_BYTES_MAX: usize = 256;

/// A text that can stand in a column; the row itself has the whole.
fn searchable(text: String) -> Option<String> {
    (text.len() <= SEARCHABLE_BYTES_MAX && !text.contains('\0')).then_some(text)
}
