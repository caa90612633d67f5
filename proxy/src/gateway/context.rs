//! What the gateway keeps of one request while Pingora drives it.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use mcpg_filters::transform::redact::Redactor;
use mcpg_ledger::{Completion, RequestId};
use mcpg_protocol::RpcError;
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::ResponseHeader;

use super::Gateway;
use crate::pipeline::{Authorized, outcome_row};
use crate::response::{Answer, Changes, Rewrite};
use crate::revision::{Revision, Route};
use crate::sessions::{SESSION_ID, SessionKeys, SessionToken, UpstreamRef};
use crate::trace_context::{Hex, TraceContext};
use crate::upstream::HttpUpstream;

/// One request.
pub struct Context {
    /// The revision that it sees from beginning to end.
    pub revision: Arc<Revision>,
    /// What ties its audit rows together. Made here: a trace id comes from the client, who may send it twice.
    pub request_id: RequestId,
    /// Its place in a trace.
    pub trace: TraceContext,
    /// Set once every stage let it pass.
    pub authorized: Option<Authorized>,
    /// Set once the upstream answers.
    pub answer: Option<Answer>,
    /// The HTTP status sent.
    pub status: u16,
    /// How it ended, where that is known already.
    pub completion: Option<Completion>,
    /// What is different on a request that passes straight through.
    pub direct: Direct,
    started: Instant,
}

/// What is different on the way, where names or sessions here are not the upstream's.
#[derive(Default)]
pub struct Direct {
    /// `Mcp-Name` for the upstream.
    pub name: Option<HeaderValue>,
    /// `Mcp-Session-Id` for the upstream. The client's own never passes.
    pub session: Option<HeaderValue>,
    /// `Authorization` for the upstream, where the binding has credentials of its own.
    pub authorization: Option<HeaderValue>,
    /// What is done to the messages of the answer.
    pub rewrite: Option<Box<dyn Rewrite>>,
    /// The session that the answer begins.
    pub begins: Option<Beginning>,
}

/// A session that begins with the upstream's answer.
pub struct Beginning {
    /// What seals it.
    pub keys: Arc<SessionKeys>,
    /// The session, but for the upstream's own.
    pub token: SessionToken,
    /// The binding that it is with.
    pub binding: Box<str>,
}

impl Context {
    /// A request that has just arrived.
    pub fn new(revision: Arc<Revision>) -> Self {
        Self {
            revision,
            request_id: fresh(),
            trace: TraceContext { trace_id: [0; 16], parent: None, span_id: [0; 8], flags: 0 },
            authorized: None,
            answer: None,
            status: 0,
            completion: None,
            direct: Direct::default(),
            started: Instant::now(),
        }
    }

    /// Joins the trace that the message names, where the headers named none.
    pub(super) fn join_trace(&mut self, traceparent: Option<&str>) {
        if let Some(traceparent) = traceparent
            && self.trace.parent.is_none()
            && self.revision.propagate_trace
        {
            self.trace = TraceContext::join(Some(traceparent.as_bytes()), fresh());
        }
    }

    /// Where an authorized request goes.
    ///
    /// # Errors
    /// When it is not authorized: nothing is dispatched.
    pub fn route(&self) -> Result<&Arc<Route>> {
        self.authorized.as_ref().and_then(Authorized::route).ok_or_else(|| {
            Error::explain(ErrorType::InternalError, "the request is not authorized for one binding")
        })
    }

    /// The HTTP endpoint that an authorized request goes to.
    ///
    /// # Errors
    /// When the request is not authorized, or its upstream is no HTTP endpoint.
    pub fn http(&self) -> Result<&HttpUpstream> {
        self.route()?
            .http()
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "the upstream is no HTTP endpoint"))
    }

    /// What must be redacted from the answer.
    fn redactor(&self) -> Redactor {
        self.authorized
            .as_ref()
            .map_or_else(|| self.revision.scope.redactor.clone(), |it| it.redactor().clone())
    }

    /// Begins an answer: looks at its head, and changes it where the body will change. True for an event stream.
    ///
    /// # Errors
    /// When a header cannot be set.
    pub(crate) fn begin_answer(&mut self, head: &mut ResponseHeader) -> Result<bool> {
        let id = self.authorized.as_ref().and_then(Authorized::id).map(Box::from);
        self.begin_session(head)?;
        let changes = Changes { rewrite: self.direct.rewrite.take(), redactor: self.redactor() };
        let answer = Answer::begin(head, changes, id, self.revision.bodies)?;
        let event_stream = answer.is_event_stream();
        self.answer = Some(answer);
        Ok(event_stream)
    }

    /// The client gets a sealed id for the session that begins, and never the upstream's own.
    fn begin_session(&mut self, head: &mut ResponseHeader) -> Result<()> {
        let upstream = head.remove_header(&SESSION_ID);
        let Some(beginning) = self.direct.begins.take() else { return Ok(()) };
        let Some(id) = upstream.as_ref().and_then(|id| id.to_str().ok()) else { return Ok(()) };
        let Beginning { keys, mut token, binding } = beginning;
        token.upstreams = vec![UpstreamRef { binding, id: id.into(), protocol: token.client.protocol }];
        let sealed = keys
            .seal(&token)
            .map_err(|error| Error::because(ErrorType::InternalError, "session not sealed", error))?;
        head.insert_header(SESSION_ID, sealed)
    }

    /// Takes a piece of the upstream's body and leaves what goes to the client.
    ///
    /// # Errors
    /// When the answer must end here.
    pub(crate) fn chunk(&mut self, body: &mut Option<Bytes>, end: bool) -> Result<()> {
        let Some(answer) = &mut self.answer else { return Ok(()) };
        answer
            .chunk(body, end)
            .map_err(|error| Error::because(ErrorType::InternalError, "answer cut off", error).into_up())
    }

    /// Whether an error of ours has taken the answer's place: the rest of it is not worth reading.
    pub(crate) fn replaces_answer(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.replaced.is_some())
    }

    /// Whether the answer will be read on its way.
    pub(crate) fn must_read_answer(&self) -> bool {
        self.direct.rewrite.is_some()
            || self.authorized.as_ref().is_none_or(|authorized| !authorized.redactor().is_empty())
    }

    /// Whether the request may be sent twice.
    pub(super) fn is_idempotent(&self) -> bool {
        self.authorized.as_ref().is_some_and(Authorized::is_idempotent)
    }

    /// Notes how a dispatched request failed.
    pub(super) fn fail(&mut self, error: &Error, failure: Option<RpcError>) {
        let client = matches!(error.esource(), ErrorSource::Downstream) || failure.is_none();
        self.completion = Some(if client { Completion::ClientAborted } else { Completion::UpstreamError });
    }

    /// Counts and records the end of the request.
    pub(super) fn finish(&mut self, gateway: &Gateway, sent: usize) {
        let took = self.started.elapsed();
        let Some(authorized) = &self.authorized else { return };
        let metrics = &authorized.endpoint().metrics;
        let metrics = authorized.route().map_or(metrics, |route| &route.metrics);
        metrics.permitted.inc();
        metrics.duration.observe(took.as_secs_f64());
        let of_answer = self.answer.as_ref().map(|answer| answer.completion);
        let completion = match (self.completion, of_answer) {
            (_, Some(Completion::Withheld)) => Completion::Withheld,
            (Some(completion), _) | (None, Some(completion)) => completion,
            (None, None) => Completion::UpstreamError,
        };
        let row = outcome_row(self.request_id, SystemTime::now(), took, self.status, sent, completion);
        if let Err(error) = gateway.audit.record_now(&row) {
            tracing::error!(%error, request_id = %Hex(&self.request_id), "outcome not recorded");
        }
        tracing::debug!(
            request_id = %Hex(&self.request_id),
            trace_id = %Hex(&self.trace.trace_id),
            binding = authorized.route().map_or("*", |route| &route.id),
            status = self.status,
            bytes = sent,
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "request served"
        );
    }
}

/// Random bytes: unique, not secret.
pub(super) fn fresh<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fastrand::fill(&mut bytes);
    bytes
}
