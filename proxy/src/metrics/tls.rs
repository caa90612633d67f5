//! Metrics of TLS towards clients.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounterVec, Opts, Registry};

use super::Metrics;

const TLS_HANDSHAKES: &str = "mcpg_tls_handshakes_total";
const TLS_CERTIFICATE_EXPIRES: &str = "mcpg_tls_certificate_expires_seconds";

const EXPIRY_HELP: &str = "Seconds until a certificate expires, by file; negative afterwards. The first 100.";

/// Counts handshakes.
pub(super) struct TlsMetrics {
    handshakes: IntCounterVec,
}

impl TlsMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new(TLS_HANDSHAKES, "TLS handshakes with clients, by result.");
        let handshakes = IntCounterVec::new(options, &["result"])?;
        registry.register(Box::new(handshakes.clone()))?;
        Ok(Self { handshakes })
    }

    /// Counts a handshake. `result` is `complete`, `failed` or `timed_out`.
    pub(super) fn handshake(&self, result: &'static str) {
        self.handshakes.with_label_values(&[result]).inc();
    }
}

impl Metrics {
    /// Adds how many seconds each certificate lasts, read at each scrape.
    ///
    /// # Errors
    /// When the name is taken already.
    pub fn observe_certificates(
        &self,
        read: impl Fn() -> Vec<(String, f64)> + Send + Sync + 'static,
    ) -> Result<(), prometheus::Error> {
        self.families.registry.register(Box::new(Certificates::new(read)?))
    }
}

/// Reads how long certificates last at each scrape: one that is gone is not shown.
struct Certificates<F> {
    description: Desc,
    read: F,
}

impl<F> Certificates<F> {
    fn new(read: F) -> Result<Self, prometheus::Error> {
        let description = Desc::new(
            TLS_CERTIFICATE_EXPIRES.to_owned(),
            EXPIRY_HELP.to_owned(),
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
        let Ok(gauges) = GaugeVec::new(Opts::new(TLS_CERTIFICATE_EXPIRES, EXPIRY_HELP), &["certificate"])
        else {
            return Vec::new();
        };
        for (certificate, seconds) in (self.read)() {
            gauges.with_label_values(&[certificate.as_str()]).set(seconds);
        }
        gauges.collect()
    }
}
