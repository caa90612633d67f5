//! What the gateway answers itself: merged lists, sessions, streams of several upstreams, and calls between the eras.
//!
//! A request comes here admitted: every stage up to dispatch let it pass, for the bindings in [`Admitted::routes`] and for
//! no others. Handlers speak to upstreams by `upstream` and to the client by [`Client`], which applies the obligations to
//! every message.

mod client;
mod rewrite;
mod run;
mod session;
mod wait;
mod way;
mod wire;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use mcpg_filters::identity::KeptCredentials;
use mcpg_filters::transform::redact::Redactor;
use mcpg_ledger::RequestId;
use mcpg_protocol::catalogue::ClientClass;
use mcpg_protocol::{Accept, Revision as Protocol};
use mcpg_sdk::Caller;
use tokio::sync::watch;

pub use client::{Client, ClientError};
pub(crate) use run::{bearer, over, run};
pub(crate) use wait::{Waited, wait};
pub(crate) use way::{Way, choose};

use crate::approvals::Approvals;
use crate::bridge::Bridge;
use crate::federation::{Onlooker, Requester};
use crate::metrics::Metrics;
use crate::revision::{Endpoint, Revision, RevisionStore, Route};
use crate::sessions::{LocalSessions, SessionToken};
use crate::upstream::OnBehalf;

/// What the gateway's own answers need besides a revision: it lives as long as the process.
pub struct Shared {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What is remembered of legacy sessions.
    pub sessions: LocalSessions,
    /// The revision in force: what lasts longer than one looks for the next.
    pub revisions: Arc<RevisionStore>,
    /// Turns to `true` when the process begins to leave: what could last for ever ends then.
    pub leaving: watch::Sender<bool>,
    /// Calls between the eras that wait for their clients.
    pub bridge: Bridge,
    /// Calls that wait for people.
    pub approvals: Arc<Approvals>,
}

/// A request that every stage let pass.
#[derive(Clone)]
pub struct Admitted {
    /// What lives as long as the process.
    pub shared: Arc<Shared>,
    /// The revision that it sees from beginning to end.
    pub revision: Arc<Revision>,
    /// Where it arrived.
    pub endpoint: Arc<Endpoint>,
    /// The bindings that it may reach, in the order of the configuration: one where the request has a target, each that policy
    /// permits where it is for the endpoint as a whole.
    pub routes: Vec<Arc<Route>>,
    /// Who asks.
    pub caller: Arc<Caller>,
    /// What proved it, for a request that lasts and is judged again.
    pub credentials: Arc<KeptCredentials>,
    /// Where it comes from.
    pub source: IpAddr,
    /// The bearer token of the request, for token exchange only.
    pub bearer: Option<Bytes>,
    /// The message, exactly as judged; empty for GET and DELETE. Names in it are the endpoint's, not the upstream's.
    pub body: Bytes,
    /// `Mcp-Param-*`, for an upstream of the modern era.
    pub param_headers: Vec<(HeaderName, HeaderValue)>,
    /// The revision that the message is in.
    pub protocol: Protocol,
    /// What the client can read.
    pub accept: Accept,
    /// The legacy session that it belongs to.
    pub session: Option<Arc<SessionToken>>,
    /// `Last-Event-ID` of a GET.
    pub last_event_id: Option<Box<str>>,
    /// What must be redacted from every message to the client.
    pub redactor: Redactor,
    /// Its audit rows.
    pub request_id: RequestId,
    /// `traceparent` for upstreams.
    pub traceparent: Option<[u8; 55]>,
    /// When it arrived.
    pub now: SystemTime,
}

impl Admitted {
    /// For whom upstreams are spoken to.
    pub fn on_behalf(&self) -> OnBehalf<'_> {
        OnBehalf {
            caller: &self.caller,
            bearer: self.bearer.as_deref(),
            traceparent: self.traceparent.as_ref().map(<[u8; 55]>::as_slice),
        }
    }

    /// For whom lists are fetched, with what its client can do.
    pub(crate) fn requester(&self, class: ClientClass) -> Requester {
        Requester {
            scope: self.revision.scope.scope.clone(),
            caller: Arc::clone(&self.caller),
            bearer: self.bearer.clone(),
            traceparent: self.traceparent,
            class,
        }
    }

    /// Who looks at a list.
    pub(crate) fn onlooker(&self) -> Onlooker<'_> {
        Onlooker {
            policy: &self.revision.scope.policy,
            scope: &self.revision.scope.scope,
            caller: &self.caller,
            source: self.source,
            now: self.now,
        }
    }
}
