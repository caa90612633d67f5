//! `audit tail`: the last rows of the chain, and those to come.

use std::time::Duration;

use clap::Args;
use mcpg_cp_api::{AuditQuery, AuditRow, Line, Page};

use crate::arguments::{Moment, Place};
use crate::client::{ApiPath, Client};
use crate::failure::{Exit, Failure};
use crate::output::{Format, Show};
use crate::session::Session;
use crate::text::plain;

const PAGE_MAX: u16 = 200;
const PAUSE: Duration = Duration::from_secs(1);

/// Which rows.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Tail {
    /// Where: `ORG`, `ORG/WORKSPACE` or `ORG/WORKSPACE/ENV`.
    place: Place,
    /// How many rows.
    #[arg(short = 'n', long = "lines", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    lines: u32,
    /// Go on with the rows to come, until interrupted. JSON is one object per line then.
    #[arg(short, long)]
    follow: bool,
    /// Only rows of this kind: `operator`, `decision`, `outcome`, `lifecycle`, `approval`, `gap`, `checkpoint`.
    #[arg(long)]
    kind: Option<Line<20>>,
    /// Only rows about this subject, such as `user:alice@acme.com`.
    #[arg(long)]
    subject: Option<Line<300>>,
    /// Only rows with this verdict, such as `deny`.
    #[arg(long)]
    verdict: Option<Line<40>>,
    /// Only rows of this time and later: RFC 3339, or how long ago, such as `24h`.
    #[arg(long)]
    since: Option<Moment>,
    /// Only rows before this time.
    #[arg(long, conflicts_with = "follow")]
    until: Option<Moment>,
}

impl Tail {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let client = session.client().await?;
        let path = ApiPath::from(&self.place.0).join("audit");
        let rows = self.last(client, &path).await?;
        if !self.follow {
            session.output.list(&rows)?;
            return Ok(Exit::Done);
        }
        let newest = rows.last().map(|row| row.sequence);
        rows.iter().try_for_each(|row| print(session, row))?;
        // Where no row fits so far, those to come are behind the chain's newest, whatever it is about.
        let mut after = match newest {
            Some(sequence) => sequence,
            None => self.chain_end(client, &path).await?,
        };
        let mut cursor = None;
        loop {
            let query = AuditQuery {
                after: Some(after),
                limit: Some(PAGE_MAX),
                cursor: cursor.clone(),
                ..self.filter()
            };
            let page: Page<AuditRow> = client.get_with(&path, &query).await?;
            for row in &page.items {
                print(session, row)?;
                after = after.max(row.sequence);
            }
            match page.next_cursor {
                // A page may be short, or empty, and another behind it.
                Some(next) => cursor = Some(next),
                None => {
                    if !page.items.is_empty() {
                        cursor = None;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// The last rows that fit, the oldest first.
    async fn last(&self, client: &Client, path: &ApiPath) -> Result<Vec<AuditRow>, Failure> {
        let wanted = usize::try_from(self.lines).unwrap_or(usize::MAX);
        let mut rows: Vec<AuditRow> = Vec::new();
        let mut cursor = None;
        while rows.len() < wanted {
            let missing = u16::try_from(wanted - rows.len()).unwrap_or(PAGE_MAX).min(PAGE_MAX);
            let query = AuditQuery { newest_first: true, limit: Some(missing), cursor, ..self.filter() };
            let page: Page<AuditRow> = client.get_with(path, &query).await?;
            rows.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        rows.truncate(wanted);
        rows.reverse();
        Ok(rows)
    }

    async fn chain_end(&self, client: &Client, path: &ApiPath) -> Result<u64, Failure> {
        let query = AuditQuery { newest_first: true, limit: Some(1), ..AuditQuery::default() };
        let page: Page<AuditRow> = client.get_with(path, &query).await?;
        Ok(page.items.first().map_or(0, |row| row.sequence))
    }

    fn filter(&self) -> AuditQuery {
        AuditQuery {
            kind: self.kind.clone(),
            subject: self.subject.clone(),
            verdict: self.verdict.clone(),
            since: self.since.map(Moment::resolved),
            until: self.until.map(Moment::resolved),
            ..AuditQuery::default()
        }
    }
}

/// A row of a list without an end: columns have a width of their own.
fn print(session: &Session, row: &AuditRow) -> Result<(), Failure> {
    if session.output.names_only {
        return Ok(session.output.line(&row.name())?);
    }
    if session.output.format != Format::Table {
        // A JSON object is a document of YAML, too.
        return Ok(session.output.json_line(row)?);
    }
    let cells = row.cells();
    let widths = [8, 24, 10, 10, 32];
    let mut line = String::new();
    for (index, cell) in cells.iter().enumerate() {
        let cell = plain(if cell.is_empty() { "-" } else { cell });
        let width = widths.get(index).copied().unwrap_or_default();
        line.push_str(&format!("{cell:width$}  "));
    }
    Ok(session.output.line(line.trim_end())?)
}

impl Show for AuditRow {
    const COLUMNS: &'static [&'static str] =
        &["SEQUENCE", "TIME", "KIND", "VERDICT", "SUBJECT", "PLACE", "TARGET"];

    fn cells(&self) -> Vec<String> {
        let place = [&self.workspace, &self.environment].into_iter().flatten();
        vec![
            self.sequence.to_string(),
            self.time.to_string(),
            self.kind.clone(),
            self.verdict.clone().unwrap_or_default(),
            self.subject.clone().unwrap_or_default(),
            place.map(String::as_str).collect::<Vec<_>>().join("/"),
            self.target.clone().unwrap_or_default(),
        ]
    }

    fn name(&self) -> String {
        self.sequence.to_string()
    }
}
