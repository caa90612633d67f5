//! Reading the chain: by number, in pages, narrowed to a part of the tree, a time, a subject.
//!
//! INVARIANT: what one page reads is bounded, however long the chain is and however rare what is looked for. Zones ([`super::zones`]) say where it can be; what
//! a subject did is in an index. Where the bound is met the page is short, or empty, and says where the next one begins.

use mcpg_ledger::Hash;

use super::number;
use super::zones::{self, Wanted};
use crate::store::sql::{Row, Sql, values};
use crate::store::{GatewayId, Listed, Page, Read, StoreError, UnixMillis};

/// What one page reads at most.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Bounds {
    /// Zones.
    pub(in crate::store) zones: usize,
    /// Zones that follow each other and are read by one statement.
    pub(in crate::store) zones_at_once: usize,
    /// Rows of one subject that are read by one statement.
    pub(in crate::store) subject_rows: i64,
    /// How many such statements there are.
    pub(in crate::store) subject_steps: usize,
}

const BOUNDS: Bounds = Bounds { zones: 128, zones_at_once: 16, subject_rows: 2000, subject_steps: 16 };

/// What is not asked for is NULL, and matches everything. The subject and the order are in the text, so that an index serves them.
macro_rules! select {
    ($what:literal, $subject:literal, $rest:literal) => {
        Sql::both(concat!(
            "SELECT ",
            $what,
            " FROM audit_rows WHERE org_id = $1 AND seq > $2 AND seq <= $3 AND ",
            $subject,
            " ($4 IS NULL OR workspace = $4) AND ($5 IS NULL OR environment = $5) AND ($6 IS NULL OR kind = $6) ",
            "AND ($8 IS NULL OR target = $8) AND ($9 IS NULL OR verdict = $9) AND ($10 IS NULL OR time >= $10) ",
            "AND ($11 IS NULL OR time < $11) ",
            $rest
        ))
    };
}

/// Forwards and backwards.
macro_rules! both_ways {
    ($subject:literal) => {
        (
            select!(
                "seq, hash, time, kind, workspace, environment, gateway_id, subject, target, verdict, row",
                $subject,
                "ORDER BY seq LIMIT $12"
            ),
            select!(
                "seq, hash, time, kind, workspace, environment, gateway_id, subject, target, verdict, row",
                $subject,
                "ORDER BY seq DESC LIMIT $12"
            ),
        )
    };
}

const ALL: (Sql, Sql) = both_ways!("$7 IS NULL AND");
const SUBJECT: (Sql, Sql) = both_ways!("subject = $7 AND");

/// The row up to which one has read so many of a subject's.
const STEP: (Sql, Sql) = (
    Sql::both(
        "SELECT seq FROM audit_rows WHERE org_id = $1 AND subject = $4 AND seq > $2 AND seq <= $3 \
         ORDER BY seq LIMIT 1 OFFSET $5",
    ),
    Sql::both(
        "SELECT seq FROM audit_rows WHERE org_id = $1 AND subject = $4 AND seq > $2 AND seq <= $3 \
         ORDER BY seq DESC LIMIT 1 OFFSET $5",
    ),
);

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

/// Rows behind one and up to another.
type Span = (i64, i64);

/// A search that is under way.
struct Search<'q> {
    query: &'q AuditQuery,
    wanted: Wanted,
    /// What is still to be looked at.
    left: Span,
    /// How many rows are wanted.
    limit: i64,
    bounds: Bounds,
    found: Vec<AuditRow>,
}

impl Read {
    /// Rows of the chain, in its order or against it. The key of a page is a row's number. A page may have fewer rows than asked for, or none, and another
    /// behind it.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where the page's key is no number.
    pub async fn audit_rows(
        &mut self,
        query: &AuditQuery,
        page: &Page,
    ) -> Result<Listed<AuditRow>, StoreError> {
        self.audit_rows_within(query, page, BOUNDS).await
    }

    /// The same within other bounds.
    pub(in crate::store) async fn audit_rows_within(
        &mut self,
        query: &AuditQuery,
        page: &Page,
        bounds: Bounds,
    ) -> Result<Listed<AuditRow>, StoreError> {
        let after = page.after_number()?;
        let nothing = Listed { items: Vec::new(), next: None };
        let Some(wanted) = query.wanted() else { return Ok(nothing) };
        let chain = self.audit_chain().await?;
        // What is before the anchor is being removed.
        let mut left = (number(chain.anchor.seq)?, number(chain.head.seq)?);
        match after {
            Some(after) if query.newest_first => left.1 = left.1.min(after.saturating_sub(1)),
            Some(after) => left.0 = left.0.max(after),
            None => {}
        }
        let mut search = Search { query, wanted, left, limit: page.fetch(), bounds, found: Vec::new() };
        let next = if query.subject.is_some() {
            self.search_subject(&mut search).await?
        } else if search.wanted.is_anything() {
            // There are no holes: so many numbers are so many rows.
            let (after, up_to) = left;
            let span = if query.newest_first {
                (after.max(up_to.saturating_sub(search.limit)), up_to)
            } else {
                (after, up_to.min(after.saturating_add(search.limit)))
            };
            self.look_at(&mut search, span).await?;
            None
        } else {
            self.search_zones(&mut search).await?
        };
        if search.is_full() {
            return Ok(page.listed(search.found, |row| row.seq.to_string()));
        }
        Ok(Listed { items: search.found, next: next.map(|next| next.to_string()) })
    }

    /// Looks at the zones that can have rows. Returns where to go on, where that was not all.
    async fn search_zones(&mut self, search: &mut Search<'_>) -> Result<Option<i64>, StoreError> {
        if search.left.0 >= search.left.1 {
            return Ok(None);
        }
        let newest_first = search.query.newest_first;
        let between = (zones::zone_of(search.left.0 + 1), zones::zone_of(search.left.1));
        let Bounds { zones: most, zones_at_once, .. } = search.bounds;
        let zones = self.zones(&search.wanted, between, newest_first, most).await?;
        let (mut rest, mut at_once) = (zones.as_slice(), 1);
        while let Some(first) = rest.first() {
            let follow =
                rest.windows(2).take_while(|pair| matches!(pair, [one, next] if one.abs_diff(*next) == 1));
            let (part, others) = rest.split_at((follow.count() + 1).min(at_once));
            let last = part.last().unwrap_or(first);
            let span = (zones::before(*first.min(last)), zones::before(*first.max(last) + 1));
            self.look_at(search, (span.0.max(search.left.0), span.1.min(search.left.1))).await?;
            if search.is_full() {
                return Ok(None);
            }
            // The first zone often has enough.
            (rest, at_once) = (others, (at_once * 2).min(zones_at_once));
        }
        let Some(last) = zones.last().filter(|_| zones.len() >= most) else { return Ok(None) };
        Ok(Some(if newest_first { zones::before(*last) + 1 } else { zones::before(*last + 1) }))
    }

    /// Looks at the subject's rows, between the first and the last zone that can have what is wanted.
    async fn search_subject(&mut self, search: &mut Search<'_>) -> Result<Option<i64>, StoreError> {
        if search.left.0 >= search.left.1 {
            return Ok(None);
        }
        let newest_first = search.query.newest_first;
        if search.wanted.is_anything() {
            self.look_at(search, search.left).await?;
            return Ok(None);
        }
        let between = (zones::zone_of(search.left.0 + 1), zones::zone_of(search.left.1));
        let Some((first, last)) = self.zones_between(&search.wanted, between).await? else { return Ok(None) };
        search.left.0 = search.left.0.max(zones::before(first));
        search.left.1 = search.left.1.min(zones::before(last + 1));
        for _ in 0..search.bounds.subject_steps {
            let (after, up_to) = search.left;
            let sql = if newest_first { STEP.1 } else { STEP.0 };
            let subject = search.query.subject.as_deref();
            let step =
                self.optional(sql, values![after, up_to, subject, search.bounds.subject_rows - 1]).await?;
            let step = step.map(|row| row.int("seq")).transpose()?;
            let span = match step {
                None => (after, up_to),
                Some(seq) if newest_first => (seq - 1, up_to),
                Some(seq) => (after, seq),
            };
            self.look_at(search, span).await?;
            if search.is_full() || step.is_none() {
                return Ok(None);
            }
            search.left = if newest_first { (after, span.0) } else { (span.1, up_to) };
        }
        Ok(Some(if newest_first { search.left.1 + 1 } else { search.left.0 }))
    }

    /// Adds what fits of a span.
    async fn look_at(&mut self, search: &mut Search<'_>, (after, up_to): Span) -> Result<(), StoreError> {
        let query = search.query;
        let (forward, backward) = if query.subject.is_some() { SUBJECT } else { ALL };
        let sql = if query.newest_first { backward } else { forward };
        let text = Option::as_deref;
        let values = values![
            after,
            up_to,
            text(&query.workspace),
            text(&query.environment),
            text(&query.kind),
            text(&query.subject),
            text(&query.target),
            text(&query.verdict),
            query.from,
            query.until,
            search.limit - i64::try_from(search.found.len()).unwrap_or(i64::MAX),
        ];
        for row in &self.all(sql, values).await? {
            search.found.push(AuditRow::read(row)?);
        }
        Ok(())
    }
}

impl Search<'_> {
    fn is_full(&self) -> bool {
        i64::try_from(self.found.len()).unwrap_or(i64::MAX) >= self.limit
    }
}

impl AuditQuery {
    /// What zones are searched for; none where no row can fit.
    fn wanted(&self) -> Option<Wanted> {
        let kind = self.kind.as_deref().map_or(Some(0), zones::kind_bit)?;
        let verdict = self.verdict.as_deref().map_or(Some(0), zones::verdict_bit)?;
        Some(Wanted {
            workspace: self.workspace.clone(),
            environment: self.environment.clone(),
            kind,
            verdict,
            from: self.from.unwrap_or(i64::MIN),
            until: self.until.unwrap_or(i64::MAX),
        })
    }
}
