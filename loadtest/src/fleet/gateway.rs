//! A simulated gateway.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::bail;
use mcpg_cp_api::SignedRevision;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::Connected;
use crate::agent::Agent;
use crate::http::{Connection, Request};

/// The pause before the stream is opened again, doubled each time: the agent's.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// A gateway that has enrolled.
pub(super) struct Gateway {
    agent: Agent,
}

/// A gateway's word on a revision.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) number: u64,
    /// When it came.
    pub(super) received: Instant,
    /// When the control plane had heard what came of it.
    pub(super) acknowledged: Instant,
}

impl Gateway {
    pub(super) async fn enrol(address: SocketAddr, number: usize, token: String) -> anyhow::Result<Self> {
        Ok(Self { agent: Agent::enrol(address, &format!("gw-{number}"), &token).await? })
    }

    /// Follows, and says how it is, for ever.
    pub(super) async fn run(&self, heartbeat: Duration, connected: &Connected, say: mpsc::Sender<Word>) {
        let (apply, applied) = watch::channel(0);
        tokio::join!(self.follow(connected, &say, &apply), self.beat(heartbeat, applied));
    }

    async fn follow(&self, connected: &Connected, say: &mpsc::Sender<Word>, apply: &watch::Sender<u64>) {
        let mut pause = PAUSE.0;
        loop {
            let mut opened = None;
            // Whatever ended it, it is opened again.
            let _ = self.stream(connected, say, apply, &mut opened).await;
            if let Some(opened) = opened {
                connected.0.fetch_sub(1, Ordering::SeqCst);
                if Instant::elapsed(&opened) > Duration::from_secs(5) {
                    pause = PAUSE.0;
                }
            }
            sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    async fn stream(
        &self,
        connected: &Connected,
        say: &mpsc::Sender<Word>,
        apply: &watch::Sender<u64>,
        opened: &mut Option<Instant>,
    ) -> anyhow::Result<()> {
        let path = format!("/v1/agent/revisions?after={}", *apply.borrow());
        let bearer = self.agent.assertion("GET", &path)?;
        let mut stream = Connection::open(self.agent.address).await?;
        let headers = "Accept: text/event-stream\r\n";
        let request = Request { method: "GET", path: &path, bearer: &bearer, headers, body: "" };
        let status = stream.follow(request).await?;
        if status != 200 {
            bail!("the stream is answered with {status}");
        }
        *opened = Some(Instant::now());
        connected.0.fetch_add(1, Ordering::SeqCst);
        let mut post = None;
        while let Some(piece) = stream.chunk().await? {
            let received = Instant::now();
            // A revision is sent as one piece.
            let Some(data) = data(&piece).filter(|_| piece.starts_with(b"event: revision")) else { continue };
            let revision: SignedRevision = serde_json::from_slice(data)?;
            let number = revision.number;
            let said = json!({ "number": number, "digest": revision.digest, "outcome": "applied" });
            self.post(&mut post, "/v1/agent/acknowledgements", &said).await;
            apply.send_replace(number);
            let word = Word { number, received, acknowledged: Instant::now() };
            // The scenario may be over.
            let _ = say.send(word).await;
        }
        Ok(())
    }

    async fn beat(&self, heartbeat: Duration, applied: watch::Receiver<u64>) {
        let mut post = None;
        loop {
            sleep(heartbeat.mul_f64(0.5 + fastrand::f64())).await;
            let applied = Some(*applied.borrow()).filter(|number| *number > 0);
            let mut beat = json!({ "version": "load", "started_at": "2026-01-01T00:00:00Z" });
            if let (Some(number), Some(beat)) = (applied, beat.as_object_mut()) {
                beat.insert("applied".to_owned(), json!(number));
            }
            let _ = self.try_post(&mut post, "/v1/agent/heartbeat", &beat).await;
        }
    }

    /// Says something until it was heard.
    async fn post(&self, connection: &mut Option<Connection>, path: &str, body: &Value) {
        let mut pause = PAUSE.0;
        while self.try_post(connection, path, body).await.is_err() {
            *connection = None;
            sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    async fn try_post(
        &self,
        connection: &mut Option<Connection>,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<()> {
        let bearer = self.agent.assertion("POST", path)?;
        let body = body.to_string();
        let request = Request { method: "POST", path, bearer: &bearer, headers: "", body: &body };
        // One that was idle may have been closed meanwhile, and is no failure of the control plane.
        let kept = match connection.take() {
            Some(mut kept) => kept.ask(request).await.ok().map(|(status, _)| (status, kept)),
            None => None,
        };
        let (status, open) = match kept {
            Some(kept) => kept,
            None => {
                let mut open = Connection::open(self.agent.address).await?;
                (open.ask(request).await?.0, open)
            }
        };
        if status != 204 {
            bail!("{path} is answered with {status}");
        }
        *connection = Some(open);
        Ok(())
    }
}

/// The data of an event.
fn data(piece: &[u8]) -> Option<&[u8]> {
    piece.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"data: "))
}
