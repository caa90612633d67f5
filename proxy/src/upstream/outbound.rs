//! A request to an HTTP endpoint, up to the head of its answer, over whichever version of HTTP its connection speaks. Both ways to an
//! upstream send it here: `dispatch`, which passes messages through, and `upstream`, which reads them.
//!
//! Dropping the future closes the connection, or resets the stream of an HTTP/2 one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use pingora_core::{Error, ErrorType, Result, RetryType};
use pingora_http::RequestHeader;

use super::HttpUpstream;
use super::body::Body;
use super::connect::{Connection, Http2Share, trust};
use super::http1::{self, Wire, field};
use crate::dispatch::Target;

/// A request, ready to be sent, as often as it takes.
pub(crate) struct Outbound {
    /// As its connection writes it.
    pub(crate) form: Form,
    /// Whether sending it twice does no more than sending it once.
    pub(crate) repeatable: bool,
    /// How long the upstream may be silent before its answer begins; none for as long as it likes.
    pub(crate) patience: Option<Duration>,
}

/// A request as its connection writes it.
pub(crate) enum Form {
    /// To an upstream that is spoken to in HTTP/1.1, always.
    Http1(Wire),
    /// To one whose connection says what it speaks. The head has everything but the body's length.
    Either {
        /// The head.
        head: Box<RequestHeader>,
        /// The body.
        body: Bytes,
    },
}

/// A failed attempt, and how far it came.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What happened.
    pub(crate) error: Box<Error>,
    /// Whether the upstream may have the whole request.
    pub(crate) sent: bool,
}

/// Sends the request and reads the head of the answer. A pooled connection that turns out to be dead is replaced once,
/// where the upstream cannot have acted on the request or acting twice does no harm.
pub(crate) async fn open(
    http: &HttpUpstream,
    target: &Arc<Target>,
    outbound: &Outbound,
) -> Result<Body, Failure> {
    let opened = match once(http, target, outbound, false).await {
        Err((failure, true)) if failure.is_stale(outbound.repeatable) => {
            Box::pin(once(http, target, outbound, true)).await
        }
        opened => opened,
    };
    opened.map_err(|(failure, _)| failure)
}

/// One try. A failure comes with whether the connection had served before.
async fn once(
    http: &HttpUpstream,
    target: &Arc<Target>,
    outbound: &Outbound,
    fresh: bool,
) -> Result<Body, (Failure, bool)> {
    let unsent = |error| (Failure::new(error, false), false);
    match http.connectors.any(http, target, fresh).await.map_err(unsent)? {
        Connection::Http1 { stream, reused } => {
            let written;
            let wire = match &outbound.form {
                Form::Http1(wire) => wire,
                Form::Either { head, body } => {
                    written = write(head, body);
                    &written
                }
            };
            let session = http1::attempt(http, stream, wire, outbound.patience).await;
            let session = session.map_err(|failure| (failure, reused))?;
            Ok(Body::Http1 { session: Box::new(session), target: Arc::clone(target) })
        }
        Connection::Http2 { mut session, reused } => match over_http2(http, &mut session, outbound).await {
            Ok(()) => Ok(Body::Http2(session)),
            Err(failure) => Err((failure, reused)),
        },
    }
}

/// The request for an upstream that could have spoken HTTP/2, and does not.
fn write(head: &RequestHeader, body: &Bytes) -> Wire {
    let path_and_query = head.uri.path_and_query().map_or("/", |it| it.as_str());
    let mut wire = Wire::begin(head.method.as_str(), path_and_query, body);
    for (name, value) in &head.headers {
        field(&mut wire, name.as_str(), value.as_bytes());
    }
    Wire::end(wire, body)
}

async fn over_http2(http: &HttpUpstream, share: &mut Http2Share, outbound: &Outbound) -> Result<(), Failure> {
    let unsent = |error: Box<Error>| Failure::new(error.into_up(), false);
    let Form::Either { head, body } = &outbound.form else {
        return Err(unsent(Error::explain(ErrorType::InternalError, "a request for HTTP/1.1 only")));
    };
    let session = share.session().map_err(unsent)?;
    session.read_timeout = outbound.patience;
    session.write_timeout = Some(http.timeouts.write);
    trust(http, session.digest()).map_err(unsent)?;
    let mut head = head.clone();
    if !body.is_empty() {
        head.insert_header(CONTENT_LENGTH, body.len()).map_err(unsent)?;
    }
    session.write_request_header(head, body.is_empty()).map_err(unsent)?;
    if !body.is_empty() {
        // Half a message is none.
        session.write_request_body(body.clone(), true).await.map_err(unsent)?;
    }
    session.read_response_header().await.map_err(|error| {
        let untouched = is_untouched(&error);
        Failure::new(error.into_up(), !untouched)
    })?;
    session.read_timeout = Some(http.timeouts.read);
    Ok(())
}

/// Whether the upstream says that it has not looked at the stream: REFUSED_STREAM, or a GOAWAY that leaves it out (RFC 9113
/// section 8.7). The framework would repeat other failures as well.
fn is_untouched(error: &Error) -> bool {
    error.etype() == &ErrorType::H2Error && matches!(&error.retry, RetryType::Decided(true))
}

impl Failure {
    pub(super) fn new(error: Box<Error>, sent: bool) -> Self {
        Self { error, sent }
    }

    /// Whether the request may go out again on a fresh connection, given that this one had served before.
    fn is_stale(&self, repeatable: bool) -> bool {
        let gone = matches!(
            self.error.etype(),
            ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError | ErrorType::H2Error
        );
        gone && !self.is_reset() && (!self.sent || repeatable)
    }

    /// Whether the upstream gave up this stream only: its connection is as good as another.
    fn is_reset(&self) -> bool {
        self.error.root_cause().downcast_ref::<h2::Error>().is_some_and(h2::Error::is_reset)
    }
}
