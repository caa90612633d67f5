//! From a binding with `command` to its upstream. Nothing is started here: `mcpg check` comes by too.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use mcpg_config::{McpBinding, StdioTransport, Text};
use mcpg_filters::secret::SecretResolver;

use super::Ground;
use crate::upstream::ReplyLimits;
use crate::upstream::stdio::{Environment, Limits, Sharing, StdioSettings, StdioUpstream, working_folder};

/// The upstream of a binding whose server is a process, or what is wrong with it.
pub(super) fn upstream(
    id: &str,
    process: &StdioTransport,
    mcp: &McpBinding,
    replies: ReplyLimits,
    ground: &Ground<'_>,
) -> Result<StdioUpstream, String> {
    let set = process.env.iter().map(|(name, value)| {
        variable(value, ground.secrets)
            .map(|value| (name.into(), value))
            .map_err(|error| format!("`env.{name}`: {error}"))
    });
    let set = set.collect::<Result<Vec<(OsString, OsString)>, String>>()?;
    let environment = Environment::new(set, &process.inherit_env, |name| std::env::var_os(name));
    let program = environment.find(&process.program).map_err(|error| error.to_string())?;
    let settings = StdioSettings {
        binding: id.to_owned(),
        scope: ground.scope.clone(),
        command: [program.into()].into_iter().chain(process.args.iter().map(OsString::from)).collect(),
        cwd: working_folder(&process.cwd).map_err(|error| error.to_string())?,
        env: environment.into_variables(),
        sharing: match process.sharing {
            mcpg_config::Sharing::Shared => Sharing::Shared,
            mcpg_config::Sharing::PerSession { processes_max, idle_timeout } => {
                Sharing::PerSession { processes_max, idle: idle_timeout }
            }
        },
        protocol: mcp.protocol.revision().and_then(|text| text.parse().ok()),
        backoff: (process.restart.backoff, process.restart.backoff_max),
        limits: Limits {
            memory_bytes_max: process.limits.memory_bytes_max,
            open_files_max: process.limits.open_files_max,
            cpu_seconds_max: process.limits.cpu_seconds_max,
            file_bytes_max: process.limits.file_bytes_max,
        },
        shutdown: process.shutdown,
        read_timeout: process.read_timeout,
        write_timeout: process.write_timeout,
        line_bytes_max: replies.body_bytes_max,
    };
    Ok(StdioUpstream::new(settings, Arc::clone(ground.processes), ground.metrics.processes(id)))
}

/// The value of a variable. It is not repeated in an error: it may be a secret.
fn variable(text: &Text, secrets: &SecretResolver) -> Result<OsString, String> {
    match text {
        Text::Plain(text) => Ok(text.into()),
        Text::Secret { prefix, secret } => {
            let secret = secrets.resolve(secret).map_err(|error| error.to_string())?;
            if secret.expose().contains(&0) {
                return Err("the secret has a NUL in it, which no variable can have".to_owned());
            }
            Ok(OsStr::from_bytes(&[prefix.as_bytes(), secret.expose()].concat()).to_owned())
        }
    }
}
