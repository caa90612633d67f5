//! What signals mean: SIGTERM, SIGQUIT and SIGINT drain and stop; SIGHUP reloads; SIGUSR2 upgrades.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::following::Refused;
use super::upgrade::Upgrade;
use crate::drain::Drain;
use crate::gateway::Gateway;

/// How long sessions with upstreams may take to end, when nothing else is left to do.
const END_TIME_MAX: Duration = Duration::from_secs(2);

/// Listens for signals for as long as the process runs.
pub(super) struct Signals {
    pub(super) drain: Drain,
    pub(super) drain_time: Duration,
    pub(super) reload_requests: mpsc::Sender<()>,
    pub(super) upgrade: Upgrade,
    pub(super) gateway: Arc<Gateway>,
    pub(super) refused: Arc<Refused>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        match Streams::open() {
            Ok(mut streams) => self.listen(&mut streams).await,
            Err(error) => tracing::error!(%error, "signals cannot be received"),
        }
        self.leave().await
    }
}

impl Signals {
    /// Returns when it is time to leave.
    async fn listen(&self, streams: &mut Streams) {
        self.gateway.startup.signals.store(true, Ordering::Release);
        notify(&[NotifyState::Ready]);
        self.upgrade.relieve_predecessor();
        loop {
            tokio::select! {
                _ = streams.terminate.recv() => return,
                _ = streams.interrupt.recv() => return,
                _ = streams.quit.recv() => return,
                () = self.refused.noted() => return,
                _ = streams.hangup.recv() => {
                    // A request that waits already covers this one.
                    let _ = self.reload_requests.try_send(());
                }
                _ = streams.user2.recv() => self.upgrade.start_successor(),
            }
        }
    }

    async fn leave(&self) -> ShutdownSignal {
        // After an upgrade the service goes on in the successor: systemd would take this for the end of both.
        if !self.upgrade.has_successor() {
            notify(&[NotifyState::Stopping]);
        }
        tracing::info!(limit_ms = u64::try_from(self.drain_time.as_millis()).unwrap_or(u64::MAX), "draining");
        self.gateway.shared.leaving.send_replace(true);
        // Nobody can come back for a call that waits: the upstreams are told while there is time.
        self.gateway.shared.bridge.parked.close();
        self.gateway.shared.approvals.close();
        let running = self.drain.run(self.drain_time).await;
        self.end_sessions().await;
        if running > 0 {
            tracing::warn!(requests = running, "requests cut off at the end of `server.shutdown.drain_ms`");
        }
        ShutdownSignal::GracefulTerminate
    }
}

impl Signals {
    /// Tells the upstreams that the sessions which the gateway holds on its own account are over.
    async fn end_sessions(&self) {
        let generation = self.gateway.revisions.load();
        let routes = generation.scopes.iter().flat_map(|revision| revision.scope.routes.iter());
        let mut ending = JoinSet::new();
        for route in routes.map(Arc::clone) {
            ending.spawn(async move { route.end_sessions(END_TIME_MAX).await });
        }
        while ending.join_next().await.is_some() {}
    }
}

struct Streams {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    user2: Signal,
}

impl Streams {
    fn open() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }
}

/// Tells systemd, if it is there.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager was not told");
    }
}
