//! The logs of all organizations: each a chain of its own, in a folder of its own.
//!
//! The gateway's own organization has the audit folder itself, as it would without any other; every other has
//! `orgs/<organization>` below it. A log is opened with its first row. At most `open_max` are open at once, each with a thread
//! and four files: beyond that the one that rested longest is closed (its chain goes on where it ended when it is opened again).
//! What one organization's log does not take, for want of a quota or because it is damaged, is refused to that organization only.
//!
//! INVARIANT: a log is closed before it is opened again; two writers of one chain there never are.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use mcpg_ledger::{ChainId, RowRef};
use parking_lot::{Mutex, RwLock};

use super::counters::Totals;
use super::{AuditError, AuditHealth, AuditLog, AuditSettings, Recorded};

/// How often a row looks for its log when the log is closed just then.
const ATTEMPTS_MAX: usize = 4;

/// The logs of all organizations.
#[derive(Debug)]
pub struct Ledgers {
    settings: AuditSettings,
    open_max: usize,
    ledgers: RwLock<HashMap<String, Arc<Ledger>>>,
    shared: Arc<Shared>,
}

/// The log of one organization.
#[derive(Debug)]
pub struct Ledger {
    organization: String,
    dir: PathBuf,
    log: ArcSwapOption<AuditLog>,
    /// Held while the log is opened or closed.
    turning: Mutex<()>,
    /// When it was last asked for, by the clock of [`Shared::rows`].
    used: AtomicU64,
    shared: Arc<Shared>,
}

/// What all logs share.
#[derive(Debug)]
struct Shared {
    settings: Option<AuditSettings>,
    open_max: usize,
    /// The open logs.
    open: Mutex<Vec<Arc<Ledger>>>,
    /// Counts requests for a log: which one rested longest.
    rows: AtomicU64,
    /// What logs that were closed meanwhile have counted.
    closed: Totals,
    stopping: AtomicBool,
}

impl Ledgers {
    /// Logs below `settings.dir`, which is that of `settings.organization` itself. None is opened yet.
    pub fn new(settings: AuditSettings, open_max: usize) -> Arc<Self> {
        let shared = Shared::new(Some(settings.clone()), open_max.max(1));
        Arc::new(Self {
            open_max: shared.open_max,
            settings,
            ledgers: RwLock::default(),
            shared: Arc::new(shared),
        })
    }

    /// The log of an organization, opened with its first row.
    pub fn of(&self, organization: &str) -> Arc<Ledger> {
        if let Some(ledger) = self.ledgers.read().get(organization) {
            return Arc::clone(ledger);
        }
        let mut ledgers = self.ledgers.write();
        let ledger = ledgers.entry(organization.to_owned()).or_insert_with(|| {
            Ledger::new(organization, self.folder(organization), Arc::clone(&self.shared))
        });
        Arc::clone(ledger)
    }

    /// The folder of an organization's logs.
    pub fn folder(&self, organization: &str) -> PathBuf {
        match organization {
            own if own == self.settings.organization => self.settings.dir.clone(),
            other => self.settings.dir.join(ORGANIZATIONS).join(other),
        }
    }

    /// The chain that is open for an organization, and its last row on stable storage. None if none is.
    pub fn durable(&self, organization: &str) -> Option<(ChainId, u64)> {
        let log = self.ledgers.read().get(organization)?.log.load_full()?;
        Some(log.durable())
    }

    /// Lets go of organizations that are served no more: their logs are closed. Blocks.
    pub fn retain(&self, is_served: impl Fn(&str) -> bool) {
        let own = &self.settings.organization;
        let mut gone = Vec::new();
        self.ledgers.write().retain(|organization, ledger| {
            let stays = *organization == *own || is_served(organization);
            if !stays {
                gone.push(Arc::clone(ledger));
            }
            stays
        });
        for ledger in gone {
            ledger.close_and_say();
        }
    }

    /// What all logs have counted, those that are closed included, and how many are open.
    pub fn totals(&self) -> (Totals, usize) {
        let totals = Totals::default();
        totals.add(&self.shared.closed);
        let open = self.shared.open.lock();
        for log in open.iter().filter_map(|ledger| ledger.log.load_full()) {
            totals.add(&Totals::of(log.counters()));
        }
        (totals, open.len())
    }

    /// Whether every open log takes rows.
    pub fn health(&self) -> AuditHealth {
        let open = self.shared.open.lock();
        let mut health = open.iter().filter_map(|ledger| ledger.log.load_full()).map(|log| log.health());
        health.find(|health| *health != AuditHealth::Accepting).unwrap_or(AuditHealth::Accepting)
    }

    /// The most logs that are open at once.
    pub fn open_max(&self) -> usize {
        self.open_max
    }

    /// Closes every log for good. Blocks.
    ///
    /// # Errors
    /// The first that could not be closed in good order; the others are closed all the same.
    pub fn close(&self) -> Result<(), AuditError> {
        self.shared.stopping.store(true, Ordering::Release);
        let open: Vec<Arc<Ledger>> = self.shared.open.lock().clone();
        open.iter().map(|ledger| ledger.close()).fold(Ok(()), Result::and)
    }
}

/// The folder of the other organizations.
pub(super) const ORGANIZATIONS: &str = "orgs";

impl Ledger {
    fn new(organization: &str, dir: PathBuf, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            organization: organization.to_owned(),
            dir,
            log: ArcSwapOption::default(),
            turning: Mutex::default(),
            used: AtomicU64::new(0),
            shared,
        })
    }

    /// None: every row is refused. For what is built and not run.
    pub fn none() -> Arc<Self> {
        Self::new("", PathBuf::new(), Arc::new(Shared::new(None, 1)))
    }

    /// Records a row as the mode promises, opening the log if need be.
    ///
    /// # Errors
    /// When the row is not safe: refuse the call.
    pub async fn record(self: &Arc<Self>, row: &RowRef<'_>) -> Result<Recorded, AuditError> {
        for _ in 0..ATTEMPTS_MAX {
            let log = match self.open_log() {
                Some(log) => log,
                None => self.open_elsewhere().await?,
            };
            match log.record(row).await {
                // It was closed to make room for another.
                Err(AuditError::Closed) if self.may_open() => {}
                recorded => return recorded,
            }
        }
        Err(AuditError::Unavailable)
    }

    /// Records a row without waiting for stable storage: right for outcomes, wrong for decisions. Waits for files in the rare case
    /// that the log was closed since the decision.
    ///
    /// # Errors
    /// When the row is not in the log.
    pub fn record_now(self: &Arc<Self>, row: &RowRef<'_>) -> Result<Recorded, AuditError> {
        for _ in 0..ATTEMPTS_MAX {
            let log = match self.open_log() {
                Some(log) => log,
                None => self.open()?,
            };
            match log.record_now(row) {
                Err(AuditError::Closed) if self.may_open() => {}
                recorded => return recorded,
            }
        }
        Err(AuditError::Unavailable)
    }

    /// Whether rows are accepted now; of a log that is not open, none has been refused.
    pub fn health(&self) -> AuditHealth {
        self.log.load().as_ref().map_or(AuditHealth::Accepting, |log| log.health())
    }

    /// Opens the log now, rather than with its first row. Blocks.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(self: &Arc<Self>) -> Result<Arc<AuditLog>, AuditError> {
        let turning = self.turning.lock();
        if let Some(log) = self.log.load_full() {
            return Ok(log);
        }
        let Some(settings) = self.shared.settings.clone().filter(|_| self.may_open()) else {
            return Err(AuditError::Closed);
        };
        let settings =
            AuditSettings { dir: self.dir.clone(), organization: self.organization.clone(), ..settings };
        let log = AuditLog::open(settings)?;
        self.touch();
        self.log.store(Some(Arc::clone(&log)));
        drop(turning);
        let over = self.shared.opened(Arc::clone(self));
        // Closed when nothing is held: closing waits for files.
        over.iter().for_each(|ledger| ledger.close_and_say());
        Ok(log)
    }

    async fn open_elsewhere(self: &Arc<Self>) -> Result<Arc<AuditLog>, AuditError> {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || this.open()).await.unwrap_or(Err(AuditError::Unavailable))
    }

    fn open_log(&self) -> Option<Arc<AuditLog>> {
        self.touch();
        self.log.load_full()
    }

    fn touch(&self) {
        self.used.store(self.shared.rows.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }

    fn may_open(&self) -> bool {
        self.shared.settings.is_some() && !self.shared.stopping.load(Ordering::Acquire)
    }

    /// Closes the log; the next row opens it again. Blocks.
    fn close(&self) -> Result<(), AuditError> {
        let _turning = self.turning.lock();
        let Some(log) = self.log.swap(None) else { return Ok(()) };
        self.shared.open.lock().retain(|ledger| !std::ptr::eq(&raw const **ledger, self));
        let closed = log.close();
        self.shared.closed.add(&Totals::of(log.counters()));
        closed
    }

    fn close_and_say(&self) {
        match self.close() {
            Ok(()) => tracing::debug!(organization = self.organization, "audit log closed for now"),
            Err(error) => {
                tracing::error!(organization = self.organization, %error, "audit log not closed in good order");
            }
        }
    }
}

impl Shared {
    fn new(settings: Option<AuditSettings>, open_max: usize) -> Self {
        Self {
            settings,
            open_max,
            open: Mutex::default(),
            rows: AtomicU64::new(1),
            closed: Totals::default(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Takes note of an open log, and says which others must make room for it. One that cannot be written stays: it has rows to save.
    fn opened(&self, ledger: Arc<Ledger>) -> Vec<Arc<Ledger>> {
        let mut open = self.open.lock();
        open.push(ledger);
        let over = open.len().saturating_sub(self.open_max);
        if over == 0 {
            return Vec::new();
        }
        let mut rested: Vec<&Arc<Ledger>> =
            open.iter().filter(|ledger| ledger.health() == AuditHealth::Accepting).collect();
        rested.sort_by_key(|ledger| ledger.used.load(Ordering::Relaxed));
        rested.into_iter().take(over).map(Arc::clone).collect()
    }
}
