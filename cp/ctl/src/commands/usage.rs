//! `usage`: what was called, added up.

use clap::{Args, ValueEnum};
use mcpg_cp_api::{Usage, UsageQuery, UsageRow};

use crate::arguments::{Moment, Place};
use crate::client::ApiPath;
use crate::failure::{Exit, Failure};
use crate::output::{Rows, say};
use crate::session::Session;

/// Which sums.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Sums {
    /// Where: `ORG`, `ORG/WORKSPACE` or `ORG/WORKSPACE/ENV`.
    place: Place,
    /// What to tell apart. Can be repeated, or several with commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    by: Vec<By>,
    /// From this time on: RFC 3339, or how long ago, such as `7d`. Default: a day ago.
    #[arg(long)]
    since: Option<Moment>,
    /// Before this time. Default: now.
    #[arg(long)]
    until: Option<Moment>,
    /// The most sums.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
}

/// What can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// The hour.
    Hour,
    /// The environment.
    Environment,
    /// The tool.
    Tool,
    /// The caller.
    Caller,
}

impl Sums {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let by = |what| self.by.contains(&what);
        let query = UsageQuery {
            limit: Some(self.limit),
            since: self.since.map(Moment::resolved),
            until: self.until.map(Moment::resolved),
            by_hour: by(By::Hour),
            by_environment: by(By::Environment),
            by_tool: by(By::Tool),
            by_caller: by(By::Caller),
        };
        let path = ApiPath::from(&self.place.0).join("usage");
        let found: Usage = session.client().await?.get_with(&path, &query).await?;
        session.output.text_or(&found, || table(&found, &query))?;
        if found.truncated {
            say(&format!("there are more than {} sums: tell less apart, or say `--limit`", self.limit));
        }
        Ok(Exit::Done)
    }
}

/// The columns that were told apart, and the numbers.
fn table(usage: &Usage, query: &UsageQuery) -> String {
    type Column = (&'static str, bool, fn(&UsageRow) -> String);
    let columns: [Column; 9] = [
        ("HOUR", query.by_hour, |row| row.hour.map(|hour| hour.to_string()).unwrap_or_default()),
        ("ENVIRONMENT", query.by_environment, |row| {
            let place = [&row.workspace, &row.environment].into_iter().flatten();
            place.map(String::as_str).collect::<Vec<_>>().join("/")
        }),
        ("TOOL", query.by_tool, |row| row.tool.clone().unwrap_or_default()),
        ("CALLER", query.by_caller, |row| row.caller.clone().unwrap_or_default()),
        ("CALLS", true, |row| row.calls.to_string()),
        ("DENIED", true, |row| row.denied.to_string()),
        ("FAILED", true, |row| row.failed.to_string()),
        ("BYTES", true, |row| row.response_bytes.to_string()),
        // Calls that were refused take no time upstream.
        ("MEAN MS", true, |row| {
            let mean = row.duration_us.checked_div(row.calls.saturating_sub(row.denied));
            mean.map(|microseconds| (microseconds / 1000).to_string()).unwrap_or_default()
        }),
    ];
    let shown: Vec<&Column> = columns.iter().filter(|(_, is_shown, _)| *is_shown).collect();
    let mut rows = Rows::new(&shown.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
    for row in &usage.items {
        rows.push(&shown.iter().map(|(_, _, cell)| cell(row)).collect::<Vec<_>>());
    }
    rows.text()
}
