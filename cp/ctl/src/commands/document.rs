//! `plugin-set`, `policy`, `config`: what is kept in versions. They are written by `apply`.

use clap::{Args, Subcommand};
use mcpg_cp_api::{
    Diff, DiffQuery, EnvironmentPath, Slug, Version, VersionSummary, Versioned, VersionedSummary,
    VersionsQuery, WorkspacePath,
};
use serde::Serialize;
use serde_json::Value;

use super::whole;
use crate::client::{ApiPath, Condition};
use crate::failure::{Exit, Failure};
use crate::output::Show;
use crate::session::Session;
use crate::text::json_string;
use crate::yaml;

/// What can be done with plugin sets and with policies of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Lists what a workspace has.
    List {
        /// The workspace.
        workspace: WorkspacePath,
    },
    /// Shows the newest version, or another one.
    Get {
        /// Which.
        #[command(flatten)]
        which: Named,
        /// The version.
        #[arg(long, value_name = "NUMBER")]
        version: Option<u64>,
    },
    /// Lists the versions, the newest first.
    Versions {
        /// Which.
        #[command(flatten)]
        which: Named,
    },
    /// Shows what differs between two versions. Exit code 7 when something does.
    Diff {
        /// Which.
        #[command(flatten)]
        which: Named,
        /// Which versions.
        #[command(flatten)]
        versions: Versions,
    },
    /// Deletes it. Numbers of versions go on if it is made again.
    Delete {
        /// Which.
        #[command(flatten)]
        which: Named,
    },
}

/// One of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Named {
    /// The workspace.
    workspace: WorkspacePath,
    /// Its name there.
    name: Slug,
}

/// What can be done with the gateway configuration of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ConfigVerb {
    /// Shows the newest version, or another one.
    Get {
        /// The environment.
        env: EnvironmentPath,
        /// The version.
        #[arg(long, value_name = "NUMBER")]
        version: Option<u64>,
    },
    /// Lists the versions, the newest first.
    Versions {
        /// The environment.
        env: EnvironmentPath,
    },
    /// Shows what differs between two versions. Exit code 7 when something does.
    Diff {
        /// The environment.
        env: EnvironmentPath,
        /// Which versions.
        #[command(flatten)]
        versions: Versions,
    },
    /// Deletes it. Numbers of versions go on if it is made again.
    Delete {
        /// The environment.
        env: EnvironmentPath,
    },
}

/// Two versions.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Versions {
    /// The older one. Default: the one before `--to`.
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,
    /// The newer one. Default: the newest.
    #[arg(long, value_name = "NUMBER")]
    to: Option<u64>,
}

/// A kind of document, by the noun and the part of its path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    noun: &'static str,
    part: &'static str,
}

pub(super) const PLUGIN_SET: Kind = Kind { noun: "plugin set", part: "plugin-sets" };
pub(super) const POLICY: Kind = Kind { noun: "policy", part: "policies" };

impl Verb {
    pub(super) async fn run(self, kind: Kind, session: &Session) -> Result<Exit, Failure> {
        let path = |which: &Named| ApiPath::from(&which.workspace).join(kind.part).join(which.name.as_str());
        match self {
            Self::List { workspace } => {
                let path = ApiPath::from(&workspace).join(kind.part);
                let found: Vec<VersionedSummary> = session.client().await?.list(&path, &whole()).await?;
                session.output.list(&found)?;
                Ok(Exit::Done)
            }
            Self::Get { which, version } => get(session, &path(&which), version).await,
            Self::Versions { which } => versions_of(session, &path(&which)).await,
            Self::Diff { which, versions } => diff(session, &path(&which), &versions).await,
            Self::Delete { which } => {
                let said = format!("{} `{}` of `{}` deleted", kind.noun, which.name, which.workspace);
                delete(session, &path(&which), &said).await
            }
        }
    }
}

impl ConfigVerb {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let path = |env: &EnvironmentPath| ApiPath::from(env).join("config");
        match self {
            Self::Get { env, version } => get(session, &path(&env), version).await,
            Self::Versions { env } => versions_of(session, &path(&env)).await,
            Self::Diff { env, versions } => diff(session, &path(&env), &versions).await,
            Self::Delete { env } => {
                delete(session, &path(&env), &format!("configuration of `{env}` deleted")).await
            }
        }
    }
}

async fn get(session: &Session, path: &ApiPath, version: Option<u64>) -> Result<Exit, Failure> {
    let client = session.client().await?;
    match version {
        None => session.output.one(&client.get::<Versioned<Value>>(path).await?)?,
        Some(number) => {
            let path = path.clone().join("versions").join(&number.to_string());
            session.output.one(&client.get::<Version<Value>>(&path).await?)?;
        }
    }
    Ok(Exit::Done)
}

async fn versions_of(session: &Session, path: &ApiPath) -> Result<Exit, Failure> {
    let query = VersionsQuery { limit: Some(200), cursor: None };
    let path = path.clone().join("versions");
    session.output.list(&session.client().await?.list::<VersionSummary>(&path, &query).await?)?;
    Ok(Exit::Done)
}

async fn diff(session: &Session, path: &ApiPath, versions: &Versions) -> Result<Exit, Failure> {
    let query = DiffQuery { from: versions.from, to: versions.to };
    let found: Diff = session.client().await?.get_with(&path.clone().join("diff"), &query).await?;
    session.output.text_or(&found, || lines(&found))?;
    Ok(if found.changes.is_empty() { Exit::Done } else { Exit::Different })
}

async fn delete(session: &Session, path: &ApiPath, said: &str) -> Result<Exit, Failure> {
    session.client().await?.delete(path, &Condition::Exists).await?;
    session.output.say(said);
    Ok(Exit::Done)
}

/// Differences as people read them: the pointer, then what went and what came.
fn lines(diff: &Diff) -> String {
    let mut text = format!("--- version {}\n+++ version {}\n", diff.from, diff.to);
    for change in &diff.changes {
        text.push_str(&format!("@ {}\n", crate::text::plain(&change.pointer)));
        for (sign, value) in [('-', &change.before), ('+', &change.after)] {
            let Some(value) = value else { continue };
            let value = match value {
                // A policy's file is better read as it is.
                Value::String(text) if text.contains('\n') => text.clone(),
                Value::String(text) => json_string(text),
                other => yaml::text(other),
            };
            for line in value.lines() {
                text.push_str(&format!("{sign} {}\n", crate::text::plain(line)));
            }
        }
    }
    text
}

fn digest(text: &str) -> String {
    // Enough to tell versions apart; the whole is in JSON.
    text.chars().take(19).collect()
}

impl<T: Serialize> Show for Versioned<T> {
    const COLUMNS: &'static [&'static str] = &["NAME", "ON", "VERSION", "DIGEST", "CREATED", "BY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.on.to_string(),
            self.version.to_string(),
            self.digest.clone(),
            self.created_at.to_string(),
            self.created_by.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn content(&self) -> Option<String> {
        serde_json::to_value(&self.spec).ok().map(|spec| yaml::text(&spec))
    }
}

impl<T: Serialize> Show for Version<T> {
    const COLUMNS: &'static [&'static str] = &["VERSION", "DIGEST", "CREATED", "BY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.version.to_string(),
            self.digest.clone(),
            self.created_at.to_string(),
            self.created_by.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.version.to_string()
    }

    fn content(&self) -> Option<String> {
        serde_json::to_value(&self.spec).ok().map(|spec| yaml::text(&spec))
    }
}

impl Show for VersionedSummary {
    const COLUMNS: &'static [&'static str] = &["NAME", "VERSION", "DIGEST", "CREATED", "BY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.version.to_string(),
            digest(&self.digest),
            self.created_at.to_string(),
            self.created_by.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.name.to_string()
    }
}

impl Show for VersionSummary {
    const COLUMNS: &'static [&'static str] = &["VERSION", "DIGEST", "CREATED", "BY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.version.to_string(),
            digest(&self.digest),
            self.created_at.to_string(),
            self.created_by.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.version.to_string()
    }
}
