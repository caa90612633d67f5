//! What stretches of the chain have, so that a search reads only those that can have what it looks for.
//!
//! A zone is 1,024 rows that follow each other. For each place that rows of it are about it is noted which kinds and verdicts there are, and between which
//! times. INVARIANT: every row is within what its zone says, in the transaction that adds it; a zone may say more than there is, since rows go and it stays.

use std::collections::BTreeMap;

use super::{NewRow, number};
use crate::store::sql::{Rows, Sql, values};
use crate::store::{Read, StoreError, UnixMillis, Write};

/// How many rows a zone has.
pub(super) const ZONE_ROWS: i64 = 1024;

/// The bits of kinds, and of verdicts. They are in the database: a new one goes to the end.
const TRAITS: [&str; 11] = [
    "decision",
    "outcome",
    "lifecycle",
    "approval",
    "gap",
    "checkpoint",
    "operator",
    "hole",
    "permit",
    "permit_with_obligations",
    "deny",
];
const KINDS: usize = 8;

const ADD: Rows = Rows::new(
    crate::store::sql::rows!(
        "INSERT INTO audit_zones (org_id, zone, workspace, environment, traits, first_time, last_time) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (org_id, zone, workspace, environment) DO UPDATE SET \
         traits = audit_zones.traits | excluded.traits, first_time = min(audit_zones.first_time, excluded.first_time), \
         last_time = max(audit_zones.last_time, excluded.last_time)"
    ),
    "INSERT INTO audit_zones (org_id, zone, workspace, environment, traits, first_time, last_time) \
     SELECT $1, u.* FROM UNNEST($2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[]) AS u \
     ON CONFLICT (org_id, zone, workspace, environment) DO UPDATE SET \
     traits = audit_zones.traits | excluded.traits, first_time = least(audit_zones.first_time, excluded.first_time), \
     last_time = greatest(audit_zones.last_time, excluded.last_time)",
);
const REMOVE: Sql = Sql::both("DELETE FROM audit_zones WHERE org_id = $1 AND zone < $2");

/// The filter is the same in each, and the place is in the text, so that an index serves it.
macro_rules! select {
    ($what:literal, $place:literal, $rest:literal) => {
        Sql::both(concat!(
            "SELECT ",
            $what,
            " FROM audit_zones WHERE org_id = $1 AND ",
            $place,
            " AND zone >= $2 AND zone <= $3 AND ($6 = 0 OR (traits & $6) <> 0) AND ($7 = 0 OR (traits & $7) <> 0) ",
            "AND last_time >= $8 AND first_time < $9 ",
            $rest
        ))
    };
}

/// Forwards, backwards, and the first and the last.
macro_rules! searches {
    ($place:literal) => {
        [
            select!("zone", $place, "GROUP BY zone ORDER BY zone LIMIT $10"),
            select!("zone", $place, "GROUP BY zone ORDER BY zone DESC LIMIT $10"),
            select!("min(zone) AS zone, max(zone) AS last", $place, "LIMIT $10"),
        ]
    };
}

const ANYWHERE: [Sql; 3] = searches!("($4 IS NULL OR workspace = $4) AND ($5 IS NULL OR environment = $5)");
const ENVIRONMENT: [Sql; 3] = searches!("workspace = $4 AND environment = $5");

/// What zones are searched for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) workspace: Option<String>,
    pub(super) environment: Option<String>,
    /// Bits, of which one must be there; 0 for whatever there is.
    pub(super) kind: i64,
    pub(super) verdict: i64,
    pub(super) from: UnixMillis,
    pub(super) until: UnixMillis,
}

/// The bit of a kind; none if there is no such kind.
pub(super) fn kind_bit(kind: &str) -> Option<i64> {
    TRAITS.iter().take(KINDS).position(|known| *known == kind).map(|at| 1 << at)
}

/// The bit of a verdict; none if there is no such verdict.
pub(super) fn verdict_bit(verdict: &str) -> Option<i64> {
    TRAITS.iter().skip(KINDS).position(|known| *known == verdict).map(|at| 1 << (KINDS + at))
}

/// The zone of a row.
pub(super) fn zone_of(seq: i64) -> i64 {
    (seq - 1).div_euclid(ZONE_ROWS)
}

/// The row before a zone.
pub(super) fn before(zone: i64) -> i64 {
    zone.saturating_mul(ZONE_ROWS)
}

/// What the rows of one append say of their zones.
#[derive(Debug, Default)]
pub(super) struct Noted(BTreeMap<(i64, String, String), (i64, UnixMillis, UnixMillis)>);

impl Noted {
    /// Notes a row. One of a kind that nobody can search for is found by everything else.
    pub(super) fn add(&mut self, seq: u64, row: &NewRow) -> Result<(), StoreError> {
        let bits = kind_bit(row.kind).unwrap_or_default()
            | row.verdict.as_deref().and_then(verdict_bit).unwrap_or_default();
        let slug = |slug: &Option<String>| slug.clone().unwrap_or_default();
        let key = (zone_of(number(seq)?), slug(&row.workspace), slug(&row.environment));
        let (traits, first, last) = self.0.entry(key).or_insert((0, row.time, row.time));
        *traits |= bits;
        *first = row.time.min(*first);
        *last = row.time.max(*last);
        Ok(())
    }
}

impl Read {
    /// Zones from one to another that can have what is wanted, in order or against it.
    pub(super) async fn zones(
        &mut self,
        wanted: &Wanted,
        (first, last): (i64, i64),
        newest_first: bool,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        let [forwards, backwards, _] = wanted.searches();
        let sql = if newest_first { backwards } else { forwards };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.all(sql, wanted.values((first, last), limit)).await?.iter().map(|row| row.int("zone")).collect()
    }

    /// The first and the last zone that can have what is wanted.
    pub(super) async fn zones_between(
        &mut self,
        wanted: &Wanted,
        between: (i64, i64),
    ) -> Result<Option<(i64, i64)>, StoreError> {
        let [_, _, ends] = wanted.searches();
        let row = self.one(ends, wanted.values(between, 1)).await?;
        Ok(row.int_opt("zone")?.zip(row.int_opt("last")?))
    }
}

impl Write {
    /// Adds to what zones have. Who calls it has locked the chain's head.
    pub(super) async fn note_zones(&mut self, noted: Noted) -> Result<(), StoreError> {
        let line = |((zone, workspace, environment), (traits, first, last))| {
            values![zone, workspace, environment, traits, first, last]
        };
        let rows = noted.0.into_iter().map(line).collect();
        self.execute_rows(&ADD, rows).await.map(|_| ())
    }

    /// Forgets zones whose rows are all removed, up to one.
    pub(super) async fn remove_zones(&mut self, up_to: i64) -> Result<(), StoreError> {
        self.execute(REMOVE, values![up_to.div_euclid(ZONE_ROWS)]).await.map(|_| ())
    }
}

impl Wanted {
    /// Whether every zone will do.
    pub(super) fn is_anything(&self) -> bool {
        let Self { workspace, environment, kind, verdict, from, until } = self;
        workspace.is_none()
            && environment.is_none()
            && (*kind, *verdict) == (0, 0)
            && (*from, *until) == (i64::MIN, i64::MAX)
    }

    fn searches(&self) -> [Sql; 3] {
        if self.workspace.is_some() && self.environment.is_some() { ENVIRONMENT } else { ANYWHERE }
    }

    fn values(&self, (first, last): (i64, i64), limit: i64) -> Vec<crate::store::sql::Value> {
        values![
            first,
            last,
            self.workspace.as_deref(),
            self.environment.as_deref(),
            self.kind,
            self.verdict,
            self.from,
            self.until,
            limit,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_in_one_zone() {
        for (seq, zone) in [(1, 0), (1024, 0), (1025, 1), (2048, 1), (2049, 2)] {
            assert_eq!(zone_of(seq), zone, "{seq}");
            assert!(before(zone) < seq && seq <= before(zone + 1), "{seq}");
        }
        assert_eq!((kind_bit("decision"), kind_bit("hole"), kind_bit("deny")), (Some(1), Some(128), None));
        assert_eq!((verdict_bit("permit"), verdict_bit("deny")), (Some(256), Some(1024)));
        assert_eq!(verdict_bit("decision"), None);
    }
}
