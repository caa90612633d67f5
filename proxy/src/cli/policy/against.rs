//! The engines that a tool decides with: those of a configuration, one of them perhaps with another bundle.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use mcpg::metrics::Metrics;
use mcpg::reload::{Loaded, read};
use mcpg::revision::{Builder, Engines};
use mcpg_config::Config;
use mcpg_sdk::Scope;
use serde_json::Value;

/// The setting of an engine that names its policies.
const BUNDLE: &str = "bundle";

#[derive(Debug, Args)]
pub(super) struct Against {
    /// The configuration file whose engines decide. Only `bindings` and the policy engines of it are looked at.
    #[arg(long, short, default_value = "/etc/mcpg/gateway.yaml", env = "MCPG_CONFIG")]
    pub(super) config: PathBuf,
    /// Decide with this bundle in place of the configured one.
    #[arg(long)]
    pub(super) bundle: Option<String>,
    /// The engine that `--bundle` is for, by its name or id; needed where several have a bundle.
    #[arg(long, requires = "bundle")]
    pub(super) engine: Option<String>,
    /// Only this scope of the file: `org/workspace/env`.
    #[arg(long)]
    pub(super) scope: Option<Scope>,
}

/// The engines of every scope, ready to decide.
pub(super) struct Policies {
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) scopes: Vec<Engines>,
    pub(super) config: Config,
}

impl Against {
    pub(super) fn load(&self) -> anyhow::Result<Policies> {
        let path = std::path::absolute(&self.config)?;
        let problems = |problems: Vec<String>| anyhow!("{}", problems.join("\n"));
        let Loaded { config, .. } = read(&path, self.scope.as_ref()).map_err(problems)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let builder = Builder::new(Metrics::new().context("metrics")?);
        let now = SystemTime::now();
        let mut scopes = Vec::new();
        for one in config.scopes() {
            let mut one = config.alone(&one.tenancy.scope).unwrap_or_else(|| one.clone());
            if let Some(bundle) = &self.bundle {
                replace_bundle(&mut one, bundle, self.engine.as_deref())?;
            }
            runtime.block_on(builder.fetch_bundles(&one)).map_err(|error| problems(error.problems))?;
            scopes.push(builder.engines(&one, now).map_err(|error| problems(error.problems))?);
        }
        for warning in scopes.iter().flat_map(|scope| &scope.warnings) {
            eprintln!("warning: {warning}");
        }
        Ok(Policies { runtime, scopes, config })
    }
}

impl Policies {
    /// The engines of a scope.
    pub(super) fn of(&self, scope: &Scope) -> Option<&Engines> {
        self.scopes.iter().find(|engines| engines.scope == *scope)
    }

    /// The engines of the only scope, or of the one that is named.
    pub(super) fn one(&self) -> anyhow::Result<&Engines> {
        match self.scopes.as_slice() {
            [one] => Ok(one),
            [] => bail!("the configuration has no scope"),
            several => {
                let names: Vec<_> = several.iter().map(|engines| engines.scope.to_string()).collect();
                bail!("the configuration has several scopes: name one with --scope ({})", names.join(", "))
            }
        }
    }
}

fn replace_bundle(config: &mut Config, bundle: &str, engine: Option<&str>) -> anyhow::Result<()> {
    let bundle = if bundle.contains("://") {
        bundle.to_owned()
    } else {
        std::path::absolute(Path::new(bundle))?.display().to_string()
    };
    let labels: Vec<String> =
        config.plugins.of_kind("policy").map(|(_, plugin)| plugin.label().to_owned()).collect();
    let mut replaced = 0;
    for plugin in config.plugins.load.iter_mut().filter(|plugin| plugin.kind() == "policy") {
        let wanted = engine.is_none_or(|engine| engine == plugin.id || engine == plugin.label());
        if let Some(old) = plugin.settings.0.get_mut(BUNDLE).filter(|_| wanted) {
            *old = Value::from(bundle.as_str());
            replaced += 1;
        }
    }
    match (replaced, engine) {
        (1, _) => Ok(()),
        (0, Some(engine)) => bail!("no engine `{engine}` has a bundle: there are {}", labels.join(", ")),
        (0, None) => bail!("no policy engine of the configuration has a bundle"),
        _ => bail!("several engines have a bundle: say which with --engine ({})", labels.join(", ")),
    }
}
