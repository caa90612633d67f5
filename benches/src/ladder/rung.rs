//! The rungs: what is started, and with which configuration.

use std::process::Command;

use anyhow::{Context as _, ensure};

use super::{Place, peer};
use crate::ops;
use crate::process::sibling;

/// Of the rung `many`.
const MANY_POLICIES: usize = 10_000;
const MANY_TOOLS: usize = 1000;

/// One thing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Its name in the table and on the command line.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// How many tools are called in turn.
    pub tools: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Direct,
    Bare,
    Gateway { key: bool },
    Many,
    Nginx,
    Envoy,
}

/// Every rung, in order.
pub const RUNGS: &[Rung] = &[
    rung("direct", "the upstream without a proxy", Kind::Direct),
    rung("bare", "Pingora without filters", Kind::Bare),
    rung("anonymous", "mcpg: anonymous, one policy, audit `async`", Kind::Gateway { key: false }),
    rung("api-key", "+ API keys", Kind::Gateway { key: true }),
    rung("cedar", "+ a team's Cedar policies (cached)", Kind::Gateway { key: true }),
    rung("written", "+ audit `written`: the full chain", Kind::Gateway { key: true }),
    rung("rate-limit", "  full chain + rate limits", Kind::Gateway { key: true }),
    rung("redact", "  full chain + redaction of the answer", Kind::Gateway { key: true }),
    many("many", "  full chain, 10,000 policies, 1,000 tools", Kind::Many),
    rung("sync", "  full chain with audit `sync`", Kind::Gateway { key: true }),
    rung("nginx", "nginx, plain", Kind::Nginx),
    rung("envoy", "Envoy: jwt_authn + MCP filter + RBAC", Kind::Envoy),
];

/// A rung, ready to be started.
#[derive(Debug)]
pub struct Ready {
    /// None if there is nothing to start.
    pub command: Option<Command>,
    /// The credential to present.
    pub key: Option<String>,
}

const fn rung(name: &'static str, what: &'static str, kind: Kind) -> Rung {
    Rung { name, what, tools: 1, kind }
}

const fn many(name: &'static str, what: &'static str, kind: Kind) -> Rung {
    Rung { name, what, tools: MANY_TOOLS, kind }
}

impl Rung {
    /// Whether it is somebody else's.
    pub fn is_peer(&self) -> bool {
        matches!(self.kind, Kind::Nginx | Kind::Envoy)
    }

    /// Writes its configuration. None if it is not installed.
    ///
    /// # Errors
    /// When something that was built with this program is missing.
    pub fn prepare(&self, place: &Place) -> anyhow::Result<Option<Ready>> {
        let mut ready = match self.kind {
            Kind::Direct => Ready { command: None, key: None },
            Kind::Bare => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args([
                    "bare",
                    "--listen",
                    &place.listen.to_string(),
                    "--upstream",
                    &place.upstream.to_string(),
                ]);
                Ready { command: Some(command), key: None }
            }
            Kind::Gateway { key } => gateway(place, self.name, key)?,
            Kind::Many => {
                ops::write_bundle(&place.dir().join("policies"), MANY_POLICIES, MANY_TOOLS)?;
                gateway(place, self.name, true)?
            }
            Kind::Nginx => match peer::nginx(place)? {
                Some(ready) => ready,
                None => return Ok(None),
            },
            Kind::Envoy => match peer::envoy(place)? {
                Some(ready) => ready,
                None => return Ok(None),
            },
        };
        if let Some(command) = &mut ready.command {
            command.stdout(place.log()?).stderr(place.log()?);
        }
        Ok(Some(ready))
    }
}

fn gateway(place: &Place, name: &str, key: bool) -> anyhow::Result<Ready> {
    let mut command = Command::new(sibling("mcpg")?);
    let config = place.configure(&format!("rungs/{name}.yaml"))?;
    command.args(["run", "--config"]).arg(config);
    Ok(Ready { command: Some(command), key: key.then(|| api_key(place)).transpose()? })
}

/// Makes a key as an operator would.
fn api_key(place: &Place) -> anyhow::Result<String> {
    let mut command = Command::new(sibling("mcpg")?);
    command.args(["keys", "new", "--env", "test", "--subject", "user:bench@acme.com", "--hash-key-file"]);
    command.arg(place.dir().join("hash.key")).arg("--keys-file").arg(place.dir().join("keys.jsonl"));
    let output = command.output().context("cannot run `mcpg keys new`")?;
    ensure!(output.status.success(), "`mcpg keys new`: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
