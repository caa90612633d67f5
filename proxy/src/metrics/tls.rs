//! Metrics of TLS towards clients.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounterVec, Opts, Registry};

const EXPIRY: (&str, &str) = (
    "mcpg_tls_certificate_expires_seconds",
    "Seconds until a certificate of a listener expires, by file; negative afterwards. The 100 that expire first.",
);

/// Counts handshakes.
pub struct TlsMetrics {
    handshakes: IntCounterVec,
}

impl TlsMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new("mcpg_tls_handshakes_total", "TLS handshakes with clients, by result.");
        let handshakes = IntCounterVec::new(options, &["result"])?;
        registry.register(Box::new(handshakes.clone()))?;
        Ok(Self { handshakes })
    }

    /// Counts a handshake. `result` is `complete`, `failed` or `timed_out`.
    pub fn handshake(&self, result: &'static str) {
        self.handshakes.with_label_values(&[result]).inc();
    }
}

/// Reads how long certificates last at each scrape: one that is gone is not shown.
pub(super) struct Certificates<F> {
    description: Desc,
    read: F,
}

impl<F> Certificates<F> {
    pub(super) fn new(read: F) -> Result<Self, prometheus::Error> {
        let description = Desc::new(
            EXPIRY.0.to_owned(),
            EXPIRY.1.to_owned(),
            vec!["certificate".to_owned()],
            Default::default(),
        )?;
        Ok(Self { description, read })
    }
}

impl<F: Fn() -> Vec<(String, f64)> + Send + Sync> Collector for Certificates<F> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Ok(gauges) = GaugeVec::new(Opts::new(EXPIRY.0, EXPIRY.1), &["certificate"]) else {
            return Vec::new();
        };
        for (certificate, seconds) in (self.read)() {
            gauges.with_label_values(&[certificate.as_str()]).set(seconds);
        }
        gauges.collect()
    }
}
