//! Reads `telemetry:`.

use crate::place::{Place, Report};
use crate::wire::telemetry as wire;
use crate::{Log, LogFormat, LogLevel, Propagation, Telemetry};

/// Reads the section.
pub(crate) fn read(place: &Place<'_>, report: &mut Report<'_>) -> Option<Telemetry> {
    let read = report.read::<wire::Telemetry>(place)?;
    let level = match read.log.level {
        wire::Level::Error => LogLevel::Error,
        wire::Level::Warn => LogLevel::Warn,
        wire::Level::Info => LogLevel::Info,
        wire::Level::Debug => LogLevel::Debug,
        wire::Level::Trace => LogLevel::Trace,
    };
    let format = match read.log.format {
        wire::Format::Json => LogFormat::Json,
        wire::Format::Text => LogFormat::Text,
    };
    let propagation = match read.traces.propagation {
        wire::Propagation::W3c => Propagation::W3c,
        wire::Propagation::Off => Propagation::Off,
    };
    Some(Telemetry { log: Log { level, format }, propagation, metrics_scopes_max: read.metrics.scopes_max })
}
