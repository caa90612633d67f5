//! Sends the rows of the gateway's own audit logs to its control plane.
//!
//! The control plane holds how far each log is there; the gateway holds nothing of it on disk, so there is nothing of it that could be lost or
//! wrong. It asks once, sends what follows, and goes on from what the answer says, whatever that is. What is sent twice is kept once there.
//!
//! One task sends for all organizations, one batch at a time, in turns. It reads files, off the request path and off the workers, and never more than a
//! batch. INVARIANTS:
//! - An organization's rows are sent by enrolments in it alone, and of them only those that are about environments that the gateway is enrolled in; the
//!   others are counted, so that the chain can be followed.
//! - A row is sent once it is on stable storage: a row that a loss of power takes back is nowhere else.

mod batch;
mod lane;
mod progress;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mcpg_cp_api::{AuditAccepted, AuditHead, AuditUpload, Enrolled};
use mcpg_ledger::{ChainId, Head};
use tokio::time::{Instant, sleep};

use self::batch::{Batch, unhex};
use self::lane::{Lane, LaneError};
pub use self::progress::Progress;
use super::client::{Client, ClientError};
use super::folder::{Enrollment, Folder};
use crate::audit::Ledgers;

/// How long to wait for new rows.
const IDLE: Duration = Duration::from_secs(2);
/// How often enrolments are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The pause after a failure: doubled each time, within these.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// Sends rows for as long as it runs.
pub struct Forwarder {
    client: Client,
    progress: Arc<Progress>,
    /// Where the enrolments are.
    root: PathBuf,
    organizations: Vec<Organization>,
    /// When they were last looked for.
    looked: Option<Instant>,
}

/// An organization that the gateway is enrolled in.
struct Organization {
    name: String,
    enrolled: Vec<Enrolled>,
    /// The enrolment that sends: another one once it is refused.
    sender: usize,
    /// Workspaces and environments whose rows are sent.
    places: Arc<HashSet<(String, String)>>,
    logs: HashMap<PathBuf, Log>,
    pause: Duration,
    not_before: Option<Instant>,
    /// What was said of the last failure: the same is not said again.
    said: Option<String>,
}

/// A log of an organization.
struct Log {
    chain: ChainId,
    /// How far it is at the control plane; none until it was asked.
    kept: Option<Head>,
    lane: Lane,
}

/// Why a turn came to nothing.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error(transparent)]
    Lane(#[from] LaneError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the control plane does not go on behind row {0}")]
    Stuck(u64),
    #[error("the log cannot be read: {0}")]
    Reader(tokio::task::JoinError),
}

impl Forwarder {
    /// Sends by the enrolments below a folder, those to come included.
    pub(super) fn new(client: Client, root: PathBuf) -> Self {
        Self { client, progress: Arc::default(), root, organizations: Vec::new(), looked: None }
    }

    /// How far it has come.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Sends what is new, for as long as it is polled.
    pub async fn run(&mut self, ledgers: &Ledgers) {
        loop {
            self.look().await;
            let mut has_more = false;
            for organization in &mut self.organizations {
                has_more |= organization.turn((&self.client, &self.progress), ledgers).await;
            }
            if !has_more {
                // Gateways that lost one control plane must not come back all at once.
                sleep(IDLE.mul_f64(0.5 + fastrand::f64())).await;
            }
        }
    }

    /// Takes note of enrolments that have come about since.
    async fn look(&mut self) {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return;
        }
        self.looked = Some(Instant::now());
        let root = self.root.clone();
        let Ok(found) = blocking(move || Folder::enrollments(&root)).await else { return };
        let mut organizations: BTreeMap<String, Vec<Enrolled>> = BTreeMap::new();
        for (_, Enrollment { enrolled, .. }) in found {
            organizations.entry(enrolled.environment.organization.to_string()).or_default().push(enrolled);
        }
        self.organizations.retain(|known| organizations.get(&known.name) == Some(&known.enrolled));
        for known in &self.organizations {
            organizations.remove(&known.name);
        }
        self.organizations
            .extend(organizations.into_iter().map(|(name, enrolled)| Organization::new(name, enrolled)));
    }
}

impl Organization {
    fn new(name: String, enrolled: Vec<Enrolled>) -> Self {
        let place =
            |one: &Enrolled| (one.environment.workspace.to_string(), one.environment.environment.to_string());
        Self {
            name,
            places: Arc::new(enrolled.iter().map(place).collect()),
            enrolled,
            sender: 0,
            logs: HashMap::new(),
            pause: PAUSE.0,
            not_before: None,
            said: None,
        }
    }

    /// Sends one batch of each log. Whether there is more to send.
    async fn turn(&mut self, to: (&Client, &Progress), ledgers: &Ledgers) -> bool {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        self.not_before = None;
        match self.send(to, ledgers).await {
            Ok(has_more) => {
                self.pause = PAUSE.0;
                if self.said.take().is_some() {
                    tracing::info!(organization = self.name, "the control plane takes audit rows again");
                }
                has_more
            }
            Err(error) => {
                to.1.failed();
                let is_refused =
                    matches!(&error, TurnError::Client(ClientError::Refused { status: 401 | 403 | 404, .. }));
                if is_refused && self.enrolled.len() > 1 {
                    self.sender = (self.sender + 1) % self.enrolled.len();
                }
                let text = error.to_string();
                if self.said.as_ref() != Some(&text) {
                    tracing::warn!(
                        organization = self.name,
                        error = text,
                        "audit rows wait for the control plane"
                    );
                    self.said = Some(text);
                }
                self.not_before = Some(Instant::now() + self.pause.mul_f64(0.5 + fastrand::f64()));
                self.pause = (self.pause * 2).min(PAUSE.1);
                false
            }
        }
    }

    async fn send(&mut self, to: (&Client, &Progress), ledgers: &Ledgers) -> Result<bool, TurnError> {
        let folder = ledgers.folder(&self.name);
        let dirs = blocking(move || lane::lanes(&folder)).await??;
        self.logs.retain(|dir, _| dirs.contains(dir));
        to.1.retain(&self.name, &dirs);
        let (mut has_more, mut failed) = (false, None);
        for dir in dirs {
            // What is wrong with one log does not hold up another.
            match self.send_log(to, ledgers, dir).await {
                Ok(more) => has_more |= more,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(has_more), Err)
    }

    async fn send_log(
        &mut self,
        (client, progress): (&Client, &Progress),
        ledgers: &Ledgers,
        dir: PathBuf,
    ) -> Result<bool, TurnError> {
        let Some(enrolled) = self.enrolled.get(self.sender) else { return Ok(false) };
        let mut log = match self.logs.remove(&dir) {
            Some(log) => log,
            None => {
                let (of, lane) = (self.name.clone(), dir.clone());
                // A lane that holds no row yet.
                let Some((chain, lane)) = blocking(move || Lane::open(lane, &of)).await?? else {
                    return Ok(false);
                };
                Log { chain, kept: None, lane }
            }
        };
        let kept = match log.kept {
            Some(kept) => kept,
            None => {
                let nothing = Head::genesis(&self.name, &log.chain);
                let kept = upload(client, enrolled, &asking(&log.chain, nothing)).await?;
                progress.kept(&dir, &self.name, &log.chain, kept.seq);
                *log.kept.insert(kept)
            }
        };
        let durable = ledgers.durable(&self.name).filter(|(chain, _)| *chain == log.chain);
        let durable = durable.map(|(_, seq)| seq);
        if durable.is_some_and(|seq| seq <= kept.seq) {
            progress.is_up_to_date(&dir);
            self.logs.insert(dir, log);
            return Ok(false);
        }
        let places = Arc::clone(&self.places);
        let Log { chain, mut lane, .. } = log;
        let (lane, read) = blocking(move || {
            let read = lane.read(kept, durable, &places);
            (lane, read)
        })
        .await?;
        let batch = match read {
            Ok(batch) => batch,
            // A log that was begun anew, or mended: looked at afresh the next time.
            Err(error) => return Err(error.into()),
        };
        let mut log = Log { chain, kept: Some(kept), lane };
        let Some(batch) = batch else {
            progress.is_up_to_date(&dir);
            self.logs.insert(dir, log);
            return Ok(false);
        };
        progress.sends(&dir, &batch);
        let now = upload(client, enrolled, &batch.upload(&chain, kept)).await;
        let outcome = match now {
            Ok(now) => {
                log.kept = Some(now);
                if now == batch.last {
                    progress.sent(&dir, &batch, now);
                } else {
                    progress.kept(&dir, &self.name, &chain, now.seq);
                    log.lane.forget();
                }
                if now == kept { Err(TurnError::Stuck(kept.seq)) } else { Ok(true) }
            }
            Err(error) => {
                // What became of it is not known: it is asked.
                log.kept = None;
                log.lane.forget();
                Err(error)
            }
        };
        self.logs.insert(dir, log);
        outcome
    }
}

/// Asks how far a log is there.
fn asking(chain: &ChainId, nothing: Head) -> AuditUpload {
    Batch { entries: Vec::new(), last: nothing }.upload(chain, nothing)
}

async fn upload(client: &Client, enrolled: &Enrolled, upload: &AuditUpload) -> Result<Head, TurnError> {
    let AuditAccepted { kept: AuditHead { sequence, hash } } = client.forward_audit(enrolled, upload).await?;
    let hash = unhex(&hash).ok_or_else(|| ClientError::Answer("a hash".to_owned()))?;
    Ok(Head { seq: sequence, hash })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, TurnError> {
    tokio::task::spawn_blocking(work).await.map_err(TurnError::Reader)
}

impl std::fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.organizations.iter().map(|one| one.name.as_str()).collect();
        f.debug_struct("Forwarder").field("organizations", &names).finish_non_exhaustive()
    }
}
