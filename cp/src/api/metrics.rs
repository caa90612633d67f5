//! What the service counts of itself. Every name of a metric stands here. No label has a tenant's name in it: this is for
//! whoever runs the service.

use std::time::Duration;

use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

/// The counters.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    in_flight: IntGauge,
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
        Ok(Self { registry, requests, seconds, in_flight })
    }

    /// Where further parts of the service register what they count.
    pub fn registry(&self) -> &Registry {
        &self.registry
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
}
