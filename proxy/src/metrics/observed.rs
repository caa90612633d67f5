//! What components count themselves, read when metrics are scraped.

use prometheus::Gauge;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

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
    /// Organizations whose logs are open.
    AuditOpen,
    /// Scopes that are served.
    Scopes,
    /// Times that the keys of issuers were fetched.
    KeyFetches,
    /// Those of them that failed.
    KeyFetchFailures,
    /// Times that issuers were asked about a token.
    Introspections,
    /// Those of them that failed.
    IntrospectionFailures,
    /// Times that registries were asked for policies.
    BundleFetches,
    /// Those of them that failed.
    BundleFetchFailures,
    /// Threads for decisions that take long.
    PolicyThreads,
    /// Those of them that decide.
    PolicyThreadsBusy,
    /// Decisions that wait for a thread.
    PolicyQueue,
    /// Decisions for which the queue was full.
    PolicyRefused,
    /// Threads that hash passwords.
    PasswordThreads,
    /// Those of them that hash.
    PasswordThreadsBusy,
    /// Passwords that wait for a thread.
    PasswordQueue,
    /// Passwords for which the queue was full.
    PasswordRefused,
    /// Environments that the gateway has enrolled in.
    ControlPlaneEnvironments,
    /// Environments whose stream of revisions is open.
    ControlPlaneFollowed,
    /// The number of the revision in force; of several environments, the lowest.
    ControlPlaneRevision,
    /// Revisions of control planes that came into force.
    ControlPlaneApplied,
    /// Revisions of control planes that were refused.
    ControlPlaneRefused,
    /// Times that a revision which was refused was tried again.
    ControlPlaneRetried,
    /// The version of the organization's terms in force; of several environments, the lowest.
    ControlPlaneTerms,
    /// The version of the revocation list in them; of several environments, the lowest.
    ControlPlaneRevocationList,
    /// Terms of control planes that were refused.
    ControlPlaneTermsRefused,
    /// Policy entries whose bundles are revoked.
    PolicyRevoked,
    /// Seconds since a control plane was heard of; of several environments, the longest.
    ControlPlaneSilence,
    /// Audit rows that were sent to a control plane and taken.
    AuditForwarded,
    /// Audit rows that are written and not there yet.
    AuditForwardWaiting,
    /// Seconds since the oldest row was made that is to be sent.
    AuditForwardLag,
    /// Turns of sending that came to nothing.
    AuditForwardFailures,
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
            SampleKind::AuditOpen => {
                ("mcpg_audit_organizations_open", "Organizations whose audit logs are open.")
            }
            SampleKind::Scopes => ("mcpg_scopes", "Scopes that are served."),
            SampleKind::AuditHealthy => ("mcpg_audit_healthy", "Whether calls can be recorded."),
            SampleKind::KeyFetches => {
                ("mcpg_oidc_key_fetches_total", "Times that the keys of OIDC issuers were fetched.")
            }
            SampleKind::KeyFetchFailures => (
                "mcpg_oidc_key_fetch_failures_total",
                "Times that the keys of an OIDC issuer could not be fetched.",
            ),
            SampleKind::Introspections => {
                ("mcpg_oidc_introspections_total", "Times that an issuer was asked about a token.")
            }
            SampleKind::IntrospectionFailures => (
                "mcpg_oidc_introspection_failures_total",
                "Times that an issuer gave no answer about a token.",
            ),
            SampleKind::BundleFetches => (
                "mcpg_policy_bundle_fetches_total",
                "Times that a registry was asked for a bundle of policies.",
            ),
            SampleKind::BundleFetchFailures => (
                "mcpg_policy_bundle_fetch_failures_total",
                "Times that a registry gave no bundle of policies.",
            ),
            SampleKind::PolicyThreads => {
                ("mcpg_policy_threads", "Threads that there may be for decisions that take long.")
            }
            SampleKind::PolicyThreadsBusy => ("mcpg_policy_threads_busy", "Threads that decide now."),
            SampleKind::PolicyQueue => ("mcpg_policy_queue", "Decisions that wait for a thread."),
            SampleKind::PolicyRefused => {
                ("mcpg_policy_refused_total", "Decisions refused because too many waited for a thread.")
            }
            SampleKind::PasswordThreads => {
                ("mcpg_password_threads", "Threads that there may be to hash passwords.")
            }
            SampleKind::PasswordThreadsBusy => {
                ("mcpg_password_threads_busy", "Threads that hash a password now.")
            }
            SampleKind::PasswordQueue => ("mcpg_password_queue", "Passwords that wait for a thread."),
            SampleKind::PasswordRefused => {
                ("mcpg_password_refused_total", "Log-ins refused because too many waited for a thread.")
            }
            SampleKind::ControlPlaneEnvironments => {
                ("mcpg_control_plane_environments", "Environments that the gateway has enrolled in.")
            }
            SampleKind::ControlPlaneFollowed => {
                ("mcpg_control_plane_followed", "Environments whose stream of revisions is open.")
            }
            SampleKind::ControlPlaneRevision => (
                "mcpg_control_plane_revision",
                "The number of the revision in force; of several environments, the lowest.",
            ),
            SampleKind::ControlPlaneApplied => {
                ("mcpg_control_plane_applied_total", "Revisions of control planes that came into force.")
            }
            SampleKind::ControlPlaneRefused => {
                ("mcpg_control_plane_refused_total", "Revisions of control planes that were refused.")
            }
            SampleKind::ControlPlaneRetried => (
                "mcpg_control_plane_retries_total",
                "Times that a refused revision was tried again, because what was wrong may have passed.",
            ),
            SampleKind::ControlPlaneTerms => (
                "mcpg_control_plane_terms",
                "The version of the organization's terms in force; of several environments, the lowest.",
            ),
            SampleKind::ControlPlaneRevocationList => (
                "mcpg_control_plane_revocation_list",
                "The version of the revocation list in force; of several environments, the lowest.",
            ),
            SampleKind::ControlPlaneTermsRefused => (
                "mcpg_control_plane_terms_refused_total",
                "Terms of control planes that were refused: forged, foreign, or older than those in force.",
            ),
            SampleKind::PolicyRevoked => {
                ("mcpg_policy_revoked", "Policy entries in force whose bundles are revoked.")
            }
            SampleKind::ControlPlaneSilence => (
                "mcpg_control_plane_silence_seconds",
                "Seconds since a control plane was heard of; of several environments, the longest.",
            ),
            SampleKind::AuditForwarded => (
                "mcpg_audit_forwarded_total",
                "Rows of the audit log that were sent to the control plane and taken.",
            ),
            SampleKind::AuditForwardWaiting => (
                "mcpg_audit_forward_waiting_rows",
                "Rows of the audit log that the control plane does not have yet.",
            ),
            SampleKind::AuditForwardLag => (
                "mcpg_audit_forward_lag_seconds",
                "Seconds since the oldest row was made that waits to be taken by the control plane.",
            ),
            SampleKind::AuditForwardFailures => (
                "mcpg_audit_forward_failures_total",
                "Tries to send rows of the audit log that came to nothing.",
            ),
        }
    }

    pub(super) fn description(&self) -> Result<Desc, prometheus::Error> {
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

/// The collector of such values.
pub(super) struct Observed {
    pub(super) descriptions: Vec<Desc>,
    pub(super) read: Box<dyn Fn() -> Vec<Sample> + Send + Sync>,
}

impl Collector for Observed {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        (self.read)().iter().filter_map(Sample::family).collect()
    }
}
