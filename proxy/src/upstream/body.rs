//! The body of an upstream's answer, piece by piece, whatever HTTP carries it.
//!
//! INVARIANT: a connection goes back to the pool only once the answer has been read to its end.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pingora_core::protocols::http::v1::client::HttpSession;

use super::UpstreamError;
use super::connect::Http2Share;
use crate::dispatch::Target;

/// The body of an answer. Dropped before its end, it closes the connection, or resets the stream of an HTTP/2 one.
#[allow(clippy::large_enum_variant, reason = "there are few, and each is in a place of its own")]
pub(super) enum Body {
    /// Over HTTP/1.1.
    Http1 {
        /// The connection.
        session: Box<HttpSession>,
        /// Where it goes back to.
        target: Arc<Target>,
    },
    /// Over HTTP/2.
    Http2(Http2Share),
    /// Read to its end.
    Done,
}

impl Body {
    /// The head of the answer.
    pub(super) fn head(&mut self) -> Option<(StatusCode, HeaderMap)> {
        let head = match self {
            Self::Http1 { session, .. } => session.resp_header(),
            Self::Http2(share) => share.session().ok()?.response_header(),
            Self::Done => None,
        }?;
        Some((head.status, head.headers.clone()))
    }

    /// An event stream may be silent for as long as it likes.
    pub(super) fn wait_for_ever(&mut self) {
        match self {
            Self::Http1 { session, .. } => session.read_timeout = None,
            Self::Http2(share) => {
                if let Ok(session) = share.session() {
                    session.read_timeout = None;
                }
            }
            Self::Done => {}
        }
    }

    /// The next piece; none at the end, when the connection has gone back to its pool. Cancel-safe.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let piece = match self {
            Self::Http1 { session, .. } => {
                if session.is_body_done() {
                    Ok(None)
                } else {
                    session.read_body_bytes().await
                }
            }
            Self::Http2(share) => match share.session() {
                Ok(session) => session.read_response_body().await,
                Err(error) => Err(error),
            },
            Self::Done => return Ok(None),
        };
        match piece {
            Ok(Some(piece)) => Ok(Some(piece)),
            Ok(None) => {
                self.give_back().await;
                Ok(None)
            }
            Err(error) => {
                *self = Self::Done;
                Err(UpstreamError::transport(&error, true))
            }
        }
    }

    async fn give_back(&mut self) {
        if let Self::Http1 { mut session, target } = std::mem::replace(self, Self::Done) {
            session.respect_keepalive();
            if let Some(stream) = session.reuse().await {
                target.put(stream);
            }
        }
    }
}
