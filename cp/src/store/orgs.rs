//! Organizations, seen from within: each its own row.

use mcpg_cp_api::{DisplayName, Slug};
use serde_json::json;

use super::sql::{Row, Sql, values};
use super::{OrgId, Read, StoreError, UnixMillis, Write};

/// The columns of an organization.
macro_rules! columns {
    () => {
        "org_id, slug, display_name, subdomain, sso, licence, version, created_at, updated_at"
    };
}
pub(super) use columns;

const READ: Sql = Sql::both(concat!("SELECT ", columns!(), " FROM orgs WHERE org_id = $1"));
const UPDATE: Sql = Sql::both(
    "UPDATE orgs SET display_name = $3, sso = $4, licence = $5, version = version + 1, updated_at = $6 \
     WHERE org_id = $1 AND version = $2",
);

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Org {
    /// Its id.
    pub id: OrgId,
    /// Its slug, which never changes.
    pub slug: Slug,
    /// The name that people read.
    pub display_name: DisplayName,
    /// Its label below the suffix of subdomain routing.
    pub subdomain: Option<String>,
    /// How its members sign in, as JSON.
    pub sso: Option<String>,
    /// Its licence, as it was installed.
    pub licence: Option<String>,
    /// Grows with every change: the ETag.
    pub version: i64,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

/// A new organization.
#[derive(Debug, Clone)]
pub struct NewOrg {
    /// Its slug.
    pub slug: Slug,
    /// The name that people read.
    pub display_name: DisplayName,
    /// Its label below the suffix of subdomain routing.
    pub subdomain: Option<String>,
}

/// What to change; what is not there stays.
#[derive(Debug, Clone, Default)]
pub struct OrgChange {
    /// The name that people read.
    pub display_name: Option<DisplayName>,
    /// How members sign in, as JSON, or not at all.
    pub sso: Option<Option<String>>,
    /// The licence, or none.
    pub licence: Option<Option<String>>,
}

impl Org {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("org_id")?,
            slug: row.parsed("slug")?,
            display_name: row.parsed("display_name")?,
            subdomain: row.text_opt("subdomain")?,
            sso: row.text_opt("sso")?,
            licence: row.text_opt("licence")?,
            version: row.int("version")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

impl Read {
    /// The organization itself.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where it does not exist.
    pub async fn org(&mut self) -> Result<Org, StoreError> {
        Org::read(&self.one(READ, values![]).await?)
    }
}

impl Write {
    /// Changes the organization, if it is at the expected version.
    ///
    /// # Errors
    /// [`StoreError::VersionMismatch`] where it is not.
    pub async fn update_org(&mut self, expected: Option<i64>, change: OrgChange) -> Result<Org, StoreError> {
        let org = self.org().await?;
        check_version(expected, org.version)?;
        let changed: Vec<&str> = [
            change.display_name.as_ref().map(|_| "display_name"),
            change.sso.as_ref().map(|_| "sso"),
            change.licence.as_ref().map(|_| "licence"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let details = json!({ "changed": changed });
        let changes_licence = change.licence.is_some();
        let display_name = change.display_name.unwrap_or_else(|| org.display_name.clone());
        let (sso, licence) = (change.sso.unwrap_or(org.sso), change.licence.unwrap_or(org.licence));
        let now = self.now;
        let values = values![org.version, display_name.to_string(), sso, licence, now];
        if self.execute(UPDATE, values).await? == 0 {
            return Err(StoreError::VersionMismatch { current: self.org().await?.version });
        }
        self.note("org.update", format!("org/{}", org.slug), details);
        if changes_licence {
            self.terms_changed();
        }
        self.org().await
    }
}

/// Compares versions where one is expected.
pub(super) fn check_version(expected: Option<i64>, current: i64) -> Result<(), StoreError> {
    match expected {
        Some(expected) if expected != current => Err(StoreError::VersionMismatch { current }),
        _ => Ok(()),
    }
}
