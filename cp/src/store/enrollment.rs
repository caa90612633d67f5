//! Enrolment: a token that can be used once brings in one gateway with the key that it made itself.

use serde_json::json;

use super::gateways::{self, Labels, labels_text, read_labels};
use super::sql::{PlatformSql, Row, Sql, values};
use super::{
    EnvironmentId, Gateway, GatewayId, Listed, OrgId, Page, Read, StoreError, TokenId, UnixMillis, Write,
};

macro_rules! columns {
    () => {
        "org_id, token_id, environment_id, labels, created_by, created_at, expires_at, used_at, gateway_id"
    };
}

pub(super) const BY_HASH: PlatformSql =
    PlatformSql::both(concat!("SELECT ", columns!(), " FROM enrollment_tokens WHERE hash = $1"));
const READ: Sql =
    Sql::both(concat!("SELECT ", columns!(), " FROM enrollment_tokens WHERE org_id = $1 AND token_id = $2"));
const LIST: Sql = Sql::both(concat!(
    "SELECT ",
    columns!(),
    " FROM enrollment_tokens WHERE org_id = $1 AND environment_id = $2 AND token_id > $3 ORDER BY token_id LIMIT $4"
));
const CREATE: Sql = Sql::both(
    "INSERT INTO enrollment_tokens (org_id, token_id, environment_id, hash, labels, created_by, created_at, \
     expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
);
/// Single use: of two who come with the token at once, one changes the row.
const USE: Sql = Sql::both(concat!(
    "UPDATE enrollment_tokens SET used_at = $3, gateway_id = $4 \
     WHERE org_id = $1 AND hash = $2 AND used_at IS NULL AND expires_at > $3 RETURNING ",
    columns!()
));
/// The gateway that a token brought in, if that is who asks again.
const BROUGHT: Sql = Sql::both(
    "SELECT g.gateway_id FROM enrollment_tokens t JOIN gateways g ON g.org_id = $1 AND g.gateway_id = t.gateway_id \
     WHERE t.org_id = $1 AND t.hash = $2 AND g.public_key = $3 AND g.name = $4 AND g.retired_at IS NULL",
);
const REMOVE: Sql =
    Sql::both("DELETE FROM enrollment_tokens WHERE org_id = $1 AND token_id = $2 AND used_at IS NULL");

/// An enrolment token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrollmentToken {
    /// The organization.
    pub org_id: OrgId,
    /// Its id.
    pub id: TokenId,
    /// The environment that it leads into.
    pub environment_id: EnvironmentId,
    /// Labels that the gateway gets.
    pub labels: Labels,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
    /// When it ends.
    pub expires_at: UnixMillis,
    /// When it was used.
    pub used_at: Option<UnixMillis>,
    /// The gateway that used it.
    pub gateway_id: Option<GatewayId>,
}

/// A new enrolment token.
#[derive(Debug, Clone)]
pub struct NewEnrollmentToken {
    /// Its id, where it is part of the secret already.
    pub id: Option<TokenId>,
    /// The environment that it leads into.
    pub environment_id: EnvironmentId,
    /// The keyed hash of its secret, as hexadecimal.
    pub hash: String,
    /// Labels that the gateway gets.
    pub labels: Labels,
    /// When it ends.
    pub expires_at: UnixMillis,
}

/// What a gateway says of itself when it enrols.
#[derive(Debug, Clone)]
pub struct NewGateway {
    /// Its name, unique in its environment.
    pub name: String,
    /// Its Ed25519 public key.
    pub public_key: [u8; 32],
    /// Its own labels; those of the token take precedence.
    pub labels: Labels,
    /// The version of its software.
    pub software: String,
}

impl EnrollmentToken {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            org_id: row.parsed("org_id")?,
            id: row.parsed("token_id")?,
            environment_id: row.parsed("environment_id")?,
            labels: read_labels(row)?,
            created_by: row.text("created_by")?,
            created_at: row.int("created_at")?,
            expires_at: row.int("expires_at")?,
            used_at: row.int_opt("used_at")?,
            gateway_id: row.parsed_opt("gateway_id")?,
        })
    }
}

impl Read {
    /// The enrolment tokens of an environment, the oldest first.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn enrollment_tokens(
        &mut self,
        environment: &EnvironmentId,
        page: &Page,
    ) -> Result<Listed<EnrollmentToken>, StoreError> {
        let rows = self.all(LIST, values![environment, page.after_text(), page.fetch()]).await?;
        let tokens = rows.iter().map(EnrollmentToken::read).collect::<Result<Vec<_>, _>>()?;
        Ok(page.listed(tokens, |token| token.id.to_string()))
    }

    /// One enrolment token.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn enrollment_token(&mut self, id: &TokenId) -> Result<EnrollmentToken, StoreError> {
        EnrollmentToken::read(&self.one(READ, values![id]).await?)
    }
}

impl Write {
    /// Makes an enrolment token.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the environment does not exist.
    pub async fn create_enrollment_token(
        &mut self,
        new: NewEnrollmentToken,
    ) -> Result<EnrollmentToken, StoreError> {
        let environment = self.environment_by_id(&new.environment_id).await?;
        let id = new.id.unwrap_or_else(|| TokenId::new(&*self.inner.clock));
        let (by, now) = (self.actor.subject.clone(), self.now);
        let labels = labels_text(&new.labels);
        self.execute(CREATE, values![&id, &environment.id, &new.hash, labels, by, now, new.expires_at])
            .await?;
        let target = environment.target(&self.slug().await?);
        let details = json!({ "token": id.as_str(), "labels": new.labels, "expires_at": new.expires_at });
        self.note("enrollment_token.create", target, details);
        self.enrollment_token(&id).await
    }

    /// Removes an enrolment token that was not used.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none, or it was used.
    pub async fn revoke_enrollment_token(&mut self, id: &TokenId) -> Result<(), StoreError> {
        let token = self.enrollment_token(id).await?;
        if self.execute(REMOVE, values![id]).await? == 0 {
            return Err(StoreError::NotFound);
        }
        let target = self.environment_by_id(&token.environment_id).await?.target(&self.slug().await?);
        self.note("enrollment_token.revoke", target, json!({ "token": id.as_str() }));
        Ok(())
    }

    /// Enrols a gateway with the token that has this hash. The same gateway, by its key, gets the same answer again: the first may have been lost.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the token does not exist, is used or over; [`StoreError::Exists`] where another gateway
    /// of the environment has the name (the token stays good then, since nothing is to be committed).
    pub async fn enroll(&mut self, hash: &str, new: NewGateway) -> Result<Gateway, StoreError> {
        let id = GatewayId::new(&*self.inner.clock);
        let now = self.now;
        let Some(token) = self.optional(USE, values![hash, now, &id]).await? else {
            let brought = self.one(BROUGHT, values![hash, &new.public_key, &new.name]).await?;
            return self.gateway(&brought.parsed("gateway_id")?).await;
        };
        let token = EnrollmentToken::read(&token)?;
        let mut labels = new.labels;
        labels.extend(token.labels);
        let values = values![
            &id,
            &token.environment_id,
            &new.name,
            &new.public_key,
            labels_text(&labels),
            &new.software,
            token.id.as_str(),
            now
        ];
        if self.execute(gateways::CREATE, values).await? == 0 {
            return Err(StoreError::Exists);
        }
        let target = self.environment_by_id(&token.environment_id).await?.target(&self.slug().await?);
        let details = json!({
            "gateway": id.as_str(), "name": new.name, "token": token.id.as_str(), "labels": labels,
            "public_key": super::ids::hex(&new.public_key),
        });
        self.note("gateway.enroll", target, details);
        self.gateway(&id).await
    }
}
