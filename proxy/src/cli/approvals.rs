//! `mcpg approvals`: the calls that wait for approval at the gateways of a state folder, and the answers to them.
//!
//! Who answers is the user who runs the command, as the kernel tells the gateway; there is no way to answer as somebody else.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use mcpg::approvals::wire::{self, Ask, Said, Waiting};
use mcpg::reload::{Loaded, read};
use mcpg_filters::gate::Reason;
use mcpg_filters::net::connect_unix;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

#[derive(Debug, Subcommand)]
pub(super) enum Approvals {
    /// Show the calls that wait, the oldest first.
    List {
        #[command(flatten)]
        gateway: Gateway,
        /// As JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Approve a call. It takes a name among the `operators` of its gate.
    Approve {
        #[command(flatten)]
        gateway: Gateway,
        /// Which, as `list` shows it; a beginning that no other has will do.
        id: String,
        /// Why, in one line: for the audit log and for those who were asked.
        #[arg(long, value_name = "TEXT")]
        reason: Option<Reason>,
    },
    /// Deny a call.
    Deny {
        #[command(flatten)]
        gateway: Gateway,
        /// Which, as `list` shows it; a beginning that no other has will do.
        id: String,
        /// Why, in one line: for the audit log, for those who were asked, and for the caller.
        #[arg(long, value_name = "TEXT")]
        reason: Option<Reason>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Gateway {
    /// The configuration file of the gateway that runs.
    #[arg(long, short, default_value = "/etc/mcpg/gateway.yaml", env = "MCPG_CONFIG")]
    config: PathBuf,
    /// The gateway's state folder. Default: as the configuration says.
    #[arg(long)]
    state_dir: Option<PathBuf>,
}

impl Approvals {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let said = match self {
            Self::List { gateway, json } => list(&gateway.waiting()?, json)?,
            Self::Approve { gateway, id, reason } => gateway.answer(&id, true, reason.as_ref())?,
            Self::Deny { gateway, id, reason } => gateway.answer(&id, false, reason.as_ref())?,
        };
        super::say(said)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Gateway {
    /// The sockets of the gateways that run.
    fn sockets(&self) -> anyhow::Result<Vec<PathBuf>> {
        let state_dir = match &self.state_dir {
            Some(dir) => dir.clone(),
            None => {
                let path = std::path::absolute(&self.config)?;
                let Loaded { config, .. } =
                    read(&path, None).map_err(|problems| anyhow!(problems.join("\n")))?;
                config.state.shared_dir
            }
        };
        let mut sockets = wire::sockets(&state_dir);
        sockets.retain(|socket| wire::is_served(socket));
        if sockets.is_empty() {
            let folder = wire::folder(&state_dir);
            bail!("no gateway runs on `{}`, or you may not look into it", folder.display());
        }
        Ok(sockets)
    }

    fn waiting(&self) -> anyhow::Result<Vec<Waiting>> {
        let mut all = Vec::new();
        let mut failed = None;
        for socket in self.sockets()? {
            match ask(&socket, &Ask::List) {
                Ok(Said::List { calls }) => all.extend(calls),
                Ok(_) => bail!("the gateway's answer cannot be read"),
                // One that is gone has left its socket.
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if all.is_empty() => Err(error),
            _ => Ok(all),
        }
    }

    fn answer(&self, id: &str, approve: bool, reason: Option<&Reason>) -> anyhow::Result<String> {
        let all = self.waiting()?;
        let mut meant = all.iter().filter(|call| !id.is_empty() && call.id.starts_with(id));
        let call = match (meant.next(), meant.next()) {
            (Some(call), None) => call,
            (Some(_), Some(_)) => bail!("`{id}` is the beginning of several: give more of it"),
            (None, _) => bail!("no call waits under `{id}`"),
        };
        for socket in self.sockets()? {
            let asked = Ask::Answer { id: call.id.clone(), approve, reason: reason.map(ToString::to_string) };
            match ask(&socket, &asked) {
                Ok(Said::Done { outcome }) => return Ok(format!("{outcome}: {}\n", title(call))),
                Ok(Said::Refused { reason }) => bail!("{reason}"),
                Ok(Said::Unknown | Said::List { .. }) | Err(_) => {}
            }
        }
        bail!("no call waits under `{id}` any more")
    }
}

fn ask(socket: &Path, ask: &Ask) -> anyhow::Result<Said> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    let exchange = async {
        let mut stream = connect_unix(socket, wire::TIME_MAX).await?;
        stream.write_all(&line).await?;
        let mut said = String::new();
        BufReader::new(stream.take(wire::LINE_BYTES_MAX as u64)).read_line(&mut said).await?;
        io::Result::Ok(said)
    };
    // Within the runtime: it is the one that keeps the time.
    let said = runtime.block_on(async { timeout(wire::TIME_MAX, exchange).await });
    let said = said.context("the gateway does not answer")?;
    let said = said.with_context(|| format!("cannot reach `{}`", socket.display()))?;
    serde_json::from_str(&said).context("the gateway's answer cannot be read")
}

fn list(calls: &[Waiting], json: bool) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut said = String::new();
    for call in calls {
        if json {
            said += &serde_json::to_string(call)?;
            said.push('\n');
            continue;
        }
        let left = call.deadline.saturating_sub(now);
        said += &format!("{}  {}  {left} s left\n", call.id, title(call));
        said += &format!("    caller {}, scope {}, gate {}\n", call.caller, call.scope, call.gate);
        for line in call.arguments.iter().flat_map(|arguments| arguments.lines()) {
            said += &format!("    {line}\n");
        }
    }
    Ok(said)
}

/// What is called. What came from outside cannot be taken for something else on a terminal.
fn title(call: &Waiting) -> String {
    let target: String = call.target.escape_debug().take(200).collect();
    match call.method.as_str() {
        "tools/call" => format!("{}.{target}", call.binding),
        method => format!("{method} {}: {target}", call.binding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_for_people_or_for_programs() {
        let call = Waiting {
            id: "ab12".into(),
            gate: "gate.approval".into(),
            scope: "acme/team/prod".into(),
            caller: "user:alice".into(),
            binding: "files".into(),
            method: "tools/call".into(),
            target: "delete\u{1b}[2J".into(),
            arguments: Some("{\n  \"a\": 1\n}".into()),
            asked: 0,
            deadline: 0,
        };
        let said = list(std::slice::from_ref(&call), false).unwrap();
        let expected = "ab12  files.delete\\u{1b}[2J  0 s left\n    caller user:alice, scope acme/team/prod, gate gate.approval\n    {\n      \"a\": 1\n    }\n";
        assert_eq!(said, expected);
        let said = list(std::slice::from_ref(&call), true).unwrap();
        assert_eq!(serde_json::from_str::<Waiting>(&said).unwrap(), call);
    }
}
