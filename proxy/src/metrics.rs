//! Every metric of the gateway: names, help and labels, in this one file.
//!
//! Label values come from configuration or from closed sets, never from a request, so the number of
//! series is bounded. What a component counts itself (decision cache, audit log, connections) is read
//! when metrics are scraped, so that nothing is counted twice on the request path.

mod tls;

use std::sync::Arc;
use std::time::SystemTime;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

pub use tls::TlsMetrics;

const TLS_HANDSHAKES: &str = "mcpg_tls_handshakes_total";
const TLS_CERTIFICATE_EXPIRES: &str = "mcpg_tls_certificate_expires_seconds";

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Seconds; from a cached refusal to a slow tool.
const DURATION_BUCKETS: &[f64] =
    &[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The gateway's own metrics.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    refusals: IntCounterVec,
    upstream_errors: IntCounterVec,
    tool_findings: IntCounterVec,
    tools_pending: IntGaugeVec,
    tools_withheld: IntGaugeVec,
    tools_lock_failures: IntCounter,
    catalogue_fetches: IntCounterVec,
    catalogue_items: IntGaugeVec,
    catalogue_fetched: GaugeVec,
    catalogue_served: IntCounterVec,
    upstream_in_flight: IntGaugeVec,
    upstream_queued: IntGaugeVec,
    upstream_rejected: IntCounterVec,
    upstream_retries: IntCounterVec,
    upstream_breaker: IntGaugeVec,
    upstream_breaker_opened: IntCounterVec,
    token_fetches: IntCounterVec,
    /// Reloads by result: `applied` or `refused`.
    reloads: IntCounterVec,
    processes: ProcessFamilies,
    /// TLS towards clients.
    pub tls: TlsMetrics,
    /// The number of the revision in force.
    pub revision_number: IntGauge,
    /// When the revision in force was loaded, as a UNIX time in seconds.
    pub revision_loaded: Gauge,
    /// Whether the last reload was applied (1) or refused (0).
    pub revision_last_reload_ok: IntGauge,
}

/// The metrics of one binding, looked up once per revision.
#[derive(Clone)]
pub struct BindingMetrics {
    /// Requests that were permitted and answered.
    pub permitted: IntCounter,
    /// Requests that policy denied.
    pub denied: IntCounter,
    /// From the head to the last byte of the answer, in seconds.
    pub duration: Histogram,
}

/// The metrics of one upstream, looked up once per revision.
#[derive(Clone)]
pub struct UpstreamMetrics {
    /// Calls under way.
    pub in_flight: IntGauge,
    /// Calls that wait for a place.
    pub queued: IntGauge,
    /// Calls for which the queue was too long.
    pub rejected_queue_full: IntCounter,
    /// Calls that waited too long.
    pub rejected_queue_timeout: IntCounter,
    /// Calls that the circuit breaker kept back.
    pub rejected_breaker: IntCounter,
    /// Requests sent again.
    pub retries: IntCounter,
    /// 1 while the circuit breaker is open.
    pub breaker_open: IntGauge,
    /// Times that it opened.
    pub breaker_opened: IntCounter,
    errors: IntCounterVec,
    binding: Box<str>,
}

/// What is counted of the tokens for one upstream.
#[derive(Clone)]
pub struct TokenMetrics {
    fetches: IntCounterVec,
    binding: Box<str>,
}

impl TokenMetrics {
    /// The binding.
    pub fn binding(&self) -> &str {
        &self.binding
    }

    /// Counts a request to the token endpoint. `result` is one of the stable words.
    pub fn fetched(&self, result: &'static str) {
        self.fetches.with_label_values(&[&self.binding, result]).inc();
    }
}

impl UpstreamMetrics {
    /// Counts a failed call. `reason` is one of the stable words.
    pub fn failed(&self, reason: &'static str) {
        self.errors.with_label_values(&[&self.binding, reason]).inc();
    }
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// Never in practice: a name registered twice is a defect that the tests find.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new("mcpg_requests_total", "Requests, by binding and outcome."),
                &["binding", "outcome"],
            )?,
            durations: HistogramVec::new(
                HistogramOpts::new(
                    "mcpg_request_duration_seconds",
                    "Time from the head of a request to the end of its answer.",
                )
                .buckets(DURATION_BUCKETS.to_vec()),
                &["binding"],
            )?,
            refusals: IntCounterVec::new(
                Opts::new("mcpg_refusals_total", "Requests refused before they were dispatched, by reason."),
                &["reason"],
            )?,
            upstream_errors: IntCounterVec::new(
                Opts::new("mcpg_upstream_errors_total", "Failed calls to upstreams, by binding and reason."),
                &["binding", "reason"],
            )?,
            tool_findings: IntCounterVec::new(
                Opts::new("mcpg_tool_findings_total", "Tools found not as approved, by binding and finding."),
                &["binding", "finding"],
            )?,
            tools_pending: IntGaugeVec::new(
                Opts::new("mcpg_tools_pending", "Tools that await approval, by binding."),
                &["binding"],
            )?,
            tools_withheld: IntGaugeVec::new(
                Opts::new("mcpg_tools_withheld", "Tools that are withheld, by binding."),
                &["binding"],
            )?,
            tools_lock_failures: IntCounter::new(
                "mcpg_tools_lock_failures_total",
                "Failures to read or write the files of pinned tools.",
            )?,
            upstream_in_flight: IntGaugeVec::new(
                Opts::new("mcpg_upstream_calls", "Calls to an upstream that are under way, by binding."),
                &["binding"],
            )?,
            upstream_queued: IntGaugeVec::new(
                Opts::new("mcpg_upstream_queued", "Calls that wait for `calls.concurrency_max`, by binding."),
                &["binding"],
            )?,
            upstream_rejected: IntCounterVec::new(
                Opts::new(
                    "mcpg_upstream_rejected_total",
                    "Calls that a limit of the upstream kept from it, by binding and reason.",
                ),
                &["binding", "reason"],
            )?,
            upstream_retries: IntCounterVec::new(
                Opts::new("mcpg_upstream_retries_total", "Requests sent to an upstream again, by binding."),
                &["binding"],
            )?,
            upstream_breaker: IntGaugeVec::new(
                Opts::new("mcpg_upstream_breaker_open", "Whether an upstream's circuit breaker is open."),
                &["binding"],
            )?,
            upstream_breaker_opened: IntCounterVec::new(
                Opts::new("mcpg_upstream_breaker_opened_total", "Times that a circuit breaker opened."),
                &["binding"],
            )?,
            catalogue_fetches: IntCounterVec::new(
                Opts::new(
                    "mcpg_catalogue_fetches_total",
                    "Lists fetched from upstreams, by binding, list and result.",
                ),
                &["binding", "list", "result"],
            )?,
            catalogue_items: IntGaugeVec::new(
                Opts::new(
                    "mcpg_catalogue_items",
                    "Items of the list that was fetched last, by binding and list.",
                ),
                &["binding", "list"],
            )?,
            catalogue_fetched: GaugeVec::new(
                Opts::new(
                    "mcpg_catalogue_fetched_timestamp_seconds",
                    "When a list was last fetched, as a UNIX time, by binding and list.",
                ),
                &["binding", "list"],
            )?,
            catalogue_served: IntCounterVec::new(
                Opts::new(
                    "mcpg_catalogue_served_total",
                    "Lists of bindings that were asked for, by binding, list and whether they were fresh, stale or left out.",
                ),
                &["binding", "list", "state"],
            )?,
            token_fetches: IntCounterVec::new(
                Opts::new(
                    "mcpg_upstream_token_fetches_total",
                    "Requests for tokens for an upstream, by binding and result.",
                ),
                &["binding", "result"],
            )?,
            reloads: IntCounterVec::new(
                Opts::new("mcpg_revision_reloads_total", "Attempts to load a revision, by result."),
                &["result"],
            )?,
            processes: ProcessFamilies::new(&registry)?,
            tls: TlsMetrics::new(&registry)?,
            revision_number: IntGauge::new("mcpg_revision_number", "The number of the revision in force.")?,
            revision_loaded: Gauge::new(
                "mcpg_revision_loaded_timestamp_seconds",
                "When the revision in force was loaded, as a UNIX time.",
            )?,
            revision_last_reload_ok: IntGauge::new(
                "mcpg_revision_last_reload_successful",
                "Whether the last attempt to load a revision succeeded.",
            )?,
            registry,
        };
        metrics.register_own()?;
        Ok(Arc::new(metrics))
    }

    fn register_own(&self) -> Result<(), prometheus::Error> {
        let collectors: [Box<dyn Collector>; 23] = [
            Box::new(self.requests.clone()),
            Box::new(self.durations.clone()),
            Box::new(self.refusals.clone()),
            Box::new(self.upstream_errors.clone()),
            Box::new(self.tool_findings.clone()),
            Box::new(self.tools_pending.clone()),
            Box::new(self.tools_withheld.clone()),
            Box::new(self.tools_lock_failures.clone()),
            Box::new(self.catalogue_fetches.clone()),
            Box::new(self.catalogue_items.clone()),
            Box::new(self.catalogue_fetched.clone()),
            Box::new(self.catalogue_served.clone()),
            Box::new(self.upstream_in_flight.clone()),
            Box::new(self.upstream_queued.clone()),
            Box::new(self.upstream_rejected.clone()),
            Box::new(self.upstream_retries.clone()),
            Box::new(self.upstream_breaker.clone()),
            Box::new(self.upstream_breaker_opened.clone()),
            Box::new(self.token_fetches.clone()),
            Box::new(self.reloads.clone()),
            Box::new(self.revision_number.clone()),
            Box::new(self.revision_loaded.clone()),
            Box::new(self.revision_last_reload_ok.clone()),
        ];
        collectors.into_iter().try_for_each(|collector| self.registry.register(collector))
    }

    /// The handles of one binding.
    pub fn binding(&self, binding: &str) -> BindingMetrics {
        let outcome = |outcome| self.requests.with_label_values(&[binding, outcome]);
        BindingMetrics {
            permitted: outcome("permitted"),
            denied: outcome("denied"),
            duration: self.durations.with_label_values(&[binding]),
        }
    }

    /// The handles of the tokens for one upstream.
    pub fn tokens(&self, binding: &str) -> TokenMetrics {
        TokenMetrics { fetches: self.token_fetches.clone(), binding: binding.into() }
    }

    /// The handles of one upstream.
    pub fn upstream(&self, binding: &str) -> UpstreamMetrics {
        let rejected = |reason| self.upstream_rejected.with_label_values(&[binding, reason]);
        UpstreamMetrics {
            in_flight: self.upstream_in_flight.with_label_values(&[binding]),
            queued: self.upstream_queued.with_label_values(&[binding]),
            rejected_queue_full: rejected("queue_full"),
            rejected_queue_timeout: rejected("queue_timeout"),
            rejected_breaker: rejected("breaker_open"),
            retries: self.upstream_retries.with_label_values(&[binding]),
            breaker_open: self.upstream_breaker.with_label_values(&[binding]),
            breaker_opened: self.upstream_breaker_opened.with_label_values(&[binding]),
            errors: self.upstream_errors.clone(),
            binding: binding.into(),
        }
    }

    /// The handles of a binding that is served by processes.
    pub fn processes(&self, binding: &str) -> ProcessMetrics {
        ProcessMetrics {
            running: self.processes.running.with_label_values(&[binding]),
            restarts: self.processes.restarts.with_label_values(&[binding]),
            families: self.processes.clone(),
            binding: binding.into(),
        }
    }

    /// Counts a refusal. `reason` is one of the stable words.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.with_label_values(&[reason]).inc();
    }

    /// Counts a failed call to an upstream. `reason` is one of the stable words.
    pub fn upstream_failed(&self, binding: &str, reason: &'static str) {
        self.upstream_errors.with_label_values(&[binding, reason]).inc();
    }

    /// Counts something found about a tool's definition. `finding` is one of the stable words.
    pub fn tool_found(&self, binding: &str, finding: &'static str) {
        self.tool_findings.with_label_values(&[binding, finding]).inc();
    }

    /// Shows how many tools of a binding await approval, and how many are withheld.
    pub fn tools_pending(&self, binding: &str, pending: usize, withheld: usize) {
        let gauge = |gauges: &IntGaugeVec, value: usize| {
            gauges.with_label_values(&[binding]).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        gauge(&self.tools_pending, pending);
        gauge(&self.tools_withheld, withheld);
    }

    /// Shows nothing more of the tools of a binding that is gone.
    pub fn forget_tools(&self, binding: &str) {
        for gauges in [&self.tools_pending, &self.tools_withheld] {
            // One that was never shown is no loss.
            let _ = gauges.remove_label_values(&[binding]);
        }
    }

    /// Counts a failure to read or write the files of pinned tools.
    pub fn tools_lock_failed(&self) {
        self.tools_lock_failures.inc();
    }

    /// Counts an attempt to fetch a list of an upstream. `result` is `ok` or one of the stable words.
    pub fn catalogue_fetched(&self, binding: &str, list: &'static str, result: &'static str) {
        self.catalogue_fetches.with_label_values(&[binding, list, result]).inc();
    }

    /// Shows how many items a list has that was just fetched.
    pub fn catalogue_renewed(&self, binding: &str, list: &'static str, items: usize, now: SystemTime) {
        let items = i64::try_from(items).unwrap_or(i64::MAX);
        self.catalogue_items.with_label_values(&[binding, list]).set(items);
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.catalogue_fetched.with_label_values(&[binding, list]).set(since.as_secs_f64());
    }

    /// Counts that a list of a binding was asked for. `state` is `fresh`, `stale` or `left_out`.
    pub fn catalogue_served(&self, binding: &str, list: &'static str, state: &'static str) {
        self.catalogue_served.with_label_values(&[binding, list, state]).inc();
    }

    /// Counts an attempt to load a revision.
    pub fn reloaded(&self, applied: bool) {
        self.reloads.with_label_values(&[if applied { "applied" } else { "refused" }]).inc();
        self.revision_last_reload_ok.set(i64::from(applied));
    }

    /// Adds values that are read at each scrape.
    ///
    /// # Errors
    /// When a name is taken already.
    pub fn observe(
        &self,
        read: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) -> Result<(), prometheus::Error> {
        let descriptions = read().iter().map(Sample::description).collect::<Result<_, _>>()?;
        self.registry.register(Box::new(Observed { descriptions, read: Box::new(read) }))
    }

    /// The text format of Prometheus.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "cannot render metrics");
        }
        text
    }
}

#[derive(Clone)]
struct ProcessFamilies {
    running: IntGaugeVec,
    restarts: IntCounterVec,
    exits: IntCounterVec,
    dropped: IntCounterVec,
}

/// The metrics of a binding that is served by processes.
#[derive(Clone)]
pub struct ProcessMetrics {
    /// Processes that run.
    pub running: IntGauge,
    /// Times that a shared process was started again.
    pub restarts: IntCounter,
    families: ProcessFamilies,
    binding: Box<str>,
}

impl ProcessFamilies {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let families = Self {
            running: IntGaugeVec::new(
                Opts::new("mcpg_processes_running", "Processes of bindings with `command`."),
                &["binding"],
            )?,
            restarts: IntCounterVec::new(
                Opts::new("mcpg_process_restarts_total", "Times that a shared process was started again."),
                &["binding"],
            )?,
            exits: IntCounterVec::new(
                Opts::new("mcpg_process_exits_total", "Processes that ended, by reason."),
                &["binding", "reason"],
            )?,
            dropped: IntCounterVec::new(
                Opts::new(
                    "mcpg_process_messages_dropped_total",
                    "Output of processes that reached no caller, by reason.",
                ),
                &["binding", "reason"],
            )?,
        };
        registry.register(Box::new(families.running.clone()))?;
        registry.register(Box::new(families.restarts.clone()))?;
        registry.register(Box::new(families.exits.clone()))?;
        registry.register(Box::new(families.dropped.clone()))?;
        Ok(families)
    }
}

impl ProcessMetrics {
    /// Counts the end of a process. `reason` is one of the stable words.
    pub fn ended(&self, reason: &'static str) {
        self.families.exits.with_label_values(&[&self.binding, reason]).inc();
    }

    /// Counts output that reached no caller. `reason` is one of the stable words.
    pub fn dropped(&self, reason: &'static str) {
        self.families.dropped.with_label_values(&[&self.binding, reason]).inc();
    }
}

/// A value that a component counts itself.
#[derive(Debug, Clone)]
pub struct Sample {
    kind: SampleKind,
    value: f64,
}

/// What a sample measures. The names are here, with the other names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleKind {
    /// Open connections.
    ConnectionsOpen,
    /// Connections refused by a limit.
    ConnectionsRefused,
    /// Requests being served.
    RequestsActive,
    /// Decisions found in the cache.
    CacheHits,
    /// Decisions that had to be made.
    CacheMisses,
    /// Decisions evicted from the cache.
    CacheEvictions,
    /// Decisions that could not be cached.
    CacheSkipped,
    /// Decisions in the cache.
    CacheEntries,
    /// Rows appended to the audit log.
    AuditRows,
    /// Bytes appended to the audit log.
    AuditBytes,
    /// Groups of rows made durable.
    AuditSyncs,
    /// Failures to write or sync.
    AuditFailures,
    /// Rows refused, and their calls with them.
    AuditRefused,
    /// Rows dropped in `async` mode.
    AuditDropped,
    /// Rows that the storage lost after it had accepted them.
    AuditLost,
    /// Rows waiting in `async` mode.
    AuditQueue,
    /// Whether calls can be recorded now.
    AuditHealthy,
}

impl Sample {
    /// A value now.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
    pub fn new(kind: SampleKind, value: u64) -> Self {
        Self { kind, value: value as f64 }
    }

    fn name_and_help(&self) -> (&'static str, &'static str) {
        match self.kind {
            SampleKind::ConnectionsOpen => ("mcpg_connections_open", "Open client connections."),
            SampleKind::ConnectionsRefused => {
                ("mcpg_connections_refused_total", "Connections refused by a connection limit.")
            }
            SampleKind::RequestsActive => ("mcpg_requests_active", "Requests being served."),
            SampleKind::CacheHits => {
                ("mcpg_decision_cache_hits_total", "Policy decisions found in the cache.")
            }
            SampleKind::CacheMisses => {
                ("mcpg_decision_cache_misses_total", "Policy decisions not found in the cache.")
            }
            SampleKind::CacheEvictions => {
                ("mcpg_decision_cache_evictions_total", "Policy decisions evicted.")
            }
            SampleKind::CacheSkipped => {
                ("mcpg_decision_cache_skipped_total", "Policy decisions that cannot be cached.")
            }
            SampleKind::CacheEntries => ("mcpg_decision_cache_entries", "Policy decisions in the cache."),
            SampleKind::AuditRows => ("mcpg_audit_rows_total", "Rows appended to the audit log."),
            SampleKind::AuditBytes => ("mcpg_audit_bytes_total", "Bytes appended to the audit log."),
            SampleKind::AuditSyncs => ("mcpg_audit_syncs_total", "Times the audit log was made durable."),
            SampleKind::AuditFailures => {
                ("mcpg_audit_failures_total", "Failed writes or syncs of the audit log.")
            }
            SampleKind::AuditRefused => {
                ("mcpg_audit_refused_total", "Rows that could not be recorded: their calls were refused.")
            }
            SampleKind::AuditLost => ("mcpg_audit_lost_total", "Accepted rows that the storage lost."),
            SampleKind::AuditQueue => ("mcpg_audit_queue_rows", "Rows waiting to be written in async mode."),
            SampleKind::AuditDropped => {
                ("mcpg_audit_dropped_total", "Rows dropped by a full queue in async mode.")
            }
            SampleKind::AuditHealthy => ("mcpg_audit_healthy", "Whether calls can be recorded."),
        }
    }

    fn description(&self) -> Result<Desc, prometheus::Error> {
        let (name, help) = self.name_and_help();
        Desc::new(name.to_owned(), help.to_owned(), Vec::new(), std::collections::HashMap::new())
    }

    fn family(&self) -> Option<MetricFamily> {
        let (name, help) = self.name_and_help();
        if name.ends_with("_total") {
            let counter = prometheus::Counter::new(name, help).ok()?;
            counter.inc_by(self.value);
            counter.collect().pop()
        } else {
            let gauge = Gauge::new(name, help).ok()?;
            gauge.set(self.value);
            gauge.collect().pop()
        }
    }
}

struct Observed {
    descriptions: Vec<Desc>,
    read: Box<dyn Fn() -> Vec<Sample> + Send + Sync>,
}

impl Collector for Observed {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        (self.read)().iter().filter_map(Sample::family).collect()
    }
}

#[cfg(test)]
mod tests;
