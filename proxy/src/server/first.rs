//! The first generation: of the file alone, or of the file and what its control plane has pushed.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::anyhow;
use futures_util::future::select_all;
use mcpg_config::Config;
use mcpg_sdk::Scope;

use crate::control_plane::{Agent, Attached, PushedScopes, attach};
use crate::reload::{Loaded, read_with};
use crate::revision::{Builder, Generation};

/// What the process begins with.
pub(super) struct First {
    pub(super) generation: Generation,
    /// Those that follow the control plane from here on.
    pub(super) agents: Vec<Agent>,
    pub(super) pushed: Arc<PushedScopes>,
}

/// Where the configuration is, and what builds it.
pub(super) struct Start<'a> {
    pub(super) path: &'a Path,
    pub(super) scope: Option<&'a Scope>,
    pub(super) builder: &'a Builder,
}

impl Start<'_> {
    /// Builds the first generation. With a control plane and nothing to serve yet, it waits for the first revision.
    ///
    /// # Errors
    /// When the configuration does not hold, or the control plane refuses the gateway.
    pub(super) async fn first(&self, config: &Config) -> anyhow::Result<First> {
        let Some(Attached { agents, pushed }) = attach(config).await? else {
            let generation = self.build(&PushedScopes::default()).await.map_err(joined)?;
            let generation = generation.ok_or_else(|| anyhow!("the configuration has nothing to serve"))?;
            return Ok(First { generation, agents: Vec::new(), pushed: Arc::default() });
        };
        if let Some(generation) = self.last_good(config, &agents, &pushed).await? {
            return Ok(First { generation, agents, pushed });
        }
        let generation = self.next_pushed(&agents, &pushed).await?;
        Ok(First { generation, agents, pushed })
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

    async fn next_pushed(&self, agents: &[Agent], pushed: &PushedScopes) -> anyhow::Result<Generation> {
        tracing::info!("waiting for a first revision from the control plane");
        loop {
            let waiting: Vec<_> = agents.iter().map(|agent| Box::pin(agent.first())).collect();
            if waiting.is_empty() {
                return Err(anyhow!("the gateway has enrolled in no environment"));
            }
            let (first, index, _) = select_all(waiting).await;
            let (signed, scope) = first?;
            let Some(agent) = agents.get(index) else { continue };
            let name = scope.scope.clone();
            pushed.replace(scope);
            match self.build(pushed).await {
                Ok(Some(generation)) => {
                    agent.began(&signed, None)?;
                    return Ok(generation);
                }
                outcome => {
                    let problems = outcome.err().unwrap_or_default();
                    tracing::error!(environment = %agent.environment(), number = signed.number, ?problems, "revision refused");
                    pushed.restore(&name, None);
                    agent.began(&signed, Some(&problems))?;
                }
            }
        }
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
