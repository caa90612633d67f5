//! From a configuration to a generation, and to the revision of each of its scopes: everything is compiled here, off the request
//! path.

mod bundles;
mod digest;
mod filters;
mod limits;
mod policy;
mod revoked;
mod route;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::{StreamExt as _, stream};
use mcpg_config::{BindingKind, Config, PinRules, Propagation, Tenancy, TlsName};
use mcpg_filters::identity::IdentityChain;
use mcpg_filters::policy::{CacheLimits, PolicyChain};
use mcpg_filters::secret::SecretResolver;
use mcpg_filters::shared::Shared;
use mcpg_filters::transform::redact::HashKey;
use mcpg_sdk::Scope;
use mcpg_sdk::policy::PolicyEngine;

pub use digest::{effective_digest, source_paths};
pub use policy::{Engine, Engines};
pub use revoked::Artifacts;

use super::{Generation, Revision, Routes, ScopeState, Scopes};
use crate::audit::{Ledger, Ledgers};
use crate::federation::{Federation, NamedTools};
use crate::metrics::Metrics;
use crate::pinning::{Pins, ScopePins};
use crate::pipeline::{Gates, Plugins};
use crate::recorded::Recorder;
use crate::sessions::{self, SessionKeys};
use crate::tls::{Site, Terminations};
use crate::upstream::Connectors;
use crate::upstream::stdio::Processes;
use filters::{Filters, filters};

/// What the key of hashes in answers and audit rows is derived for.
const MARKS_CONTEXT: &str = "mcpg 2026-11 keyed hashes: root";

/// Scopes that are built at once: each may wait for the names of its upstreams.
const BUILT_AT_ONCE: usize = 64;

/// Why a configuration makes no revision: each with its place.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .problems.join("\n"))]
pub struct BuildError {
    /// What is wrong, where, and what to do.
    pub problems: Vec<String>,
    /// Whether all of that may pass by itself: something that was to be fetched is not to be had at the moment.
    pub may_pass: bool,
}

impl BuildError {
    /// What does not pass by itself.
    pub fn lasting(problems: Vec<String>) -> Self {
        Self { problems, may_pass: false }
    }
}

/// Builds generations, and the revisions in them.
#[derive(Clone)]
pub struct Builder {
    metrics: Arc<Metrics>,
    pins: Arc<ScopePins>,
    ledgers: Option<Arc<Ledgers>>,
    keeps_state: bool,
    connectors: Arc<Connectors>,
    processes: Arc<Processes>,
    filters: Arc<Shared>,
}

impl Builder {
    /// A builder that counts in `metrics`, records nothing, and leaves the state folder alone: what its revisions pin is kept in
    /// memory only.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            pins: ScopePins::in_memory(),
            ledgers: None,
            keeps_state: false,
            connectors: Arc::default(),
            processes: Arc::default(),
            filters: Arc::default(),
        }
    }

    /// Where the processes of its revisions run. None runs before a revision is served.
    pub fn processes(&self) -> &Arc<Processes> {
        &self.processes
    }

    /// What its revisions share: what they have fetched, and their threads.
    pub fn filters(&self) -> &Arc<Shared> {
        &self.filters
    }

    /// What its revisions pin.
    pub fn pins(&self) -> &Arc<ScopePins> {
        &self.pins
    }

    /// Lets go of what belongs to scopes that a generation has no more. Blocks: it closes their audit logs.
    pub fn retain(&self, generation: &Generation) {
        let is_served = |scope: &Scope| generation.scopes.by_scope(scope).is_some();
        self.pins.retain(is_served);
        self.filters.bundles.retain(is_served);
        self.metrics.retain_scopes(is_served);
        if let Some(ledgers) = &self.ledgers {
            let served: HashSet<&str> =
                generation.scopes.iter().map(|revision| revision.scope.scope.organization()).collect();
            ledgers.retain(|organization| served.contains(organization));
        }
    }

    /// A builder whose revisions share these pins.
    pub fn with_pins(self, pins: Arc<ScopePins>) -> Self {
        Self { pins, ..self }
    }

    /// A builder whose revisions record here.
    pub fn with_ledgers(self, ledgers: Arc<Ledgers>) -> Self {
        Self { ledgers: Some(ledgers), ..self }
    }

    /// A builder for a gateway that serves: its session key is read from the state folder, or made there.
    pub fn keeping_state(self) -> Self {
        Self { keeps_state: true, ..self }
    }

    /// Builds a generation. A scope that `previous` has and that nothing has changed for is taken over as it is.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub async fn generation(
        &self,
        config: &Config,
        digest: [u8; 32],
        number: u64,
        previous: Option<&Generation>,
        now: SystemTime,
    ) -> Result<Generation, BuildError> {
        self.fetch_bundles(config).await?;
        let building: Vec<_> = config
            .scopes()
            .map(|config| {
                let previous = previous.and_then(|previous| previous.scopes.by_scope(&config.tenancy.scope));
                self.renew(config, number, previous, now)
            })
            .collect();
        let built: Vec<Result<_, BuildError>> =
            stream::iter(building).buffered(BUILT_AT_ONCE).collect().await;
        let mut problems = Vec::new();
        let secrets = SecretResolver::new(config.base());
        let sites = sites(config);
        let tls = Terminations::build(config, &sites, &secrets, previous.map(|previous| &previous.tls), now);
        let tls = tls.map_err(|found| problems.extend(found)).unwrap_or_default();
        let mut scopes = Vec::with_capacity(built.len());
        for built in built {
            match built {
                Ok(scope) => scopes.push(scope),
                Err(error) => problems.extend(error.problems),
            }
        }
        if !problems.is_empty() {
            return Err(BuildError::lasting(problems));
        }
        let of_file = config.warnings().iter().map(ToString::to_string);
        let of_file: Vec<String> = of_file.filter(|_| config.bindings.is_empty()).collect();
        let of_scopes = scopes.iter().flat_map(|(revision, _)| revision.warnings.iter().cloned());
        Ok(Generation {
            number,
            digest: self.digest(config, digest),
            built: now,
            server: config.server.clone(),
            guard: limits::guard(config),
            propagate_trace: config.telemetry.propagation == Propagation::W3c,
            warnings: of_file.into_iter().chain(of_scopes).chain(tls.warnings.clone()).collect(),
            tls,
            scopes: Scopes::new(
                scopes,
                &config.tenancy,
                config.server.hosts.clone(),
                is_pushed_alone(config),
            ),
        })
    }

    /// The revision of one scope: the one that it has, if it would be the same again.
    async fn renew<'c>(
        &self,
        config: &'c Config,
        number: u64,
        previous: Option<&Arc<Revision>>,
        now: SystemTime,
    ) -> Result<(Arc<Revision>, &'c Tenancy), BuildError> {
        let digest = digest::of_scope(config, &self.filters.bundles);
        if let Some(same) = previous.filter(|previous| previous.digest == digest) {
            return Ok((Arc::clone(same), &config.tenancy));
        }
        let metrics = self.metrics.of_scope(&config.tenancy.scope, config.telemetry.metrics_scopes_max);
        let builder = Self { metrics, ..self.clone() };
        let revision =
            builder.build(config, digest, number, previous.map(|previous| &**previous), now).await?;
        Ok((Arc::new(revision), &config.tenancy))
    }

    /// Builds the revision of one scope: the one that `config` has beside its `tenancy`. What callers have used of their limits is
    /// taken over from `previous`, and so are routes that would be the same.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub async fn build(
        &self,
        config: &Config,
        digest: [u8; 32],
        number: u64,
        previous: Option<&Revision>,
        now: SystemTime,
    ) -> Result<Revision, BuildError> {
        let secrets = SecretResolver::new(config.base());
        let mut filters = filters(config, &secrets, &self.filters, &self.metrics, now);
        filters.inherit(previous);
        let identity = IdentityChain::new(std::mem::take(&mut filters.identity));
        let identity = identity.map_err(|error| filters.problems.push(error.to_string()));
        let scope = &config.tenancy.scope;
        let ground = route::Ground {
            scope,
            secrets: &secrets,
            metrics: &self.metrics,
            connectors: &self.connectors,
            processes: &self.processes,
            previous: previous.map(|previous| &previous.scope.routes),
        };
        let routes = route::routes(config, &ground).await;
        let routes = routes.map_err(|problems| filters.problems.extend(problems));
        let state_dir = self.keeps_state.then_some(config.state.shared_dir.as_path());
        let of_scope = (!config.tenancy.is_top_level).then_some(scope);
        let sealer = sessions::load(&config.sessions.keys, &secrets, state_dir, of_scope);
        let sealer = sealer.map_err(|error| filters.problems.push(error.to_string()));
        let pins = self.pins.of(config, &self.metrics);
        let pins =
            pins.map_err(|error| filters.problems.push(format!("cannot read the pinned tools: {error}")));
        let (Ok(identity), Ok(routes), Ok(sealer), Ok(pins), []) =
            (identity, routes, sealer, pins, filters.problems.as_slice())
        else {
            return Err(BuildError::lasting(filters.problems));
        };
        let marks = HashKey::derive(&sealer.derive(MARKS_CONTEXT), scope);
        Ok(Revision {
            number,
            digest,
            built: now,
            message: limits::message(config),
            bodies: limits::body(config),
            warnings: warnings(config, filters.engines(), &filters.shadows_revoked),
            sessions: Arc::new(SessionKeys::new(sealer)),
            session_ttl: config.sessions.ttl,
            federation: Federation::new(config.federation, Arc::clone(&pins), Arc::clone(&self.metrics))
                .with_named(NamedTools::of(&filters.policy)),
            input_timeout: config.sessions.input_timeout,
            artifacts: std::mem::take(&mut filters.artifacts),
            revoked: filters.revoked,
            scope: self.scope(config, identity, routes, pins, marks, filters),
        })
    }

    fn scope(
        &self,
        config: &Config,
        identity: IdentityChain,
        routes: Vec<Arc<super::Route>>,
        pins: Arc<Pins>,
        marks: HashKey,
        filters: Filters,
    ) -> ScopeState {
        let scope = &config.tenancy.scope;
        let ledger = self.ledgers.as_ref().map(|ledgers| ledgers.of(scope.organization()));
        ScopeState {
            scope: scope.clone(),
            has_own_tls: config.tenancy.tls.is_some(),
            audit: ledger.unwrap_or_else(Ledger::none),
            recorder: Recorder::new(&config.audit, marks.clone()),
            metrics: Arc::clone(&self.metrics),
            identity,
            quotas: filters.quotas.into_iter().map(Arc::new).collect(),
            policy: PolicyChain::new(filters.policy, CacheLimits::default())
                .shadowed_by(filters.shadows)
                .on(self.filters.policy.clone()),
            gates: Gates::new(pins, pin_rules(config), filters.gates),
            plugins: Plugins,
            routes: Routes::new(routes, config.federation.naming, &self.metrics),
            redactor: filters.redactor.unwrap_or_default().within(limits::redact(config)).keyed(marks),
        }
    }
}

/// Whether all that is served is one scope that a control plane has pushed: then nobody needs to name it.
fn is_pushed_alone(config: &Config) -> bool {
    let mut scopes = config.scopes();
    scopes.next().is_some_and(|only| only.base().is_bounded()) && scopes.next().is_none()
}

/// The hosts of scopes that have TLS of their own.
fn sites(config: &Config) -> Vec<Site<'_>> {
    let site = |config: &'_ Config| {
        let tenancy = &config.tenancy;
        let below = tenancy.suffix.as_ref().map(|suffix| format!("{}.{suffix}", tenancy.subdomain));
        let names = tenancy.hosts.iter().map(|host| host.name().to_owned()).chain(below);
        names.filter_map(|name| TlsName::parse(&name)).collect()
    };
    config
        .scopes()
        .filter_map(|config| {
            let tls = config.tenancy.tls.as_ref()?;
            Some(Site { scope: &config.tenancy.scope, hosts: site(config), tls })
        })
        .collect()
}

fn pin_rules(config: &Config) -> Vec<(String, PinRules)> {
    let rules = |binding: &mcpg_config::Binding| {
        let BindingKind::Mcp(mcp) = &binding.kind;
        (binding.id.clone(), mcp.pinning)
    };
    config.bindings.iter().map(rules).collect()
}

fn warnings<'e>(
    config: &Config,
    engines: impl Iterator<Item = &'e Arc<dyn PolicyEngine>>,
    revoked: &[String],
) -> Vec<String> {
    let of_config = config.warnings().iter().map(ToString::to_string);
    let of_engine = |engine: &Arc<dyn PolicyEngine>| {
        let id = engine.id().to_owned();
        engine.warnings().iter().map(move |warning| format!("{id}: {warning}")).collect::<Vec<_>>()
    };
    of_config.chain(engines.flat_map(of_engine)).chain(revoked.iter().cloned()).collect()
}
