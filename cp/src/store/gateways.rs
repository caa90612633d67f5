//! Gateway instances: who they are by their public key, how they are.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;

use super::sql::{PlatformSql, Row, Sql, values};
use super::{EnvironmentId, GatewayId, Listed, OrgId, Page, Read, StoreError, UnixMillis, Write};

/// Names by which rollouts choose gateways.
pub type Labels = BTreeMap<String, String>;

macro_rules! columns {
    () => {
        "org_id, gateway_id, environment_id, name, public_key, labels, software, status, last_seen_at, \
         applied_revision, terms_version, list_version, enrolled_by, created_at, retired_at"
    };
}

pub(super) const BY_ID: PlatformSql =
    PlatformSql::both(concat!("SELECT ", columns!(), " FROM gateways WHERE gateway_id = $1"));
const READ: Sql =
    Sql::both(concat!("SELECT ", columns!(), " FROM gateways WHERE org_id = $1 AND gateway_id = $2"));
const LIST: Sql = Sql::both(concat!(
    "SELECT ",
    columns!(),
    " FROM gateways WHERE org_id = $1 AND environment_id = $2 AND gateway_id > $3 ORDER BY gateway_id LIMIT $4"
));
const LIVE: Sql = Sql::both(
    "SELECT gateway_id, public_key FROM gateways WHERE org_id = $1 AND environment_id = $2 AND retired_at IS NULL",
);
/// What gateways of a page refused and have not got over.
const REFUSED: Sql = Sql::both(
    "SELECT a.gateway_id, a.number, a.reason, a.created_at FROM gateways g \
     JOIN acknowledgements a ON a.org_id = $1 AND a.environment_id = g.environment_id AND a.gateway_id = g.gateway_id \
         AND a.result = 'rejected' AND a.number > coalesce(g.applied_revision, 0) \
     WHERE g.org_id = $1 AND g.environment_id = $2 AND g.gateway_id >= $3 AND g.gateway_id <= $4 ORDER BY a.number",
);
const RETIRE: Sql = Sql::both(
    "UPDATE gateways SET retired_at = $3 WHERE org_id = $1 AND gateway_id = $2 AND retired_at IS NULL",
);
pub(super) const CREATE: Sql = Sql::both(
    "INSERT INTO gateways (org_id, gateway_id, environment_id, name, public_key, labels, software, enrolled_by, \
     created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
);

/// A gateway instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// The organization that it serves.
    pub org_id: OrgId,
    /// Its id.
    pub id: GatewayId,
    /// The environment that it serves.
    pub environment_id: EnvironmentId,
    /// The name that it was enrolled by.
    pub name: String,
    /// Its Ed25519 public key.
    pub public_key: [u8; 32],
    /// Names by which rollouts choose it.
    pub labels: Labels,
    /// The version of its software.
    pub software: String,
    /// Its last heartbeat, as JSON.
    pub status: Option<String>,
    /// When that was.
    pub last_seen_at: Option<UnixMillis>,
    /// The revision that it runs on, as it said then.
    pub applied_revision: Option<i64>,
    /// The organization's terms that it goes by, as it said then: their version, and that of the revocation list in them.
    pub terms: Option<(i64, i64)>,
    /// The enrolment token that it came by.
    pub enrolled_by: String,
    /// When it was enrolled.
    pub created_at: UnixMillis,
    /// When it was retired: from then on it is refused.
    pub retired_at: Option<UnixMillis>,
}

/// A revision that a gateway refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its number.
    pub number: i64,
    /// Why.
    pub reason: String,
    /// When that was heard.
    pub at: UnixMillis,
}

impl Gateway {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            org_id: row.parsed("org_id")?,
            id: row.parsed("gateway_id")?,
            environment_id: row.parsed("environment_id")?,
            name: row.text("name")?,
            public_key: row.array("public_key")?,
            labels: read_labels(row)?,
            software: row.text("software")?,
            status: row.text_opt("status")?,
            last_seen_at: row.int_opt("last_seen_at")?,
            applied_revision: row.int_opt("applied_revision")?,
            terms: row.int_opt("terms_version")?.zip(row.int_opt("list_version")?),
            enrolled_by: row.text("enrolled_by")?,
            created_at: row.int("created_at")?,
            retired_at: row.int_opt("retired_at")?,
        })
    }
}

/// The labels in the column `labels`.
pub(super) fn read_labels(row: &Row) -> Result<Labels, StoreError> {
    serde_json::from_str(&row.text("labels")?).map_err(|_| StoreError::Corrupt { what: "labels" })
}

/// Labels as they are stored.
pub(super) fn labels_text(labels: &Labels) -> String {
    json!(labels).to_string()
}

impl Read {
    /// One gateway, retired or not.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn gateway(&mut self, id: &GatewayId) -> Result<Gateway, StoreError> {
        Gateway::read(&self.one(READ, values![id]).await?)
    }

    /// The gateways of an environment, the oldest first, retired ones too.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn gateways(
        &mut self,
        environment: &EnvironmentId,
        page: &Page,
    ) -> Result<Listed<Gateway>, StoreError> {
        let rows = self.all(LIST, values![environment, page.after_text(), page.fetch()]).await?;
        let gateways = rows.iter().map(Gateway::read).collect::<Result<Vec<_>, _>>()?;
        Ok(page.listed(gateways, |gateway| gateway.id.to_string()))
    }

    /// The gateways of an environment that are not retired, with their keys.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn live_gateways(
        &mut self,
        environment: &EnvironmentId,
    ) -> Result<HashMap<GatewayId, [u8; 32]>, StoreError> {
        let rows = self.all(LIVE, values![environment]).await?;
        rows.iter().map(|row| Ok((row.parsed("gateway_id")?, row.array("public_key")?))).collect()
    }

    /// The newest revision that each of an environment's gateways refused, if it is newer than the one that the gateway runs: of the gateways
    /// whose ids are between two.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn refusals(
        &mut self,
        environment: &EnvironmentId,
        (first, last): (&GatewayId, &GatewayId),
    ) -> Result<HashMap<GatewayId, Refusal>, StoreError> {
        let rows = self.all(REFUSED, values![environment, first, last]).await?;
        let refusal = |row: &Row| {
            let reason = row.text_opt("reason")?.unwrap_or_default();
            let refusal = Refusal { number: row.int("number")?, reason, at: row.int("created_at")? };
            Ok((row.parsed("gateway_id")?, refusal))
        };
        // The newest comes last.
        rows.iter().map(refusal).collect()
    }
}

impl Write {
    /// Retires a gateway: it is refused from then on, and its name is free. A second time changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn retire_gateway(&mut self, id: &GatewayId) -> Result<Gateway, StoreError> {
        let gateway = self.gateway(id).await?;
        let now = self.now;
        if self.execute(RETIRE, values![id, now]).await? == 1 {
            let environment = self.environment_by_id(&gateway.environment_id).await?;
            let target = environment.target(&self.slug().await?);
            self.note("gateway.retire", target, json!({ "gateway": id.as_str(), "name": gateway.name }));
            // Its stream ends.
            self.changed(&environment.id, environment.revision);
            self.retired.push(id.clone());
        }
        self.gateway(id).await
    }
}
