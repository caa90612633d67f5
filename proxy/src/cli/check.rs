//! `mcpg check` and `mcpg schema`.

use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context as _;
use mcpg::metrics::Metrics;
use mcpg::reload::{Loaded, read};
use mcpg::revision::Builder;
use mcpg_filters::registry;

/// Loads a configuration, compiles everything that it names, and says what is wrong.
pub(super) fn check(path: &Path) -> anyhow::Result<ExitCode> {
    let path = std::path::absolute(path)?;
    let Loaded { config, digest } = match read(&path) {
        Ok(loaded) => loaded,
        Err(problems) => return Ok(refuse(&problems)),
    };
    for warning in config.warnings() {
        eprintln!("warning: {warning}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let builder = Builder::new(Metrics::new().context("metrics")?);
    match runtime.block_on(builder.build(&config, digest, 1, None, SystemTime::now())) {
        Ok(revision) => {
            let bindings = revision.scope.routes.iter().count();
            let engines: Vec<&str> = revision.scope.policy.engines().collect();
            println!("{}: sound ({bindings} bindings, policy: {})", path.display(), engines.join(", "));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Ok(refuse(&error.problems)),
    }
}

/// Prints the JSON Schema.
pub(super) fn schema() -> anyhow::Result<ExitCode> {
    let schema = mcpg_config::schema(&registry::schemas());
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(ExitCode::SUCCESS)
}

fn refuse(problems: &[String]) -> ExitCode {
    for problem in problems {
        eprintln!("{problem}");
    }
    ExitCode::from(2)
}
