//! What the gateway keeps of one request while it is served.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use mcpg_cp_api::trace_context::{Hex, TraceContext};
use mcpg_filters::transform::redact::Redactor;
use mcpg_ledger::{Completion, RequestId};
use mcpg_protocol::{Era, RpcError};
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::ResponseHeader;

use crate::pipeline::{Ask, Authorized, outcome_row};
use crate::refusal::Refusal;
use crate::response::{Answer, Changes, Rewrite};
use crate::revision::{Generation, Revision, Route};
use crate::sessions::{SESSION_ID, SessionKeys, SessionToken, UpstreamRef};
use crate::upstream::{HttpUpstream, OnBehalf, Outcome, Permit, UpstreamError};

/// One request.
pub struct Context {
    /// The generation that it sees from beginning to end. The revision of its scope is known once it is authorized.
    pub generation: Arc<Generation>,
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
    /// Its place among the calls to its upstream, where it passes straight through.
    pub permit: Option<Permit>,
    /// What the upstream's answer, or its absence, says of the upstream.
    pub(crate) outcome: Option<Outcome>,
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
    pub fn new(generation: Arc<Generation>) -> Self {
        Self {
            generation,
            request_id: fresh(),
            trace: TraceContext { trace_id: [0; 16], parent: None, span_id: [0; 8], flags: 0 },
            authorized: None,
            answer: None,
            status: 0,
            completion: None,
            direct: Direct::default(),
            permit: None,
            outcome: None,
            started: Instant::now(),
        }
    }

    /// Everything of the request, for whoever ends it elsewhere. What stays has nothing left to end.
    pub(crate) fn take(&mut self) -> Self {
        let rest = Self::new(Arc::clone(&self.generation));
        std::mem::replace(self, rest)
    }

    /// Joins the trace that the message names, where the headers named none.
    pub(crate) fn join_trace(&mut self, traceparent: Option<&str>) {
        if let Some(traceparent) = traceparent
            && self.trace.parent.is_none()
            && self.generation.propagate_trace
        {
            self.trace = TraceContext::join(Some(traceparent.as_bytes()), fresh());
        }
    }

    /// The revision of an authorized request's scope.
    ///
    /// # Errors
    /// When it is not authorized.
    pub fn revision(&self) -> Result<&Arc<Revision>> {
        let unauthorized = || Error::explain(ErrorType::InternalError, "the request is not authorized");
        self.authorized.as_ref().map(Authorized::revision).ok_or_else(unauthorized)
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

    /// Takes a place among the calls to the upstream.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn enter(&mut self) -> Result<(), Refusal> {
        let Some((authorized, route)) = self.authorized.as_ref().and_then(|it| Some((it, it.route()?)))
        else {
            return Ok(());
        };
        let permit = match authorized.ask() {
            Ask::Told | Ask::Stream | Ask::End => route.gate.aside(),
            _ => route.gate.permit().await,
        };
        let refused = |error: UpstreamError| Refusal::new(error.rpc(), authorized.id(), error.to_string());
        self.permit = Some(permit.map_err(refused)?);
        Ok(())
    }

    /// Puts another token in place of the one that the upstream has refused (401). False if there is none, or it would be refused
    /// too.
    pub(crate) async fn renew_authorization(&mut self, bearer: Option<&[u8]>) -> bool {
        let Some(on_behalf) = self.on_behalf(bearer) else { return false };
        let credentials = self.http().ok().and_then(|http| http.credentials.as_ref());
        let (Some(credentials), Some(used)) = (credentials, &self.direct.authorization) else { return false };
        if !credentials.refused(&on_behalf, used) {
            return false;
        }
        // Why there is none is in the log already.
        let Ok(renewed) = credentials.authorization(&on_behalf).await else { return false };
        self.direct.authorization = Some(renewed);
        true
    }

    /// For whom the upstream is spoken to.
    fn on_behalf<'a>(&'a self, bearer: Option<&'a [u8]>) -> Option<OnBehalf<'a>> {
        let caller = self.authorized.as_ref()?.caller();
        Some(OnBehalf { caller, bearer, traceparent: None })
    }

    /// How long the call may take in all; none for a stream that may last.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let authorized = self.authorized.as_ref()?;
        let lasts = matches!(authorized.ask(), Ask::Listen | Ask::Stream);
        authorized.route().filter(|_| !lasts).map(|route| route.gate.calls().deadline)
    }

    /// Notes what the status of the upstream's answer says of the upstream.
    fn note_status(&mut self, status: StatusCode, event_stream: bool) {
        self.outcome = Some(Outcome::of_status(status));
        let Some(authorized) = &self.authorized else { return };
        if let Some(route) = authorized.route()
            && authorized.protocol().era() == Era::Modern
            && matches!(
                status,
                StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
            )
        {
            route.doubt_standing();
        }
        if event_stream && matches!(authorized.ask(), Ask::Listen) {
            // It may last: from here on it takes no place from calls.
            self.leave();
        }
    }

    /// Gives the place back.
    fn leave(&mut self) {
        match (self.permit.take(), self.outcome) {
            (Some(permit), Some(outcome)) => permit.outcome(outcome),
            (permit, _) => drop(permit),
        }
    }

    /// What must be redacted from the answer.
    fn redactor(&self) -> Redactor {
        self.authorized.as_ref().map(|it| it.redactor().clone()).unwrap_or_default()
    }

    /// Begins an answer: looks at its head, and changes it where the body will change. True for an event stream.
    ///
    /// # Errors
    /// When a header cannot be set.
    pub(crate) fn begin_answer(&mut self, head: &mut ResponseHeader) -> Result<bool> {
        let id = self.authorized.as_ref().and_then(Authorized::id).map(Box::from);
        let status = head.status;
        self.begin_session(head)?;
        let bodies = self.revision()?.bodies;
        let changes = Changes { rewrite: self.direct.rewrite.take(), redactor: self.redactor() };
        let answer = Answer::begin(head, changes, id, bodies)?;
        let event_stream = answer.is_event_stream();
        self.answer = Some(answer);
        self.note_status(status, event_stream);
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
    pub(crate) async fn chunk(&mut self, body: &mut Option<Bytes>, end: bool) -> Result<()> {
        let Some(answer) = &mut self.answer else { return Ok(()) };
        answer
            .chunk(body, end)
            .await
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

    /// Notes how a dispatched request failed.
    pub(super) fn fail(&mut self, error: &Error, failure: Option<RpcError>) {
        let client = matches!(error.esource(), ErrorSource::Downstream) || failure.is_none();
        self.completion = Some(if client { Completion::ClientAborted } else { Completion::UpstreamError });
        self.outcome = match failure {
            Some(RpcError::UpstreamTimeout | RpcError::UpstreamUnavailable) => Some(Outcome::Failed),
            // Whether the upstream would have answered is not known.
            Some(RpcError::Denied) => self.outcome,
            _ if client => self.outcome,
            _ => Some(Outcome::Answered),
        };
    }

    /// Counts and records the end of the request.
    pub(crate) fn finish(&mut self, sent: usize) {
        self.leave();
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
        if let Err(error) = authorized.revision().scope.audit.record_now(&row) {
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
