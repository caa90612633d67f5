//! Reading the chain: by number, in pages, narrowed to a part of the tree, a time, a subject.

use mcpg_ledger::Hash;

use crate::store::sql::{Row, Sql, values};
use crate::store::{GatewayId, Listed, Page, Read, StoreError, UnixMillis};

/// What is not asked for is NULL, and matches everything. Scope and order are in the text, so that an index serves them.
macro_rules! select {
    ($scope:literal, $rest:literal) => {
        concat!(
            "SELECT seq, hash, time, kind, workspace, environment, gateway_id, subject, target, verdict, row ",
            "FROM audit_rows WHERE org_id = $1 AND ",
            $scope,
            " AND ($5 IS NULL OR kind = $5) AND ($7 IS NULL OR target = $7) AND ($8 IS NULL OR verdict = $8) ",
            "AND ($9 IS NULL OR time >= $9) AND ($10 IS NULL OR time < $10) ",
            $rest
        )
    };
}

/// Forwards and backwards.
macro_rules! both_ways {
    ($scope:literal) => {
        (
            Sql::both(select!($scope, "AND seq > $2 ORDER BY seq LIMIT $11")),
            Sql::both(select!($scope, "AND ($2 IS NULL OR seq < $2) ORDER BY seq DESC LIMIT $11")),
        )
    };
}

const ANYWHERE: (Sql, Sql) =
    both_ways!("($3 IS NULL OR workspace = $3) AND ($4 IS NULL OR environment = $4) AND $6 IS NULL");
const WORKSPACE: (Sql, Sql) =
    both_ways!("workspace = $3 AND ($4 IS NULL OR environment = $4) AND $6 IS NULL");
const ENVIRONMENT: (Sql, Sql) = both_ways!("workspace = $3 AND environment = $4 AND $6 IS NULL");
const SUBJECT: (Sql, Sql) =
    both_ways!("subject = $6 AND ($3 IS NULL OR workspace = $3) AND ($4 IS NULL OR environment = $4)");

/// Which rows.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// The newest first.
    pub newest_first: bool,
    /// Rows about this workspace and its environments.
    pub workspace: Option<String>,
    /// Rows about environments of this name.
    pub environment: Option<String>,
    /// `decision`, `outcome`, `lifecycle`, `approval`, `gap`, `checkpoint`, `operator`.
    pub kind: Option<String>,
    /// Who did it.
    pub subject: Option<String>,
    /// The tool, or what an operator did.
    pub target: Option<String>,
    /// `permit`, `permit_with_obligations`, `deny`.
    pub verdict: Option<String>,
    /// Rows of this time or later.
    pub from: Option<UnixMillis>,
    /// Rows before this time.
    pub until: Option<UnixMillis>,
}

/// A row of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number in the chain.
    pub seq: i64,
    /// Its hash.
    pub hash: Hash,
    /// When what it is about happened.
    pub time: UnixMillis,
    /// What it is.
    pub kind: String,
    /// The workspace that it is about.
    pub workspace: Option<String>,
    /// The environment that it is about.
    pub environment: Option<String>,
    /// The gateway that it came from.
    pub gateway_id: Option<GatewayId>,
    /// Who did it.
    pub subject: Option<String>,
    /// The tool, or what an operator did.
    pub target: Option<String>,
    /// The decision.
    pub verdict: Option<String>,
    /// The bytes that were hashed; `mcpg_ledger::verify::Row` reads them.
    pub row: Vec<u8>,
}

impl AuditRow {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.int("seq")?,
            hash: row.array("hash")?,
            time: row.int("time")?,
            kind: row.text("kind")?,
            workspace: row.text_opt("workspace")?,
            environment: row.text_opt("environment")?,
            gateway_id: row.parsed_opt("gateway_id")?,
            subject: row.text_opt("subject")?,
            target: row.text_opt("target")?,
            verdict: row.text_opt("verdict")?,
            row: row.bytes("row")?,
        })
    }
}

impl Read {
    /// Rows of the chain, in its order or against it. The key of a page is a row's number.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where the page's key is no number.
    pub async fn audit_rows(
        &mut self,
        query: &AuditQuery,
        page: &Page,
    ) -> Result<Listed<AuditRow>, StoreError> {
        let after = page.after_number()?;
        let (forward, backward) = match (&query.subject, &query.workspace, &query.environment) {
            (Some(_), _, _) => SUBJECT,
            (None, Some(_), Some(_)) => ENVIRONMENT,
            (None, Some(_), None) => WORKSPACE,
            (None, None, _) => ANYWHERE,
        };
        let (sql, after) =
            if query.newest_first { (backward, after) } else { (forward, Some(after.unwrap_or(0))) };
        let text = Option::as_deref;
        let values = values![
            after,
            text(&query.workspace),
            text(&query.environment),
            text(&query.kind),
            text(&query.subject),
            text(&query.target),
            text(&query.verdict),
            query.from,
            query.until,
            page.fetch(),
        ];
        let rows = self.all(sql, values).await?;
        let rows = rows.iter().map(AuditRow::read).collect::<Result<Vec<_>, _>>()?;
        Ok(page.listed(rows, |row| row.seq.to_string()))
    }
}
