//! The revision: everything that a request of one scope reads, as one immutable value; and the generation: the revisions of all
//! scopes that are in force together.
//!
//! A request takes the generation once, and the revision of its scope from it, and keeps both to its end, so it sees one version of everything. A
//! reload builds a new one off the request path and swaps it in; whatever cannot be built changes nothing.
//! Dropping a revision drops its caches, so nothing is ever invalidated.

mod build;
mod endpoint;
mod routes;
mod scopes;
mod store;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use mcpg_config::{RevocationList, Server};
use mcpg_filters::identity::IdentityChain;
use mcpg_filters::policy::PolicyChain;
use mcpg_filters::reliability::rate_limit::RateLimit;
use mcpg_filters::transform::redact::Redactor;
use mcpg_sdk::Scope;
use mcpg_sdk::policy::EngineError;

pub use build::{Artifacts, BuildError, Builder, Engine, Engines, effective_digest, source_paths};
pub use endpoint::{Endpoint, Naming};
pub use routes::{Origin, Route, Routes, Transport};
pub use scopes::{Members, Place, Scopes};
pub use store::{Applied, Refused, RevisionStore, Standing};

use crate::audit::Ledger;
use crate::connection::Connection;
use crate::federation::Federation;
use crate::forwarded;
use crate::guard::GuardLimits;
use crate::metrics::Metrics;
use crate::pipeline::{Gates, Plugins};
use crate::recorded::Recorder;
use crate::sessions::SessionKeys;
use crate::tls::Terminations;

/// One version of everything: what belongs to the process, and a revision of every scope.
///
/// A reload makes a new generation, in which a scope that nothing has changed for keeps its revision, with all that it has cached.
pub struct Generation {
    /// Counts up from 1 with every generation that comes into force.
    pub number: u64,
    /// BLAKE3 of the whole configuration.
    pub digest: [u8; 32],
    /// When it was built.
    pub built: SystemTime,
    /// Hosts and origins that are answered.
    pub server: Server,
    /// What listeners with TLS show and ask for.
    pub tls: Terminations,
    /// Limits below HTTP.
    pub guard: GuardLimits,
    /// Whether trace context is joined and passed on.
    pub propagate_trace: bool,
    /// What is allowed but probably not meant, for the operator.
    pub warnings: Vec<String>,
    /// The scopes.
    pub scopes: Scopes,
}

impl Generation {
    /// Begins what a generation in force does in the background. It takes a runtime that lasts as long as the process.
    pub fn start(&self) {
        self.scopes.iter().for_each(|revision| revision.scope.identity.start());
    }
}

impl Generation {
    /// Whether what a peer says of its own clients is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.server.trusted_proxies.iter().any(|block| block.contains(peer))
    }

    /// Where a request came from: its peer's address, or what trusted proxies say.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        forwarded::client(peer, headers, |address| self.trusts(address))
    }

    /// Whether a client speaks TLS, with us or with the trusted proxy in front. What a proxy says that is neither counts as no.
    pub fn is_secure(&self, connection: Connection<'_>, headers: &HeaderMap) -> bool {
        let has_tls = connection.tls.is_some();
        forwarded::is_secure(connection.peer, has_tls, headers, |address| self.trusts(address))
            .unwrap_or(false)
    }
}

/// One version of everything that a request reads once its scope is known.
pub struct Revision {
    /// The number of the generation that brought it.
    pub number: u64,
    /// BLAKE3 of what the scope is configured by.
    pub digest: [u8; 32],
    /// When it was built.
    pub built: SystemTime,
    /// Limits of a message.
    pub message: mcpg_protocol::Limits,
    /// Limits of bodies in both directions.
    pub bodies: BodyLimits,
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
    /// What the policies that decide came from.
    pub artifacts: Vec<Artifacts>,
    /// Policy entries whose bundles are revoked.
    pub revoked: usize,
    /// What belongs to the scope.
    pub scope: ScopeState,
}

impl Revision {
    /// Denies every call from now on, if policies that decide came from an artifact of the list. Why, for each.
    pub fn revoke(&self, list: &RevocationList) -> Vec<String> {
        let revoked = self.artifacts.iter().filter_map(|one| Some((one.engine.as_str(), one.revoked(list)?)));
        let close = |(engine, error): (&str, EngineError)| {
            self.scope.policy.close(engine, &error);
            format!("{engine}: {error}")
        };
        revoked.map(close).collect()
    }
}

/// What belongs to one scope.
pub struct ScopeState {
    /// Which one.
    pub scope: Scope,
    /// Whether its hosts have TLS of their own, so that no other handshake will do for it.
    pub has_own_tls: bool,
    /// Where its decisions are recorded.
    pub audit: Arc<Ledger>,
    /// What of a decision's input is recorded.
    pub recorder: Recorder,
    /// What is counted of it.
    pub metrics: Arc<Metrics>,
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
