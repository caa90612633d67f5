//! The families of metrics: each name with its help and labels.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use mcpg_sdk::Scope;
use parking_lot::Mutex;
use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use super::tls::TlsMetrics;

/// What scopes beyond the limit are counted as. No organization has this name.
pub(super) const OTHER: &str = "other";
/// The labels of every family that belongs to a scope, before its own.
const SCOPE: [&str; 3] = ["org", "workspace", "env"];
/// A family's own labels at most.
const OWN_MAX: usize = 3;
/// Seconds; from a cached refusal to a slow tool.
const DURATION_BUCKETS: &[f64] =
    &[0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Seconds; people take their time.
const WAIT_BUCKETS: &[f64] =
    &[1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14_400.0, 86_400.0];

/// Whose something is counted as. The default is nobody's.
#[derive(Debug, Clone, Default)]
pub(super) struct Labels(Option<Arc<[String; 3]>>);

impl Labels {
    /// Whether several scopes are counted as one.
    pub(super) fn is_shared(&self) -> bool {
        self.0.as_ref().is_some_and(|names| names.iter().all(|name| name == OTHER))
    }

    fn values<'a>(&'a self, own: &[&'a str]) -> ([&'a str; SCOPE.len() + OWN_MAX], usize) {
        let mut values = [""; SCOPE.len() + OWN_MAX];
        let scope = self.0.iter().flat_map(|names| names.iter().map(String::as_str));
        for (place, value) in values.iter_mut().zip(scope) {
            *place = value;
        }
        for (place, value) in values.iter_mut().skip(SCOPE.len()).zip(own) {
            *place = value;
        }
        (values, SCOPE.len() + own.len())
    }
}

/// A family that belongs to scopes.
#[derive(Clone)]
pub(super) struct Scoped<V>(V);

impl<B: MetricVecBuilder> Scoped<MetricVec<B>> {
    /// The one with these labels; `own` are the family's, in order.
    pub(super) fn with(&self, labels: &Labels, own: &[&str]) -> B::M {
        let (values, length) = labels.values(own);
        self.0.with_label_values(values.get(..length).unwrap_or(&values))
    }

    /// Shows the one with these labels no more. One that was never shown is no loss.
    pub(super) fn forget(&self, labels: &Labels, own: &[&str]) {
        let (values, length) = labels.values(own);
        let _ = self.0.remove_label_values(values.get(..length).unwrap_or(&values));
    }
}

impl<B: MetricVecBuilder> Forget for Scoped<MetricVec<B>>
where
    MetricVec<B>: Collector,
{
    fn forget_all(&self, names: &[String; 3]) {
        for family in self.0.collect() {
            for metric in family.get_metric() {
                let labels: HashMap<&str, &str> =
                    metric.get_label().iter().map(|label| (label.name(), label.value())).collect();
                if SCOPE.iter().zip(names).all(|(label, name)| labels.get(label) == Some(&name.as_str())) {
                    let _ = self.0.remove(&labels);
                }
            }
        }
    }
}

/// What can be rid of a scope.
trait Forget {
    /// Shows nothing more of a scope.
    fn forget_all(&self, names: &[String; 3]);
}

/// Every family, and which scopes are counted each by itself.
pub(super) struct Families {
    pub(super) registry: Registry,
    pub(super) requests: Scoped<IntCounterVec>,
    pub(super) durations: Scoped<HistogramVec>,
    pub(super) refusals: Scoped<IntCounterVec>,
    pub(super) policy_loads: Scoped<IntCounterVec>,
    pub(super) policy_shadow: Scoped<IntCounterVec>,
    pub(super) upstream_errors: Scoped<IntCounterVec>,
    pub(super) tool_findings: Scoped<IntCounterVec>,
    pub(super) tools_pending: Scoped<IntGaugeVec>,
    pub(super) tools_withheld: Scoped<IntGaugeVec>,
    pub(super) tools_lock_failures: Scoped<IntCounterVec>,
    pub(super) catalogue_fetches: Scoped<IntCounterVec>,
    pub(super) catalogue_items: Scoped<IntGaugeVec>,
    pub(super) catalogue_fetched: Scoped<GaugeVec>,
    pub(super) catalogue_served: Scoped<IntCounterVec>,
    pub(super) upstream_in_flight: Scoped<IntGaugeVec>,
    pub(super) upstream_queued: Scoped<IntGaugeVec>,
    pub(super) upstream_rejected: Scoped<IntCounterVec>,
    pub(super) upstream_retries: Scoped<IntCounterVec>,
    pub(super) upstream_breaker: Scoped<IntGaugeVec>,
    pub(super) upstream_breaker_opened: Scoped<IntCounterVec>,
    pub(super) token_fetches: Scoped<IntCounterVec>,
    pub(super) processes_running: Scoped<IntGaugeVec>,
    pub(super) process_restarts: Scoped<IntCounterVec>,
    pub(super) process_exits: Scoped<IntCounterVec>,
    pub(super) process_messages_dropped: Scoped<IntCounterVec>,
    pub(super) approvals_pending: Scoped<IntGaugeVec>,
    pub(super) approvals: Scoped<IntCounterVec>,
    pub(super) approval_waits: Scoped<HistogramVec>,
    pub(super) tls: TlsMetrics,
    pub(super) reloads: IntCounterVec,
    pub(super) revision_number: IntGauge,
    pub(super) revision_loaded: Gauge,
    pub(super) revision_last_reload_ok: IntGauge,
    /// Stands for what cannot be shown of several scopes at once.
    pub(super) unseen: IntGauge,
    named: Mutex<BTreeSet<Scope>>,
}

impl Families {
    /// Registers everything.
    pub(super) fn new() -> Result<Arc<Self>, prometheus::Error> {
        let new = New { registry: Registry::new() };
        Ok(Arc::new(Self {
            requests: new.counters("mcpg_requests_total", "Requests, by binding and outcome.", &["binding", "outcome"])?,
            durations: new.histograms(
                "mcpg_request_duration_seconds",
                "Time from the head of a request to the end of its answer.",
                &["binding"],
            )?,
            refusals: new.counters(
                "mcpg_refusals_total",
                "Requests refused before they were dispatched, by reason.",
                &["reason"],
            )?,
            policy_loads: new.counters(
                "mcpg_policy_loads_total",
                "Attempts to load the policies of an engine, by engine and result.",
                &["engine", "result"],
            )?,
            policy_shadow: new.counters(
                "mcpg_policy_shadow_total",
                "Decisions of policy engines in shadow mode, by engine, decision, and whether it differs from the one that counts.",
                &["engine", "decision", "differs"],
            )?,
            upstream_errors: new.counters(
                "mcpg_upstream_errors_total",
                "Failed calls to upstreams, by binding and reason.",
                &["binding", "reason"],
            )?,
            tool_findings: new.counters(
                "mcpg_tool_findings_total",
                "Tools found not as approved, by binding and finding.",
                &["binding", "finding"],
            )?,
            tools_pending: new.gauges("mcpg_tools_pending", "Tools that await approval, by binding.", &["binding"])?,
            tools_withheld: new.gauges("mcpg_tools_withheld", "Tools that are withheld, by binding.", &["binding"])?,
            tools_lock_failures: new.counters(
                "mcpg_tools_lock_failures_total",
                "Failures to read or write the files of pinned tools.",
                &[],
            )?,
            upstream_in_flight: new.gauges(
                "mcpg_upstream_calls",
                "Calls to an upstream that are under way, by binding.",
                &["binding"],
            )?,
            upstream_queued: new.gauges(
                "mcpg_upstream_queued",
                "Calls that wait for `calls.concurrency_max`, by binding.",
                &["binding"],
            )?,
            upstream_rejected: new.counters(
                "mcpg_upstream_rejected_total",
                "Calls that a limit of the upstream kept from it, by binding and reason.",
                &["binding", "reason"],
            )?,
            upstream_retries: new.counters(
                "mcpg_upstream_retries_total",
                "Requests sent to an upstream again, by binding.",
                &["binding"],
            )?,
            upstream_breaker: new.gauges(
                "mcpg_upstream_breaker_open",
                "Whether an upstream's circuit breaker is open.",
                &["binding"],
            )?,
            upstream_breaker_opened: new.counters(
                "mcpg_upstream_breaker_opened_total",
                "Times that a circuit breaker opened.",
                &["binding"],
            )?,
            catalogue_fetches: new.counters(
                "mcpg_catalogue_fetches_total",
                "Lists fetched from upstreams, by binding, list and result.",
                &["binding", "list", "result"],
            )?,
            catalogue_items: new.gauges(
                "mcpg_catalogue_items",
                "Items of the list that was fetched last, by binding and list.",
                &["binding", "list"],
            )?,
            catalogue_fetched: new.times(
                "mcpg_catalogue_fetched_timestamp_seconds",
                "When a list was last fetched, as a UNIX time, by binding and list.",
                &["binding", "list"],
            )?,
            catalogue_served: new.counters(
                "mcpg_catalogue_served_total",
                "Lists of bindings that were asked for, by binding, list and whether they were fresh, stale or left out.",
                &["binding", "list", "state"],
            )?,
            token_fetches: new.counters(
                "mcpg_upstream_token_fetches_total",
                "Requests for tokens for an upstream, by binding and result.",
                &["binding", "result"],
            )?,
            processes_running: new.gauges(
                "mcpg_processes_running",
                "Processes of bindings with `command`.",
                &["binding"],
            )?,
            process_restarts: new.counters(
                "mcpg_process_restarts_total",
                "Times that a shared process was started again.",
                &["binding"],
            )?,
            process_exits: new.counters(
                "mcpg_process_exits_total",
                "Processes that ended, by reason.",
                &["binding", "reason"],
            )?,
            process_messages_dropped: new.counters(
                "mcpg_process_messages_dropped_total",
                "Output of processes that reached no caller, by reason.",
                &["binding", "reason"],
            )?,
            approvals_pending: new.gauges(
                "mcpg_approvals_pending",
                "Calls that wait for an approval, by gate.",
                &["gate"],
            )?,
            approvals: new.counters(
                "mcpg_approvals_total",
                "Calls that waited for an approval, by gate and outcome.",
                &["gate", "outcome"],
            )?,
            approval_waits: new.histograms_of(
                "mcpg_approval_wait_seconds",
                "Time that calls waited for an approval, by gate.",
                &["gate"],
                WAIT_BUCKETS,
            )?,
            tls: TlsMetrics::new(&new.registry)?,
            reloads: new.register(IntCounterVec::new(
                Opts::new("mcpg_revision_reloads_total", "Attempts to load a revision, by result."),
                &["result"],
            )?)?,
            revision_number: new.register(IntGauge::new(
                "mcpg_revision_number",
                "The number of the revision in force.",
            )?)?,
            revision_loaded: new.register(Gauge::new(
                "mcpg_revision_loaded_timestamp_seconds",
                "When the revision in force was loaded, as a UNIX time.",
            )?)?,
            revision_last_reload_ok: new.register(IntGauge::new(
                "mcpg_revision_last_reload_successful",
                "Whether the last attempt to load a revision succeeded.",
            )?)?,
            unseen: IntGauge::new("unseen", "Shown nowhere.")?,
            named: Mutex::default(),
            registry: new.registry,
        }))
    }

    /// Whose labels a scope has: its own, as long as no more than `scopes_max` have.
    pub(super) fn labels(&self, scope: &Scope, scopes_max: usize) -> Labels {
        let mut named = self.named.lock();
        let own = named.contains(scope) || named.len() < scopes_max && named.insert(scope.clone());
        Labels(Some(Arc::new(if own { names(scope) } else { [OTHER, OTHER, OTHER].map(str::to_owned) })))
    }

    /// Forgets scopes that are gone; others may have labels of their own instead.
    pub(super) fn retain(&self, is_served: impl Fn(&Scope) -> bool) {
        let mut named = self.named.lock();
        named.retain(|scope| {
            let stays = is_served(scope);
            if !stays {
                self.scoped().into_iter().for_each(|family| family.forget_all(&names(scope)));
            }
            stays
        });
    }

    fn scoped(&self) -> [&dyn Forget; 28] {
        [
            &self.requests,
            &self.durations,
            &self.refusals,
            &self.policy_loads,
            &self.policy_shadow,
            &self.upstream_errors,
            &self.tool_findings,
            &self.tools_pending,
            &self.tools_withheld,
            &self.tools_lock_failures,
            &self.catalogue_fetches,
            &self.catalogue_items,
            &self.catalogue_fetched,
            &self.catalogue_served,
            &self.upstream_in_flight,
            &self.upstream_queued,
            &self.upstream_rejected,
            &self.upstream_retries,
            &self.upstream_breaker,
            &self.upstream_breaker_opened,
            &self.token_fetches,
            &self.processes_running,
            &self.process_restarts,
            &self.process_exits,
            &self.process_messages_dropped,
            &self.approvals_pending,
            &self.approvals,
            &self.approval_waits,
        ]
    }
}

fn names(scope: &Scope) -> [String; 3] {
    [scope.organization(), scope.workspace(), scope.environment()].map(str::to_owned)
}

/// Makes families, and registers each.
struct New {
    registry: Registry,
}

impl New {
    fn counters(
        &self,
        name: &str,
        help: &str,
        own: &[&str],
    ) -> Result<Scoped<IntCounterVec>, prometheus::Error> {
        Ok(Scoped(self.register(IntCounterVec::new(Opts::new(name, help), &labels(own))?)?))
    }

    fn gauges(&self, name: &str, help: &str, own: &[&str]) -> Result<Scoped<IntGaugeVec>, prometheus::Error> {
        Ok(Scoped(self.register(IntGaugeVec::new(Opts::new(name, help), &labels(own))?)?))
    }

    fn times(&self, name: &str, help: &str, own: &[&str]) -> Result<Scoped<GaugeVec>, prometheus::Error> {
        Ok(Scoped(self.register(GaugeVec::new(Opts::new(name, help), &labels(own))?)?))
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        own: &[&str],
    ) -> Result<Scoped<HistogramVec>, prometheus::Error> {
        self.histograms_of(name, help, own, DURATION_BUCKETS)
    }

    fn histograms_of(
        &self,
        name: &str,
        help: &str,
        own: &[&str],
        buckets: &[f64],
    ) -> Result<Scoped<HistogramVec>, prometheus::Error> {
        let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        Ok(Scoped(self.register(HistogramVec::new(opts, &labels(own))?)?))
    }

    fn register<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}

fn labels<'a>(own: &[&'a str]) -> Vec<&'a str> {
    SCOPE.iter().chain(own).copied().collect()
}
