//! Taking over the rows of gateways' logs into the chain of their organization.
//!
//! A gateway sends stretches of its log, and again whatever it has heard no answer for. INVARIANT: every row of a log is taken over
//! once: how far it has come is in `audit_sources`, whose row is locked first, and moves in the transaction that appends, and counts. A stretch that
//! overlaps what is there must be the same where it meets it; what is left out of one is a row of its own kind.
//!
//! A log is an instance's, known by its key, whichever of its enrolments in the organization it sends by. No other instance may go on with it, unless
//! every enrolment of the first is retired: then an operator has ended that one.

mod calls;
mod rows;
mod stretch;

use mcpg_ledger::Head;

pub use stretch::{Entry, Forward, Missing};

use self::rows::{Place, Sorter};
use super::number;
use crate::store::ids::hex;
use crate::store::sql::{Row, Sql, values};
use crate::store::{GatewayId, StoreError, Write};

const LOCK: Sql = Sql::each(
    "SELECT public_key, seq, hash FROM audit_sources WHERE org_id = $1 AND log = $2",
    "SELECT public_key, seq, hash FROM audit_sources WHERE org_id = $1 AND log = $2 FOR UPDATE",
);
const CREATE: Sql = Sql::both(
    "INSERT INTO audit_sources (org_id, log, public_key, gateway_id, seq, hash, updated_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (org_id, log) DO NOTHING",
);
const MOVE: Sql = Sql::both(
    "UPDATE audit_sources SET public_key = $3, gateway_id = $4, seq = $5, hash = $6, updated_at = $7 \
     WHERE org_id = $1 AND log = $2",
);
const PLACES: Sql = Sql::both(
    "SELECT g.gateway_id, w.slug AS workspace, e.slug AS environment FROM gateways g \
     JOIN environments e ON e.org_id = $1 AND e.environment_id = g.environment_id \
     JOIN workspaces w ON w.org_id = $1 AND w.workspace_id = e.workspace_id \
     WHERE g.org_id = $1 AND g.public_key = $2 AND g.retired_at IS NULL ORDER BY g.gateway_id",
);

/// What became of a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwarded {
    /// The log is here up to this row: the gateway need not keep what is before.
    pub kept: Head,
    /// How many rows of the stretch were not here yet.
    pub added: usize,
}

impl Write {
    /// Appends the rows of a stretch that are not here yet, and counts the calls in them.
    ///
    /// # Errors
    /// [`StoreError::OutOfOrder`] where rows are missing before them; [`StoreError::Forked`] where they are others than those that
    /// were taken over; [`StoreError::OtherGateway`] where the log is another instance's; [`StoreError::Invalid`] where they are no rows, or another
    /// organization's; [`StoreError::NotFound`] where the gateway is retired or unknown.
    pub async fn forward(
        &mut self,
        gateway: &GatewayId,
        stretch: &Forward<'_>,
    ) -> Result<Forwarded, StoreError> {
        let gateway = self.gateway(gateway).await?;
        if gateway.retired_at.is_some() {
            return Err(StoreError::NotFound);
        }
        let organization = self.slug().await?;
        let (log, key, now) = (hex(&stretch.log), &gateway.public_key, self.now);
        let genesis = Head::genesis(&organization, &stretch.log);
        // Who only asks leaves nothing behind.
        if !stretch.entries.is_empty() {
            self.execute(CREATE, values![&log, key, &gateway.id, 0_i64, &genesis.hash, now]).await?;
        }
        let known = match self.optional(LOCK, values![&log]).await? {
            None => genesis,
            // The first hash names the organization.
            Some(_) if stretch.previous.seq == 0 && stretch.previous != genesis => {
                return Err(StoreError::Forked { seq: 0 });
            }
            Some(source) => {
                let owner: [u8; 32] = source.array("public_key")?;
                if owner != *key && !self.places(&owner).await?.is_empty() {
                    return Err(StoreError::OtherGateway);
                }
                let seq = u64::try_from(source.int("seq")?);
                let seq = seq.map_err(|_| StoreError::Corrupt { what: "seq" })?;
                Head { seq, hash: source.array("hash")? }
            }
        };

        let (fresh, last) = stretch::fresh(known, stretch)?;
        if fresh.is_empty() {
            return Ok(Forwarded { kept: known, added: 0 });
        }
        let decoded = rows::decode(fresh, &organization)?;
        let open = self.waiting_calls(&stretch.log, &rows::asked_for(&decoded)).await?;
        let places = self.places(key).await?;
        let mut sorter = Sorter::new((stretch.log, gateway.id.as_str()), &places, now, open);
        let added = decoded.len();
        decoded.into_iter().for_each(|fresh| sorter.add(fresh));
        let rows = sorter.finish();
        // INVARIANT: the chain's head is locked last, and what waits for it waits shortly.
        self.add_usage(&sorter.used).await?;
        let begun = sorter.begun.iter().filter_map(|id| Some((id, sorter.open.get(id)?)));
        self.keep_calls(&stretch.log, &sorter.ended, begun).await?;
        let mut locked = self.lock_head().await?;
        self.append(&mut locked, rows).await?;
        self.execute(MOVE, values![&log, key, &gateway.id, number(last.seq)?, &last.hash, now]).await?;
        Ok(Forwarded { kept: last, added })
    }

    /// Where an instance is enrolled.
    async fn places(&mut self, key: &[u8; 32]) -> Result<Vec<Place>, StoreError> {
        let read = |row: &Row| {
            Ok(Place {
                gateway: row.text("gateway_id")?,
                workspace: row.text("workspace")?,
                environment: row.text("environment")?,
            })
        };
        self.all(PLACES, values![key]).await?.iter().map(read).collect()
    }
}
