//! What the connected gateways are to run, kept once for each environment that has any; and by which terms, once for each organization.
//!
//! A hint from the store makes the plan of that environment be read again, once for all of its gateways; then those, and no others, are woken.
//! Hints come in bursts: an environment is read by one at a time, and once more if it changed meanwhile. A plan can be old for a moment, which
//! does no harm: numbers only grow, and nothing that was superseded is sent to who has more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use mcpg_cp_api::EnvironmentPath;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, interval, sleep};

use super::frames::{Frames, Key};
use super::standing::{Standing, TermsEvent};
use super::stream::event;
use crate::api::service::Service;
use crate::publish::{candidates, current_terms, wanted};
use crate::store::{
    Change, EnvironmentId, Gateway, GatewayId, Hint, OrgId, RevisionHead, Scoped, Store, StoreError,
};

/// Environments and organizations that are read at once.
const READ_AT_ONCE: usize = 4;
/// The pause after one could not be read.
const AGAIN: Duration = Duration::from_secs(1);
/// How often is looked for licences that have ended.
const LICENCES_EVERY: Duration = Duration::from_secs(5);

/// Every environment that has a gateway connected to this replica.
pub struct Fleet {
    store: Store,
    service: Arc<Service>,
    environments: Mutex<HashMap<EnvironmentId, Entry>>,
    standing: Standing,
    frames: Frames,
    /// Somebody has come.
    joined: Notify,
}

struct Entry {
    org: OrgId,
    /// Whether there may be something new.
    stale: bool,
    /// Whether it is being read.
    reading: bool,
    plan: watch::Sender<Option<Arc<Plan>>>,
}

/// What the gateways of one environment are to run.
pub struct Plan {
    /// When it began to be read.
    begun: Instant,
    environment: Option<EnvironmentPath>,
    candidates: Vec<RevisionHead>,
    gateways: HashMap<GatewayId, [u8; 32]>,
}

/// One gateway's view of its environment.
pub struct Subscription {
    plan: watch::Receiver<Option<Arc<Plan>>>,
    terms: watch::Receiver<Option<TermsEvent>>,
    since: Instant,
}

/// What is to be read again.
enum Stale {
    Environment(EnvironmentId, OrgId),
    Organization(OrgId),
}

/// What is new for a gateway.
pub enum News {
    /// Its organization's terms.
    Terms(TermsEvent),
    /// The plan of its environment.
    Plan(Arc<Plan>),
}

/// What a gateway is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Run this.
    Run(Box<RevisionHead>),
    /// Wait.
    Wait,
    /// Go: it was retired, or its environment is no more.
    Leave,
}

impl Fleet {
    /// Over a store. Nothing is read before [`Fleet::run`] is polled.
    pub fn new(store: Store, service: Arc<Service>) -> Self {
        Self {
            store,
            service,
            environments: Mutex::default(),
            standing: Standing::default(),
            frames: Frames::default(),
            joined: Notify::new(),
        }
    }

    /// Has a gateway that has proven who it is told of its environment.
    pub fn join(&self, gateway: &Gateway) -> Subscription {
        let mut environments = self.lock();
        let entry = environments.entry(gateway.environment_id.clone()).or_insert_with(|| Entry {
            org: gateway.org_id.clone(),
            stale: true,
            reading: false,
            plan: watch::Sender::new(None),
        });
        let mut plan = entry.plan.subscribe();
        // What is there is looked at first.
        plan.mark_changed();
        drop(environments);
        let terms = self.standing.join(&gateway.org_id);
        self.joined.notify_one();
        Subscription { plan, terms, since: Instant::now() }
    }

    /// How many gateways are told of their environments.
    pub fn connected(&self) -> u64 {
        let environments = self.lock();
        let connected: usize = environments.values().map(|entry| entry.plan.receiver_count()).sum();
        u64::try_from(connected).unwrap_or(u64::MAX)
    }

    /// Reads plans and terms as the store tells of changes, until it is dropped. To be run beside the server.
    pub async fn run(&self) {
        let mut changes = self.store.changes();
        let mut reading = FuturesUnordered::new();
        let mut licences = interval(LICENCES_EVERY);
        loop {
            while reading.len() < READ_AT_ONCE {
                let Some(stale) = self.next_stale() else { break };
                reading.push(self.read(stale));
            }
            tokio::select! {
                hint = changes.next() => match hint {
                    Some(Hint::Changed(change)) => self.changed(&change),
                    Some(Hint::Terms(org)) => self.standing.changed(&org),
                    Some(Hint::Look) => self.look(),
                    None => return,
                },
                () = self.joined.notified() => {}
                _ = licences.tick() => self.standing.ends(self.store.now()),
                Some(()) = reading.next() => {}
            }
        }
    }

    /// The event of a revision.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn event(
        &self,
        gateway: &Gateway,
        environment: &EnvironmentPath,
        head: &RevisionHead,
    ) -> Result<Bytes, StoreError> {
        let key = Key {
            environment: gateway.environment_id.clone(),
            number: head.number,
            digest: head.digest.clone(),
        };
        let scope = self.store.scope(gateway.org_id.clone());
        let load = async || {
            let revision = scope.read().await?.revision(&gateway.environment_id, head.number).await?;
            event(&revision, environment)
        };
        self.frames.of(key, load).await
    }

    fn changed(&self, change: &Change) {
        if let Some(entry) = self.lock().get_mut(&change.environment) {
            entry.stale |= entry.org == change.org;
        }
    }

    fn look(&self) {
        self.standing.look();
        self.lock().retain(|_, entry| {
            entry.stale = true;
            entry.plan.receiver_count() > 0
        });
    }

    fn next_stale(&self) -> Option<Stale> {
        // A list of what must not run goes before what is to run.
        if let Some(org) = self.standing.next_stale() {
            return Some(Stale::Organization(org));
        }
        let mut environments = self.lock();
        let (id, entry) = environments.iter_mut().find(|(_, entry)| entry.stale && !entry.reading)?;
        (entry.stale, entry.reading) = (false, true);
        Some(Stale::Environment(id.clone(), entry.org.clone()))
    }

    async fn read(&self, stale: Stale) {
        match stale {
            Stale::Environment(environment, org) => self.read_plan(environment, org).await,
            Stale::Organization(org) => self.read_terms(org).await,
        }
    }

    async fn read_terms(&self, org: OrgId) {
        let scope = self.store.scope(org.clone());
        let terms = current_terms(&scope, &self.service.signer, &self.service.license_keys).await;
        let event = terms.and_then(|terms| TermsEvent::of(&terms));
        if let Err(error) = &event {
            tracing::warn!(%org, error = error as &dyn std::error::Error, "terms cannot be read");
            sleep(AGAIN).await;
        }
        self.standing.was_read(&org, event.ok());
    }

    async fn read_plan(&self, environment: EnvironmentId, org: OrgId) {
        let plan = plan(&self.store.scope(org), &environment).await;
        let failed = plan.is_err();
        match plan {
            Ok(plan) => {
                self.store.confirm_gateways(&environment, &plan.gateways, plan.begun.into_std());
                if let Some(entry) = self.lock().get_mut(&environment) {
                    entry.plan.send_replace(Some(Arc::new(plan)));
                }
            }
            Err(error) => {
                tracing::warn!(%environment, error = &error as &dyn std::error::Error, "revisions cannot be read");
                sleep(AGAIN).await;
            }
        }
        if let Some(entry) = self.lock().get_mut(&environment) {
            entry.reading = false;
            entry.stale |= failed;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<EnvironmentId, Entry>> {
        self.environments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// The terms or the plan, once they are there or others. No plan before the first terms: they say what of it must not run.
    pub async fn changed(&mut self) -> Option<News> {
        loop {
            let has_terms = self.terms.borrow().is_some();
            tokio::select! {
                biased;
                changed = self.terms.changed() => {
                    changed.ok()?;
                    let terms = self.terms.borrow_and_update().clone();
                    if let Some(terms) = terms {
                        return Some(News::Terms(terms));
                    }
                }
                changed = self.plan.changed(), if has_terms => {
                    changed.ok()?;
                    let plan = self.plan.borrow_and_update().clone();
                    if let Some(plan) = plan {
                        return Some(News::Plan(plan));
                    }
                }
            }
        }
    }

    /// What a gateway that has this revision is to do.
    pub fn next(&self, plan: &Plan, gateway: &Gateway, after: i64) -> Next {
        let known = plan.gateways.contains_key(&gateway.id);
        // A plan of before it came need not know it.
        if !known && plan.begun > self.since {
            return Next::Leave;
        }
        match wanted(&plan.candidates, gateway) {
            Some(head) if head.number > after => Next::Run(Box::new(head.clone())),
            _ => Next::Wait,
        }
    }
}

impl Plan {
    /// The environment, if it is still there.
    pub fn environment(&self) -> Option<&EnvironmentPath> {
        self.environment.as_ref()
    }

    /// The number of the newest revision; 0 before the first.
    pub fn newest(&self) -> i64 {
        self.candidates.first().map_or(0, |head| head.number)
    }
}

/// Reads what there is now.
async fn plan(scope: &Scoped, id: &EnvironmentId) -> Result<Plan, StoreError> {
    let begun = Instant::now();
    let mut read = scope.read().await?;
    let found = match read.environment_by_id(id).await {
        Ok(found) => found,
        Err(StoreError::NotFound) => {
            return Ok(Plan { begun, environment: None, candidates: Vec::new(), gateways: HashMap::new() });
        }
        Err(error) => return Err(error),
    };
    let organization = read.org().await?.slug;
    let environment = EnvironmentPath { organization, workspace: found.workspace, environment: found.slug };
    let candidates = candidates(&mut read, id).await?;
    let gateways = read.live_gateways(id).await?;
    Ok(Plan { begun, environment: Some(environment), candidates, gateways })
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("environments", &self.lock().len()).finish_non_exhaustive()
    }
}
