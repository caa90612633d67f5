//! The agent of one environment: it follows the revisions, has each put in force, and says what came of it.

mod again;
mod outage;
mod reports;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{anyhow, bail};
use mcpg_config::Pushed;
use mcpg_cp_api::trace_context::Hex;
use mcpg_cp_api::{
    Acknowledgement, Enrolled, EnvironmentPath, Heartbeat, Outcome, SignedRevision, SignedTerms, Timestamp,
};
use mcpg_sdk::Scope;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::time::sleep;

use self::again::Again;
use self::outage::Outage;
use self::reports::{Report, Reports};
use super::client::{Client, Event, TraceId, new_trace};
use super::folder::Folder;
use super::pushed::{Push, PushRequest};
use super::standing::Standing;
use super::terms::{self, StandingTerms, Taken};
use super::verify::ControlPlaneKey;
use crate::revision::BuildError;

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
    /// What was refused and may yet come into force.
    again: Again,
    /// One revision is taken at a time.
    turn: Mutex<()>,
    /// What it goes by besides.
    terms: StandingTerms,
    /// There is news for the control plane, which is not to wait for the next heartbeat.
    news: Notify,
    standing: Arc<Standing>,
}

impl Agent {
    /// The agent of an enrollment.
    ///
    /// # Errors
    /// When what was noted of it makes no sense.
    pub(super) fn new(
        client: Client,
        (folder, enrolled): (Folder, Enrolled),
        heartbeat: Duration,
        standing: Arc<Standing>,
    ) -> anyhow::Result<Self> {
        let key = ControlPlaneKey::of(&enrolled, None)
            .ok_or_else(|| anyhow!("the key of the control plane of `{}` is none", enrolled.environment))?;
        let scope = enrolled.environment.to_string().parse::<Scope>()?;
        standing.begins(&enrolled.environment, 0);
        Ok(Self {
            client,
            folder,
            enrolled,
            key,
            scope,
            heartbeat,
            standing,
            started_at: now(),
            applied: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            reports: Reports::default(),
            again: Again::default(),
            turn: Mutex::default(),
            terms: StandingTerms::default(),
            news: Notify::new(),
        })
    }

    /// The environment that it is for.
    pub fn environment(&self) -> &EnvironmentPath {
        &self.enrolled.environment
    }

    /// Unpacks the revision that was in force last, if it holds, and so do the terms that it was in force under.
    pub(super) fn unpack_last(&self) -> anyhow::Result<Option<Pushed>> {
        self.begin_terms()?;
        let Some(signed) = self.folder.last()? else { return Ok(None) };
        let file = self.unpack(&signed)?;
        self.applied.store(signed.number, Ordering::Release);
        self.seen.store(signed.number, Ordering::Release);
        self.standing.begins(self.environment(), signed.number);
        Ok(Some(Pushed { scope: self.scope.clone(), file, revoked: self.terms.revoked() }))
    }

    /// Reads the terms on disk.
    fn begin_terms(&self) -> anyhow::Result<()> {
        let kept = terms::kept(&self.folder, &self.key, self.environment());
        if let Ok(Some(held)) = &kept {
            self.standing.terms(self.environment(), held.shown(), &held.terms);
        }
        self.terms.begin(kept);
        match self.terms.unusable() {
            None => Ok(()),
            Some(problem) => {
                let problem =
                    format!("the terms on disk cannot be used, and what is revoked is not known: {problem}");
                self.standing.lost(self.environment(), Some(&problem));
                Err(anyhow!(problem))
            }
        }
    }

    fn unpack(&self, signed: &SignedRevision) -> anyhow::Result<std::path::PathBuf> {
        let document = self.key.open(signed, self.environment())?;
        Ok(self.folder.unpack(signed, &document)?)
    }

    /// Forgets that a revision of the disk was in force: it is asked for again.
    pub fn forget(&self) {
        self.applied.store(0, Ordering::Release);
        self.seen.store(0, Ordering::Release);
        self.standing.begins(self.environment(), 0);
    }

    /// Follows the revisions and says how the gateway is, for as long as it is polled.
    pub async fn run(&self, push: mpsc::Sender<PushRequest>) {
        // Each by itself: what cannot be said keeps nothing from being heard.
        tokio::join!(self.follow(&push), self.retry(&push), self.report(), self.beat());
    }

    async fn beat(&self) {
        let mut outage = Outage::default();
        loop {
            let heartbeat = || Heartbeat {
                applied: Some(self.applied.load(Ordering::Acquire)).filter(|number| *number > 0),
                terms: self.terms.to_be_told(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started_at: self.started_at,
            };
            match self.client.heartbeat(&self.enrolled, heartbeat).await {
                Ok(()) => {
                    self.standing.heard(self.environment());
                    outage.over();
                }
                Err(error) => {
                    // Said once, not every ten seconds of an outage.
                    if outage.is_news(&error.to_string()) {
                        tracing::warn!(environment = %self.environment(), %error, "the control plane was not told how the gateway is");
                    }
                }
            }
            // Gateways that were started together do not speak together for ever.
            tokio::select! {
                () = sleep(self.heartbeat.mul_f64(0.9 + 0.2 * fastrand::f64())) => {}
                () = self.news.notified() => {}
            }
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
            let error = ended.err().map(|error| format!("{error:#}"));
            self.standing.lost(self.environment(), error.as_deref());
            if let Some(error) = error.filter(|error| outage.is_news(error)) {
                tracing::warn!(
                    environment = %self.environment(),
                    error,
                    "no revisions from the control plane; the one in force stays"
                );
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
        self.standing.follows(self.environment());
        tracing::info!(environment = %self.environment(), "following the control plane");
        while let Some(event) = revisions.next().await? {
            match event {
                Event::Revision(signed) => self.take(&signed, push).await?,
                Event::Terms(signed) => self.take_terms(&signed, push).await?,
            }
        }
        Ok(())
    }

    /// Tells the control plane what came of revisions, one after the other, each until it was heard.
    async fn report(&self) {
        let mut outage = Outage::default();
        loop {
            let report = self.reports.next().await;
            match self.client.acknowledge(&self.enrolled, &report.said, report.trace).await {
                Ok(()) => {
                    self.reports.heard(&report);
                    self.standing.heard(self.environment());
                    outage.over();
                }
                // It knows no such revision: its database has been another one meanwhile.
                Err(error) if error.is_final() && !error.is_unauthenticated() => {
                    tracing::warn!(environment = %self.environment(), number = report.said.number, %error, "the control plane does not want to hear what came of a revision");
                    self.reports.heard(&report);
                }
                Err(error) => {
                    if outage.is_news(&error.to_string()) {
                        tracing::warn!(environment = %self.environment(), number = report.said.number, %error, "the control plane has not heard what came of a revision");
                    }
                    sleep(outage.pause()).await;
                }
            }
        }
    }

    /// Goes by terms from now on, or finds out why not.
    async fn take_terms(&self, signed: &SignedTerms, push: &mpsc::Sender<PushRequest>) -> anyhow::Result<()> {
        let environment = self.environment();
        let held = match self.terms.take(signed, &self.key, environment) {
            Ok(Taken::New(held)) => held,
            Ok(Taken::Known) => {
                self.news.notify_one();
                return Ok(());
            }
            Err(error) => {
                tracing::error!(%environment, version = signed.version, %error, "terms refused");
                self.standing.terms_refused();
                return Ok(());
            }
        };
        // First of all: a gateway that is killed now begins with them.
        if let Err(error) = self.folder.keep_terms(signed) {
            tracing::error!(%environment, %error, "a restart would begin with the terms before");
        }
        let (answer, answered) = oneshot::channel();
        let what = Push::Revoked(self.scope.clone(), Arc::clone(&held.revoked));
        push.send(PushRequest { what, answer }).await.map_err(|_| anyhow!("the gateway stops"))?;
        // The list is in force whatever the answer is.
        if let Err(error) = answered.await.map_err(|_| anyhow!("the gateway stops"))? {
            tracing::error!(%environment, problems = ?error.problems, "what is revoked is closed, and the rest of the configuration does not load again");
        }
        self.standing.terms(environment, held.shown(), &held.terms);
        let license = &held.terms.license;
        tracing::info!(
            %environment,
            version = signed.version,
            revocation_list = held.revoked.version,
            revoked = held.revoked.len(),
            tier = ?license.tier,
            entitlements = license.entitlements.len(),
            expires_at = license.expires_at.map(|at| at.to_string()),
            "terms of the organization in force"
        );
        self.news.notify_one();
        Ok(())
    }

    /// Puts a revision in force, or finds out why it cannot be.
    async fn take(&self, signed: &SignedRevision, push: &mpsc::Sender<PushRequest>) -> anyhow::Result<()> {
        let _turn = self.turn.lock().await;
        let number = signed.number;
        if number <= self.seen.load(Ordering::Acquire) {
            tracing::debug!(number, "an older revision is left alone");
            return Ok(());
        }
        if let Some(problem) = self.terms.unusable() {
            bail!("no revision before the organization's terms: those on disk cannot be used: {problem}");
        }
        // Whatever it says, it supersedes what was refused before.
        self.again.never();
        self.put_in_force(signed, push, false).await
    }

    /// Tries what was refused again, when its time has come.
    async fn retry(&self, push: &mpsc::Sender<PushRequest>) {
        loop {
            let signed = self.again.due().await;
            let _turn = self.turn.lock().await;
            // A newer one may have come meanwhile.
            if signed.number != self.seen.load(Ordering::Acquire) {
                continue;
            }
            self.standing.retried();
            if self.put_in_force(&signed, push, true).await.is_err() {
                // The gateway stops.
                return;
            }
        }
    }

    async fn put_in_force(
        &self,
        signed: &SignedRevision,
        push: &mpsc::Sender<PushRequest>,
        is_retry: bool,
    ) -> anyhow::Result<()> {
        let (number, trace) = (signed.number, new_trace());
        let trace_id = Hex(&trace);
        let outcome = match self.unpack(signed) {
            Ok(file) => {
                let (answer, answered) = oneshot::channel();
                let pushed = Pushed { scope: self.scope.clone(), file, revoked: self.terms.revoked() };
                let request = PushRequest { what: Push::Scope { pushed, is_retry }, answer };
                push.send(request).await.map_err(|_| anyhow!("the gateway stops"))?;
                answered.await.map_err(|_| anyhow!("the gateway stops"))?
            }
            // What does not hold never will; a disk may have room again.
            Err(error) => {
                Err(BuildError { problems: vec![error.to_string()], may_pass: error.is::<std::io::Error>() })
            }
        };
        // Who sends what does not hold is not told that it was taken, and not asked for it again.
        self.seen.store(number, Ordering::Release);
        match outcome {
            Ok(()) => {
                self.again.never();
                self.applied.store(number, Ordering::Release);
                self.standing.applied(self.environment(), number);
                if let Err(error) = self.folder.current(number) {
                    tracing::error!(environment = %self.environment(), number, %error, "a restart would begin with the revision before");
                }
                // The control plane's log has number and digest where it was published, and the trace where it hears of this.
                tracing::info!(environment = %self.environment(), number, digest = signed.digest, %trace_id, "revision of the control plane in force");
                self.acknowledge(signed, trace, None);
            }
            Err(error) => self.refuse(signed, trace, &error, is_retry),
        }
        Ok(())
    }

    /// Says once that a revision is not in force, and has it tried again where that may help.
    fn refuse(&self, signed: &SignedRevision, trace: TraceId, refused: &BuildError, is_retry: bool) {
        let (number, problems) = (signed.number, &refused.problems);
        let is_tried_again = refused.may_pass && self.again.later(signed, tokio::time::Instant::now());
        if is_retry && is_tried_again {
            tracing::debug!(environment = %self.environment(), number, ?problems, "revision refused again");
            return;
        }
        if !is_tried_again {
            self.again.never();
        }
        self.standing.refused(self.environment(), number, &problems.join("; "));
        let trace_id = Hex(&trace);
        tracing::error!(environment = %self.environment(), number, digest = signed.digest, %trace_id, ?problems, is_tried_again, "revision refused, the one in force stays");
        let then = if is_tried_again { "\nIt is tried again." } else { "" };
        self.acknowledge(signed, trace, Some(&format!("{}{then}", problems.join("\n"))));
    }

    /// Has the control plane told what came of a revision.
    fn acknowledge(&self, signed: &SignedRevision, trace: TraceId, refused: Option<&str>) {
        let said = Acknowledgement {
            number: signed.number,
            digest: signed.digest.clone(),
            outcome: if refused.is_some() { Outcome::Rejected } else { Outcome::Applied },
            reason: refused.map(|reason| head(reason, REASON_BYTES_MAX).to_owned()),
        };
        self.reports.add(Report { said, trace });
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
