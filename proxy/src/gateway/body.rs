//! The request as Pingora has it, and its body, read whole before an upstream is chosen.

use std::net::{IpAddr, Ipv4Addr};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use http::request::Parts;
use pingora_core::protocols::http::ServerSession;
use tokio::time::timeout;

use crate::connection::{ClientTls, Connection};
use crate::pipeline::{BodyError, Exchange};
use crate::revision::Revision;

/// What is read of a refused request so that its connection can be kept.
const DRAIN_BYTES_MAX: usize = 64 * 1024;

/// A session as the pipeline sees it.
pub(crate) struct SessionExchange<'s> {
    session: &'s mut ServerSession,
}

impl<'s> SessionExchange<'s> {
    pub(crate) fn new(session: &'s mut ServerSession) -> Self {
        Self { session }
    }

    async fn read(&mut self, bytes_max: usize) -> Result<Bytes, BodyError> {
        let length = declared_length(self.session);
        if length.is_some_and(|length| length > bytes_max) {
            return Err(BodyError::TooLarge);
        }
        if self.session.is_body_empty() {
            return Ok(Bytes::new());
        }
        if self.session.req_header().headers.contains_key(EXPECT) {
            self.session.write_continue_response().await.map_err(|_| BodyError::Broken)?;
        }
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        let mut read = 0;
        loop {
            let piece = self.session.read_request_body().await;
            let Some(piece) = piece.map_err(|_| BodyError::Broken)? else { break };
            read += piece.len();
            if read > bytes_max {
                return Err(BodyError::TooLarge);
            }
            if whole.is_empty() && first.is_empty() {
                first = piece;
                continue;
            }
            if whole.is_empty() {
                whole.reserve(length.unwrap_or(read));
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&piece);
        }
        // Usually the body came in one piece, which is not copied.
        Ok(if whole.is_empty() { first } else { whole.freeze() })
    }
}

impl Exchange for SessionExchange<'_> {
    fn head(&self) -> &Parts {
        self.session.req_header()
    }

    fn source(&self) -> IpAddr {
        self.connection().peer
    }

    fn connection(&self) -> Connection<'_> {
        connection(self.session)
    }

    async fn body(&mut self, revision: &Revision) -> Result<Bytes, BodyError> {
        let limits = revision.bodies;
        timeout(limits.request_timeout, self.read(limits.request_bytes_max))
            .await
            .unwrap_or(Err(BodyError::Timeout))
    }
}

/// The connection of a session.
pub(crate) fn connection(session: &ServerSession) -> Connection<'_> {
    let address = session.client_addr().and_then(|address| address.as_inet());
    let peer = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip().to_canonical());
    let tls = session.digest().and_then(|digest| digest.ssl_digest.as_deref());
    let tls = tls.map(|tls| tls.extension.get::<ClientTls>().unwrap_or(ClientTls::UNKNOWN));
    Connection { peer, tls }
}

/// Reads the rest of a small refused request away. False if the connection cannot be kept.
pub(super) async fn drain_small(session: &mut ServerSession) -> bool {
    let small = session.is_body_empty()
        || declared_length(session).is_some_and(|length| length <= DRAIN_BYTES_MAX)
            && !session.req_header().headers.contains_key(EXPECT);
    small && session.drain_request_body().await.is_ok()
}

fn declared_length(session: &ServerSession) -> Option<usize> {
    session.get_header(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
