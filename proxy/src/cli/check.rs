//! `mcpg check` and `mcpg schema`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context as _;
use mcpg::metrics::Metrics;
use mcpg::reload::{Loaded, read};
use mcpg::revision::{Builder, Generation};
use mcpg_filters::registry;
use mcpg_sdk::Scope;

/// Loads a configuration, compiles everything that it names, and says what is wrong.
pub(super) fn check(path: &Path, scope: Option<&Scope>) -> anyhow::Result<ExitCode> {
    let path = std::path::absolute(path)?;
    let Loaded { config, digest } = match read(&path, scope) {
        Ok(loaded) => loaded,
        Err(problems) => return Ok(refuse(&problems)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let builder = Builder::new(Metrics::new().context("metrics")?);
    match runtime.block_on(builder.generation(&config, digest, 1, None, SystemTime::now())) {
        Ok(generation) => {
            for warning in &generation.warnings {
                eprintln!("warning: {warning}");
            }
            println!("{}: sound ({})", path.display(), summary(&generation));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Ok(refuse(&error.problems)),
    }
}

/// How many of what there are.
fn summary(generation: &Generation) -> String {
    let revisions = || generation.scopes.iter();
    let bindings = revisions().map(|revision| revision.scope.routes.iter().count()).sum::<usize>();
    let engines: BTreeSet<&str> = revisions().flat_map(|revision| revision.scope.policy.engines()).collect();
    let engines = engines.into_iter().collect::<Vec<_>>().join(", ");
    let s = if bindings == 1 { "" } else { "s" };
    let scopes = match generation.scopes.len() {
        1 => String::new(),
        scopes => format!("{scopes} scopes, "),
    };
    format!("{scopes}{bindings} binding{s}, policy: {engines}")
}

/// Prints the JSON Schema.
pub(super) fn schema() -> anyhow::Result<ExitCode> {
    super::say(schema_text()? + "\n")?;
    Ok(ExitCode::SUCCESS)
}

fn schema_text() -> serde_json::Result<String> {
    serde_json::to_string_pretty(&mcpg_config::schema(&registry::schemas()))
}

fn refuse(problems: &[String]) -> ExitCode {
    for problem in problems {
        eprintln!("{problem}");
    }
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schema_is_the_one_in_force() {
        let published = include_str!("../../../config/schema/gateway.schema.json");
        assert!(published.trim_end() == schema_text().unwrap(), "run `make schema` and look at what changed");
    }

    #[test]
    fn configuration_and_filters_know_the_same_plugins() {
        let sorted = |mut ids: Vec<String>| {
            ids.sort();
            ids
        };
        let configured = mcpg_config::builtin_ids().map(ToString::to_string).collect();
        let built = registry::IDS.iter().map(ToString::to_string).collect();
        assert_eq!(sorted(configured), sorted(built));
    }
}
