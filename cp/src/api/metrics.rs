//! What the service counts of itself. Every name of a metric stands here. No label has a tenant's name in it: this is for
//! whoever runs the service.

use std::time::Duration;

use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, PullingGauge,
    Registry, TextEncoder,
};

/// The counters.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    in_flight: IntGauge,
    published: IntCounter,
    audit_rows: IntCounter,
}

/// A number that is looked up when somebody asks for it.
pub type Reading = Box<dyn Fn() -> u64 + Send + Sync>;

/// What is looked up.
pub struct Readings {
    /// Gateways whose stream of revisions is open.
    pub gateways: Reading,
    /// Connections to the database.
    pub connections: Reading,
    /// Those of them that nobody uses.
    pub connections_idle: Reading,
}

impl Metrics {
    /// Counters at zero.
    ///
    /// # Errors
    /// When two have the same name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("mcpg_cp_requests_total", "Requests answered, by operation and status."),
            &["operation", "status"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new("mcpg_cp_request_seconds", "Time to an answer, by operation.")
                .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0]),
            &["operation"],
        )?;
        let in_flight = IntGauge::new("mcpg_cp_requests_in_flight", "Requests that are worked on.")?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(in_flight.clone()))?;
        let published = IntCounter::new("mcpg_cp_revisions_published_total", "Revisions published.")?;
        let audit_rows =
            IntCounter::new("mcpg_cp_audit_rows_received_total", "Rows of gateways' audit logs taken over.")?;
        registry.register(Box::new(published.clone()))?;
        registry.register(Box::new(audit_rows.clone()))?;
        Ok(Self { registry, requests, seconds, in_flight, published, audit_rows })
    }

    /// Says where further numbers are looked up.
    ///
    /// # Errors
    /// When it was said before.
    pub fn read(&self, readings: Readings) -> Result<(), prometheus::Error> {
        let Readings { gateways, connections, connections_idle } = readings;
        for (name, help, reading) in [
            ("mcpg_cp_gateways_connected", "Gateways that follow their revisions here.", gateways),
            ("mcpg_cp_db_connections", "Open connections to the database.", connections),
            ("mcpg_cp_db_connections_idle", "Those of them that nobody uses.", connections_idle),
        ] {
            #[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
            let value = Box::new(move || reading() as f64);
            self.registry.register(Box::new(PullingGauge::new(name, help, value)?))?;
        }
        Ok(())
    }

    /// A revision was published.
    pub fn published(&self) {
        self.published.inc();
    }

    /// Rows of a gateway's audit log were taken over.
    pub fn took_over(&self, rows: usize) {
        self.audit_rows.inc_by(rows as u64);
    }

    /// A request is worked on.
    pub fn begun(&self) {
        self.in_flight.inc();
    }

    /// A request was answered.
    pub fn answered(&self, operation: &str, status: u16, took: Duration) {
        self.in_flight.dec();
        self.requests.with_label_values(&[operation, &status.to_string()]).inc();
        self.seconds.with_label_values(&[operation]).observe(took.as_secs_f64());
    }

    /// All of it in the text format of Prometheus.
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Writing to memory does not fail; what cannot be encoded is left out.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_operation_and_status() {
        let metrics = Metrics::new().unwrap();
        metrics.begun();
        metrics.answered("whoami", 200, Duration::from_millis(3));
        let text = String::from_utf8(metrics.text()).unwrap();
        assert!(text.contains(r#"mcpg_cp_requests_total{operation="whoami",status="200"} 1"#), "{text}");
        assert!(text.contains("mcpg_cp_requests_in_flight 0"), "{text}");
    }

    #[test]
    fn what_is_looked_up_is_there() {
        let metrics = Metrics::new().unwrap();
        let readings = || Readings {
            gateways: Box::new(|| 7),
            connections: Box::new(|| 4),
            connections_idle: Box::new(|| 3),
        };
        metrics.read(readings()).unwrap();
        assert!(metrics.read(readings()).is_err());
        metrics.published();
        metrics.took_over(12);
        let text = String::from_utf8(metrics.text()).unwrap();
        for line in [
            "mcpg_cp_gateways_connected 7",
            "mcpg_cp_db_connections 4",
            "mcpg_cp_db_connections_idle 3",
            "mcpg_cp_revisions_published_total 1",
            "mcpg_cp_audit_rows_received_total 12",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
