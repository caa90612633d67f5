//! One server-streaming call of gRPC over a Unix socket ("gRPC over HTTP2"): an empty request, messages until the end.
//!
//! It is all of gRPC that the Workload API takes, so the framing is here and HTTP/2 is hyper's.

use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::UnixStream;

use crate::net::connect_unix;

const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// The largest message: bundles of many trust domains.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// No message, not compressed.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

type Connection = http2::Connection<TokioIo<UnixStream>, Full<Bytes>, TokioExecutor>;

/// A call whose messages come in.
pub(super) struct Stream {
    connection: Pin<Box<Connection>>,
    body: Incoming,
    buffer: Vec<u8>,
    // The connection closes when nobody can send on it any more.
    _sender: http2::SendRequest<Full<Bytes>>,
}

impl Stream {
    /// Calls a method of the Workload API.
    pub(super) async fn open(socket: &Path, method: &str) -> Result<Self, StreamError> {
        tokio::time::timeout(OPEN_TIMEOUT, Self::call(socket, method))
            .await
            .map_err(|_| StreamError::Timeout)?
    }

    async fn call(socket: &Path, method: &str) -> Result<Self, StreamError> {
        let stream = connect_unix(socket, OPEN_TIMEOUT).await?;
        let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await?;
        let mut connection = Box::pin(connection);
        let request = Request::post(format!("http://localhost/SpiffeWorkloadAPI/{method}"))
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            // Without it an agent answers nobody: requests that were led astray do not have it.
            .header("workload.spiffe.io", "true")
            .body(Full::new(Bytes::from_static(EMPTY_MESSAGE)))?;
        let response = tokio::select! {
            response = sender.send_request(request) => response?,
            ended = connection.as_mut() => return Err(ended.err().map_or(StreamError::Closed, StreamError::Http2)),
        };
        check_status(response.headers())?;
        if response.status() != StatusCode::OK {
            return Err(StreamError::Status(response.status()));
        }
        Ok(Self { connection, body: response.into_body(), buffer: Vec::new(), _sender: sender })
    }

    /// The next message; none when the agent has ended the call.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        loop {
            if let Some(message) = take_message(&mut self.buffer)? {
                return Ok(Some(message));
            }
            let frame = tokio::select! {
                frame = self.body.frame() => frame,
                ended = self.connection.as_mut(), if !self.body.is_end_stream() => {
                    return Err(ended.err().map_or(StreamError::Closed, StreamError::Http2));
                }
            };
            match frame.transpose()? {
                None => return Ok(None),
                Some(frame) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        return check_status(&trailers).map(|()| None);
                    }
                },
            }
        }
    }
}

/// Takes a whole message from the front of what has come.
fn take_message(buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, StreamError> {
    let Some((&[compressed, a, b, c, d], rest)) = buffer.split_first_chunk::<5>() else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if compressed != 0 || length > MESSAGE_BYTES_MAX {
        return Err(StreamError::Message);
    }
    let Some(message) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
    buffer.drain(..5 + length);
    Ok(Some(message))
}

/// The status of the call, where it has one already. 0 is success.
fn check_status(headers: &HeaderMap) -> Result<(), StreamError> {
    match headers.get("grpc-status").map(|status| status.to_str().unwrap_or("unreadable")) {
        None | Some("0") => Ok(()),
        Some(status) => {
            let message = headers.get("grpc-message").and_then(|message| message.to_str().ok());
            let message = message.unwrap_or_default().to_owned();
            Err(StreamError::Refused { status: status.to_owned(), message })
        }
    }
}

/// Why there are no messages.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error("cannot connect to the socket: {0}")]
    Socket(#[from] std::io::Error),
    #[error("nothing answered within {} seconds", OPEN_TIMEOUT.as_secs())]
    Timeout,
    #[error("the connection was closed")]
    Closed,
    #[error("HTTP/2 failed: {0}")]
    Http2(#[from] hyper::Error),
    #[error("the request cannot be made: {0}")]
    Request(#[from] http::Error),
    #[error("the answer is `{0}`")]
    Status(StatusCode),
    #[error("the agent refuses with gRPC status {status}: `{message}`")]
    Refused { status: String, message: String },
    #[error("a message is compressed or over {MESSAGE_BYTES_MAX} bytes")]
    Message,
}

impl From<Infallible> for StreamError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
