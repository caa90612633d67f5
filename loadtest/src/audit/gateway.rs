//! A simulated gateway that forwards its log: batch after batch, each when the one before it is kept, as a real gateway does.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use mcpg_cp_api::{AuditAccepted, hex};
use tokio::time::sleep;

use super::Progress;
use super::log::{Log, Story, Written};
use crate::agent::Agent;
use crate::http::{Connection, Request};

const PATH: &str = "/v1/agent/audit";
/// The pause before a batch is sent again, doubled each time, and how often it is.
const PAUSE: Duration = Duration::from_millis(250);
const TRIES: u32 = 8;

/// A gateway, and what it has to send.
pub(super) struct Gateway {
    agent: Agent,
    log: Log,
    rows: u64,
    batch: u64,
    connection: Option<Connection>,
}

impl Gateway {
    pub(super) fn new(agent: Agent, story: Story, rows: u64, batch: u64, seed: u64) -> Self {
        let log = Log::new(story, agent.key.clone(), seed);
        Self { agent, log, rows, batch, connection: None }
    }

    /// Sends all rows, or as many as there is time for. Returns what was kept.
    pub(super) async fn run(mut self, progress: &Progress) -> anyhow::Result<Written> {
        let mut kept = Written::default();
        let mut body = String::new();
        while kept.rows < self.rows && progress.goes_on() {
            let written = self.next(self.batch.min(self.rows - kept.rows), &mut body);
            let asked = Instant::now();
            self.send(&body, progress).await?;
            kept.add(written);
            progress.kept(written.rows, asked.elapsed());
        }
        Ok(kept)
    }

    /// Writes the next rows, and what they are sent by.
    fn next(&mut self, rows: u64, body: &mut String) -> Written {
        let before = self.log.head;
        body.clear();
        body.push_str(&format!(
            r#"{{"log":"{}","previous":{{"sequence":{},"hash":"{}"}},"rows":["#,
            hex(&self.log.chain),
            before.seq,
            hex(&before.hash)
        ));
        let mut separator = "\"";
        let written = self.log.write(rows, |row| {
            body.push_str(separator);
            body.push_str(row);
            separator = "\",\"";
        });
        body.push_str(&format!(r#""],"last":"{}"}}"#, hex(&self.log.head.hash)));
        written
    }

    async fn send(&mut self, body: &str, progress: &Progress) -> anyhow::Result<()> {
        let mut pause = PAUSE;
        for _ in 0..TRIES {
            match self.try_send(body).await {
                Ok(()) => return Ok(()),
                Err(error) => progress.again(&error),
            }
            self.connection = None;
            sleep(pause).await;
            pause *= 2;
        }
        bail!("rows up to {} were not kept", self.log.head.seq)
    }

    async fn try_send(&mut self, body: &str) -> anyhow::Result<()> {
        let bearer = self.agent.assertion("POST", PATH)?;
        let request = Request { method: "POST", path: PATH, bearer: &bearer, headers: "", body };
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.agent.address).await?,
        };
        let (status, answer) = connection.ask(request).await?;
        if status != 200 {
            bail!("{status} {}", String::from_utf8_lossy(&answer));
        }
        let accepted: AuditAccepted = serde_json::from_slice(&answer).context("an answer of another form")?;
        if accepted.kept.sequence != self.log.head.seq || accepted.kept.hash != hex(&self.log.head.hash) {
            bail!("kept up to row {}, and not up to {}", accepted.kept.sequence, self.log.head.seq);
        }
        self.connection = Some(connection);
        Ok(())
    }
}
