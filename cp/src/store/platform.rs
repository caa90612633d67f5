//! What comes before a tenant is known, or is about none: look-ups by a presented key, organizations, tokens of the platform, leases.
//!
//! INVARIANT: a look-up sees exactly the row whose key was presented. On PostgreSQL the policies say so themselves: the key
//! is the setting `mcpg.lookup`, with its kind in front.

mod leases;
mod tokens;

pub use leases::{Keeper, Lease};
pub use tokens::{NewPlatformToken, PlatformToken};

use std::sync::Arc;
use std::time::Instant;

use mcpg_cp_api::Slug;
use serde_json::json;

use super::connection::{Mode, Sight, Transaction};
use super::known::Moment;
use super::orgs;
use super::sql::{PlatformSql, Row, Sql, Value, values};
use super::{
    Actor, ApiToken, EnrollmentToken, Gateway, GatewayId, Inner, Listed, NewOrg, Org, OrgId, Page, Read,
    SignIn, StoreError, Write,
};

/// The handle without a tenant.
#[derive(Clone)]
pub struct Platform {
    pub(super) inner: Arc<Inner>,
}

/// A gateway as it was found. What it said of itself may be older than the database's word.
#[derive(Debug, Clone)]
pub struct FoundGateway {
    /// The gateway.
    pub gateway: Arc<Gateway>,
    pub(super) looked_up: Option<Moment>,
}

const BY_SLUG: PlatformSql =
    PlatformSql::both(concat!("SELECT ", orgs::columns!(), " FROM orgs WHERE slug = $1"));
const BY_SUBDOMAIN: PlatformSql =
    PlatformSql::both(concat!("SELECT ", orgs::columns!(), " FROM orgs WHERE subdomain = $1"));
const LIST: PlatformSql = PlatformSql::both(concat!(
    "SELECT ",
    orgs::columns!(),
    " FROM orgs WHERE slug > $1 ORDER BY slug LIMIT $2"
));
const CREATE: Sql = Sql::both(
    "INSERT INTO orgs (org_id, slug, display_name, subdomain, version, created_at, updated_at) \
     VALUES ($1, $2, $3, $4, 1, $5, $5) ON CONFLICT DO NOTHING",
);
const SET_SUBDOMAIN: Sql =
    Sql::both("UPDATE orgs SET subdomain = $2, version = version + 1, updated_at = $3 WHERE org_id = $1");
const PING: PlatformSql = PlatformSql::both("SELECT 1 AS one");

impl Platform {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// The organization with a slug.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn org_by_slug(&self, slug: &Slug) -> Result<Org, StoreError> {
        Org::read(&self.look_up("slug", slug.as_str(), BY_SLUG).await?)
    }

    /// The organization with a subdomain.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn org_by_subdomain(&self, subdomain: &str) -> Result<Org, StoreError> {
        Org::read(&self.look_up("subdomain", subdomain, BY_SUBDOMAIN).await?)
    }

    /// The token of an organization's API with this hash. Whether it still holds is for the caller to judge.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn api_token(&self, hash: &str) -> Result<ApiToken, StoreError> {
        let row = self.look_up("token", hash, super::api_tokens::BY_HASH).await?;
        // Its names are in other rows, which the key does not open: they are read with the organization's own handle.
        let scoped = super::Scoped { inner: Arc::clone(&self.inner), org: row.parsed("org_id")? };
        scoped.read().await?.api_token(&row.parsed("token_id")?).await
    }

    /// The gateway with this id. Whether it is retired is for the caller to judge.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn gateway(&self, id: &GatewayId) -> Result<Gateway, StoreError> {
        Gateway::read(&self.look_up("gateway", id.as_str(), super::gateways::BY_ID).await?)
    }

    /// The gateway with this id: as it was found lately, or looked up. One that was retired at this replica is looked up.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn find_gateway(&self, id: &GatewayId) -> Result<FoundGateway, StoreError> {
        match self.inner.known.get(id, Instant::now()) {
            Ok(gateway) => Ok(FoundGateway { gateway, looked_up: None }),
            Err(moment) => {
                let gateway = Arc::new(self.gateway(id).await?);
                Ok(FoundGateway { gateway, looked_up: Some(moment) })
            }
        }
    }

    /// Keeps a gateway in mind whose request was believed: the next ones need no look-up.
    pub fn keep_in_mind(&self, found: &FoundGateway) {
        if let Some(moment) = found.looked_up.filter(|_| found.gateway.retired_at.is_none()) {
            self.inner.known.keep(&found.gateway, moment, Instant::now());
        }
    }

    /// The enrolment token with this hash, whether used, expired or good.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn enrollment_token(&self, hash: &str) -> Result<EnrollmentToken, StoreError> {
        EnrollmentToken::read(&self.look_up("enrol", hash, super::enrollment::BY_HASH).await?)
    }

    /// The sign-in that is under way with this state.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn sign_in(&self, state_hash: &str) -> Result<SignIn, StoreError> {
        SignIn::read(&self.look_up("sign-in", state_hash, super::sign_ins::BY_STATE).await?)
    }

    /// All organizations, by slug.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn orgs(&self, page: &Page) -> Result<Listed<Org>, StoreError> {
        let mut transaction = self.begin(Mode::Read).await?;
        let rows = self.all(&mut transaction, LIST, values![page.after_text(), page.fetch()]).await?;
        transaction.rollback().await;
        let orgs = rows.iter().map(Org::read).collect::<Result<Vec<_>, _>>()?;
        Ok(page.listed(orgs, |org| org.slug.to_string()))
    }

    /// Makes an organization, with an empty audit chain.
    ///
    /// # Errors
    /// [`StoreError::Exists`] where the slug or the subdomain is taken.
    pub async fn create_org(&self, actor: &Actor, new: NewOrg) -> Result<Org, StoreError> {
        let id = OrgId::new(&*self.inner.clock);
        let mut write = self.write(&id, actor).await?;
        let subdomain = new.subdomain.clone();
        let values = values![&new.slug, new.display_name.to_string(), subdomain, write.now()];
        if write.execute(CREATE, values).await? == 0 {
            write.rollback().await;
            return Err(StoreError::Exists);
        }
        write.begin_chain(new.slug.as_str()).await?;
        let details = json!({ "display_name": new.display_name.to_string(), "subdomain": new.subdomain });
        write.note("org.create", format!("org/{}", new.slug), details);
        let org = write.org().await?;
        write.commit().await?;
        Ok(org)
    }

    /// Gives an organization a subdomain, or takes it away. It is a name among all organizations, so it is not theirs to choose.
    ///
    /// # Errors
    /// [`StoreError::Exists`] where another has it.
    pub async fn set_subdomain(
        &self,
        actor: &Actor,
        org: &OrgId,
        subdomain: Option<String>,
    ) -> Result<Org, StoreError> {
        let mut write = self.write(org, actor).await?;
        let details = json!({ "subdomain": subdomain });
        let values = values![subdomain, write.now()];
        if write.execute(SET_SUBDOMAIN, values).await? == 0 {
            return Err(StoreError::NotFound);
        }
        let org = write.org().await?;
        write.note("org.subdomain", format!("org/{}", org.slug), details);
        write.commit().await?;
        Ok(org)
    }

    /// Asks the database for an answer.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.look_up("ping", "", PING).await.map(|_| ())
    }

    /// The one row with a key.
    async fn look_up(&self, kind: &str, key: &str, sql: PlatformSql) -> Result<Row, StoreError> {
        let sight = format!("{kind}:{key}");
        let sight = Sight::Lookup(&sight);
        let mut transaction = self.inner.pools.begin(Mode::Read, sight, self.inner.wait_max).await?;
        let values = if kind == "ping" { Vec::new() } else { values![key] };
        let rows = self.all(&mut transaction, sql, values).await?;
        transaction.rollback().await;
        rows.into_iter().next().ok_or(StoreError::NotFound)
    }

    /// A transaction over what is no tenant's.
    async fn begin(&self, mode: Mode) -> Result<Transaction, StoreError> {
        self.inner.pools.begin(mode, Sight::Platform, self.inner.wait_max).await
    }

    /// A transaction over one organization that is not entered by its own handle.
    async fn write(&self, org: &OrgId, actor: &Actor) -> Result<Write, StoreError> {
        let sight = Sight::PlatformFor(org.as_str());
        let transaction = self.inner.pools.begin(Mode::Write, sight, self.inner.wait_max).await?;
        Ok(Write::new(Read::new(Arc::clone(&self.inner), org.clone(), transaction), actor.clone()))
    }

    async fn all(
        &self,
        transaction: &mut Transaction,
        sql: PlatformSql,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        transaction.all(sql.text(self.inner.pools.backend()), values).await
    }
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Platform").finish_non_exhaustive()
    }
}
