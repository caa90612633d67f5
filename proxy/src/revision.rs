//! The revision: everything that a request reads, as one immutable value.
//!
//! A request takes the revision once and keeps it to its end, so it sees one version of everything. A
//! reload builds a new one off the request path and swaps it in; whatever cannot be built changes nothing.
//! Dropping a revision drops its caches, so nothing is ever invalidated.

mod build;
mod endpoint;
mod routes;
mod store;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mcpg_config::Server;
use mcpg_filters::identity::IdentityChain;
use mcpg_filters::policy::PolicyChain;
use mcpg_filters::reliability::rate_limit::RateLimit;
use mcpg_filters::transform::redact::Redactor;
use mcpg_sdk::Scope;

pub use build::{BuildError, Builder, effective_digest, source_paths};
pub use endpoint::{Endpoint, Naming};
pub use routes::{Origin, Route, Routes, Transport};
pub use store::{Applied, Refused, RevisionStore, Standing};

use crate::federation::Federation;
use crate::guard::GuardLimits;
use crate::pipeline::{Gates, Plugins};
use crate::sessions::SessionKeys;
use crate::tls::Terminations;

/// One version of everything that a request reads.
pub struct Revision {
    /// Counts up from 1 with every revision that comes into force.
    pub number: u64,
    /// BLAKE3 of the configuration's bytes.
    pub digest: [u8; 32],
    /// When it was built.
    pub built: SystemTime,
    /// Hosts and origins that are answered.
    pub server: Server,
    /// What listeners with TLS show and ask for.
    pub tls: Terminations,
    /// Limits below HTTP.
    pub guard: GuardLimits,
    /// Limits of a message.
    pub message: mcpg_protocol::Limits,
    /// Limits of bodies in both directions.
    pub bodies: BodyLimits,
    /// Whether trace context is joined and passed on.
    pub propagate_trace: bool,
    /// What is allowed but probably not meant, for the operator.
    pub warnings: Vec<String>,
    /// What seals the ids of legacy sessions.
    pub sessions: Arc<SessionKeys>,
    /// How long a legacy session lasts.
    pub session_ttl: Duration,
    /// What endpoints of several bindings list.
    pub federation: Federation,
    /// How long a call waits for what its upstream asked of the client.
    pub input_timeout: Duration,
    /// The one scope that this gateway serves.
    pub scope: ScopeState,
}

impl Revision {
    /// Begins what a revision in force does in the background. It takes a runtime that lasts as long as the process.
    pub fn start(&self) {
        self.scope.identity.start();
    }
}

/// What belongs to one scope.
pub struct ScopeState {
    /// Which one.
    pub scope: Scope,
    /// Stage 3.
    pub identity: IdentityChain,
    /// Stage 5.
    pub quotas: Vec<Arc<RateLimit>>,
    /// Stage 6.
    pub policy: PolicyChain,
    /// Stage 7.
    pub gates: Gates,
    /// Stage 8.
    pub plugins: Plugins,
    /// Stage 9.
    pub routes: Routes,
    /// Stage 10: what is done to every response of the scope.
    pub redactor: Redactor,
}

/// Limits of bodies.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// A request body.
    pub request_bytes_max: usize,
    /// The time a request body may take in all.
    pub request_timeout: Duration,
    /// A response that is no event stream.
    pub response_bytes_max: usize,
    /// One event of a stream that is read on its way.
    pub event_bytes_max: usize,
    /// A response that is held to be changed.
    pub held_bytes_max: usize,
}
