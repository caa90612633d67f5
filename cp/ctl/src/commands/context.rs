//! `context`: control planes that this machine knows by name.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::config::{Config, ConfigError, Context, ContextName, KeptToken};
use crate::failure::{Exit, Failure};
use crate::output::Show;
use crate::session::{Session, default_server};

/// What can be done with contexts.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Lists the contexts.
    List,
    /// Makes a context the one that is used where none is named.
    Use {
        /// Which.
        name: ContextName,
    },
    /// Makes or changes a context, with `--server`, `--token-file`, `--ca-file` and `--insecure-http`.
    Set {
        /// Which.
        name: ContextName,
        /// Keep the token that stands on standard input.
        #[arg(long, conflicts_with = "token_file")]
        token_stdin: bool,
    },
    /// Forgets a context and its token.
    Delete {
        /// Which.
        name: ContextName,
    },
}

impl Verb {
    pub(super) fn run(self, session: &Session) -> Result<Exit, Failure> {
        let path = Config::path()?;
        let mut config = Config::read(&path)?;
        match self {
            Self::List => {
                let row = |(name, context)| Row::new(name, context, config.current.as_ref());
                session.output.list(&config.contexts.iter().map(row).collect::<Vec<_>>())?;
            }
            Self::Use { name } => {
                if !config.contexts.contains_key(&name) {
                    return Err(ConfigError::Unknown { name }.into());
                }
                session.output.say(&format!("`{name}` is used from now on"));
                config.current = Some(name);
                config.write(&path)?;
            }
            Self::Set { name, token_stdin } => {
                let context = changed(config.contexts.get(&name), session, token_stdin)?;
                session.output.say(&format!("context `{name}` is {}", context.server));
                config.current.get_or_insert_with(|| name.clone());
                config.contexts.insert(name, context);
                config.write(&path)?;
            }
            Self::Delete { name } => {
                if config.contexts.remove(&name).is_none() {
                    return Err(ConfigError::Unknown { name }.into());
                }
                config.current = config.current.filter(|current| *current != name);
                config.write(&path)?;
                session.output.say(&format!("context `{name}` is forgotten"));
            }
        }
        Ok(Exit::Done)
    }
}

/// The context as the command line changes it. A token is of one server: where that changes, it goes.
fn changed(old: Option<&Context>, session: &Session, token_stdin: bool) -> Result<Context, Failure> {
    let asked = session.connection();
    let server = match (&asked.server, old) {
        (Some(server), _) => server.clone(),
        (None, Some(old)) => old.server.clone(),
        (None, None) => default_server()?,
    };
    let old = old.filter(|old| old.server == server);
    let mut token = old.and_then(|old| old.token.clone());
    let mut token_file = old.and_then(|old| old.token_file.clone());
    if let Some(path) = &asked.token_file {
        // What is wrong with it is better said now than later.
        crate::config::token_file(path)?;
        (token, token_file) = (None, Some(absolute(path)?));
    }
    if token_stdin {
        let mut text = String::new();
        std::io::stdin().take(4096).read_to_string(&mut text)?;
        let text = text.parse().map_err(|error| Failure::Usage(format!("standard input: {error}")))?;
        (token, token_file) = (Some(KeptToken { text, expires_at: None }), None);
    }
    let ca_file = match &asked.ca_file {
        Some(path) => Some(absolute(path)?),
        None => old.and_then(|old| old.ca_file.clone()),
    };
    let insecure_http = asked.insecure_http || old.is_some_and(|old| old.insecure_http);
    Ok(Context { server, ca_file, insecure_http, token_file, token })
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source }.into())
}

/// A context as it is printed: without its token.
#[derive(Debug, Serialize)]
struct Row {
    name: ContextName,
    current: bool,
    server: String,
    credential: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<mcpg_cp_api::Timestamp>,
}

impl Row {
    fn new(name: &ContextName, context: &Context, current: Option<&ContextName>) -> Self {
        Self {
            name: name.clone(),
            current: current == Some(name),
            server: context.server.to_string(),
            credential: match context {
                Context { token: Some(_), .. } => "token",
                Context { token_file: Some(_), .. } => "token-file",
                _ => "none",
            },
            expires_at: context.token.as_ref().and_then(|token| token.expires_at),
        }
    }
}

impl Show for Row {
    const COLUMNS: &'static [&'static str] = &["CURRENT", "NAME", "SERVER", "CREDENTIAL", "EXPIRES"];

    fn cells(&self) -> Vec<String> {
        vec![
            if self.current { "*" } else { "" }.to_owned(),
            self.name.to_string(),
            self.server.clone(),
            self.credential.to_owned(),
            self.expires_at.map(|time| time.to_string()).unwrap_or_default(),
        ]
    }

    fn name(&self) -> String {
        self.name.to_string()
    }
}
