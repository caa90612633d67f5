//! `crds`: the kinds of manifest as CustomResourceDefinitions.

use std::path::PathBuf;

use clap::Args;

use crate::failure::{Exit, Failure};
use crate::manifest::{crds, to_yaml};
use crate::session::Session;

/// Prints the kinds of manifest as CustomResourceDefinitions of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Crds {
    /// Write each to a file of its own in this folder instead.
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

impl Crds {
    pub(crate) fn run(self, session: &Session) -> Result<Exit, Failure> {
        let crds = crds().map_err(|error| Failure::Failed(error.to_string()))?;
        match self.dir {
            None => {
                let texts: Vec<String> = crds.iter().map(|(_, definition)| to_yaml(definition)).collect();
                texts.join("---\n").lines().try_for_each(|line| session.output.line(line))?;
            }
            Some(folder) => {
                let failed = |path: &PathBuf, error: std::io::Error| {
                    Failure::Failed(format!("cannot write `{}`: {error}", path.display()))
                };
                std::fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
                for (name, definition) in crds {
                    let path = folder.join(name);
                    std::fs::write(&path, to_yaml(&definition)).map_err(|error| failed(&path, error))?;
                    session.output.say(&format!("{}", path.display()));
                }
            }
        }
        Ok(Exit::Done)
    }
}
