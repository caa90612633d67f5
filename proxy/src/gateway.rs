//! The shell between Pingora and the pipeline: it translates, and decides nothing.

mod answer;
mod body;
mod context;
mod failure;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use async_trait::async_trait;
use http::HeaderValue;
use mcpg_ledger::Completion;
use mcpg_protocol::RpcError;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_proxy::{FailToProxy, ProxyHttp, Session};
use tokio::sync::watch;

use answer::write_refusal;
pub(crate) use body::{SessionExchange, connection};
pub use context::{Beginning, Context, Direct};

use crate::approvals::{self, Approvals};
use crate::audit::Ledger;
use crate::bridge::Bridge;
use crate::guard::{GuardLimits, GuardPolicy, Handshake, HeadError};
use crate::metrics::Metrics;
use crate::pipeline::{self, Admission, Arrival};
use crate::refusal::Refusal;
use crate::resource_metadata;
use crate::revision::RevisionStore;
use crate::serve::{self, Shared, Waited};
use crate::sessions::LocalSessions;
use crate::tls::Termination;
use crate::trace_context::{Hex, TraceContext};

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

/// [`ProxyHttp`] for a shared gateway.
pub struct Proxy(pub Arc<Gateway>);

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

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.0.revisions.load())
    }

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        let gateway = &self.0;
        let generation = Arc::clone(&context.generation);
        // The guard has set it for HTTP/1; a stream of HTTP/2 has it from here.
        session.set_write_timeout(Some(generation.guard.write_timeout));
        let traceparent = generation.propagate_trace.then(|| session.get_header("traceparent")).flatten();
        context.trace = TraceContext::join(traceparent.map(HeaderValue::as_bytes), context::fresh());
        if let Some(path) = resource_metadata::asked_for(session.req_header().uri.path()) {
            let path = path.to_owned();
            gateway.describe(session, context, &path).await?;
            return Ok(true);
        }
        if approvals::is_ours(session.req_header().uri.path()) {
            if let Some(refusal) = Box::pin(approvals::serve(session, context, gateway)).await? {
                gateway.refuse(session, context, &refusal, None).await?;
            }
            return Ok(true);
        }
        let mut exchange = SessionExchange::new(session);
        let admitted =
            pipeline::admit(&generation, gateway, &mut exchange, context.request_id, gateway.arrival()).await;
        match admitted {
            Ok(Admission::Authorized(authorized)) => gateway.pass(session, context, authorized).await?,
            Ok(Admission::Awaiting(awaiting)) => {
                let metrics = Arc::clone(awaiting.metrics());
                match Box::pin(serve::wait(session, context, gateway, awaiting)).await? {
                    Waited::Authorized(authorized) => gateway.pass(session, context, *authorized).await?,
                    Waited::Answered => {}
                    Waited::Refused(refusal) => {
                        gateway.refuse(session, context, &refusal, Some(&metrics)).await?;
                    }
                }
            }
            Err(refused) => {
                gateway.refuse(session, context, &refused.refusal, refused.metrics.as_ref()).await?;
            }
        }
        Ok(true)
    }

    async fn upstream_peer(&self, _session: &mut Session, _context: &mut Context) -> Result<Box<HttpPeer>> {
        // Every request is answered by the time Pingora would send it on.
        Error::e_explain(ErrorType::InternalError, "a request was left to the framework")
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Context,
    ) -> FailToProxy {
        let failure = failure::classify(error);
        context.fail(error, failure);
        let of_upstream = failure.filter(|failure| *failure != RpcError::Denied);
        if let (Some(failure), Ok(route)) = (of_upstream, context.route()) {
            let metrics = context.revision().map_or(&self.0.metrics, |revision| &revision.scope.metrics);
            metrics.upstream_failed(&route.id, failure.reason());
            tracing::warn!(
                request_id = %Hex(&context.request_id),
                trace_id = %Hex(&context.trace.trace_id),
                binding = route.id,
                reason = failure.reason(),
                cause = %error.etype().as_str(),
                "upstream call failed"
            );
        }
        if let Some(failure) = failure
            && session.response_written().is_none()
        {
            let id = context.authorized.as_ref().and_then(|authorized| authorized.id());
            let refusal = Refusal::new(failure, id, "").closing();
            context.status = refusal.status();
            if write_refusal(session, &refusal).await.is_err() {
                context.completion = Some(Completion::ClientAborted);
            }
        }
        FailToProxy { error_code: context.status, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        if let Some(error) = error
            && context.completion.is_none()
        {
            let client = matches!(error.esource(), ErrorSource::Downstream);
            context.completion =
                Some(if client { Completion::ClientAborted } else { Completion::UpstreamError });
        }
        context.finish(session.body_bytes_sent());
    }

    fn suppress_error_log(&self, _session: &Session, _context: &Context, _error: &Error) -> bool {
        // What matters is logged above, without the request's own text in it.
        true
    }
}
