//! `mcpg-loadtest audit`: gateways that forward their audit logs to one control plane, and questions about what is there then.
//!
//! Each gateway has a key of its own, enrols with a token of its own, and writes a log as a real one does: encoded and chained by the ledger's own writer,
//! signed at intervals. So what is measured is the control plane. Two organizations are made, and left there; what is said of them is compared
//! with what was sent.

mod ask;
mod gateway;
mod log;
mod proof;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use tokio::task::JoinSet;

use self::gateway::Gateway;
use self::log::{Story, Written};
use crate::agent::Agent;
use crate::operator::Operator;
use crate::process::{Used, tree};
use crate::times::Times;

const DAY_NANOS: u64 = 86_400_000_000_000;
/// Of so many rows one is the second organization's.
const OTHERS_ONE_OF: u64 = 20;

/// How the scenario is run.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// Where the control plane is: an address, or `http://` and an address.
    #[arg(long)]
    url: String,
    /// The file with its bootstrap token.
    #[arg(long)]
    token: PathBuf,
    /// How many rows.
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    /// How many gateways send them.
    #[arg(long, default_value_t = 8)]
    gateways: u64,
    /// How many environments they are in.
    #[arg(long, default_value_t = 4)]
    environments: u64,
    /// How many callers there are.
    #[arg(long, default_value_t = 300)]
    callers: u32,
    /// How many days the rows are of; the last of them is now.
    #[arg(long, default_value_t = 30)]
    days: u64,
    /// How many rows are sent at once: a gateway's batch.
    #[arg(long, default_value_t = 1000)]
    batch: u64,
    /// Sends no further rows after so many seconds, and goes on with those that are there.
    #[arg(long, default_value_t = 3600)]
    seconds_max: u64,
    /// How often each question is asked.
    #[arg(long, default_value_t = 50)]
    questions: usize,
    /// The control plane's process, whose memory and processor time are shown.
    #[arg(long)]
    process: Option<u32>,
    /// The database server's process, the same with all its children.
    #[arg(long)]
    database_process: Option<u32>,
    /// Files or folders of the database, whose size is shown.
    #[arg(long)]
    database: Vec<PathBuf>,
    /// `mcpg-ctl`, which verifies what is exported.
    #[arg(long)]
    ctl: Option<PathBuf>,
    /// Where the export is put; it takes as much as the rows, and is removed.
    #[arg(long, default_value = ".")]
    folder: PathBuf,
}

/// Runs the scenario and prints its figures.
///
/// # Errors
/// When the control plane does not do its part, or says another thing than what was sent.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let address: SocketAddr = settings.url.trim_start_matches("http://").trim_end_matches('/').parse()?;
    let token = std::fs::read_to_string(&settings.token).context("the bootstrap token")?;
    let operator = Operator { address, token: token.trim().to_owned() };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let begins = u64::try_from(now.as_nanos())?.saturating_sub(settings.days * DAY_NANOS);
    let size_before = sizes(&settings.database);
    let places: Vec<String> =
        (0..settings.environments.max(1)).map(|number| format!("env-{number}")).collect();
    let first = operator.organization(&places).await?;
    let second = operator.organization(places.get(..1).unwrap_or_default()).await?;

    let others = settings.rows / OTHERS_ONE_OF;
    let mut gateways = Vec::new();
    let count = settings.gateways.max(1);
    for number in 0..=count {
        // The last one is the second organization's.
        let (organization, environment, rows) = if number == count {
            (&second, 0, others)
        } else {
            let share = (settings.rows - others) / count;
            let rest = if number == 0 { (settings.rows - others) % count } else { 0 };
            (&first, number % settings.environments.max(1), share + rest)
        };
        let environment = format!("env-{environment}");
        let token = operator.enrollment_token(organization, &environment).await?;
        let agent = Agent::enrol(address, &format!("gw-{number}"), &token).await?;
        let story = Story {
            organization: organization.clone(),
            environment,
            callers: settings.callers,
            begins,
            step: settings.days * DAY_NANOS / (rows / 2).max(1),
        };
        gateways.push((Gateway::new(agent, story, rows, settings.batch, number + 1), organization == &first));
    }
    let written = send(&settings, gateways).await?;
    let total = written.0.rows + written.1.rows;
    show_sizes(&settings.database, size_before, total);
    ask::compare(&operator, [(&first, written.0), (&second, written.1)], begins).await?;
    let days = Duration::from_nanos(settings.days * DAY_NANOS);
    ask::all(&operator, &first, (begins, days), settings.questions).await?;
    show("after the questions", &settings, None, Duration::ZERO, 0);
    proof::run(&settings, &operator, &first, written.0.rows).await
}

/// Sends all rows. Returns what each of the two organizations has then.
async fn send(settings: &Settings, gateways: Vec<(Gateway, bool)>) -> anyhow::Result<(Written, Written)> {
    let progress = Arc::new(Progress::new(settings.rows, Duration::from_secs(settings.seconds_max)));
    let before = (settings.process.and_then(tree), settings.database_process.and_then(tree));
    let mut running = JoinSet::new();
    for (gateway, is_first) in gateways {
        let progress = Arc::clone(&progress);
        running.spawn(async move { (gateway.run(&progress).await, is_first) });
    }
    let (mut first, mut second) = (Written::default(), Written::default());
    while let Some(ended) = running.join_next().await {
        let (written, is_first) = ended?;
        if is_first { &mut first } else { &mut second }.add(written?);
    }
    progress.show();
    show("control plane", settings, before.0, progress.begun.elapsed(), first.rows + second.rows);
    if let (Some(id), before) = (settings.database_process, before.1) {
        show_process("database", id, before, progress.begun.elapsed(), first.rows + second.rows);
    }
    Ok((first, second))
}

/// How far all gateways have come together.
pub(crate) struct Progress {
    begun: Instant,
    seconds_max: Duration,
    wanted: u64,
    rows: AtomicU64,
    retries: AtomicU64,
    stopped: AtomicBool,
    /// When each tenth was there, and how long each batch took.
    tenths: std::sync::Mutex<(Vec<Duration>, Times)>,
}

impl Progress {
    fn new(wanted: u64, seconds_max: Duration) -> Self {
        Self {
            begun: Instant::now(),
            seconds_max,
            wanted,
            rows: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            tenths: std::sync::Mutex::default(),
        }
    }

    fn goes_on(&self) -> bool {
        if self.begun.elapsed() > self.seconds_max && !self.stopped.swap(true, Ordering::Relaxed) {
            println!(
                "PARTIAL: the time is over after {} of {} rows",
                self.rows.load(Ordering::Relaxed),
                self.wanted
            );
        }
        !self.stopped.load(Ordering::Relaxed)
    }

    fn kept(&self, rows: u64, time: Duration) {
        let all = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        let Ok(mut tenths) = self.tenths.lock() else { return };
        tenths.1.add(time);
        let reached = usize::try_from(all * 10 / self.wanted.max(1)).unwrap_or(10);
        while tenths.0.len() < reached {
            tenths.0.push(self.begun.elapsed());
            println!(
                "  {:3} %: {all} rows after {:.1} s",
                tenths.0.len() * 10,
                self.begun.elapsed().as_secs_f64()
            );
        }
    }

    fn again(&self, error: &anyhow::Error) {
        if self.retries.fetch_add(1, Ordering::Relaxed) < 5 {
            println!("  a batch is sent again: {error:#}");
        }
    }

    fn show(&self) {
        let (rows, time) = (self.rows.load(Ordering::Relaxed), self.begun.elapsed());
        println!("kept: {rows} rows in {:.1} s, {:.0} rows/s", time.as_secs_f64(), rate(rows, time));
        let Ok(mut tenths) = self.tenths.lock() else { return };
        let tenth = self.wanted / 10;
        if let [first, .., before, last] = tenths.0.as_slice() {
            println!(
                "rate of the first tenth {:.0} rows/s, of the last that is whole {:.0} rows/s",
                rate(tenth, *first),
                rate(tenth, *last - *before)
            );
        }
        println!("a batch: {}; sent again {}", tenths.1.fine(), self.retries.load(Ordering::Relaxed));
    }
}

fn rate(rows: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rows = rows as f64;
    rows / time.as_secs_f64().max(1e-9)
}

fn show(what: &str, settings: &Settings, before: Option<Used>, time: Duration, rows: u64) {
    if let Some(id) = settings.process {
        show_process(what, id, before, time, rows);
    }
}

fn show_process(what: &str, id: u32, before: Option<Used>, time: Duration, rows: u64) {
    let Some(now) = tree(id) else { return };
    let processor = now.processor.saturating_sub(before.unwrap_or_default().processor);
    let each = if rows > 0 { 1e6 / rate(rows, processor) } else { 0.0 };
    println!(
        "{what}: processor {:.1} s in {:.1} s ({each:.1} s for a million rows), memory {} MiB, at most {} MiB",
        processor.as_secs_f64(),
        time.as_secs_f64(),
        now.resident_kib / 1024,
        now.resident_most_kib / 1024
    );
}

/// The bytes of files, and of what is in folders.
fn sizes(paths: &[PathBuf]) -> u64 {
    let size = |path: &PathBuf| {
        let Ok(found) = std::fs::metadata(path) else { return 0 };
        if !found.is_dir() {
            return found.len();
        }
        let inner = std::fs::read_dir(path).into_iter().flatten().flatten();
        sizes(&inner.map(|entry| entry.path()).collect::<Vec<_>>())
    };
    paths.iter().map(size).sum()
}

fn show_sizes(paths: &[PathBuf], before: u64, rows: u64) {
    if !paths.is_empty() {
        let size = sizes(paths).saturating_sub(before);
        println!("database: {} MiB more, {} bytes a row", size >> 20, size / rows.max(1));
    }
}
