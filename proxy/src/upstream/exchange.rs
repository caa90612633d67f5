//! One HTTP exchange with an upstream: within its limits, sent again where that does no harm, its answer read as messages.
//!
//! Nothing of a client's request goes out here but the message: every header is the gateway's.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_core::{Error, ErrorType};
use pingora_http::RequestHeader;
use tokio::time::{Instant, timeout_at};

use super::answer::Answer;
use super::body::Body;
use super::connect::{Connection, Http2Share, trust};
use super::gate::{Outcome, Permit};
use super::http1::{self, Failure, Wire, field};
use super::retries::Retries;
use super::{HttpUpstream, OnBehalf, Outgoing, Reply, UpstreamError, Verb};
use crate::dispatch::Target;
use crate::revision::{Route, Transport};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const OWN_NAME: &str = concat!("mcpg/", env!("CARGO_PKG_VERSION"));

impl Route {
    /// One exchange. The answer is streamed: dropping the [`Reply`] before its end closes the connection, by which an upstream of
    /// the modern era is told that nobody waits any more. Waits for a place ([`super::Gate`]) and keeps within
    /// `calls.deadline`, save that a stream that lasts may last.
    ///
    /// # Errors
    /// When there is no answer. An answer that is an error, in HTTP or in JSON-RPC, is a [`Reply`].
    pub async fn exchange(
        &self,
        on_behalf: &OnBehalf<'_>,
        outgoing: Outgoing,
    ) -> Result<Reply, UpstreamError> {
        let http = match &self.transport {
            Transport::Http(http) => http,
            Transport::Stdio(process) => {
                let exchanged = process.permitted(&self.gate, on_behalf, &outgoing).await;
                return exchanged.inspect_err(|error| self.note(error));
            }
        };
        let deadline = Instant::now() + self.gate.calls().deadline;
        let prepared = timeout_at(deadline, self.prepare(http, on_behalf, &outgoing)).await;
        let (permit, headers) = prepared.unwrap_or(Err(UpstreamError::Timeout { sent: false }))?;
        let opened = timeout_at(deadline, self.accepted(http, headers, on_behalf, &outgoing)).await;
        let opened = opened.unwrap_or(Err(UpstreamError::Timeout { sent: true }));
        let answered = match opened {
            Ok(body) => Answer::begin(body, &outgoing, self.replies, permit, deadline).await,
            Err(error) => {
                permit.outcome(error.outcome());
                Err(error)
            }
        };
        answered.inspect_err(|error| self.note(error))
    }

    /// The right to call, and every header of the request.
    async fn prepare(
        &self,
        http: &HttpUpstream,
        on_behalf: &OnBehalf<'_>,
        outgoing: &Outgoing,
    ) -> Result<(Permit, Vec<(HeaderName, HeaderValue)>), UpstreamError> {
        let permit = if outgoing.aside { self.gate.aside()? } else { self.gate.permit().await? };
        Ok((permit, self.head(http, on_behalf, outgoing).await?))
    }

    /// Counts a failure.
    pub(super) fn note(&self, error: &UpstreamError) {
        self.gate.metrics().failed(error.rpc().reason());
        tracing::debug!(binding = self.id, %error, "upstream exchange failed");
    }

    /// Every header of the request.
    async fn head(
        &self,
        http: &HttpUpstream,
        on_behalf: &OnBehalf<'_>,
        outgoing: &Outgoing,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, UpstreamError> {
        let accept = match outgoing.verb {
            Verb::Get => HeaderValue::from_static("text/event-stream"),
            Verb::Post | Verb::Delete => HeaderValue::from_static("application/json, text/event-stream"),
        };
        let mut headers = vec![
            (HOST, http.authority.clone()),
            (USER_AGENT, HeaderValue::from_static(OWN_NAME)),
            (ACCEPT, accept),
            (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        ];
        if !outgoing.body.is_empty() {
            headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        }
        headers.extend_from_slice(&outgoing.headers);
        // The operator's word is the last.
        headers.retain(|(name, _)| name == HOST || !http.headers.iter().any(|(ours, _)| ours == name));
        headers.extend_from_slice(&http.headers);
        if let Some(authorization) = self.authorization(on_behalf).await? {
            replace_authorization(&mut headers, authorization);
        }
        if let Some(traceparent) = on_behalf.traceparent.and_then(|bytes| HeaderValue::from_bytes(bytes).ok())
        {
            headers.push((TRACEPARENT, traceparent));
        }
        Ok(headers)
    }

    /// The head of an answer, after the upstream has had the chance to see another token. A request that is refused for its
    /// token (401) has not been looked at, so it may go out again.
    async fn accepted(
        &self,
        http: &HttpUpstream,
        mut headers: Vec<(HeaderName, HeaderValue)>,
        on_behalf: &OnBehalf<'_>,
        outgoing: &Outgoing,
    ) -> Result<Body, UpstreamError> {
        let mut body = self.attempts(http, &headers, outgoing).await?;
        let Some(credentials) = &http.credentials else { return Ok(body) };
        let refused = body.head().is_some_and(|(status, _)| status == StatusCode::UNAUTHORIZED);
        let used = headers.iter().find(|(name, _)| name == AUTHORIZATION).map(|(_, value)| value);
        if !refused || !used.is_some_and(|used| credentials.refused(on_behalf, used)) {
            return Ok(body);
        }
        drop(body);
        replace_authorization(&mut headers, credentials.authorization(on_behalf).await?);
        self.attempts(http, &headers, outgoing).await
    }

    /// The head of an answer, after as many attempts as are allowed.
    async fn attempts(
        &self,
        http: &HttpUpstream,
        headers: &[(HeaderName, HeaderValue)],
        outgoing: &Outgoing,
    ) -> Result<Body, UpstreamError> {
        let mut retries = Retries::new(&self.gate);
        loop {
            match attempt(http, headers, outgoing).await {
                Err(error) if retries.again(&error, outgoing.repeatable).await => {}
                outcome => return outcome,
            }
        }
    }
}

/// An answer that was read whole.
#[derive(Debug)]
pub struct Whole {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl HttpUpstream {
    /// One exchange outside of MCP, with an authorization server say: the request's headers as they are given but for `Host`
    /// and the length, the answer whole. Neither limits nor retries of a binding apply; the caller sets a time.
    ///
    /// # Errors
    /// When there is no answer, or one larger than `bytes_max`.
    pub async fn fetch(&self, outgoing: &Outgoing, bytes_max: usize) -> Result<Whole, UpstreamError> {
        let mut headers = vec![
            (HOST, self.authority.clone()),
            (USER_AGENT, HeaderValue::from_static(OWN_NAME)),
            (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        ];
        headers.extend_from_slice(&outgoing.headers);
        headers.extend_from_slice(&self.headers);
        let mut answer = attempt(self, &headers, outgoing).await?;
        let (status, headers) = answer.head().ok_or(UpstreamError::Invalid("no head".into()))?;
        let mut body = BytesMut::new();
        while let Some(piece) = answer.piece().await? {
            if body.len() + piece.len() > bytes_max {
                return Err(UpstreamError::TooLarge);
            }
            body.extend_from_slice(&piece);
        }
        Ok(Whole { status, headers, body: body.freeze() })
    }
}

fn replace_authorization(headers: &mut Vec<(HeaderName, HeaderValue)>, authorization: HeaderValue) {
    headers.retain(|(name, _)| name != AUTHORIZATION);
    headers.push((AUTHORIZATION, authorization));
}

/// Sends the request and reads the head of the answer, over a pooled connection or, where that proves to be dead, a new one.
async fn attempt(
    http: &HttpUpstream,
    headers: &[(HeaderName, HeaderValue)],
    outgoing: &Outgoing,
) -> Result<Body, UpstreamError> {
    let target = http.next_target().ok_or(UpstreamError::Unavailable {
        reason: "no address of the upstream is known that may be dialled".into(),
        sent: false,
    })?;
    let failed = |failure: Failure| UpstreamError::transport(&failure.error, failure.sent);
    match once(http, &target, headers, outgoing, false).await {
        Err((failure, true)) if failure.is_stale(outgoing.repeatable) => {
            once(http, &target, headers, outgoing, true).await.map_err(|(failure, _)| failed(failure))
        }
        outcome => outcome.map_err(|(failure, _)| failed(failure)),
    }
}

/// One try. A failure comes with whether the connection had served before.
async fn once(
    http: &HttpUpstream,
    target: &Arc<Target>,
    headers: &[(HeaderName, HeaderValue)],
    outgoing: &Outgoing,
    fresh: bool,
) -> Result<Body, (Failure, bool)> {
    let unsent = |error| (Failure::new(error, false), false);
    match http.connectors.any(http, target, fresh).await.map_err(unsent)? {
        Connection::Http1 { stream, reused } => {
            let session = http1::attempt(http, stream, &wire(http, headers, outgoing)).await;
            let session = session.map_err(|failure| (failure, reused))?;
            Ok(Body::Http1 { session: Box::new(session), target: Arc::clone(target) })
        }
        Connection::Http2 { mut session, reused } => {
            match over_http2(http, &mut session, headers, outgoing).await {
                Ok(()) => Ok(Body::Http2(session)),
                Err(failure) => Err((failure, reused)),
            }
        }
    }
}

fn wire(http: &HttpUpstream, headers: &[(HeaderName, HeaderValue)], outgoing: &Outgoing) -> Wire {
    let mut head = Wire::begin(outgoing.verb.as_str(), http.path_and_query.as_str(), &outgoing.body);
    for (name, value) in headers {
        field(&mut head, name.as_str(), value.as_bytes());
    }
    Wire::end(head, &outgoing.body)
}

async fn over_http2(
    http: &HttpUpstream,
    share: &mut Http2Share,
    headers: &[(HeaderName, HeaderValue)],
    outgoing: &Outgoing,
) -> Result<(), Failure> {
    let unsent = |error: Box<Error>| Failure::new(error.into_up(), false);
    let session: &mut Http2Session = share.session().map_err(unsent)?;
    session.read_timeout = Some(http.timeouts.read);
    session.write_timeout = Some(http.timeouts.write);
    trust(http, session.digest()).map_err(unsent)?;
    let head = http2_head(http, headers, outgoing).map_err(unsent)?;
    session.write_request_header(Box::new(head), outgoing.body.is_empty()).map_err(unsent)?;
    if !outgoing.body.is_empty() {
        // Half a message is none.
        session.write_request_body(outgoing.body.clone(), true).await.map_err(unsent)?;
    }
    session.read_response_header().await.map_err(|error| {
        // Where the upstream says that it has not looked at the stream (GOAWAY, REFUSED_STREAM), nothing was sent.
        let untouched = matches!(&error.retry, pingora_core::RetryType::Decided(true));
        Failure::new(error.into_up(), !untouched)
    })
}

fn http2_head(
    http: &HttpUpstream,
    headers: &[(HeaderName, HeaderValue)],
    outgoing: &Outgoing,
) -> Result<RequestHeader, Box<Error>> {
    let path = http.path_and_query.as_str().as_bytes();
    let mut head = RequestHeader::build(outgoing.verb.as_str(), path, Some(headers.len() + 1))?;
    for (name, value) in headers {
        head.append_header(name.clone(), value.clone())?;
    }
    if !outgoing.body.is_empty() {
        head.insert_header(CONTENT_LENGTH, outgoing.body.len())?;
    }
    Ok(head)
}

impl UpstreamError {
    /// What a failure of the transport means.
    pub(crate) fn transport(error: &Error, sent: bool) -> Self {
        match error.etype() {
            ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout => Self::Timeout { sent },
            ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::InvalidH2 => {
                Self::Invalid(format!("no HTTP: {}", error.etype().as_str()).into())
            }
            kind => Self::Unavailable { reason: kind.as_str().to_owned().into(), sent },
        }
    }

    /// What it says of the upstream.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Unavailable { .. } | Self::Timeout { .. } => Outcome::Failed,
            _ => Outcome::Answered,
        }
    }
}

#[cfg(test)]
mod tests;
