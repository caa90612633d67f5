//! What gateways made of revisions. Said twice, it is written down once.

use super::sql::{Row, Sql, values};
use super::{EnvironmentId, GatewayId, Listed, Page, Read, StoreError, UnixMillis, Write};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT gateway_id, number, result, reason, created_at FROM acknowledgements ",
            "WHERE org_id = $1 AND environment_id = $2 AND number = $3 AND ",
            $rest
        )
    };
}

const READ: Sql = Sql::both(select!("gateway_id = $4"));
const LIST: Sql = Sql::both(select!("gateway_id > $4 ORDER BY gateway_id LIMIT $5"));
/// One statement, since every gateway of a fleet says so at once.
const PUT: Sql = Sql::both(
    "INSERT INTO acknowledgements (org_id, environment_id, number, gateway_id, result, reason, created_at) \
     SELECT $1, g.environment_id, r.number, g.gateway_id, $4, $5, $6 FROM gateways g \
     JOIN revisions r ON r.org_id = $1 AND r.environment_id = g.environment_id AND r.number = $3 \
     AND ($7 IS NULL OR r.digest = $7) \
     WHERE g.org_id = $1 AND g.gateway_id = $2 AND g.retired_at IS NULL \
     ON CONFLICT (org_id, environment_id, number, gateway_id) \
     DO UPDATE SET result = excluded.result, reason = excluded.reason, created_at = excluded.created_at \
     WHERE acknowledgements.result <> excluded.result \
         OR coalesce(acknowledgements.reason, '') <> coalesce(excluded.reason, '')",
);
const APPLIED: Sql = Sql::both(
    "UPDATE gateways SET applied_revision = $3 WHERE org_id = $1 AND gateway_id = $2 \
     AND (applied_revision IS NULL OR applied_revision < $3)",
);
const IS_KNOWN: Sql = Sql::both(
    "SELECT 1 AS one FROM gateways WHERE org_id = $1 AND gateway_id = $2 AND applied_revision = $3",
);
const COUNT: Sql = Sql::both(
    "SELECT result, count(*) AS n FROM acknowledgements WHERE org_id = $1 AND environment_id = $2 AND number = $3 \
     GROUP BY result",
);

/// What a gateway made of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It runs on it.
    Applied,
    /// It does not, and stays on what it had.
    Rejected {
        /// Why.
        reason: String,
    },
}

/// One gateway's word on one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The gateway.
    pub gateway_id: GatewayId,
    /// The revision.
    pub number: i64,
    /// What became of it.
    pub outcome: Outcome,
    /// When it was heard first.
    pub created_at: UnixMillis,
}

/// How many gateways said what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Applied it.
    pub applied: i64,
    /// Rejected it.
    pub rejected: i64,
}

impl Acknowledgement {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let outcome = match row.text("result")?.as_str() {
            "applied" => Outcome::Applied,
            "rejected" => Outcome::Rejected { reason: row.text_opt("reason")?.unwrap_or_default() },
            _ => return Err(StoreError::Corrupt { what: "result" }),
        };
        Ok(Self {
            gateway_id: row.parsed("gateway_id")?,
            number: row.int("number")?,
            outcome,
            created_at: row.int("created_at")?,
        })
    }
}

impl Read {
    /// What the gateways of an environment made of a revision, by gateway.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn acknowledgements(
        &mut self,
        environment: &EnvironmentId,
        number: i64,
        page: &Page,
    ) -> Result<Listed<Acknowledgement>, StoreError> {
        let rows = self.all(LIST, values![environment, number, page.after_text(), page.fetch()]).await?;
        let items = rows.iter().map(Acknowledgement::read).collect::<Result<Vec<_>, _>>()?;
        Ok(page.listed(items, |item| item.gateway_id.to_string()))
    }

    /// How many gateways made what of a revision.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn acknowledged(
        &mut self,
        environment: &EnvironmentId,
        number: i64,
    ) -> Result<Acknowledged, StoreError> {
        let mut counts = Acknowledged::default();
        for row in self.all(COUNT, values![environment, number]).await? {
            match row.text("result")?.as_str() {
                "applied" => counts.applied = row.int("n")?,
                _ => counts.rejected = row.int("n")?,
            }
        }
        Ok(counts)
    }
}

impl Write {
    /// Writes down that a gateway has applied a revision, unless that is known.
    pub(super) async fn repeat_applied(
        &mut self,
        gateway: &GatewayId,
        number: i64,
    ) -> Result<(), StoreError> {
        // With every heartbeat of every gateway: one look, and mostly no more.
        if self.optional(IS_KNOWN, values![gateway, number]).await?.is_some() {
            return Ok(());
        }
        self.acknowledge(gateway, number, None, &Outcome::Applied).await.map(drop)
    }

    /// Writes down what a gateway made of a revision of its environment. False where it had said so before. Where the digest of the revision's
    /// document is said, it must be that.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the environment has no such revision, or the gateway is retired or unknown.
    pub async fn acknowledge(
        &mut self,
        gateway: &GatewayId,
        number: i64,
        digest: Option<&str>,
        outcome: &Outcome,
    ) -> Result<bool, StoreError> {
        let now = self.now;
        let (result, reason) = match outcome {
            Outcome::Applied => ("applied", None),
            Outcome::Rejected { reason } => ("rejected", Some(reason.as_str())),
        };
        if self.execute(PUT, values![gateway, number, result, reason, now, digest]).await? == 0 {
            // It was said before, or there is nothing that it can be about.
            let gateway = self.gateway(gateway).await?;
            if gateway.retired_at.is_some() {
                return Err(StoreError::NotFound);
            }
            self.one(READ, values![&gateway.environment_id, number, &gateway.id]).await?;
            return Ok(false);
        }
        if *outcome == Outcome::Applied {
            self.execute(APPLIED, values![gateway, number]).await?;
        }
        Ok(true)
    }
}
