//! `apply`, `diff`, `delete`, `get` and `crds`: what is kept in files, and what is in the control plane.
//!
//! Everything is read, compared and tried before the first thing is changed. A change says which state it was compared
//! with, so that what somebody else has changed meanwhile is not overwritten.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use mcpg_cp_api::EnvironmentPath;
use serde::Serialize;

use super::revision::Patience;
use super::revision::wait::acknowledged;
use crate::failure::{Exit, Failure};
use crate::manifest::{self, Kind, Manifest, Source, unified};
use crate::output::{Format, say};
use crate::session::Session;

pub use live::Live;
pub use plan::{Outcome, Plan, Step};
pub use publish::{Published, publish, touched};

mod change;
mod crds;
mod get;
mod live;
mod plan;
mod publish;

pub use crds::Crds;
pub use get::Get;

/// Which files.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Files {
    /// A file, a folder of files, or `-` for the standard input. Can be repeated.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Read the folders in folders too.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// The environment that a gateway's own configuration file is for.
    #[arg(long, value_name = "ORG/WORKSPACE/ENV")]
    env: Option<EnvironmentPath>,
}

/// Makes the control plane say what files say.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Apply {
    #[command(flatten)]
    files: Files,
    /// Check everything, and change nothing.
    #[arg(long, conflicts_with = "publish")]
    dry_run: bool,
    /// Publish a revision of every environment that the files concern.
    #[arg(long)]
    publish: bool,
    /// Whether to wait.
    #[command(flatten)]
    patience: Patience,
}

/// Shows what applying files would change.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Diff {
    #[command(flatten)]
    files: Files,
}

/// Deletes what files name.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Delete {
    #[command(flatten)]
    files: Files,
    /// Say what would be deleted, and delete nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Files {
    /// Reads the manifests. Every mistake is told.
    fn read(&self) -> Result<Vec<Manifest>, Failure> {
        let sources = Source::all(&self.files, self.recursive);
        let sources = sources.map_err(|error| {
            let reason = std::error::Error::source(&error).map(|reason| format!(": {reason}"));
            Failure::Usage(format!("{error}{}", reason.unwrap_or_default()))
        })?;
        let read = manifest::read(&sources, self.env.as_ref()).map_err(|mistakes| {
            mistakes.iter().for_each(|mistake| say(&mistake.to_string()));
            Failure::Usage(format!("nothing was done: {}", counted(mistakes.len(), "mistake")))
        })?;
        read.notes.iter().for_each(|note| say(&note.to_string()));
        if read.manifests.is_empty() {
            return Err(Failure::Usage("there are no manifests in what was given".to_owned()));
        }
        Ok(read.manifests)
    }
}

/// What became of one manifest, as `-o json` has it.
#[derive(Debug, Serialize)]
struct Told {
    resource: String,
    outcome: Outcome,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    items: &'a [Told],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    revisions: &'a [Published],
}

impl Apply {
    pub(crate) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        if self.patience.wait && !self.publish {
            return Err(Failure::Usage("`--wait` is for `--publish`".to_owned()));
        }
        let manifests = self.files.read()?;
        let client = session.client().await?;
        let plan = Plan::make(client, manifests).await?;
        let mut told = Vec::new();
        let as_lines = session.output.format == Format::Table;
        for step in plan.steps() {
            let outcome = step.outcome();
            if !self.dry_run {
                step.carry_out(client).await.map_err(|failure| part(failure, &plan, &told))?;
            }
            let dry_run = if !self.dry_run {
                ""
            } else if step.is_tried() {
                " (server dry run)"
            } else {
                " (dry run)"
            };
            if as_lines {
                session.output.line(&format!("{} {outcome}{dry_run}", step.resource()))?;
            }
            told.push(Told { resource: step.resource().to_string(), outcome, dry_run: self.dry_run });
        }
        let mut revisions = Vec::new();
        if self.publish {
            let resources: Vec<_> = plan.steps().iter().map(Step::resource).collect();
            for environment in touched(client, &resources).await? {
                let published = publish(client, &environment).await?;
                if as_lines {
                    session.output.line(&published.to_string())?;
                }
                revisions.push(published);
            }
        }
        if !as_lines {
            session.output.text_or(&Report { items: &told, revisions: &revisions }, String::new)?;
        }
        let mut exit = Exit::Done;
        if self.patience.wait {
            for Published { environment, number, .. } in &revisions {
                let taken = acknowledged(session, environment, *number, self.patience.timeout.0).await?;
                if taken == Exit::Done {
                    say(&format!("revision {number} of `{environment}` is taken"));
                } else {
                    exit = taken;
                }
            }
        }
        Ok(exit)
    }
}

/// Says how far it came before it failed.
fn part(failure: Failure, plan: &Plan, done: &[Told]) -> Failure {
    let changed = done.iter().filter(|told| told.outcome != Outcome::Unchanged).count();
    if changed > 0 {
        say(&format!(
            "{} of {} were applied before this failed; apply again to go on",
            done.len(),
            plan.steps().len()
        ));
    }
    failure
}

impl Diff {
    pub(crate) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let manifests = self.files.read()?;
        let client = session.client().await?;
        let plan = Plan::make(client, manifests).await?;
        let mut exit = Exit::Done;
        for step in plan.steps() {
            if step.outcome() == Outcome::Unchanged {
                continue;
            }
            let (before, after) = step.texts();
            if let Some(diff) = unified(&step.resource().to_string(), &before, &after) {
                diff.lines().try_for_each(|line| session.output.line(line))?;
                exit = Exit::Different;
            }
        }
        Ok(exit)
    }
}

impl Delete {
    pub(crate) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let mut manifests = self.files.read()?;
        // What stands on something else goes first.
        manifests.reverse();
        let kinds: BTreeSet<Kind> = manifests.iter().map(|manifest| manifest.resource.kind()).collect();
        for (kind, why) in [
            (Kind::Organization, "organizations cannot be deleted"),
            (Kind::RevocationList, "a revocation list cannot be deleted: apply one without artifacts"),
        ] {
            if kinds.contains(&kind) {
                return Err(Failure::Usage(format!("nothing was done: {why}")));
            }
        }
        let client = session.client().await?;
        let mut found = Vec::new();
        for manifest in manifests {
            found.push((Live::find(client, &manifest.resource).await?, manifest.resource));
        }
        for (live, resource) in found {
            let said = match live {
                None => "not found",
                Some(_) if self.dry_run => "deleted (dry run)",
                Some(live) => {
                    change::delete(client, &resource, &live).await?;
                    "deleted"
                }
            };
            session.output.line(&format!("{resource} {said}"))?;
        }
        Ok(Exit::Done)
    }
}

/// `1 mistake`, `2 mistakes`.
fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
