//! Tokens of the API: what programs, and people who have signed in, show for themselves. The secret is never here, only a keyed hash.

use mcpg_cp_api::{Member, Role, Target};
use serde_json::json;

use super::role_bindings::read_target;
use super::sql::{PlatformSql, Row, Sql, values};
use super::{Listed, OrgId, Page, Read, StoreError, TokenId, UnixMillis, Write};

macro_rules! select {
    ($org:literal, $rest:literal) => {
        concat!(
            "SELECT t.org_id, t.token_id, t.name, t.kind, t.role, o.slug AS org, w.slug AS workspace, ",
            "e.slug AS environment, t.member, t.created_by, t.created_at, t.expires_at, t.last_used_at, t.revoked_at ",
            "FROM api_tokens t JOIN orgs o ON o.org_id = ",
            $org,
            " LEFT JOIN environments e ON e.org_id = ",
            $org,
            " AND e.environment_id = t.environment_id LEFT JOIN workspaces w ON w.org_id = ",
            $org,
            " AND w.workspace_id = coalesce(e.workspace_id, t.workspace_id) WHERE ",
            $rest
        )
    };
}

/// Where the organization is not known, only the token's own row can be seen: its names come later, from its own handle.
pub(super) const BY_HASH: PlatformSql =
    PlatformSql::both("SELECT org_id, token_id FROM api_tokens WHERE hash = $1");
const READ: Sql = Sql::both(select!("$1", "t.org_id = $1 AND t.token_id = $2"));
const LIST: Sql = Sql::both(select!("$1", "t.org_id = $1 AND t.token_id > $2 ORDER BY t.token_id LIMIT $3"));
const CREATE: Sql = Sql::both(
    "INSERT INTO api_tokens (org_id, token_id, name, hash, kind, role, workspace_id, environment_id, member, \
     created_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
);
const REVOKE: Sql = Sql::both(
    "UPDATE api_tokens SET revoked_at = $3 WHERE org_id = $1 AND token_id = $2 AND revoked_at IS NULL",
);
const TOUCH: Sql = Sql::both(
    "UPDATE api_tokens SET last_used_at = $3 WHERE org_id = $1 AND token_id = $2 \
     AND (last_used_at IS NULL OR last_used_at < $4)",
);
const SWEEP: Sql =
    Sql::both("DELETE FROM api_tokens WHERE org_id = $1 AND kind = 'session' AND expires_at < $2");

/// How often the last use of a token is written down.
const TOUCH_EVERY_MS: i64 = 60_000;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Made by a member, for a program.
    Token,
    /// Made by signing in.
    Session,
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// The organization that it is for.
    pub org_id: OrgId,
    /// Its id.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// What it is.
    pub kind: TokenKind,
    /// What it may do.
    pub role: Role,
    /// Where, and below.
    pub on: Target,
    /// The member that it speaks for, if it is a session.
    pub member: Option<Member>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
    /// When it ends.
    pub expires_at: UnixMillis,
    /// When it was last used, to the minute.
    pub last_used_at: Option<UnixMillis>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<UnixMillis>,
}

/// A new token.
#[derive(Debug, Clone)]
pub struct NewApiToken {
    /// Its id, where it is part of the secret already.
    pub id: Option<TokenId>,
    /// What it is for.
    pub name: String,
    /// The keyed hash of its secret, as hexadecimal.
    pub hash: String,
    /// What it is.
    pub kind: TokenKind,
    /// What it may do.
    pub role: Role,
    /// Where, and below.
    pub on: Target,
    /// The member that it speaks for.
    pub member: Option<Member>,
    /// When it ends.
    pub expires_at: UnixMillis,
}

impl TokenKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
        }
    }
}

impl ApiToken {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let kind = match row.text("kind")?.as_str() {
            "token" => TokenKind::Token,
            "session" => TokenKind::Session,
            _ => return Err(StoreError::Corrupt { what: "kind" }),
        };
        Ok(Self {
            org_id: row.parsed("org_id")?,
            id: row.parsed("token_id")?,
            name: row.text("name")?,
            kind,
            role: row.parsed("role")?,
            on: read_target(row)?,
            member: row.parsed_opt("member")?,
            created_by: row.text("created_by")?,
            created_at: row.int("created_at")?,
            expires_at: row.int("expires_at")?,
            last_used_at: row.int_opt("last_used_at")?,
            revoked_at: row.int_opt("revoked_at")?,
        })
    }

    /// Whether it can still be used.
    pub fn is_live(&self, now: UnixMillis) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

impl Read {
    /// One token.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn api_token(&mut self, id: &TokenId) -> Result<ApiToken, StoreError> {
        ApiToken::read(&self.one(READ, values![id]).await?)
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn api_tokens(&mut self, page: &Page) -> Result<Listed<ApiToken>, StoreError> {
        let rows = self.all(LIST, values![page.after_text(), page.fetch()]).await?;
        let tokens = rows.iter().map(ApiToken::read).collect::<Result<Vec<_>, _>>()?;
        Ok(page.listed(tokens, |token| token.id.to_string()))
    }
}

impl Write {
    /// Makes a token.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where its target does not exist.
    pub async fn create_api_token(&mut self, new: NewApiToken) -> Result<ApiToken, StoreError> {
        let node = self.node(&new.on).await?;
        let id = new.id.unwrap_or_else(|| TokenId::new(&*self.inner.clock));
        let member = new.member.map(|member| member.to_string());
        let (by, now) = (self.actor.subject.clone(), self.now);
        let values = values![
            &id,
            &new.name,
            &new.hash,
            new.kind.as_str(),
            new.role.as_str(),
            node.own_workspace(),
            node.own_environment(),
            member.clone(),
            by,
            now,
            new.expires_at,
        ];
        self.execute(CREATE, values).await?;
        let details = json!({
            "token": id.as_str(), "name": new.name, "kind": new.kind.as_str(), "role": new.role.as_str(),
            "member": member, "expires_at": new.expires_at,
        });
        self.note("token.create", new.on.to_string(), details);
        self.api_token(&id).await
    }

    /// Revokes a token. A second time changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none.
    pub async fn revoke_api_token(&mut self, id: &TokenId) -> Result<ApiToken, StoreError> {
        let token = self.api_token(id).await?;
        let now = self.now;
        if self.execute(REVOKE, values![id, now]).await? == 1 {
            self.note("token.revoke", token.on.to_string(), json!({ "token": id.as_str() }));
        }
        self.api_token(id).await
    }

    /// Writes down that a token was used, at most once a minute.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn touch_api_token(&mut self, id: &TokenId) -> Result<(), StoreError> {
        let now = self.now;
        self.execute(TOUCH, values![id, now, now - TOUCH_EVERY_MS]).await.map(|_| ())
    }

    /// Removes sessions that ended before a time; how many.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn remove_ended_sessions(&mut self, before: UnixMillis) -> Result<u64, StoreError> {
        self.execute(SWEEP, values![before]).await
    }
}
