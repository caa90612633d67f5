//! Who follows the control plane beside the requests: the agents of what was enrolled in before, and of what is enrolled in meanwhile.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::control_plane::{Agent, Attached, Joining, PushRequest};
use crate::gateway::Gateway;

/// Those who follow.
pub(super) struct Following {
    agents: Vec<Agent>,
    joining: Mutex<Option<Joining>>,
    refused: Arc<Refused>,
}

/// That the control plane refuses a gateway that has nothing to serve: the end of the process.
#[derive(Debug, Default)]
pub(super) struct Refused {
    error: Mutex<Option<anyhow::Error>>,
    told: Notify,
}

impl Following {
    pub(super) fn new(attached: Option<Attached>, refused: Arc<Refused>) -> Self {
        let (agents, joining) = match attached {
            Some(attached) => (attached.agents, attached.joining),
            None => (Vec::new(), None),
        };
        Self { agents, joining: Mutex::new(joining), refused }
    }

    /// Follows for as long as it is polled.
    pub(super) async fn run(&self, push: mpsc::Sender<PushRequest>, gateway: &Gateway) {
        let (found, joined) = mpsc::channel(1);
        let joining = self.joining.lock().take();
        let known = join_all(self.agents.iter().map(|agent| agent.run(push.clone())));
        tokio::join!(known, run_each(joined, &push), self.join(joining, found, gateway));
        // The reloader's end stays open.
        std::future::pending::<()>().await;
    }

    async fn join(&self, joining: Option<Joining>, found: mpsc::Sender<Agent>, gateway: &Gateway) {
        let Some(joining) = joining else { return };
        let Err(error) = joining.run(found).await else { return };
        if gateway.revisions.peek(|generation| generation.scopes.is_empty()) {
            self.refused.note(error);
        }
    }
}

/// Runs agents as they come.
async fn run_each(mut joined: mpsc::Receiver<Agent>, push: &mpsc::Sender<PushRequest>) {
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(agent) = joined.recv() => {
                let push = push.clone();
                running.push(async move { agent.run(push).await });
            }
            Some(()) = running.next() => {}
            else => return,
        }
    }
}

impl Refused {
    fn note(&self, error: anyhow::Error) {
        *self.error.lock() = Some(error);
        self.told.notify_one();
    }

    /// Returns once there is something.
    pub(super) async fn noted(&self) {
        self.told.notified().await;
    }

    pub(super) fn take(&self) -> Option<anyhow::Error> {
        self.error.lock().take()
    }
}
