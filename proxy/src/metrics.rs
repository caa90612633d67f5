//! Every metric of the gateway: names, help and labels, in this file and the folder beside it.
//!
//! Label values come from configuration or from closed sets, never from a request, and only so many scopes are counted each by
//! itself, so the number of series is bounded. What a component counts itself (decision cache, audit log, connections) is read
//! when metrics are scraped, so that nothing is counted twice on the request path.

mod families;
mod observed;
mod tls;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mcpg_sdk::Scope;
use prometheus::{Encoder as _, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, TextEncoder};

pub use observed::{Sample, SampleKind};

use families::{Families, Labels, OTHER, Scoped};
use observed::Observed;

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The gateway's metrics, as one scope counts in them. What belongs to no scope has the scope's labels empty.
pub struct Metrics {
    families: Arc<Families>,
    labels: Labels,
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
    errors: Scoped<IntCounterVec>,
    labels: Labels,
    binding: Box<str>,
}

/// What is counted of the tokens for one upstream.
#[derive(Clone)]
pub struct TokenMetrics {
    fetches: Scoped<IntCounterVec>,
    labels: Labels,
    label: Box<str>,
    binding: Box<str>,
}

impl TokenMetrics {
    /// The binding.
    pub fn binding(&self) -> &str {
        &self.binding
    }

    /// Counts a request to the token endpoint. `result` is one of the stable words.
    pub fn fetched(&self, result: &'static str) {
        self.fetches.with(&self.labels, &[&self.label, result]).inc();
    }
}

impl UpstreamMetrics {
    /// Counts a failed call. `reason` is one of the stable words.
    pub fn failed(&self, reason: &'static str) {
        self.errors.with(&self.labels, &[&self.binding, reason]).inc();
    }
}

impl Metrics {
    /// Registers everything. What is counted with it belongs to no scope; see [`Metrics::of_scope`].
    ///
    /// # Errors
    /// Never in practice: a name registered twice is a defect that the tests find.
    pub fn new() -> Result<Arc<Self>, prometheus::Error> {
        Ok(Self::counting(Families::new()?, Labels::default()))
    }

    /// The same, for what belongs to a scope. The first `scopes_max` scopes are counted each by itself, those beyond together.
    pub fn of_scope(&self, scope: &Scope, scopes_max: usize) -> Arc<Self> {
        Self::counting(Arc::clone(&self.families), self.families.labels(scope, scopes_max))
    }

    fn counting(families: Arc<Families>, labels: Labels) -> Arc<Self> {
        // What should never happen is shown as not having happened.
        families.tools_lock_failures.with(&labels, &[]);
        Arc::new(Self { families, labels })
    }

    /// Shows nothing more of scopes that are gone.
    pub fn retain_scopes(&self, is_served: impl Fn(&Scope) -> bool) {
        self.families.retain(is_served);
    }

    /// The labels of a binding: beyond the limit bindings are counted together too.
    fn binding_label<'a>(&self, binding: &'a str) -> &'a str {
        if self.labels.is_shared() { OTHER } else { binding }
    }

    /// The handles of one binding.
    pub fn binding(&self, binding: &str) -> BindingMetrics {
        let binding = self.binding_label(binding);
        let outcome = |outcome| self.families.requests.with(&self.labels, &[binding, outcome]);
        BindingMetrics {
            permitted: outcome("permitted"),
            denied: outcome("denied"),
            duration: self.families.durations.with(&self.labels, &[binding]),
        }
    }

    /// The handles of the tokens for one upstream.
    pub fn tokens(&self, binding: &str) -> TokenMetrics {
        TokenMetrics {
            fetches: self.families.token_fetches.clone(),
            labels: self.labels.clone(),
            label: self.binding_label(binding).into(),
            binding: binding.into(),
        }
    }

    /// The handles of one upstream.
    pub fn upstream(&self, binding: &str) -> UpstreamMetrics {
        let (families, labels) = (&self.families, &self.labels);
        let binding = self.binding_label(binding);
        let rejected = |reason| families.upstream_rejected.with(labels, &[binding, reason]);
        UpstreamMetrics {
            in_flight: families.upstream_in_flight.with(labels, &[binding]),
            queued: families.upstream_queued.with(labels, &[binding]),
            rejected_queue_full: rejected("queue_full"),
            rejected_queue_timeout: rejected("queue_timeout"),
            rejected_breaker: rejected("breaker_open"),
            retries: families.upstream_retries.with(labels, &[binding]),
            breaker_open: if labels.is_shared() {
                families.unseen.clone()
            } else {
                families.upstream_breaker.with(labels, &[binding])
            },
            breaker_opened: families.upstream_breaker_opened.with(labels, &[binding]),
            errors: families.upstream_errors.clone(),
            labels: labels.clone(),
            binding: binding.into(),
        }
    }

    /// The handles of a binding that is served by processes.
    pub fn processes(&self, binding: &str) -> ProcessMetrics {
        let label = self.binding_label(binding);
        ProcessMetrics {
            running: self.families.processes_running.with(&self.labels, &[label]),
            restarts: self.families.process_restarts.with(&self.labels, &[label]),
            exits: self.families.process_exits.clone(),
            dropped: self.families.process_messages_dropped.clone(),
            labels: self.labels.clone(),
            binding: label.into(),
        }
    }

    /// Counts a refusal. `reason` is one of the stable words.
    pub fn refused(&self, reason: &'static str) {
        self.families.refusals.with(&self.labels, &[reason]).inc();
    }

    /// Counts an attempt to load the policies of an engine.
    pub fn policy_loaded(&self, engine: &str, succeeded: bool) {
        let result = if succeeded { "ok" } else { "failed" };
        self.families.policy_loads.with(&self.labels, &[engine, result]).inc();
    }

    /// Counts what an engine in shadow mode thinks of a decision.
    pub fn shadowed(&self, engine: &str, permits: bool, differs: bool) {
        let decision = if permits { "permit" } else { "deny" };
        let differs = if differs { "yes" } else { "no" };
        self.families.policy_shadow.with(&self.labels, &[engine, decision, differs]).inc();
    }

    /// Counts a failed call to an upstream. `reason` is one of the stable words.
    pub fn upstream_failed(&self, binding: &str, reason: &'static str) {
        self.families.upstream_errors.with(&self.labels, &[self.binding_label(binding), reason]).inc();
    }

    /// Counts something found about a tool's definition. `finding` is one of the stable words.
    pub fn tool_found(&self, binding: &str, finding: &'static str) {
        self.families.tool_findings.with(&self.labels, &[self.binding_label(binding), finding]).inc();
    }

    /// Shows how many tools of a binding await approval, and how many are withheld.
    pub fn tools_pending(&self, binding: &str, pending: usize, withheld: usize) {
        let show = |gauges: &Scoped<IntGaugeVec>, value: usize| {
            gauges.with(&self.labels, &[binding]).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        // One number cannot stand for several scopes.
        if !self.labels.is_shared() {
            show(&self.families.tools_pending, pending);
            show(&self.families.tools_withheld, withheld);
        }
    }

    /// Shows nothing more of the tools of a binding that is gone.
    pub fn forget_tools(&self, binding: &str) {
        for gauges in [&self.families.tools_pending, &self.families.tools_withheld] {
            gauges.forget(&self.labels, &[binding]);
        }
    }

    /// Counts a failure to read or write the files of pinned tools.
    pub fn tools_lock_failed(&self) {
        self.families.tools_lock_failures.with(&self.labels, &[]).inc();
    }

    /// Counts an attempt to fetch a list of an upstream. `result` is `ok` or one of the stable words.
    pub fn catalogue_fetched(&self, binding: &str, list: &'static str, result: &'static str) {
        self.families
            .catalogue_fetches
            .with(&self.labels, &[self.binding_label(binding), list, result])
            .inc();
    }

    /// Shows how many items a list has that was just fetched.
    pub fn catalogue_renewed(&self, binding: &str, list: &'static str, items: usize, now: SystemTime) {
        if self.labels.is_shared() {
            return;
        }
        let items = i64::try_from(items).unwrap_or(i64::MAX);
        self.families.catalogue_items.with(&self.labels, &[binding, list]).set(items);
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.families.catalogue_fetched.with(&self.labels, &[binding, list]).set(since.as_secs_f64());
    }

    /// Counts that a list of a binding was asked for. `state` is `fresh`, `stale` or `left_out`.
    pub fn catalogue_served(&self, binding: &str, list: &'static str, state: &'static str) {
        self.families.catalogue_served.with(&self.labels, &[self.binding_label(binding), list, state]).inc();
    }

    /// Counts a call that begins to wait for an approval.
    pub fn approval_began(&self, gate: &'static str) {
        self.families.approvals_pending.with(&self.labels, &[gate]).inc();
    }

    /// Counts one that waits no more. `outcome` is one of the stable words.
    pub fn approval_ended(&self, gate: &'static str, outcome: &'static str, waited: Duration) {
        self.families.approvals_pending.with(&self.labels, &[gate]).dec();
        self.families.approvals.with(&self.labels, &[gate, outcome]).inc();
        self.families.approval_waits.with(&self.labels, &[gate]).observe(waited.as_secs_f64());
    }

    /// Counts an attempt to load a revision.
    pub fn reloaded(&self, applied: bool) {
        self.families.reloads.with_label_values(&[if applied { "applied" } else { "refused" }]).inc();
        self.families.revision_last_reload_ok.set(i64::from(applied));
    }

    /// Shows which revision is in force, and since when.
    pub fn revision(&self, number: u64, built: SystemTime) {
        self.families.revision_number.set(i64::try_from(number).unwrap_or(i64::MAX));
        let since = built.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.families.revision_loaded.set(since.as_secs_f64());
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
        self.families.registry.register(Box::new(Observed { descriptions, read: Box::new(read) }))
    }

    /// Counts a TLS handshake with a client. `result` is `complete`, `failed` or `timed_out`.
    pub fn handshake(&self, result: &'static str) {
        self.families.tls.handshake(result);
    }

    /// The text format of Prometheus.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.families.registry.gather(), &mut text) {
            tracing::error!(%error, "cannot render metrics");
        }
        text
    }
}

/// The metrics of a binding that is served by processes.
#[derive(Clone)]
pub struct ProcessMetrics {
    /// Processes that run.
    pub running: IntGauge,
    /// Times that a shared process was started again.
    pub restarts: IntCounter,
    exits: Scoped<IntCounterVec>,
    dropped: Scoped<IntCounterVec>,
    labels: Labels,
    binding: Box<str>,
}

impl ProcessMetrics {
    /// Counts the end of a process. `reason` is one of the stable words.
    pub fn ended(&self, reason: &'static str) {
        self.exits.with(&self.labels, &[&self.binding, reason]).inc();
    }

    /// Counts output that reached no caller. `reason` is one of the stable words.
    pub fn dropped(&self, reason: &'static str) {
        self.dropped.with(&self.labels, &[&self.binding, reason]).inc();
    }
}

#[cfg(test)]
mod tests;
