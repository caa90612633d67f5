//! The agent of one environment: it follows the revisions, has each put in force, and says what came of it.

mod outage;
mod reports;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::anyhow;
use mcpg_config::Pushed;
use mcpg_cp_api::{
    Acknowledgement, Enrolled, EnvironmentPath, Heartbeat, Outcome, SignedRevision, Timestamp,
};
use mcpg_sdk::Scope;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use self::outage::Outage;
use self::reports::Reports;
use super::client::{Client, ClientError};
use super::folder::Folder;
use super::pushed::PushRequest;
use super::verify::ControlPlaneKey;

/// Bytes of a refusal's reason.
const REASON_BYTES_MAX: usize = 2000;

/// The agent of one environment.
pub struct Agent {
    client: Client,
    folder: Folder,
    enrolled: Enrolled,
    key: ControlPlaneKey,
    scope: Scope,
    heartbeat: Duration,
    started_at: Timestamp,
    /// The number in force; 0 for none.
    applied: AtomicU64,
    /// The newest number that was seen, in force or refused.
    seen: AtomicU64,
    /// What the control plane has not heard yet.
    reports: Reports,
}

impl Agent {
    pub(super) fn new(
        client: Client,
        folder: Folder,
        enrolled: Enrolled,
        key: ControlPlaneKey,
        scope: Scope,
    ) -> Self {
        Self {
            client,
            folder,
            enrolled,
            key,
            scope,
            heartbeat: Duration::from_secs(10),
            started_at: now(),
            applied: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            reports: Reports::default(),
        }
    }

    pub(super) fn beat_every(&mut self, heartbeat: Duration) {
        self.heartbeat = heartbeat;
    }

    /// The environment that it is for.
    pub fn environment(&self) -> &EnvironmentPath {
        &self.enrolled.environment
    }

    /// Unpacks the revision that was in force last, if it holds.
    pub(super) fn unpack_last(&self) -> anyhow::Result<Option<Pushed>> {
        let Some(signed) = self.folder.last()? else { return Ok(None) };
        let file = self.unpack(&signed)?;
        self.applied.store(signed.number, Ordering::Release);
        self.seen.store(signed.number, Ordering::Release);
        Ok(Some(Pushed { scope: self.scope.clone(), file }))
    }

    fn unpack(&self, signed: &SignedRevision) -> anyhow::Result<std::path::PathBuf> {
        let document = self.key.open(signed, self.environment())?;
        Ok(self.folder.unpack(signed, &document)?)
    }

    /// Forgets that a revision of the disk was in force: it is asked for again.
    pub fn forget(&self) {
        self.applied.store(0, Ordering::Release);
        self.seen.store(0, Ordering::Release);
    }

    /// Follows the revisions and says how the gateway is, for as long as it is polled.
    pub async fn run(&self, push: mpsc::Sender<PushRequest>) {
        // Each by itself: what cannot be said keeps nothing from being heard.
        tokio::join!(self.follow(&push), self.report(), self.beat());
    }

    async fn beat(&self) {
        let mut outage = Outage::default();
        loop {
            let heartbeat = Heartbeat {
                applied: Some(self.applied.load(Ordering::Acquire)).filter(|number| *number > 0),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started_at: self.started_at,
            };
            match self.client.heartbeat(&self.enrolled, &heartbeat).await {
                Ok(()) => outage.over(),
                Err(error) => {
                    // Said once, not every ten seconds of an outage.
                    if outage.is_news(&error.to_string()) {
                        tracing::warn!(environment = %self.environment(), %error, "the control plane was not told how the gateway is");
                    }
                }
            }
            // Gateways that were started together do not speak together for ever.
            sleep(self.heartbeat.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
        }
    }

    async fn follow(&self, push: &mpsc::Sender<PushRequest>) {
        let mut outage = Outage::default();
        loop {
            let mut opened = None;
            let ended = self.stream(push, &mut opened).await;
            if let Some(opened) = opened {
                outage.opened(Instant::elapsed(&opened));
            }
            if let Err(error) = ended {
                let error = format!("{error:#}");
                if outage.is_news(&error) {
                    tracing::warn!(
                        environment = %self.environment(),
                        error,
                        "no revisions from the control plane; the one in force stays"
                    );
                }
            }
            sleep(outage.pause()).await;
        }
    }

    /// One stream, to its end. Notes when it was opened.
    async fn stream(
        &self,
        push: &mpsc::Sender<PushRequest>,
        opened: &mut Option<Instant>,
    ) -> anyhow::Result<()> {
        let mut revisions = self.client.revisions(&self.enrolled, self.seen.load(Ordering::Acquire)).await?;
        *opened = Some(Instant::now());
        tracing::info!(environment = %self.environment(), "following the control plane");
        while let Some(signed) = revisions.next().await? {
            self.take(&signed, push).await?;
        }
        Ok(())
    }

    /// Tells the control plane what came of revisions, one after the other, each until it was heard.
    async fn report(&self) {
        let mut outage = Outage::default();
        loop {
            let report = self.reports.next().await;
            match self.client.acknowledge(&self.enrolled, &report).await {
                Ok(()) => {
                    self.reports.heard(&report);
                    outage.over();
                }
                // It knows no such revision: its database has been another one meanwhile.
                Err(error) if error.is_final() && !error.is_unauthenticated() => {
                    tracing::warn!(environment = %self.environment(), number = report.number, %error, "the control plane does not want to hear what came of a revision");
                    self.reports.heard(&report);
                }
                Err(error) => {
                    if outage.is_news(&error.to_string()) {
                        tracing::warn!(environment = %self.environment(), number = report.number, %error, "the control plane has not heard what came of a revision");
                    }
                    sleep(outage.pause()).await;
                }
            }
        }
    }

    /// Puts a revision in force, or finds out why it cannot be.
    async fn take(&self, signed: &SignedRevision, push: &mpsc::Sender<PushRequest>) -> anyhow::Result<()> {
        let number = signed.number;
        if number <= self.seen.load(Ordering::Acquire) {
            tracing::debug!(number, "an older revision is left alone");
            return Ok(());
        }
        let file = match self.unpack(signed) {
            Ok(file) => file,
            Err(error) => {
                tracing::error!(environment = %self.environment(), number, %error, "revision refused");
                // Who sends what does not hold is not told that it was taken, and not asked for it again.
                self.seen.store(number, Ordering::Release);
                self.acknowledge(signed, Some(&error.to_string()));
                return Ok(());
            }
        };
        let (answer, answered) = oneshot::channel();
        let pushed = Pushed { scope: self.scope.clone(), file };
        push.send(PushRequest { pushed, answer }).await.map_err(|_| anyhow!("the gateway stops"))?;
        let outcome = answered.await.map_err(|_| anyhow!("the gateway stops"))?;
        self.seen.store(number, Ordering::Release);
        match outcome {
            Ok(()) => {
                self.applied.store(number, Ordering::Release);
                if let Err(error) = self.folder.current(number) {
                    tracing::error!(environment = %self.environment(), number, %error, "a restart would begin with the revision before");
                }
                tracing::info!(environment = %self.environment(), number, "revision of the control plane in force");
                self.acknowledge(signed, None);
            }
            Err(problems) => {
                tracing::error!(environment = %self.environment(), number, ?problems, "revision refused, the one in force stays");
                self.acknowledge(signed, Some(&problems.join("\n")));
            }
        }
        Ok(())
    }

    /// Has the control plane told what came of a revision.
    fn acknowledge(&self, signed: &SignedRevision, refused: Option<&str>) {
        self.reports.add(Acknowledgement {
            number: signed.number,
            digest: signed.digest.clone(),
            outcome: if refused.is_some() { Outcome::Rejected } else { Outcome::Applied },
            reason: refused.map(|reason| head(reason, REASON_BYTES_MAX).to_owned()),
        });
    }

    /// Waits for a revision to begin with, and unpacks it. For a gateway that has nothing to serve yet.
    ///
    /// # Errors
    /// When the control plane refuses the gateway.
    pub async fn first(&self) -> anyhow::Result<(SignedRevision, Pushed)> {
        let mut outage = Outage::default();
        loop {
            match self.next_signed().await {
                Ok(signed) => {
                    self.seen.store(signed.number, Ordering::Release);
                    match self.unpack(&signed) {
                        Ok(file) => return Ok((signed, Pushed { scope: self.scope.clone(), file })),
                        Err(error) => {
                            tracing::error!(environment = %self.environment(), number = signed.number, %error, "revision refused");
                            self.acknowledge(&signed, Some(&error.to_string()));
                        }
                    }
                }
                Err(error) => {
                    if error.downcast_ref::<ClientError>().is_some_and(ClientError::is_final) {
                        return Err(error);
                    }
                    tracing::warn!(environment = %self.environment(), error = format!("{error:#}"), "a first revision is waited for");
                    sleep(outage.pause()).await;
                }
            }
        }
    }

    /// Says what came of the revision that [`Agent::first`] gave.
    ///
    /// # Errors
    /// When it cannot be noted.
    pub fn began(&self, signed: &SignedRevision, refused: Option<&[String]>) -> anyhow::Result<()> {
        match refused {
            None => {
                self.applied.store(signed.number, Ordering::Release);
                self.folder.current(signed.number)?;
                self.acknowledge(signed, None);
            }
            Some(problems) => self.acknowledge(signed, Some(&problems.join("\n"))),
        }
        Ok(())
    }

    async fn next_signed(&self) -> anyhow::Result<SignedRevision> {
        let seen = self.seen.load(Ordering::Acquire);
        let mut revisions = self.client.revisions(&self.enrolled, seen).await?;
        while let Some(signed) = revisions.next().await? {
            if signed.number > seen {
                return Ok(signed);
            }
        }
        Err(anyhow!("the stream ended"))
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The head of a text, cut between characters.
fn head(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}
