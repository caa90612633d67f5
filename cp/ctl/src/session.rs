//! One run of the program: where it prints, and the client, which is made when it is needed.

use std::path::PathBuf;

use crate::client::{Client, Server, Settings, Token};
use crate::config::{Config, ConfigError, Context, ContextName, token_file};
use crate::failure::Failure;
use crate::output::Output;

/// The server where nothing names another.
const DEFAULT_SERVER: &str = "http://127.0.0.1:9400";

/// What the command line says of the control plane.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Connection {
    /// The control plane, such as `https://cp.acme.com`.
    #[arg(long, env = "MCPG_CP_URL", global = true, value_name = "URL", help_heading = "Connection")]
    pub server: Option<Server>,
    /// The file that has the token; `MCPG_CP_TOKEN` and `MCPG_CP_TOKEN_FILE` say the same.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub token_file: Option<PathBuf>,
    /// The authority to trust, PEM, instead of the system's.
    #[arg(long, global = true, value_name = "FILE", help_heading = "Connection")]
    pub ca_file: Option<PathBuf>,
    /// Speak to a server elsewhere without TLS.
    #[arg(long, global = true, help_heading = "Connection")]
    pub insecure_http: bool,
    /// The context of the settings file to use.
    #[arg(long, env = "MCPG_CP_CONTEXT", global = true, value_name = "NAME", help_heading = "Connection")]
    pub context: Option<ContextName>,
}

/// A run of the program.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    /// Where it prints.
    pub output: Output,
    client: tokio::sync::OnceCell<Client>,
}

impl Session {
    /// A run with what the command line says.
    pub fn new(connection: Connection, output: Output) -> Self {
        Self { connection, output, client: tokio::sync::OnceCell::new() }
    }

    /// What the command line says of the control plane.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// How the control plane is reached.
    ///
    /// # Errors
    /// When what is said of it cannot be used.
    pub fn settings(&self, config: &Config) -> Result<Settings, Failure> {
        let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        settings(&self.connection, config, environment)
    }

    /// The client, connected when it is first asked for.
    ///
    /// # Errors
    /// When the settings cannot be used or the control plane cannot be reached.
    pub async fn client(&self) -> Result<&Client, Failure> {
        self.client
            .get_or_try_init(|| async {
                let path = Config::path();
                let config = match &path {
                    Ok(path) => Config::read(path)?,
                    Err(_) => Config::default(),
                };
                Ok(Client::connect(self.settings(&config)?).await?)
            })
            .await
    }
}

/// What holds: the command line before the environment before the context.
///
/// INVARIANT: what a context has, its token above all, goes to the context's own server and to no other.
pub(crate) fn settings(
    connection: &Connection,
    config: &Config,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Settings, Failure> {
    let context = context(connection, config)?;
    let server = match (&connection.server, context) {
        (Some(server), _) => server.clone(),
        (None, Some(context)) => context.server.clone(),
        (None, None) => default_server()?,
    };
    let context = context.filter(|context| context.server == server);
    let mut settings = Settings::new(server);
    settings.ca_file = connection.ca_file.clone().or_else(|| context?.ca_file.clone());
    settings.insecure_http = connection.insecure_http || context.is_some_and(|context| context.insecure_http);
    settings.token = token(connection, context, environment)?;
    Ok(settings)
}

/// The server where nothing names another.
pub(crate) fn default_server() -> Result<Server, Failure> {
    DEFAULT_SERVER.parse().map_err(|error: crate::client::ServerError| Failure::Failed(error.to_string()))
}

fn context<'a>(connection: &Connection, config: &'a Config) -> Result<Option<&'a Context>, Failure> {
    let Some(name) = connection.context.as_ref().or(config.current.as_ref()) else { return Ok(None) };
    let found = config.contexts.get(name);
    Ok(Some(found.ok_or_else(|| ConfigError::Unknown { name: name.clone() })?))
}

fn token(
    connection: &Connection,
    context: Option<&Context>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<Token>, Failure> {
    if let Some(path) = &connection.token_file {
        return Ok(Some(token_file(path)?));
    }
    if let Some(text) = environment("MCPG_CP_TOKEN") {
        let token = text.parse().map_err(|error| Failure::Usage(format!("`MCPG_CP_TOKEN`: {error}")))?;
        return Ok(Some(token));
    }
    if let Some(path) = environment("MCPG_CP_TOKEN_FILE") {
        return Ok(Some(token_file(path.as_ref())?));
    }
    match context {
        Some(Context { token: Some(token), .. }) => Ok(Some(token.text.clone())),
        Some(Context { token_file: Some(path), .. }) => Ok(Some(token_file(path)?)),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests;
