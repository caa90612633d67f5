//! Every row of every table, as text.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};

use crate::world::World;

/// What is in a database.
#[derive(Debug)]
pub(crate) struct Dump(BTreeMap<String, BTreeSet<String>>);

impl Dump {
    /// All that is in it now.
    pub(crate) async fn of(world: &World) -> Self {
        if world.backend == "sqlite" {
            sqlite(&world.database).await
        } else {
            postgresql(&world.database).await
        }
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// The tables that have no rows.
    pub(crate) fn empty(&self) -> Vec<&str> {
        self.0.iter().filter(|(_, rows)| rows.is_empty()).map(|(name, _)| name.as_str()).collect()
    }

    /// The rows that are not in both.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        assert!(self.rows() > 0 && self.0.len() == other.0.len());
        let both = self.0.iter().map(|(table, rows)| (table, rows, &other.0[table]));
        both.flat_map(|(table, now, before)| {
            now.symmetric_difference(before).map(move |row| format!("{table}: {row}"))
        })
        .collect()
    }
}

async fn sqlite(url: &str) -> Dump {
    let mut connection = SqliteConnection::connect(url).await.unwrap();
    let tables = "SELECT m.name AS name, (SELECT group_concat('quote(' || c.name || ')', ' || '','' || ')
            FROM pragma_table_info(m.name) c) AS columns
        FROM sqlite_master m WHERE m.type = 'table' AND m.name NOT IN ('_sqlx_migrations', 'sqlite_sequence', 'leases')";
    let mut dump = BTreeMap::new();
    for table in sqlx::query(tables).fetch_all(&mut connection).await.unwrap() {
        let (name, columns): (String, String) = (table.get("name"), table.get("columns"));
        let rows = sqlx::query(AssertSqlSafe(format!("SELECT {columns} AS row FROM {name}")));
        let rows = rows.fetch_all(&mut connection).await.unwrap();
        dump.insert(name, rows.iter().map(|row| row.get("row")).collect());
    }
    Dump(dump)
}

async fn postgresql(url: &str) -> Dump {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let tables = "SELECT relname::text AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
        AND relname NOT IN ('_sqlx_migrations', 'leases')";
    let mut dump = BTreeMap::new();
    for table in sqlx::query(tables).fetch_all(&mut connection).await.unwrap() {
        let name: String = table.get("name");
        let rows = sqlx::query(AssertSqlSafe(format!("SELECT row_to_json(t)::text AS row FROM {name} t")));
        let rows = rows.fetch_all(&mut connection).await.unwrap();
        dump.insert(name, rows.iter().map(|row| row.get("row")).collect());
    }
    Dump(dump)
}
