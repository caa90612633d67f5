//! The first generation: of the file alone, or of the file and what its control plane has pushed.

use std::path::Path;
use std::time::SystemTime;

use anyhow::anyhow;
use mcpg_config::Config;
use mcpg_sdk::Scope;

use crate::control_plane::{Agent, Attached, PushedScopes, attach};
use crate::reload::{Loaded, read_with};
use crate::revision::{Builder, Generation};

/// What the process begins with.
pub(super) struct First {
    pub(super) generation: Generation,
    /// Its control plane, if it has one.
    pub(super) attached: Option<Attached>,
}

/// Where the configuration is, and what builds it.
pub(super) struct Start<'a> {
    pub(super) path: &'a Path,
    pub(super) scope: Option<&'a Scope>,
    pub(super) builder: &'a Builder,
}

impl Start<'_> {
    /// Builds the first generation. With a control plane and nothing to serve yet, it serves nothing, until the first revision.
    ///
    /// # Errors
    /// When the configuration does not hold, or the control plane refuses the gateway.
    pub(super) async fn first(&self, config: &Config) -> anyhow::Result<First> {
        let Some(attached) = attach(config).await? else {
            let generation = self.build(&PushedScopes::default()).await.map_err(joined)?;
            let generation = generation.ok_or_else(|| anyhow!("the configuration has nothing to serve"))?;
            return Ok(First { generation, attached: None });
        };
        let generation = match self.last_good(config, &attached.agents, &attached.pushed).await? {
            Some(generation) => generation,
            None => self.waiting().await?,
        };
        Ok(First { generation, attached: Some(attached) })
    }

    /// What was in force last, else what the file says by itself. None if that is nothing.
    async fn last_good(
        &self,
        config: &Config,
        agents: &[Agent],
        pushed: &PushedScopes,
    ) -> anyhow::Result<Option<Generation>> {
        let last = pushed.list();
        if last.is_empty() {
            return self.build(pushed).await.map_err(joined);
        }
        let problems = match self.build(pushed).await {
            Ok(Some(generation)) => return Ok(Some(generation)),
            Ok(None) => Vec::new(),
            Err(problems) => problems,
        };
        for problem in problems {
            tracing::error!(problem, "what the control plane pushed last does not hold here any more");
        }
        last.iter().for_each(|one| pushed.restore(&one.scope, None));
        agents.iter().for_each(Agent::forget);
        if config.scopes().next().is_none() { Ok(None) } else { self.build(pushed).await.map_err(joined) }
    }

    /// Serves nothing yet: listeners are there, and say that it is waited for a configuration.
    async fn waiting(&self) -> anyhow::Result<Generation> {
        let Loaded { config, digest } = read_with(self.path, self.scope, &[]).map_err(joined)?;
        let built = self.builder.generation(&config, digest, 1, None, SystemTime::now()).await;
        built.map_err(|error| joined(error.problems))
    }

    /// None if there is no scope to serve.
    async fn build(&self, pushed: &PushedScopes) -> Result<Option<Generation>, Vec<String>> {
        let Loaded { config, digest } = read_with(self.path, self.scope, &pushed.list())?;
        if config.scopes().next().is_none() {
            return Ok(None);
        }
        let built = self.builder.generation(&config, digest, 1, None, SystemTime::now()).await;
        built.map(Some).map_err(|error| error.problems)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn joined(problems: Vec<String>) -> anyhow::Error {
    anyhow!(problems.join("\n"))
}
