//! The program: parses, runs, says why it has failed, and tells the shell.

use std::process::ExitCode;

use mcpg_ctl::{Exit, output};

fn main() -> ExitCode {
    let line = match mcpg_ctl::parse(std::env::args_os()) {
        Ok(line) => line,
        Err(error) => {
            // Help and versions are data; where nobody reads them they are lost.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8));
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::say(&format!("mcpg-ctl: cannot start: {error}"));
            return ExitCode::from(Exit::Failed as u8);
        }
    };
    match runtime.block_on(mcpg_ctl::run(line)) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            output::say(&format!("mcpg-ctl: {failure}"));
            failure.hint().into_iter().for_each(output::say);
            ExitCode::from(failure.exit() as u8)
        }
    }
}
