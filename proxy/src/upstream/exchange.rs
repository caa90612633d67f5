//! One HTTP exchange with an upstream: within its limits, sent again where that does no harm, its answer read as messages.
//!
//! Nothing of a client's request goes out here but the message: every header is the gateway's.

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode};
use pingora_core::{Error, ErrorType};
use pingora_http::RequestHeader;
use tokio::time::{Instant, timeout_at};

use super::answer::Answer;
use super::body::Body;
use super::gate::{Outcome, Permit};
use super::http1::{Wire, field};
use super::outbound::{self, Form, Outbound};
use super::retries::Retries;
use super::{HttpUpstream, OnBehalf, Outgoing, Reply, UpstreamError, Verb};
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
        let accepted = self.accepted(http, headers, on_behalf, &outgoing);
        let opened = match outgoing.verb {
            // It may be silent for as long as it likes, and some upstreams send its head with its first event.
            Verb::Get => accepted.await,
            Verb::Post | Verb::Delete => {
                let late = Err(UpstreamError::Timeout { sent: true });
                timeout_at(deadline, accepted).await.unwrap_or(late)
            }
        };
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
        let outbound = outbound(http, headers, outgoing)?;
        let mut retries = Retries::new(&self.gate);
        loop {
            match attempt(http, &outbound).await {
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
        let mut answer = attempt(self, &outbound(self, &headers, outgoing)?).await?;
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

/// Sends the request and reads the head of the answer.
async fn attempt(http: &HttpUpstream, outbound: &Outbound) -> Result<Body, UpstreamError> {
    let target = http.next_target().ok_or(UpstreamError::Unavailable {
        reason: "no address of the upstream is known that may be dialled".into(),
        sent: false,
    })?;
    let opened = outbound::open(http, &target, outbound).await;
    opened.map_err(|failure| UpstreamError::transport(&failure.error, failure.sent))
}

/// The request with these headers.
fn outbound(
    http: &HttpUpstream,
    headers: &[(HeaderName, HeaderValue)],
    outgoing: &Outgoing,
) -> Result<Outbound, UpstreamError> {
    let form = if http.peer.speaks_http1() {
        let mut head = Wire::begin(outgoing.verb.as_str(), http.path_and_query.as_str(), &outgoing.body);
        for (name, value) in headers {
            field(&mut head, name.as_str(), value.as_bytes());
        }
        Form::Http1(Wire::end(head, &outgoing.body))
    } else {
        let head = either_head(http, headers, outgoing.verb);
        let head = head.map_err(|error| UpstreamError::transport(&error, false))?;
        Form::Either { head: Box::new(head), body: outgoing.body.clone() }
    };
    Ok(Outbound { form, repeatable: outgoing.repeatable, patience: outgoing.patience(http.timeouts.read) })
}

fn either_head(
    http: &HttpUpstream,
    headers: &[(HeaderName, HeaderValue)],
    verb: Verb,
) -> Result<RequestHeader, Box<Error>> {
    let path = http.path_and_query.as_str().as_bytes();
    let mut head = RequestHeader::build_no_case(verb.as_str(), path, Some(headers.len() + 1))?;
    for (name, value) in headers {
        head.append_header(name.clone(), value.clone())?;
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
