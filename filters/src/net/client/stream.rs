//! An answer that is read as it comes, such as server-sent events: it has no end that could be waited for.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::exchange::{self, HEAD_BYTES_MAX, HEADERS_MAX, broken};
use super::redirect::Redirect;
use super::{Bounds, Deadline};
use crate::net::{FetchProblem, HttpUrl, Phase, Request};

/// The connection, which has to be run while the body is read.
type Connection = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An answer whose body is read piece by piece. Dropped, it closes its connection.
pub struct Stream {
    /// The status. Never a redirect.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    connection: Option<Connection>,
}

impl Stream {
    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    /// When nothing comes within `idle`, or the answer breaks off.
    pub async fn next(&mut self, idle: Duration) -> Result<Option<Bytes>, FetchProblem> {
        let Self { body, connection, .. } = self;
        timeout(idle, frame(body, connection))
            .await
            .map_err(|_| FetchProblem::Timeout { phase: Phase::Body, after: idle })?
    }
}

/// The next data of a body, with the connection run beside it. What goes wrong with the connection, the body sees too.
async fn frame(
    body: &mut Incoming,
    connection: &mut Option<Connection>,
) -> Result<Option<Bytes>, FetchProblem> {
    loop {
        let frame = match connection {
            None => body.frame().await,
            Some(running) => tokio::select! {
                biased;
                frame = body.frame() => frame,
                () = running => {
                    *connection = None;
                    continue;
                }
            },
        };
        match frame {
            None => return Ok(None),
            // Trailers say nothing here.
            Some(frame) => match frame.map_err(broken)?.into_data() {
                Ok(data) if !data.is_empty() => return Ok(Some(data)),
                _ => {}
            },
        }
    }
}

/// Sends a request and reads the head of the answer.
pub(super) async fn open(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &HttpUrl,
    request: &Request,
    deadline: Deadline,
) -> Result<Stream, FetchProblem> {
    let mut protocol = http1::Builder::new();
    protocol.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    let shaken = protocol.handshake::<_, Full<Bytes>>(TokioIo::new(stream));
    let (mut sender, connection) = deadline.limit(Phase::Head, shaken).await?.map_err(broken)?;
    let mut connection: Connection = Box::pin(async move {
        // Its error is the body's too.
        let _ = connection.await;
    });
    let asked = sender.send_request(exchange::outgoing(url, request)?);
    let head =
        deadline.limit(Phase::Head, exchange::beside(&mut connection, asked)).await?.map_err(broken)?;
    let (head, body) = head.into_parts();
    if Redirect::of(head.status, &head.headers).is_some() {
        return Err(FetchProblem::Redirect {
            to: "another address".to_owned(),
            reason: "which a stream does not follow",
        });
    }
    if exchange::is_encoded(&head.headers) {
        return Err(FetchProblem::Encoded);
    }
    Ok(Stream { status: head.status, headers: head.headers, body, connection: Some(connection) })
}

/// Bounds are of the head only: [`Stream::next`] has its own.
pub(super) fn head_deadline(bounds: &Bounds) -> Deadline {
    Deadline { at: tokio::time::Instant::now() + bounds.total, total: bounds.total }
}
