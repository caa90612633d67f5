//! From a configuration to a revision: everything is compiled here, off the request path.

mod route;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use mcpg_config::{BindingKind, Config, PinRules, Plugin, Propagation};
use mcpg_filters::identity::IdentityChain;
use mcpg_filters::policy::{CacheLimits, PolicyChain};
use mcpg_filters::registry::{self, BuildContext, Filter};
use mcpg_filters::secret::SecretResolver;
use mcpg_filters::shared::Shared;
use mcpg_filters::transform::redact::{RedactLimits, Redactor};
use mcpg_sdk::SettingsError;
use mcpg_sdk::policy::PolicyEngine;

use super::{BodyLimits, Revision, Routes, ScopeState};
use crate::federation::Federation;
use crate::guard::{ConnectionLimits, GuardLimits, HeadLimits};
use crate::metrics::Metrics;
use crate::pinning::Pins;
use crate::pipeline::{Gates, Plugins};
use crate::sessions::{self, SessionKeys};
use crate::tls::Terminations;
use crate::upstream::Connectors;
use crate::upstream::stdio::Processes;

/// The keys of filters' settings that name a file or a folder.
const FILE_KEYS: &[&str] = &["bundle", "ca", "keys_file", "users_file"];

/// Why a configuration makes no revision: each with its place.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", .problems.join("\n"))]
pub struct BuildError {
    /// What is wrong, where, and what to do.
    pub problems: Vec<String>,
}

/// Builds revisions.
#[derive(Clone)]
pub struct Builder {
    metrics: Arc<Metrics>,
    pins: Arc<Pins>,
    keeps_state: bool,
    connectors: Arc<Connectors>,
    processes: Arc<Processes>,
    filters: Arc<Shared>,
}

/// The filters of a scope, sorted by stage.
#[derive(Default)]
struct Filters {
    identity: Vec<mcpg_filters::identity::IdentityProvider>,
    policy: Vec<Arc<dyn PolicyEngine>>,
    quotas: Vec<mcpg_filters::reliability::rate_limit::RateLimit>,
    redactor: Option<Redactor>,
    problems: Vec<String>,
}

impl Builder {
    /// A builder that counts in `metrics`, and leaves the state folder alone: what its revisions pin is kept in memory only.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        let pins = Pins::in_memory(Arc::clone(&metrics));
        Self {
            metrics,
            pins,
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

    /// A builder whose revisions share these pins.
    pub fn with_pins(self, pins: Arc<Pins>) -> Self {
        Self { pins, ..self }
    }

    /// A builder for a gateway that serves: its session key is read from the state folder, or made there.
    pub fn keeping_state(self) -> Self {
        Self { keeps_state: true, ..self }
    }

    /// Builds a revision. What callers have used of their limits is taken over from `previous`.
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
        let secrets = SecretResolver::new(config.base_dir());
        let mut filters = filters(config, &secrets, &self.filters, now);
        inherit(&mut filters, previous);
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
        let tls = Terminations::build(config, &[], &secrets, previous.map(|previous| &previous.tls), now);
        let tls = tls.map_err(|problems| filters.problems.extend(problems));
        let state_dir = self.keeps_state.then_some(config.state.dir.as_path());
        let sealer = sessions::load(&config.sessions.keys, &secrets, state_dir);
        let sealer = sealer.map_err(|error| filters.problems.push(error.to_string()));
        let (Ok(identity), Ok(routes), Ok(tls), Ok(sealer), []) =
            (identity, routes, tls, sealer, filters.problems.as_slice())
        else {
            return Err(BuildError { problems: filters.problems });
        };
        Ok(Revision {
            number,
            digest,
            built: now,
            server: config.server.clone(),
            guard: guard_limits(config),
            message: message_limits(config),
            bodies: body_limits(config),
            propagate_trace: config.telemetry.propagation == Propagation::W3c,
            warnings: warnings(config, &filters.policy).chain(tls.warnings.clone()).collect(),
            tls,
            sessions: Arc::new(SessionKeys::new(sealer)),
            session_ttl: config.sessions.ttl,
            federation: Federation::new(config.federation, Arc::clone(&self.pins), Arc::clone(&self.metrics)),
            input_timeout: config.sessions.input_timeout,
            scope: ScopeState {
                scope: scope.clone(),
                identity,
                quotas: filters.quotas.into_iter().map(Arc::new).collect(),
                policy: PolicyChain::new(filters.policy, CacheLimits::default()),
                gates: Gates::new(Arc::clone(&self.pins), pin_rules(config)),
                plugins: Plugins,
                routes: Routes::new(routes, config.federation.naming, &self.metrics),
                redactor: filters.redactor.unwrap_or_default().within(redact_limits(config)),
            },
        })
    }
}

fn pin_rules(config: &Config) -> Vec<(String, PinRules)> {
    let rules = |binding: &mcpg_config::Binding| {
        let BindingKind::Mcp(mcp) = &binding.kind;
        (binding.id.clone(), mcp.pinning)
    };
    config.bindings.iter().map(rules).collect()
}

/// A digest of a configuration and of every file that its filters are built from, so that a change of a
/// policy or of a key counts as a change.
pub fn effective_digest(config: &Config) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026 revision digest");
    hasher.update(config.digest().as_bytes());
    for path in source_paths(config) {
        hash_path(&mut hasher, &path);
    }
    *hasher.finalize().as_bytes()
}

/// The files and folders that a configuration's filters are built from.
pub fn source_paths(config: &Config) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = config.files();
    for plugin in &config.plugins.load {
        collect_paths(&plugin.settings.0, config.base_dir(), &mut paths);
    }
    paths
}

fn collect_paths(value: &serde_json::Value, base_dir: &Path, paths: &mut Vec<PathBuf>) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                match value.as_str() {
                    Some(path) if FILE_KEYS.contains(&key.as_str()) => paths.push(base_dir.join(path)),
                    _ => collect_paths(value, base_dir, paths),
                }
            }
        }
        serde_json::Value::Array(items) => {
            items.iter().for_each(|item| collect_paths(item, base_dir, paths));
        }
        serde_json::Value::String(text) => {
            paths.extend(text.strip_prefix("$secret://file/").map(|path| base_dir.join(path)));
        }
        _ => {}
    }
}

/// Contents by name, in the order of names. What cannot be read counts as absent: the filter says why.
fn hash_path(hasher: &mut blake3::Hasher, path: &Path) {
    if let Ok(entries) = std::fs::read_dir(path) {
        let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for entry in entries.iter().filter(|entry| entry.is_file()) {
            hash_path(hasher, entry);
        }
    } else {
        let contents = std::fs::read(path).unwrap_or_default();
        let name = path.as_os_str().as_encoded_bytes();
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name);
        hasher.update(&(contents.len() as u64).to_le_bytes()).update(&contents);
    }
}

fn filters(config: &Config, secrets: &SecretResolver, shared: &Arc<Shared>, now: SystemTime) -> Filters {
    let bindings: Vec<&str> = config.bindings.iter().map(|binding| binding.id.as_str()).collect();
    let scope = &config.tenancy.scope;
    let context =
        BuildContext { base_dir: config.base_dir(), secrets, bindings: &bindings, scope, shared, now };
    let mut filters = Filters::default();
    for (index, plugin) in config.plugins.load.iter().enumerate() {
        if let Err(error) = filters.add(plugin, &context) {
            filters.problems.push(config.locate(index, &error).to_string());
        }
    }
    filters
}

impl Filters {
    fn add(&mut self, plugin: &Plugin, context: &BuildContext<'_>) -> Result<(), SettingsError> {
        match registry::build(plugin.id, &plugin.settings, context)? {
            Filter::Identity(provider) => self.identity.push(provider),
            Filter::Policy(engine) => self.policy.push(engine),
            Filter::RateLimit(limit) => self.quotas.push(limit),
            Filter::Redact(redactor) => {
                if self.redactor.replace(redactor).is_some() {
                    return Err(SettingsError::at(
                        "",
                        "`transform.redact` is loaded twice: name all fields in one",
                    ));
                }
            }
            // These have settings that are read elsewhere, or none.
            Filter::Audit(_) | Filter::Metrics(_) | Filter::Traces(_) | Filter::Secret(_) => {}
            _ => return Err(SettingsError::at("", "this filter has no stage in this build")),
        }
        Ok(())
    }
}

fn warnings(config: &Config, engines: &[Arc<dyn PolicyEngine>]) -> impl Iterator<Item = String> {
    let of_config = config.warnings().iter().map(ToString::to_string);
    let of_engine = |engine: &Arc<dyn PolicyEngine>| {
        let id = engine.id().to_owned();
        engine.warnings().iter().map(move |warning| format!("{id}: {warning}")).collect::<Vec<_>>()
    };
    of_config.chain(engines.iter().flat_map(of_engine))
}

/// Limits keep what callers have used, entry by entry, so that a reload hands nobody a fresh burst.
fn inherit(filters: &mut Filters, previous: Option<&Revision>) {
    let Some(previous) = previous else { return };
    for (quota, old) in filters.quotas.iter_mut().zip(&previous.scope.quotas) {
        quota.inherit(old);
    }
}

fn redact_limits(config: &Config) -> RedactLimits {
    RedactLimits { body_bytes_max: config.server.limits.redact_bytes_max, ..RedactLimits::default() }
}

fn guard_limits(config: &Config) -> GuardLimits {
    let limits = &config.server.limits;
    GuardLimits {
        head: HeadLimits { bytes_max: limits.header_bytes_max, fields_max: limits.header_count_max },
        connections: ConnectionLimits {
            connections_max: limits.connections_max,
            per_ip_max: limits.connections_per_ip_max,
        },
        handshake_timeout: limits.tls_handshake_timeout,
        header_timeout: limits.header_timeout,
        idle_timeout: limits.idle_timeout,
        write_timeout: limits.write_timeout,
        read_timeout: limits.body_timeout,
        linger: config.server.shutdown.drain / 3,
        requests_max: limits.requests_per_connection_max,
    }
}

fn message_limits(config: &Config) -> mcpg_protocol::Limits {
    let limits = &config.server.limits;
    mcpg_protocol::Limits {
        body_bytes_max: limits.body_bytes_max,
        depth_max: u32::try_from(limits.json_depth_max).unwrap_or(u32::MAX),
        ..mcpg_protocol::Limits::default()
    }
}

fn body_limits(config: &Config) -> BodyLimits {
    let limits = &config.server.limits;
    BodyLimits {
        request_bytes_max: limits.body_bytes_max,
        request_timeout: limits.body_timeout,
        response_bytes_max: limits.response_bytes_max,
        event_bytes_max: limits.sse_event_bytes_max,
        held_bytes_max: limits.redact_bytes_max,
    }
}
