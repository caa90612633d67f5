//! `completion`: what a shell completes command lines by.

use clap_complete::Shell;

use crate::failure::{Exit, Failure};
use crate::session::Session;

pub(super) fn run(shell: Shell, session: &Session) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::grammar(), "mcpg-ctl", &mut script);
    let script = String::from_utf8(script).map_err(|error| Failure::Failed(error.to_string()))?;
    session.output.script(&script)?;
    Ok(Exit::Done)
}
