//! Logs: structured, constant messages, to standard error, as JSON or text.
//!
//! Libraries that use the `log` crate (Pingora does) are carried over. No request data is logged except
//! through typed fields, and no field type prints a secret.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// What framework messages are worth: their per-request errors repeat what we log ourselves, with user
/// input in them.
const FRAMEWORK_DIRECTIVES: &str = "pingora_core=warn,pingora_core::services=off,h2=warn";

/// Installs the log writer of the process. `level` is `error`, `warn`, `info`, `debug` or `trace`;
/// the environment variable `MCPG_LOG` (directives of `tracing-subscriber`) overrides it.
///
/// # Errors
/// When a log writer is installed already or `MCPG_LOG` is malformed.
pub fn init(level: &str, format: LogFormat) -> anyhow::Result<()> {
    let directives = std::env::var("MCPG_LOG").unwrap_or_else(|_| format!("{level},{FRAMEWORK_DIRECTIVES}"));
    let filter = EnvFilter::try_new(&directives)
        .map_err(|error| anyhow::anyhow!("`MCPG_LOG` is malformed: {error}"))?;
    let writer = BoxMakeWriter::new(std::io::stderr);
    // A log that cannot be written (a full disk) must not take requests down: the writer's own complaint would panic.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_target(true)
        .log_internal_errors(false);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => builder.with_ansi(false).try_init(),
    }
    .map_err(|error| anyhow::anyhow!("cannot install the log writer: {error}"))
}
