//! The shell between Pingora's connections and the pipeline: it translates, and decides nothing.

mod answer;
mod body;
mod context;
mod failure;
mod handler;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use tokio::sync::watch;

pub(crate) use body::{SessionExchange, connection};
pub use context::{Beginning, Context, Direct};

use crate::approvals::Approvals;
use crate::audit::Ledger;
use crate::bridge::Bridge;
use crate::control_plane::Standing;
use crate::guard::{GuardLimits, GuardPolicy, Handshake, HeadError};
use crate::metrics::Metrics;
use crate::pipeline::Arrival;
use crate::refusal::Refusal;
use crate::revision::RevisionStore;
use crate::serve::Shared;
use crate::sessions::LocalSessions;
use crate::tls::Termination;

/// What every request shares.
pub struct Gateway {
    /// The revision in force.
    pub revisions: Arc<RevisionStore>,
    /// Where what happens to the gateway itself is recorded. Decisions are in the log of their scope's organization.
    pub audit: Arc<Ledger>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What the gateway's own answers need besides a revision.
    pub shared: Arc<Shared>,
    /// What must be up before the gateway counts as ready.
    pub startup: Startup,
    /// Where it stands with its control plane, if it has one.
    pub control_plane: OnceLock<Arc<Standing>>,
    started: Instant,
}

/// The parts of the process that come up after the listeners.
#[derive(Debug, Default)]
pub struct Startup {
    /// Signals are received.
    pub signals: AtomicBool,
    /// Files are watched, and none has changed unseen.
    pub watching: AtomicBool,
}

impl Startup {
    /// Whether all are up.
    pub fn is_complete(&self) -> bool {
        self.signals.load(Ordering::Acquire) && self.watching.load(Ordering::Acquire)
    }
}

/// Calls that wait for what their upstreams asked of clients, on this instance.
const CALLS_WAITING_MAX: usize = 4096;

impl Gateway {
    /// A gateway over a first revision.
    pub fn new(
        revisions: Arc<RevisionStore>,
        audit: Arc<Ledger>,
        metrics: Arc<Metrics>,
        sessions_max: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::new(Shared {
                metrics: Arc::clone(&metrics),
                sessions: LocalSessions::new(sessions_max),
                revisions: Arc::clone(&revisions),
                leaving: watch::Sender::new(false),
                bridge: Bridge::new(CALLS_WAITING_MAX),
                approvals: Arc::new(Approvals::new()),
            }),
            revisions,
            audit,
            metrics,
            startup: Startup::default(),
            control_plane: OnceLock::new(),
            started: Instant::now(),
        })
    }

    fn arrival(&self) -> Arrival {
        let elapsed = self.started.elapsed().as_nanos();
        Arrival { wall: SystemTime::now(), monotonic_ns: u64::try_from(elapsed).unwrap_or(u64::MAX) }
    }
}

impl GuardPolicy for Gateway {
    fn limits(&self) -> GuardLimits {
        self.revisions.peek(|generation| generation.guard)
    }

    fn refuse(&self, error: HeadError) -> Vec<u8> {
        let refusal = Refusal::head(error);
        self.metrics.refused(refusal.reason);
        tracing::info!(status = refusal.status(), reason = refusal.reason, "request head refused");
        refusal.to_http1()
    }

    fn tls(&self, listener: usize) -> Option<Arc<Termination>> {
        self.revisions.peek(|revision| revision.tls.of(listener).cloned())
    }

    fn handshake_ended(&self, peer: IpAddr, ended: &Handshake) {
        let result = match ended {
            Handshake::Complete => "complete",
            Handshake::TimedOut => "timed_out",
            Handshake::Failed(error) => {
                tracing::debug!(%peer, %error, "no agreement on TLS");
                "failed"
            }
        };
        self.metrics.handshake(result);
    }
}
