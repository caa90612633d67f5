//! Statements, their parameters and their rows, with one face for both databases.
//!
//! A [`Sql`] is about one tenant's data. INVARIANT: it names the tenant once for every table that it touches, and the tenant
//! is its parameter `$1`, which the tenant's own handle binds; a statement that does not is refused by the compiler, since
//! statements are made in constants. A [`PlatformSql`] is what little there is without a tenant.

mod rows;

use mcpg_cp_api::Slug;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

pub(super) use rows::{ROWS_AT_ONCE, Rows, many_rows, rows};

use super::{Backend, StoreError};

/// A statement over one tenant's data. `$1` is the tenant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sql(Texts);

/// A statement without a tenant: look-ups by a presented key, organizations, leases.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlatformSql(Texts);

#[derive(Debug, Clone, Copy)]
struct Texts {
    sqlite: &'static str,
    postgres: &'static str,
}

impl Sql {
    /// The same text for both.
    pub(super) const fn both(text: &'static str) -> Self {
        Self::each(text, text)
    }

    /// A text for each.
    pub(super) const fn each(sqlite: &'static str, postgres: &'static str) -> Self {
        assert!(names_tenant(sqlite.as_bytes()), "a table is read or written without its tenant");
        assert!(names_tenant(postgres.as_bytes()), "a table is read or written without its tenant");
        Self(Texts { sqlite, postgres })
    }

    /// The text for one of them.
    pub(super) const fn text(&self, backend: Backend) -> &'static str {
        self.0.text(backend)
    }
}

const fn starts_with(text: &[u8], at: usize, word: &[u8]) -> bool {
    let mut same = 0;
    #[expect(clippy::indexing_slicing, reason = "it ends at the lengths, and this runs in the compiler")]
    while same < word.len() && at + same < text.len() && text[at + same] == word[same] {
        same += 1;
    }
    same == word.len()
}

impl PlatformSql {
    /// The same text for both.
    pub(super) const fn both(text: &'static str) -> Self {
        Self(Texts { sqlite: text, postgres: text })
    }

    /// The text for one of them.
    pub(super) const fn text(&self, backend: Backend) -> &'static str {
        self.0.text(backend)
    }
}

impl Texts {
    const fn text(&self, backend: Backend) -> &'static str {
        match backend {
            Backend::Sqlite => self.sqlite,
            Backend::Postgres => self.postgres,
        }
    }
}

/// Whether a statement constrains every table it names to the tenant in `$1`.
const fn names_tenant(sql: &[u8]) -> bool {
    let tables = count(sql, b"FROM ") + count(sql, b"JOIN ") + count(sql, b"INTO ") + count(sql, b"UPDATE ");
    // These are no tables.
    let others = count(sql, b"FROM UNNEST(")
        + count(sql, b"FROM json_each(")
        + count(sql, b"DO UPDATE ")
        + count(sql, b"FOR UPDATE OF ");
    let bound = count(sql, b"org_id = $1") + count(sql, b"VALUES ($1,") + count(sql, b"SELECT $1,");
    // `$10` begins with `$1`.
    let longer = count(sql, b"org_id = $10") + count(sql, b"org_id = $11") + count(sql, b"org_id = $12");
    tables > others && bound - longer >= tables - others
}

const fn count(text: &[u8], word: &[u8]) -> usize {
    let mut found = 0;
    let mut start = 0;
    while start + word.len() <= text.len() {
        if starts_with(text, start, word) {
            found += 1;
        }
        start += 1;
    }
    found
}

/// A parameter.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A text, or NULL.
    Text(Option<String>),
    /// A number, or NULL.
    Int(Option<i64>),
    /// Bytes, or NULL.
    Bytes(Option<Vec<u8>>),
    /// Texts, on PostgreSQL only.
    Texts(Vec<Option<String>>),
    /// Numbers, on PostgreSQL only.
    Ints(Vec<Option<i64>>),
    /// Byte strings, on PostgreSQL only.
    Blobs(Vec<Option<Vec<u8>>>),
}

impl Value {
    /// Neither database keeps NUL in a text alike, so none does.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let nul = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains('\0'));
        let bad = match self {
            Self::Text(text) => nul(text),
            Self::Texts(texts) => texts.iter().any(nul),
            _ => false,
        };
        if bad { Err(StoreError::Invalid { what: "a text with NUL" }) } else { Ok(()) }
    }
}

/// Turns rows of parameters into columns of them, for PostgreSQL's `UNNEST`. All rows are alike.
pub(super) fn columns(rows: Vec<Vec<Value>>) -> Result<Vec<Value>, StoreError> {
    let count = rows.len();
    let mut columns: Vec<Value> = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        for (place, value) in row.into_iter().enumerate() {
            if index == 0 {
                columns.push(match value {
                    Value::Text(_) => Value::Texts(Vec::with_capacity(count)),
                    Value::Int(_) => Value::Ints(Vec::with_capacity(count)),
                    _ => Value::Blobs(Vec::with_capacity(count)),
                });
            }
            match (columns.get_mut(place), value) {
                (Some(Value::Texts(texts)), Value::Text(text)) => texts.push(text),
                (Some(Value::Ints(numbers)), Value::Int(number)) => numbers.push(number),
                (Some(Value::Blobs(blobs)), Value::Bytes(bytes)) => blobs.push(bytes),
                _ => return Err(StoreError::Invalid { what: "rows that are not alike" }),
            }
        }
    }
    Ok(columns)
}

/// `values![a, b]`: parameters from whatever converts.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::sql::Value::from($value)),*] };
}
pub(super) use values;

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&Slug> for Value {
    fn from(slug: &Slug) -> Self {
        Self::from(slug.as_str())
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Some(bytes.to_vec()))
    }
}

impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(Some(bytes.to_vec()))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Some(bytes))
    }
}

/// The ids are texts.
macro_rules! from_ids {
    ($($id:ident)+) => {$(
        impl From<&super::$id> for Value {
            fn from(id: &super::$id) -> Self {
                Self::from(id.as_str())
            }
        }
    )+};
}

from_ids!(OrgId WorkspaceId EnvironmentId GatewayId TokenId BindingId ClaimNonce);

/// A row of an answer.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(super) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        self.text_opt(column)?.ok_or(StoreError::Corrupt { what: column })
    }

    pub(super) fn text_opt(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(StoreError::from)
    }

    pub(super) fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        self.int_opt(column)?.ok_or(StoreError::Corrupt { what: column })
    }

    pub(super) fn int_opt(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(StoreError::from)
    }

    pub(super) fn bytes(&self, column: &'static str) -> Result<Vec<u8>, StoreError> {
        match self {
            Self::Sqlite(row) => row.try_get::<Option<Vec<u8>>, _>(column),
            Self::Postgres(row) => row.try_get(column),
        }?
        .ok_or(StoreError::Corrupt { what: column })
    }

    /// Bytes of a known number.
    pub(super) fn array<const N: usize>(&self, column: &'static str) -> Result<[u8; N], StoreError> {
        self.bytes(column)?.try_into().map_err(|_| StoreError::Corrupt { what: column })
    }

    /// A text that must parse.
    pub(super) fn parsed<T: std::str::FromStr>(&self, column: &'static str) -> Result<T, StoreError> {
        self.text(column)?.parse().map_err(|_| StoreError::Corrupt { what: column })
    }

    /// A text that must parse, if it is there.
    pub(super) fn parsed_opt<T: std::str::FromStr>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, StoreError> {
        let text = self.text_opt(column)?;
        text.map(|text| text.parse().map_err(|_| StoreError::Corrupt { what: column })).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_names_its_tenant_for_every_table() {
        let check = |sql: &str, expected: bool| assert_eq!(names_tenant(sql.as_bytes()), expected, "{sql}");
        for sql in [
            "SELECT a FROM t WHERE org_id = $1 AND b = $2",
            "SELECT a FROM t JOIN u ON u.a = t.a AND u.org_id = $1 WHERE t.org_id = $1",
            "INSERT INTO t (org_id, a) VALUES ($1, $2) ON CONFLICT (org_id, a) DO UPDATE SET a = $2",
            "INSERT INTO t (org_id, a) SELECT $1, u.a FROM UNNEST($2::bigint[]) AS u (a)",
            "UPDATE t SET a = $2 WHERE org_id = $1",
            "SELECT a FROM t WHERE org_id = $1 FOR UPDATE",
            "DELETE FROM t WHERE org_id = $1",
        ] {
            check(sql, true);
        }
        for sql in [
            "SELECT a FROM t",
            "SELECT a FROM t WHERE org_id = $2",
            "SELECT a FROM t WHERE org_id = $10",
            "SELECT a FROM t JOIN u ON u.a = t.a WHERE t.org_id = $1",
            "SELECT a FROM t WHERE org_id = $1 AND EXISTS (SELECT 1 FROM u WHERE u.a = t.a)",
            "INSERT INTO t (a) VALUES ($2)",
            "UPDATE t SET a = $2",
            "DELETE FROM t WHERE a = $1",
            "SELECT 1",
        ] {
            check(sql, false);
        }
    }

    #[test]
    fn texts_with_nul_are_refused() {
        assert!(Value::from("a\0").check().is_err());
        assert!(Value::Texts(vec![None, Some("a\0".to_owned())]).check().is_err());
        assert!(Value::from("a").check().is_ok());
    }
}
