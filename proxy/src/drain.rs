//! Leaving without failing a request: stop accepting, finish what runs, close what idles, then go.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::guard::Connections;

/// How often the state is looked at while draining. Nothing waits for it on the request path.
const POLL: Duration = Duration::from_millis(20);

/// Says that the gateway is leaving, and waits until it may.
#[derive(Debug, Clone)]
pub struct Drain {
    sender: Arc<watch::Sender<bool>>,
    connections: Arc<Connections>,
}

impl Drain {
    /// Not leaving yet.
    pub fn new(connections: Arc<Connections>) -> Self {
        Self { sender: Arc::new(watch::Sender::new(false)), connections }
    }

    /// Turns to `true` when the gateway begins to leave.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.sender.subscribe()
    }

    /// Whether the gateway is leaving.
    pub fn is_draining(&self) -> bool {
        *self.sender.borrow()
    }

    /// Begins to leave, and returns once no connection is open or `limit` has passed. The answer is the
    /// number of requests that were still running then.
    pub async fn run(&self, limit: Duration) -> usize {
        self.sender.send_replace(true);
        let deadline = Instant::now() + limit;
        let mut tick = interval(POLL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.connections.open() > 0 && timeout_at(deadline, tick.tick()).await.is_ok() {}
        self.connections.active()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::ConnectionLimits;
    use std::net::IpAddr;

    const LIMITS: ConnectionLimits = ConnectionLimits { connections_max: 9, per_ip_max: 9 };

    #[tokio::test(start_paused = true)]
    async fn waits_for_the_last_connection() {
        let connections = Connections::new();
        let permit = connections.enter(IpAddr::from([127, 0, 0, 1]), LIMITS).unwrap();
        let drain = Drain::new(connections);
        let mut watch = drain.watch();
        let leaving = tokio::spawn({
            let drain = drain.clone();
            async move { drain.run(Duration::from_secs(15)).await }
        });
        watch.wait_for(|draining| *draining).await.unwrap();
        assert!(drain.is_draining() && !leaving.is_finished());
        drop(permit);
        assert_eq!(leaving.await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn does_not_wait_for_ever() {
        let connections = Connections::new();
        let _permit = connections.enter(IpAddr::from([127, 0, 0, 1]), LIMITS);
        let _request = connections.activate();
        assert_eq!(Drain::new(connections).run(Duration::from_secs(15)).await, 1);
    }
}
