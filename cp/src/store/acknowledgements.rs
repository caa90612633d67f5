//! What gateways made of revisions, as it is shown. How it is written down: [`super::hear`].

use super::sql::{Row, Sql, values};
use super::{EnvironmentId, GatewayId, Listed, Page, Read, StoreError, UnixMillis};

const LIST: Sql = Sql::both(
    "SELECT gateway_id, number, result, reason, created_at FROM acknowledgements \
     WHERE org_id = $1 AND environment_id = $2 AND number = $3 AND gateway_id > $4 ORDER BY gateway_id LIMIT $5",
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
