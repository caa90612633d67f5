//! A request over HTTP/1.1, up to the head of its answer.
//!
//! Dropping the future closes the connection.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_core::protocols::{Digest, Stream};
use pingora_core::{Error, ErrorType, OrErr as _, Result};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::HttpUpstream;
use super::connect::trust;
use super::outbound::Failure;

/// Up to here a body goes into the same buffer, and so into the same system call, as the head.
pub(crate) const JOINED_BYTES_MAX: usize = 64 * 1024;
const HEAD_BYTES: usize = 1024;

/// A request, ready to be sent.
pub(crate) struct Wire {
    /// The head, and the body if it is not large.
    pub(crate) head: Vec<u8>,
    /// A large body.
    pub(crate) rest: Bytes,
}

/// Sends the request over a connection and reads the head of the answer, silent for `patience` at most.
pub(super) async fn attempt(
    http: &HttpUpstream,
    mut stream: Stream,
    message: &Wire,
    patience: Option<Duration>,
) -> Result<HttpSession, Failure> {
    if http.peer.needs_proof() {
        let digest = Digest { ssl_digest: stream.get_ssl_digest(), ..Digest::default() };
        trust(http, Some(&digest)).map_err(|error| Failure::new(error, false))?;
    }
    let write = async {
        stream.write_all(&message.head).await?;
        if !message.rest.is_empty() {
            stream.write_all(&message.rest).await?;
        }
        stream.flush().await
    };
    match timeout(http.timeouts.write, write).await {
        Ok(written) => written.or_err(ErrorType::WriteError, "sending the request"),
        Err(_) => Error::e_explain(ErrorType::WriteTimedout, "sending the request"),
    }
    .map_err(|error| Failure::new(error.into_up(), false))?;
    let mut session = HttpSession::new(stream);
    session.read_timeout = patience;
    loop {
        session.read_response().await.map_err(|error| Failure::new(error.into_up(), true))?;
        match session.get_status() {
            Some(StatusCode::SWITCHING_PROTOCOLS) => {
                let error =
                    Error::explain(ErrorType::InvalidHTTPHeader, "the upstream switched protocols").into_up();
                return Err(Failure::new(error, true));
            }
            Some(status) if status.is_informational() => {}
            _ => {
                session.read_timeout = Some(http.timeouts.read);
                return Ok(session);
            }
        }
    }
}

impl Wire {
    /// A head with the request line, and room for the rest.
    pub(crate) fn begin(method: &str, path_and_query: &str, body: &Bytes) -> Vec<u8> {
        let joined = if body.len() <= JOINED_BYTES_MAX { body.len() } else { 0 };
        let mut head = Vec::with_capacity(HEAD_BYTES + joined);
        head.extend_from_slice(method.as_bytes());
        head.push(b' ');
        head.extend_from_slice(path_and_query.as_bytes());
        head.extend_from_slice(b" HTTP/1.1\r\n");
        head
    }

    /// Ends the head and joins the body to it.
    pub(crate) fn end(mut head: Vec<u8>, body: &Bytes) -> Self {
        if !body.is_empty() {
            head.extend_from_slice(b"content-length: ");
            decimal(&mut head, body.len());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        if body.len() <= JOINED_BYTES_MAX {
            head.extend_from_slice(body);
            return Self { head, rest: Bytes::new() };
        }
        Self { head, rest: body.clone() }
    }
}

/// Writes a header.
pub(crate) fn field(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

fn decimal(head: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    head.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 1024, 4_194_304, usize::MAX] {
            let mut text = Vec::new();
            decimal(&mut text, number);
            assert_eq!(text, number.to_string().into_bytes());
        }
    }
}
