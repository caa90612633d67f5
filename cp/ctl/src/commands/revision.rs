//! `revision`: what the gateways of an environment run, published, staged, rolled back.

use clap::{ArgGroup, Args, Subcommand};
use mcpg_cp_api::{
    EnvironmentPath, Line, PublishRevision, Revision, RevisionDocument, RevisionPreview, RollbackRevision,
    Rollout, VersionsQuery,
};
use serde_json::Value;

use crate::arguments::{Label, Span, joined};
use crate::client::{ApiPath, Condition};
use crate::failure::{Exit, Failure};
use crate::output::Show;
use crate::session::Session;
use crate::yaml;

pub(super) mod wait;

/// What can be done with revisions.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Publishes what the environment is configured with as its next revision.
    Publish {
        /// The environment.
        env: EnvironmentPath,
        /// What to say of it.
        #[arg(long)]
        note: Option<Line<500>>,
        /// Which gateways get it.
        #[command(flatten)]
        stage: Stage,
        /// Whether to wait.
        #[command(flatten)]
        patience: Patience,
    },
    /// Renders and validates what would be published, and publishes nothing.
    Preview {
        /// The environment.
        env: EnvironmentPath,
    },
    /// Lists the revisions, the newest first.
    List {
        /// The environment.
        env: EnvironmentPath,
    },
    /// Shows a revision with its document.
    Get {
        /// The environment.
        env: EnvironmentPath,
        /// Its number.
        number: u64,
    },
    /// Publishes an older revision's document as the next one.
    Rollback {
        /// The environment.
        env: EnvironmentPath,
        /// The older one's number.
        number: u64,
        /// What to say of it.
        #[arg(long)]
        note: Option<Line<500>>,
        /// Which gateways get it.
        #[command(flatten)]
        stage: Stage,
        /// Whether to wait.
        #[command(flatten)]
        patience: Patience,
    },
    /// Gives a staged revision to more gateways, or with `--percent 100` to all.
    #[command(group = ArgGroup::new("to").required(true).args(["percent", "labels"]))]
    Rollout {
        /// The environment.
        env: EnvironmentPath,
        /// Its number.
        number: u64,
        /// Which gateways get it.
        #[command(flatten)]
        stage: Stage,
        /// Whether to wait.
        #[command(flatten)]
        patience: Patience,
    },
}

/// Which gateways get it first. Without anything: all.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Stage {
    /// How many in a hundred.
    #[arg(long, value_name = "0-100", value_parser = clap::value_parser!(u8).range(0..=100), conflicts_with = "labels")]
    percent: Option<u8>,
    /// Only gateways with this label, such as `ring=canary`. Can be repeated: all of them.
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<Label>,
}

/// Whether to wait for the gateways.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Patience {
    /// Wait until every gateway that it is for has said what came of it. Exit code 1 when one has refused it.
    #[arg(long)]
    pub(super) wait: bool,
    /// How long to wait at most.
    #[arg(long, value_name = "SPAN", default_value = "2m", requires = "wait")]
    pub(super) timeout: Span,
}

impl Stage {
    fn rollout(self) -> Rollout {
        Rollout { percent: self.percent.unwrap_or(100), labels: Label::all(self.labels) }
    }
}

impl Verb {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let client = session.client().await?;
        match self {
            Self::Publish { env, note, stage, patience } => {
                let body = PublishRevision { note, rollout: stage.rollout() };
                let answer = client.post::<Revision>(&revisions(&env), &body).await?;
                let word = if answer.is_made() { "published" } else { "is in force already" };
                told(session, answer.value, word, &env, &patience).await
            }
            Self::Preview { env } => {
                let path = revisions(&env).join("preview");
                let found: RevisionPreview = client.post_empty(&path).await?.value;
                session.output.text_or(&found, || preview(&found))?;
                Ok(Exit::Done)
            }
            Self::List { env } => {
                let query = VersionsQuery { limit: Some(200), cursor: None };
                session.output.list(&client.list::<Revision>(&revisions(&env), &query).await?)?;
                Ok(Exit::Done)
            }
            Self::Get { env, number } => {
                session.output.one(&client.get::<RevisionDocument>(&one(&env, number)).await?)?;
                Ok(Exit::Done)
            }
            Self::Rollback { env, number, note, stage, patience } => {
                let body = RollbackRevision { note, rollout: stage.rollout() };
                let path = one(&env, number).join("rollback");
                let made = client.post::<Revision>(&path, &body).await?.value;
                told(session, made, &format!("published, as {number} was"), &env, &patience).await
            }
            Self::Rollout { env, number, stage, patience } => {
                let path = one(&env, number).join("rollout");
                let answer = client.put::<Revision>(&path, &stage.rollout(), &Condition::Nothing).await?;
                let word = format!("is for {}", rollout(&answer.value.rollout));
                told(session, answer.value, &word, &env, &patience).await
            }
        }
    }
}

/// Says what was done, and waits for the gateways where that is wanted.
async fn told(
    session: &Session,
    revision: Revision,
    word: &str,
    env: &EnvironmentPath,
    patience: &Patience,
) -> Result<Exit, Failure> {
    let number = revision.number;
    let said = format!("revision {number} of `{env}` {word}");
    if !patience.wait {
        session.output.done(&revision, &said)?;
        return Ok(Exit::Done);
    }
    session.output.say(&said);
    let exit = wait::acknowledged(session, env, number, patience.timeout.0).await?;
    let now: RevisionDocument = session.client().await?.get(&one(env, number)).await?;
    session.output.done(&now.revision, &format!("revision {number} is {}", progress(&now.revision)))?;
    Ok(exit)
}

fn revisions(env: &EnvironmentPath) -> ApiPath {
    ApiPath::from(env).join("revisions")
}

fn one(env: &EnvironmentPath, number: u64) -> ApiPath {
    revisions(env).join(&number.to_string())
}

fn preview(found: &RevisionPreview) -> String {
    let changed = if found.changed { "differs from the newest revision" } else { "is the newest revision" };
    let warnings: String =
        found.warnings.iter().map(|warning| format!("warning: {}\n", crate::text::plain(warning))).collect();
    format!("{} {changed}\n{warnings}\n{}", crate::text::plain(&found.digest), document(&found.document))
}

/// A document as people read it.
fn document(text: &str) -> String {
    serde_json::from_str::<Value>(text)
        .map_or_else(|_| format!("{}\n", crate::text::plain(text)), |value| yaml::text(&value))
}

fn rollout(rollout: &Rollout) -> String {
    match (rollout.percent, rollout.labels.is_empty()) {
        (100, true) => "all gateways".to_owned(),
        (percent, true) => format!("{percent} % of the gateways"),
        (_, false) => format!("gateways with {}", joined(&rollout.labels)),
    }
}

fn progress(revision: &Revision) -> String {
    let progress = revision.progress;
    format!("applied by {} of {}, rejected by {}", progress.applied, progress.wanted, progress.rejected)
}

impl Show for Revision {
    const COLUMNS: &'static [&'static str] =
        &["NUMBER", "APPLIED", "REJECTED", "ROLLOUT", "ROLLBACK OF", "CREATED", "BY", "NOTE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.number.to_string(),
            format!("{}/{}", self.progress.applied, self.progress.wanted),
            self.progress.rejected.to_string(),
            rollout(&self.rollout),
            self.rollback_of.map(|number| number.to_string()).unwrap_or_default(),
            self.created_at.to_string(),
            self.created_by.to_string(),
            self.note.clone().unwrap_or_default(),
        ]
    }

    fn name(&self) -> String {
        self.number.to_string()
    }
}

impl Show for RevisionDocument {
    const COLUMNS: &'static [&'static str] = Revision::COLUMNS;

    fn cells(&self) -> Vec<String> {
        self.revision.cells()
    }

    fn name(&self) -> String {
        self.revision.name()
    }

    fn content(&self) -> Option<String> {
        Some(document(&self.document))
    }
}
