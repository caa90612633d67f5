//! Stage 9, straight through: an authorized request goes out, and its answer streams back.
//!
//! Pingora's own upstream leg writes head and body apart, copies the head, and moves every piece of the answer through
//! two channels. Here the head is written straight from the client's, over HTTP/1.1 the body that was judged follows in the same
//! system call, and the answer is read and written by one task (docs/adr/0003 has the figures). One deadline, the same retries and
//! the same renewal of tokens hold over every version of HTTP (docs/adr/0018).
//!
//! Only [`Authorized`](crate::pipeline::Authorized) can be dispatched: a context without one is an error.

mod pool;
mod request;

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, StatusCode, Version};
use pingora_core::protocols::http::ServerSession;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_timeout::timeout as coarse_timeout;

pub use pool::Target;

use crate::gateway::Context;
use crate::revision::Route;
use crate::serve;
use crate::upstream::body::Body;
use crate::upstream::outbound;
use crate::upstream::retries::Retries;
use crate::upstream::{HttpUpstream, UpstreamError};

/// A client that hears nothing for so long gets a comment on its event stream, so that nothing between us closes it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What is taken of an answer that is there already before it is sent on.
const AT_HAND_BYTES_MAX: usize = 64 * 1024;
const KEEP_ALIVE_COMMENT: Bytes = Bytes::from_static(b":\n\n");
const KEEP_ALIVE_HEADER: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Completes when an answer must end, though its upstream goes on; none for one that ends with its upstream.
pub(crate) type Over = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The status that stands for an answer which must not begin any more.
pub(crate) const OVER: ErrorType = ErrorType::HTTPStatus(403);

/// Sends the request and streams the answer to the client.
///
/// # Errors
/// When the upstream or the client fails. Nothing was written to the client if it still has no response.
pub async fn exchange(session: &mut ServerSession, context: &mut Context, over: Option<Over>) -> Result<()> {
    match context.deadline() {
        Some(deadline) => {
            let exchange = exchange_in_time(session, context, over);
            coarse_timeout(deadline, exchange).await.unwrap_or_else(|_| {
                let error =
                    Error::explain(ErrorType::ReadTimedout, "the call took longer than `calls.deadline_ms`");
                Err(error.into_up())
            })
        }
        None => exchange_in_time(session, context, over).await,
    }
}

async fn exchange_in_time(
    session: &mut ServerSession,
    context: &mut Context,
    mut over: Option<Over>,
) -> Result<()> {
    let route = context.route()?.clone();
    let Some(http) = route.http() else {
        return Error::e_explain(ErrorType::InternalError, "the upstream is no HTTP endpoint");
    };
    let mut upstream = open(session, context, &route, http, &mut over).await?;
    let refused = upstream.response_header().is_some_and(|head| head.status == StatusCode::UNAUTHORIZED);
    // A request that is refused for its token has not been looked at, so it may go out again with another.
    if refused && context.renew_authorization(serve::bearer(session.req_header())).await {
        drop(upstream);
        upstream = open(session, context, &route, http, &mut over).await?;
    }
    answer(session, context, &mut upstream, &mut over).await
}

/// Sends the request, after as many attempts as are allowed, and reads the head of the answer.
async fn open(
    session: &mut ServerSession,
    context: &Context,
    route: &Route,
    http: &HttpUpstream,
    over: &mut Option<Over>,
) -> Result<Body> {
    let outbound = request::outbound(session.req_header(), context)?;
    let mut retries = Retries::new(&route.gate);
    loop {
        let target = http.next_target().ok_or_else(|| {
            Error::explain(ErrorType::ConnectError, "no address of the upstream is known that may be dialled")
                .into_up()
        })?;
        let opened = tokio::select! {
            biased;
            () = end(over) => return Error::e_explain(OVER, "its caller may not have it any more"),
            opened = outbound::open(http, &target, &outbound) => opened,
            gone = session.read_body_or_idle(true) => return Err(client_gone(gone)),
        };
        let failure = match opened {
            Ok(upstream) => return Ok(upstream),
            Err(failure) => failure,
        };
        let error = UpstreamError::transport(&failure.error, failure.sent);
        if !retries.again(&error, outbound.repeatable).await {
            return Err(failure.error);
        }
    }
}

async fn end(over: &mut Option<Over>) {
    match over {
        Some(over) => over.await,
        None => pending().await,
    }
}

/// Sends the answer on: in one piece where it is all there already, else as it comes.
async fn answer(
    session: &mut ServerSession,
    context: &mut Context,
    upstream: &mut Body,
    over: &mut Option<Over>,
) -> Result<()> {
    let mut head = upstream.response_header().cloned().ok_or_else(|| {
        Error::explain(ErrorType::InvalidHTTPHeader, "the upstream's answer has no head").into_up()
    })?;
    // However it came.
    head.set_version(Version::HTTP_11);
    for of_this_hop in [&CONNECTION, &UPGRADE, &TRAILER, &KEEP_ALIVE_HEADER, &PROXY_CONNECTION] {
        head.remove_header(of_this_hop);
    }
    let event_stream = context.begin_answer(&mut head)?;
    // Where an error of ours takes its place, the upstream's body is not worth reading.
    let replaced = context.replaces_answer();
    let (begun, whole) = if replaced { (BytesMut::new(), true) } else { at_hand(upstream).await? };
    let mut body = (!begun.is_empty()).then(|| begun.freeze());
    context.chunk(&mut body, whole).await?;
    frame(session, &mut head, whole.then(|| body.as_ref().map_or(0, Bytes::len)))?;
    context.status = head.status.as_u16();
    session.write_response_header(Box::new(head)).await.map_err(|error| error.into_down())?;
    let mut boundary = Boundary::default();
    if let Some(body) = body.filter(|body| !body.is_empty()) {
        boundary.see(&body);
        session.write_response_body(body, whole).await.map_err(|error| error.into_down())?;
    } else if whole {
        session.write_response_body(Bytes::new(), true).await.map_err(|error| error.into_down())?;
    }
    if !whole {
        stream(session, context, upstream, event_stream, boundary, over).await?;
        let mut last = None;
        context.chunk(&mut last, true).await?;
        session
            .write_response_body(last.unwrap_or_default(), true)
            .await
            .map_err(|error| error.into_down())?;
    }
    upstream.give_back().await;
    Ok(())
}

/// What has arrived of the body by now, and whether that is all of it. Does not wait.
async fn at_hand(upstream: &mut Body) -> Result<(BytesMut, bool)> {
    let mut body = BytesMut::new();
    while body.len() < AT_HAND_BYTES_MAX {
        tokio::select! {
            biased;
            more = upstream.read_into(&mut body) => if !more? {
                return Ok((body, true));
            },
            () = std::future::ready(()) => break,
        }
    }
    Ok((body, false))
}

/// How the body ends: by its length, by chunks, or (HTTP/1.0) with the connection.
fn frame(session: &mut ServerSession, head: &mut ResponseHeader, length: Option<usize>) -> Result<()> {
    let bodiless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodiless || head.headers.contains_key(CONTENT_LENGTH) {
        head.remove_header(&TRANSFER_ENCODING);
    } else if let Some(length) = length {
        head.remove_header(&TRANSFER_ENCODING);
        head.insert_header(CONTENT_LENGTH, length)?;
    } else if session.req_header().version == Version::HTTP_10 {
        head.remove_header(&TRANSFER_ENCODING);
        session.set_keepalive(None);
    } else {
        head.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
    }
    Ok(())
}

/// Sends the rest of the body on as it comes.
async fn stream(
    session: &mut ServerSession,
    context: &mut Context,
    upstream: &mut Body,
    event_stream: bool,
    mut boundary: Boundary,
    over: &mut Option<Over>,
) -> Result<()> {
    if event_stream {
        // An event stream may be silent for as long as it likes: keep-alives find out whether the client is there.
        upstream.wait_for_ever();
    }
    while !context.replaces_answer() {
        let read = tokio::select! {
            biased;
            () = end(over) => break,
            read = upstream.read() => Some(read?),
            gone = session.read_body_or_idle(true) => return Err(client_gone(gone)),
            () = tokio::time::sleep(KEEP_ALIVE), if event_stream => None,
        };
        let piece = match read {
            Some(Some(piece)) => {
                let mut piece = Some(piece);
                context.chunk(&mut piece, false).await?;
                piece
            }
            Some(None) => break,
            // Our own comment is no part of the upstream's answer.
            None => boundary.is_between_events().then_some(KEEP_ALIVE_COMMENT),
        };
        if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
            boundary.see(&piece);
            session.write_response_body(piece, false).await.map_err(|error| error.into_down())?;
        }
    }
    Ok(())
}

/// Whether the bytes sent so far end an event.
#[derive(Default)]
struct Boundary {
    /// The last four bytes; zeros before there were any.
    tail: [u8; 4],
    begun: bool,
}

impl Boundary {
    fn see(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().skip(bytes.len().saturating_sub(self.tail.len())) {
            let [_, second, third, fourth] = self.tail;
            self.tail = [second, third, fourth, *byte];
        }
        self.begun |= !bytes.is_empty();
    }

    fn is_between_events(&self) -> bool {
        let tail = &self.tail[..];
        !self.begun || tail.ends_with(b"\n\n") || tail.ends_with(b"\r\r") || tail == b"\r\n\r\n"
    }
}

fn client_gone(outcome: Result<Option<Bytes>>) -> Box<Error> {
    match outcome {
        Err(error) => error.into_down(),
        Ok(_) => Error::explain(ErrorType::ConnectionClosed, "the client left").into_down(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_sent_between_events_only() {
        for (pieces, between) in [
            (&[][..], true),
            (&["data: 1\n\n"][..], true),
            (&["data: 1\n", "\n"][..], true),
            (&["data: 1\r\r"][..], true),
            (&["data: 1\r\n\r\n"][..], true),
            (&["data: 1\r\n"][..], false),
            (&["data: 1"][..], false),
            (&["data: 1\n"][..], false),
            (&["data: 1\n\n", "d"][..], false),
        ] {
            let mut boundary = Boundary::default();
            pieces.iter().for_each(|piece| boundary.see(piece.as_bytes()));
            assert_eq!(boundary.is_between_events(), between, "{pieces:?}");
        }
    }
}
