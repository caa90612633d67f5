//! Hot reload: from a changed file or a SIGHUP to a new revision, or to a reason why not.
//!
//! INVARIANT: nothing changes unless the whole configuration is sound. A bad file leaves the revision in force and says why in
//! the log, in the metrics and at `/revision`.

mod revoke;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use mcpg_config::{Config, Pushed};
use mcpg_ledger::{LifecycleEvent, LifecycleRef, RowRef};
use mcpg_sdk::Scope;
use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::control_plane::{Push, PushRequest, PushedScopes, on_disk};
use crate::gateway::Gateway;
use crate::pinning::ScopePins;
use crate::revision::{Applied, BuildError, Builder, Generation, effective_digest, source_paths};

/// Editors and tools change a file in several steps: they are taken as one.
const SETTLE: Duration = Duration::from_millis(150);

/// Folders that are named where they cannot be watched.
const UNWATCHED_SHOWN_MAX: usize = 8;
/// Scopes that are named where another is missing.
const SCOPES_SHOWN_MAX: usize = 20;

/// A configuration file, read and checked.
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// A digest of it and of the files that it names.
    pub digest: [u8; 32],
}

/// Reads a configuration file, those of its scopes with it, and those that a control plane has pushed to the gateway that runs it; of one scope
/// alone, if it is named.
///
/// # Errors
/// What is wrong with it, each with its place.
pub fn read(path: &Path, scope: Option<&Scope>) -> Result<Loaded, Vec<String>> {
    let alone = read_with(path, None, &[])?;
    let pushed = on_disk(&alone.config);
    if pushed.is_empty() && scope.is_none() { Ok(alone) } else { read_with(path, scope, &pushed) }
}

/// The same, with these scopes of a control plane.
///
/// # Errors
/// What is wrong with it, each with its place.
pub fn read_with(path: &Path, scope: Option<&Scope>, pushed: &[Pushed]) -> Result<Loaded, Vec<String>> {
    let bytes =
        std::fs::read(path).map_err(|error| vec![format!("cannot read `{}`: {error}", path.display())])?;
    let base_dir = path.parent().unwrap_or(Path::new("."));
    let config = Config::with_files(
        &bytes,
        &path.display().to_string(),
        base_dir,
        &|path| std::fs::read(path),
        pushed,
    )
    .map_err(|diagnostics| diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let config = match scope {
        None => config,
        Some(scope) => config.alone(scope).ok_or_else(|| no_scope(path, scope, &config))?,
    };
    let digest = effective_digest(&config);
    Ok(Loaded { config, digest })
}

fn no_scope(path: &Path, scope: &Scope, config: &Config) -> Vec<String> {
    let known = config.scopes().map(|config| format!("`{}`", config.tenancy.scope));
    let known = known.take(SCOPES_SHOWN_MAX).collect::<Vec<_>>().join(", ");
    vec![format!("{}: there is no scope `{scope}`; there are {known}", path.display())]
}

/// Replaces revisions.
pub struct Reloader {
    path: PathBuf,
    scope: Option<Scope>,
    pushed: Arc<PushedScopes>,
    gateway: Arc<Gateway>,
    builder: Builder,
    /// What cannot change while the process runs.
    fixed: Fixed,
}

/// Settings that belong to the process.
#[derive(Debug, Clone, PartialEq)]
pub struct Fixed {
    /// Where, and whether with TLS. What TLS shows may change.
    listeners: Vec<(mcpg_config::ListenAddress, bool)>,
    admin: Option<mcpg_config::ListenAddress>,
    threads: Option<std::num::NonZeroUsize>,
    audit: mcpg_config::Audit,
    log: mcpg_config::Log,
    organization: String,
    state: mcpg_config::State,
    sessions_max: usize,
}

impl Fixed {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Self {
        Self {
            listeners: config
                .server
                .listeners
                .iter()
                .map(|one| (one.address.clone(), one.tls.is_some()))
                .collect(),
            admin: config.server.admin.clone(),
            threads: config.server.threads,
            audit: config.audit.clone(),
            log: config.telemetry.log,
            organization: config.tenancy.top_organization.clone(),
            state: config.state.clone(),
            sessions_max: config.sessions.local_max,
        }
    }

    /// What differs, by key.
    fn changed(&self, other: &Self) -> Vec<&'static str> {
        let pairs = [
            ("server.listen", self.listeners == other.listeners),
            ("server.admin", self.admin == other.admin),
            ("server.threads", self.threads == other.threads),
            ("audit", self.audit == other.audit),
            ("telemetry.log", self.log == other.log),
            ("the organization of tenancy.scope", self.organization == other.organization),
            ("state", self.state == other.state),
            ("sessions.local_max", self.sessions_max == other.sessions_max),
        ];
        pairs.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
    }
}

impl Reloader {
    /// Reloads `path`, or one scope of it, into `gateway`.
    pub fn new(
        path: PathBuf,
        scope: Option<Scope>,
        pushed: Arc<PushedScopes>,
        gateway: Arc<Gateway>,
        builder: Builder,
        fixed: Fixed,
    ) -> Self {
        Self { path, scope, pushed, gateway, builder, fixed }
    }

    /// What is pinned, in every scope.
    pub fn pins(&self) -> &Arc<ScopePins> {
        self.builder.pins()
    }

    fn read(&self) -> Result<Loaded, Vec<String>> {
        read_with(&self.path, self.scope.as_ref(), &self.pushed.list())
    }

    /// Loads the file again and puts it in force.
    ///
    /// # Errors
    /// Why it is not in force; the revision before it is.
    pub async fn reload(&self, now: SystemTime) -> Result<Applied, BuildError> {
        let outcome = self.replace(now).await;
        self.note(&outcome, now);
        outcome
    }

    fn note(&self, outcome: &Result<Applied, BuildError>, now: SystemTime) {
        match outcome {
            Ok(applied) => self.applied(*applied),
            Err(error) => self.refused(&error.problems, now),
        }
    }

    async fn replace(&self, now: SystemTime) -> Result<Applied, BuildError> {
        let loaded = self.read().map_err(BuildError::lasting)?;
        self.builder.fetch_bundles(&loaded.config).await?;
        let current = self.gateway.revisions.load();
        if self.builder.digest(&loaded.config, loaded.digest) == current.digest {
            self.gateway.revisions.confirm();
            return Ok(Applied::Unchanged);
        }
        let changed = self.fixed.changed(&Fixed::of(&loaded.config));
        if !changed.is_empty() {
            let keys = changed.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
            let message = format!(
                "{}: {keys} cannot change while the process runs: restart, or send SIGUSR2 to upgrade without a gap",
                self.path.display()
            );
            return Err(BuildError::lasting(vec![message]));
        }
        let number = current.number + 1;
        let built = self.builder.generation(&loaded.config, loaded.digest, number, Some(&current), now).await;
        let generation = built?;
        self.gateway.revisions.swap(generation);
        self.gateway.revisions.peek(Generation::start);
        let (builder, generation) = (self.builder.clone(), self.gateway.revisions.load());
        // Whatever goes wrong there is in the log, and changes nothing of what is in force.
        let _ = tokio::task::spawn_blocking(move || builder.retain(&generation)).await;
        Ok(Applied::Swapped { number })
    }

    fn applied(&self, applied: Applied) {
        self.gateway.metrics.reloaded(true);
        let generation = self.gateway.revisions.load();
        note_generation(&self.gateway, &generation);
        match applied {
            Applied::Swapped { number } => {
                let changed = generation.scopes.iter().filter(|revision| revision.number == number).count();
                tracing::info!(number, scopes = generation.scopes.len(), changed, "revision in force");
                let event = LifecycleEvent::RevisionSwapped { revision: number, digest: generation.digest };
                self.record(event, generation.built);
            }
            Applied::Unchanged => tracing::info!(number = generation.number, "configuration unchanged"),
        }
    }

    fn refused(&self, problems: &[String], now: SystemTime) {
        self.gateway.metrics.reloaded(false);
        self.gateway.revisions.refuse(problems.to_vec(), now);
        for problem in problems {
            tracing::error!(problem, "configuration refused, the revision in force stays");
        }
        self.record(LifecycleEvent::RevisionRefused { reason: &problems.join("; ") }, now);
    }

    fn record(&self, event: LifecycleEvent<'_>, now: SystemTime) {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        if let Err(error) = self.gateway.audit.record_now(&RowRef::Lifecycle(LifecycleRef { time, event })) {
            tracing::error!(%error, "lifecycle row not recorded");
        }
    }

    /// Reloads whenever a file that the configuration is built from changes, or `requests` says so. Ends when
    /// `requests` does.
    pub async fn run(&self, mut requests: mpsc::Receiver<()>, mut pushes: mpsc::Receiver<PushRequest>) {
        let (sender, mut changes) = mpsc::channel(1);
        let mut watcher = self.watch(&sender);
        // What changed between reading the file and watching it.
        if !self.is_current() {
            let _ = self.reload(SystemTime::now()).await;
        }
        self.gateway.startup.watching.store(true, Ordering::Release);
        loop {
            let asked = tokio::select! {
                request = requests.recv() => match request { Some(()) => true, None => break },
                Some(push) = pushes.recv() => {
                    if self.push(push).await {
                        watcher = self.watch(&sender);
                    }
                    continue;
                }
                _ = changes.recv() => false,
                () = self.bundles_change() => false,
            };
            sleep(SETTLE).await;
            while changes.try_recv().is_ok() {}
            // A touched file that says the same is no news, unless somebody asked or the last word was a refusal.
            let refused = self.gateway.revisions.standing().last_refusal.is_some();
            if !asked && !refused && self.is_current() {
                continue;
            }
            if self.reload(SystemTime::now()).await.is_ok() {
                // It may name other files now.
                watcher = self.watch(&sender);
            }
        }
        drop(watcher);
    }

    /// Puts in force what was pushed. True if it is.
    async fn push(&self, push: PushRequest) -> bool {
        let PushRequest { what, answer } = push;
        let outcome = match what {
            Push::Scope { pushed, is_retry } => self.push_scope(pushed, is_retry).await,
            Push::Revoked(scope, list) => self.revoke(&scope, &list).await,
        };
        let is_applied = outcome.is_ok();
        // Who asked may have left with the connection.
        let _ = answer.send(outcome);
        is_applied
    }

    /// Puts a pushed scope in force. If it cannot be, what was before stays.
    async fn push_scope(&self, pushed: Pushed, is_retry: bool) -> Result<(), BuildError> {
        let (scope, now) = (pushed.scope.clone(), SystemTime::now());
        let before = self.pushed.replace(pushed);
        let outcome = self.replace(now).await;
        if !(is_retry && outcome.as_ref().is_err_and(|error| error.may_pass)) {
            self.note(&outcome, now);
        }
        if outcome.is_err() {
            self.pushed.restore(&scope, before);
        }
        outcome.map(drop)
    }

    /// Whether the file says what is in force.
    fn is_current(&self) -> bool {
        self.read().is_ok_and(|loaded| {
            let digest = self.builder.digest(&loaded.config, loaded.digest);
            self.gateway.revisions.peek(|now| now.digest == digest)
        })
    }

    /// Looks at the tags of bundles when their time comes, until one stands for something else.
    async fn bundles_change(&self) {
        loop {
            match self.builder.next_poll() {
                Some(next) => tokio::time::sleep_until(next.into()).await,
                None => std::future::pending().await,
            }
            if self.builder.poll_bundles().await {
                return;
            }
        }
    }

    /// Watches the folders of all files, since a file is often replaced, not written.
    fn watch(&self, sender: &mpsc::Sender<()>) -> Option<notify::RecommendedWatcher> {
        let sender = sender.clone();
        let sources = self.sources();
        let folders = sources.folders();
        let notice = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| {
                !event.kind.is_access() && event.paths.iter().any(|path| sources.has(path))
            }) {
                // One waiting notice is enough.
                let _ = sender.try_send(());
            }
        };
        let mut watcher = notify::recommended_watcher(notice)
            .inspect_err(|error| tracing::warn!(%error, "files are not watched: send SIGHUP to reload"))
            .ok()?;
        let mut unwatched = 0;
        for folder in folders {
            if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
                unwatched += 1;
                if unwatched <= UNWATCHED_SHOWN_MAX {
                    tracing::warn!(folder = %folder.display(), %error, "folder not watched");
                }
            }
        }
        if unwatched > UNWATCHED_SHOWN_MAX {
            tracing::warn!(folders = unwatched, "folders not watched: send SIGHUP to reload");
        }
        Some(watcher)
    }

    fn sources(&self) -> Sources {
        let mut paths = vec![self.path.clone()];
        if let Ok(loaded) = self.read() {
            paths.extend(source_paths(&loaded.config));
        }
        let (folders, files) = paths.into_iter().partition(|path| path.is_dir());
        Sources { files, folders }
    }
}

/// What a configuration is built from.
struct Sources {
    files: BTreeSet<PathBuf>,
    folders: BTreeSet<PathBuf>,
}

impl Sources {
    /// Where changes show: the folders themselves, and those of the files.
    fn folders(&self) -> BTreeSet<PathBuf> {
        let parents = self.files.iter().filter_map(|file| file.parent()).map(Path::to_owned);
        let here = |path: PathBuf| if path.as_os_str().is_empty() { PathBuf::from(".") } else { path };
        self.folders.iter().cloned().chain(parents).map(here).collect()
    }

    /// Whether a change of this path matters. A log beside the configuration does not; the link that Kubernetes
    /// turns when it replaces all files of a folder does.
    fn has(&self, path: &Path) -> bool {
        self.files.contains(path)
            || path.parent().is_some_and(|folder| self.folders.contains(folder))
            || path.file_name().is_some_and(|name| name == "..data")
    }
}

/// Shows a generation in the metrics, and what is odd about it in the log; puts its rules for pinned tools in force.
pub fn note_generation(gateway: &Gateway, generation: &Generation) {
    for warning in &generation.warnings {
        tracing::warn!(warning, "configuration");
    }
    let changed = generation.scopes.iter().filter(|revision| revision.number == generation.number);
    changed.for_each(|revision| revision.scope.gates.enforce());
    gateway.metrics.revision(generation.number, generation.built);
}
