//! Rollouts: a revision that does not go to everybody at once.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::gateways::Labels;
use super::orgs::check_version;
use super::sql::{Row, Sql, values};
use super::{EnvironmentId, Read, StoreError, UnixMillis, Write};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT stage, state, version AS rollout_version, created_by AS rollout_by, created_at AS rollout_at, ",
            "updated_at AS rollout_updated_at FROM rollouts WHERE org_id = $1 AND environment_id = $2 AND number = $3",
            $rest
        )
    };
}

const READ: Sql = Sql::both(select!(""));
const LOCK: Sql = Sql::each(select!(""), select!(" FOR UPDATE"));
const CREATE: Sql = Sql::both(
    "INSERT INTO rollouts (org_id, environment_id, number, stage, state, version, created_by, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $7)",
);
const UPDATE: Sql = Sql::both(
    "UPDATE rollouts SET stage = $4, state = $5, version = version + 1, updated_at = $6 \
     WHERE org_id = $1 AND environment_id = $2 AND number = $3",
);

/// Which gateways get the revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// So many of a hundred, by a hash of gateway and revision.
    Percent(u8),
    /// Those that have all of these labels.
    Labels(Labels),
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutState {
    /// Those of its stage get the revision.
    Active,
    /// Nobody else gets it until it goes on.
    Paused,
    /// Everybody gets it.
    Complete,
    /// Nobody gets it any more.
    Cancelled,
}

/// How a revision is rolled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Who gets it.
    pub stage: Stage,
    /// Where it stands.
    pub state: RolloutState,
    /// Grows with every change: the ETag.
    pub version: i64,
    /// Who began it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

impl RolloutState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Active, Self::Paused, Self::Complete, Self::Cancelled];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Complete => "complete",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Rollout {
    /// Reads the columns of a joined rollout, if there is one.
    pub(super) fn read_joined(row: &Row) -> Result<Option<Self>, StoreError> {
        let Some(stage) = row.text_opt("stage")? else { return Ok(None) };
        let state = row.text("state")?;
        Ok(Some(Self {
            stage: serde_json::from_str(&stage).map_err(|_| StoreError::Corrupt { what: "stage" })?,
            state: RolloutState::ALL
                .into_iter()
                .find(|known| known.as_str() == state)
                .ok_or(StoreError::Corrupt { what: "state" })?,
            version: row.int("rollout_version")?,
            created_by: row.text("rollout_by")?,
            created_at: row.int("rollout_at")?,
            updated_at: row.int("rollout_updated_at")?,
        }))
    }
}

impl Read {
    /// How a revision is rolled out; none where it is for everybody.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn rollout(
        &mut self,
        environment: &EnvironmentId,
        number: i64,
    ) -> Result<Option<Rollout>, StoreError> {
        let row = self.optional(READ, values![environment, number]).await?;
        row.as_ref().map_or(Ok(None), Rollout::read_joined)
    }
}

impl Write {
    /// Begins to roll out a revision, in the transaction that publishes it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such revision; [`StoreError::Exists`] where it is being rolled out.
    pub async fn begin_rollout(
        &mut self,
        environment: &EnvironmentId,
        number: i64,
        stage: &Stage,
    ) -> Result<Rollout, StoreError> {
        let (by, now) = (self.actor.subject.clone(), self.now);
        let state = RolloutState::Active.as_str();
        self.execute(CREATE, values![environment, number, text(stage), state, by, now]).await?;
        self.after_rollout("rollout.begin", environment, number).await
    }

    /// Goes on to another stage or state.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the revision is not being rolled out; [`StoreError::VersionMismatch`].
    pub async fn update_rollout(
        &mut self,
        environment: &EnvironmentId,
        number: i64,
        expected: Option<i64>,
        (stage, state): (&Stage, RolloutState),
    ) -> Result<Rollout, StoreError> {
        let row = self.one(LOCK, values![environment, number]).await?;
        check_version(expected, row.int("rollout_version")?)?;
        let now = self.now;
        self.execute(UPDATE, values![environment, number, text(stage), state.as_str(), now]).await?;
        self.after_rollout("rollout.update", environment, number).await
    }

    async fn after_rollout(
        &mut self,
        action: &'static str,
        environment: &EnvironmentId,
        number: i64,
    ) -> Result<Rollout, StoreError> {
        let rollout = self.rollout(environment, number).await?.ok_or(StoreError::NotFound)?;
        let found = self.environment_by_id(environment).await?;
        let target = found.target(&self.slug().await?);
        let details = json!({ "number": number, "stage": rollout.stage, "state": rollout.state.as_str() });
        self.note(action, target, details);
        self.changed(environment, found.revision);
        Ok(rollout)
    }
}

fn text(stage: &Stage) -> String {
    json!(stage).to_string()
}
