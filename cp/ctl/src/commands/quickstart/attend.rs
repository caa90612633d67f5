//! `attend`: turns into a program that the kernel kills where the one that started it ends.
//!
//! Between `fork` and `exec` nothing safe can be done, so the quickstart starts itself under this name, which asks for that
//! and then becomes the program. Sources: `prctl(2)` (PR_SET_PDEATHSIG).

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use clap::Args;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::failure::{Exit, Failure};

/// Turns into a program that ends with the one that started it.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Attend {
    /// Who started it.
    #[arg(long)]
    parent: i32,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl Attend {
    /// Returns only if that fails.
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| Failure::Failed(format!("cannot follow `mcpg-ctl quickstart`: {error}")))?;
        // One that ended before that line has sent nothing.
        if getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(self.parent) {
            return Err(Failure::Failed("`mcpg-ctl quickstart` has ended".to_owned()));
        }
        let mut words = self.command.into_iter();
        let program = words.next().unwrap_or_default();
        let error = Command::new(&program).args(words).exec();
        Err(Failure::Failed(format!("cannot start `{}`: {error}", program.display())))
    }
}
