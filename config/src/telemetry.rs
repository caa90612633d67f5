//! `telemetry:`: the operator's log, and trace context.

pub(crate) mod read;

/// What the gateway tells its operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telemetry {
    /// The log on standard error.
    pub log: Log,
    /// Whether `traceparent` and `tracestate` are read, joined and passed on.
    pub propagation: Propagation,
    /// Scopes that are counted each by itself.
    pub metrics_scopes_max: usize,
}

/// The log on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The least severe level that is written.
    pub level: LogLevel,
    /// One record's form.
    pub format: LogFormat,
}

/// How severe a log record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Only failures.
    Error,
    /// And what will become one.
    Warn,
    /// And what an operator wants to know.
    Info,
    /// And how decisions came about.
    Debug,
    /// And every step.
    Trace,
}

impl LogLevel {
    /// The name used in the configuration and by `tracing`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// A log record's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// How trace context travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// W3C Trace Context, in HTTP headers and `_meta`.
    W3c,
    /// Not at all.
    Off,
}
