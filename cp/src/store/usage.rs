//! How much was used: counted by the hour, per environment, tool and caller; and the same of all callers together, which is what most ask for.
//!
//! Counts are added in the transaction that takes over the rows they are counted from ([`Write::forward`]), so that a stretch
//! that comes twice counts once.

use std::collections::BTreeMap;

use super::sql::{Row, Rows, Sql, Value, rows, values};
use super::{Read, StoreError, UnixMillis, Write};

/// An hour, in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;

const ADD: Rows = Rows::new(
    rows!(
        "INSERT INTO usage_hours (org_id, hour, workspace, environment, tool, caller, calls, denied, failed, bytes, \
         duration_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT (org_id, hour, workspace, environment, tool, caller) DO UPDATE SET \
         calls = usage_hours.calls + excluded.calls, denied = usage_hours.denied + excluded.denied, \
         failed = usage_hours.failed + excluded.failed, bytes = usage_hours.bytes + excluded.bytes, \
         duration_us = usage_hours.duration_us + excluded.duration_us"
    ),
    "INSERT INTO usage_hours (org_id, hour, workspace, environment, tool, caller, calls, denied, failed, bytes, \
     duration_us) SELECT $1, u.* FROM UNNEST($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], \
     $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[]) AS u \
     ON CONFLICT (org_id, hour, workspace, environment, tool, caller) DO UPDATE SET \
     calls = usage_hours.calls + excluded.calls, denied = usage_hours.denied + excluded.denied, \
     failed = usage_hours.failed + excluded.failed, bytes = usage_hours.bytes + excluded.bytes, \
     duration_us = usage_hours.duration_us + excluded.duration_us",
);
const ADD_TOOLS: Rows = Rows::new(
    rows!(
        "INSERT INTO usage_tools (org_id, hour, workspace, environment, tool, calls, denied, failed, bytes, \
         duration_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (org_id, hour, workspace, environment, tool) DO UPDATE SET \
         calls = usage_tools.calls + excluded.calls, denied = usage_tools.denied + excluded.denied, \
         failed = usage_tools.failed + excluded.failed, bytes = usage_tools.bytes + excluded.bytes, \
         duration_us = usage_tools.duration_us + excluded.duration_us"
    ),
    "INSERT INTO usage_tools (org_id, hour, workspace, environment, tool, calls, denied, failed, bytes, \
     duration_us) SELECT $1, u.* FROM UNNEST($2::bigint[], $3::text[], $4::text[], $5::text[], \
     $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[]) AS u \
     ON CONFLICT (org_id, hour, workspace, environment, tool) DO UPDATE SET \
     calls = usage_tools.calls + excluded.calls, denied = usage_tools.denied + excluded.denied, \
     failed = usage_tools.failed + excluded.failed, bytes = usage_tools.bytes + excluded.bytes, \
     duration_us = usage_tools.duration_us + excluded.duration_us",
);

/// What is not to be told apart is one: empty, or the hour 0.
macro_rules! sum {
    ($caller:literal, $table:literal) => {
        Sql::both(concat!(
            "SELECT CASE WHEN $6 = 1 THEN hour ELSE 0 END AS hour, CASE WHEN $7 = 1 THEN workspace ELSE '' END ",
            "AS workspace, CASE WHEN $7 = 1 THEN environment ELSE '' END AS environment, ",
            "CASE WHEN $8 = 1 THEN tool ELSE '' END AS tool, ",
            $caller,
            " AS caller, CAST(sum(calls) AS BIGINT) AS calls, ",
            "CAST(sum(denied) AS BIGINT) AS denied, CAST(sum(failed) AS BIGINT) AS failed, ",
            "CAST(sum(bytes) AS BIGINT) AS bytes, CAST(sum(duration_us) AS BIGINT) AS duration_us FROM ",
            $table,
            " WHERE org_id = $1 AND hour >= $2 AND hour < $3 AND ($4 IS NULL OR workspace = $4) ",
            "AND ($5 IS NULL OR environment = $5) GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5 LIMIT $9"
        ))
    };
}

const SUM: Sql = sum!("caller", "usage_hours");
/// There are many callers, and most questions are not about them.
const SUM_OF_ALL_CALLERS: Sql = sum!("''", "usage_tools");
const LINES: Sql = Sql::both(
    "SELECT count(*) AS lines FROM usage_hours WHERE org_id = $1 AND hour = $2 AND workspace = $3 AND environment = $4",
);
const MORE: Sql = Sql::both(
    "UPDATE usage_hours SET calls = calls + $7, denied = denied + $8, failed = failed + $9, bytes = bytes + $10, \
     duration_us = duration_us + $11 WHERE org_id = $1 AND hour = $2 AND workspace = $3 AND environment = $4 \
     AND tool = $5 AND caller = $6",
);
const SWEEP: Sql = Sql::both("DELETE FROM usage_hours WHERE org_id = $1 AND hour < $2");
const SWEEP_TOOLS: Sql = Sql::both("DELETE FROM usage_tools WHERE org_id = $1 AND hour < $2");

/// What is counted by no name of its own.
pub(super) const OTHER: &str = "(other)";

/// Tools and callers that are told apart in an environment and hour, together: the names are for callers to choose.
const LINES_MAX: usize = 10_000;

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct UsageKey {
    /// The hour's beginning.
    pub hour: UnixMillis,
    /// The workspace's slug.
    pub workspace: String,
    /// The environment's slug.
    pub environment: String,
    /// The tool.
    pub tool: String,
    /// The caller.
    pub caller: String,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageCounts {
    /// Calls that were decided on.
    pub calls: i64,
    /// Those of them that were denied.
    pub denied: i64,
    /// Those of them that failed.
    pub failed: i64,
    /// Bytes of responses.
    pub bytes: i64,
    /// The time that calls took.
    pub duration_us: i64,
}

/// What to add up.
#[derive(Debug, Clone, Default)]
pub struct UsageQuery {
    /// From this hour on.
    pub from: UnixMillis,
    /// Before this one.
    pub until: UnixMillis,
    /// Of this workspace.
    pub workspace: Option<String>,
    /// Of environments of this name.
    pub environment: Option<String>,
    /// Tell hours apart.
    pub by_hour: bool,
    /// Tell environments apart.
    pub by_environment: bool,
    /// Tell tools apart.
    pub by_tool: bool,
    /// Tell callers apart.
    pub by_caller: bool,
    /// The most lines of the answer.
    pub limit: u32,
}

impl UsageCounts {
    fn add(&mut self, other: Self) {
        let pairs = [
            (&mut self.calls, other.calls),
            (&mut self.denied, other.denied),
            (&mut self.failed, other.failed),
            (&mut self.bytes, other.bytes),
            (&mut self.duration_us, other.duration_us),
        ];
        for (sum, more) in pairs {
            *sum = sum.saturating_add(more);
        }
    }
}

impl Read {
    /// Sums of what was used, in the order of what is told apart.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn usage(&mut self, query: &UsageQuery) -> Result<Vec<(UsageKey, UsageCounts)>, StoreError> {
        let flag = i64::from;
        let values = values![
            query.from,
            query.until,
            query.workspace.as_deref(),
            query.environment.as_deref(),
            flag(query.by_hour),
            flag(query.by_environment),
            flag(query.by_tool),
            i64::from(query.limit.clamp(1, 100_000)),
        ];
        let sql = if query.by_caller { SUM } else { SUM_OF_ALL_CALLERS };
        self.all(sql, values).await?.iter().map(read).collect()
    }
}

impl Write {
    /// Adds to the counts.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn add_usage(&mut self, used: &[(UsageKey, UsageCounts)]) -> Result<(), StoreError> {
        // Each key once, and in one order for all who add: they wait for each other and never in a circle.
        let mut sums: BTreeMap<&UsageKey, UsageCounts> = BTreeMap::new();
        for (key, counts) in used {
            sums.entry(key).or_default().add(*counts);
        }
        let sums = self.bounded(sums).await?;
        let rows = sums.left.iter().map(|(key, counts)| line(key, *counts)).collect();
        self.execute_rows(&ADD, rows).await?;
        let rows = sums.of_all_callers.iter().map(|(key, counts)| {
            let mut line = line(key, *counts);
            line.remove(CALLER_AT);
            line
        });
        let rows = rows.collect();
        self.execute_rows(&ADD_TOOLS, rows).await.map(|_| ())
    }

    /// Adds at once what there is a line for, where there are many, and puts the rest together. About [`LINES_MAX`]: who adds at the same moment is
    /// not waited for.
    async fn bounded(&mut self, sums: BTreeMap<&UsageKey, UsageCounts>) -> Result<Sums, StoreError> {
        let Sums { mut left, mut of_all_callers } = Sums::default();
        let mut places: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (key, counts) in sums {
            let place = (key.hour, key.workspace.as_str(), key.environment.as_str());
            places.entry(place).or_default().push((key, counts));
        }
        for ((hour, workspace, environment), lines) in places {
            let there = self.one(LINES, values![hour, workspace, environment]).await?.int("lines")?;
            let there = usize::try_from(there).unwrap_or(usize::MAX);
            let is_full = there.saturating_add(lines.len()) > LINES_MAX;
            for (key, counts) in lines {
                let mut all = UsageKey { caller: String::new(), ..key.clone() };
                if !is_full {
                    left.insert(key.clone(), counts);
                } else if self.execute(MORE, line(key, counts)).await? == 0 {
                    let other = UsageKey { tool: OTHER.to_owned(), caller: OTHER.to_owned(), ..key.clone() };
                    left.entry(other).or_default().add(counts);
                    OTHER.clone_into(&mut all.tool);
                }
                of_all_callers.entry(all).or_default().add(counts);
            }
        }
        Ok(Sums { left, of_all_callers })
    }

    /// Removes the counts of hours before a time; how many.
    ///
    /// # Errors
    /// When the database is not available.
    pub async fn remove_usage(&mut self, before: UnixMillis) -> Result<u64, StoreError> {
        self.execute(SWEEP_TOOLS, values![before]).await?;
        self.execute(SWEEP, values![before]).await
    }
}

/// What is still to be added: by caller, and of all callers together.
#[derive(Default)]
struct Sums {
    left: BTreeMap<UsageKey, UsageCounts>,
    of_all_callers: BTreeMap<UsageKey, UsageCounts>,
}

/// Where the caller stands in [`line()`].
const CALLER_AT: usize = 4;

fn line(key: &UsageKey, counts: UsageCounts) -> Vec<Value> {
    values![
        key.hour,
        &key.workspace,
        &key.environment,
        &key.tool,
        &key.caller,
        counts.calls,
        counts.denied,
        counts.failed,
        counts.bytes,
        counts.duration_us,
    ]
}

fn read(row: &Row) -> Result<(UsageKey, UsageCounts), StoreError> {
    let key = UsageKey {
        hour: row.int("hour")?,
        workspace: row.text("workspace")?,
        environment: row.text("environment")?,
        tool: row.text("tool")?,
        caller: row.text("caller")?,
    };
    let counts = UsageCounts {
        calls: row.int("calls")?,
        denied: row.int("denied")?,
        failed: row.int("failed")?,
        bytes: row.int("bytes")?,
        duration_us: row.int("duration_us")?,
    };
    Ok((key, counts))
}
