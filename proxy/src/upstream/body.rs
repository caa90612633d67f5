//! The body of an upstream's answer, piece by piece, whatever HTTP carries it.
//!
//! INVARIANT: a connection goes back to the pool only once the answer has been read to its end.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use pingora_core::Result;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_http::ResponseHeader;

use super::UpstreamError;
use super::connect::Http2Share;
use crate::dispatch::Target;

/// The body of an answer. Dropped before its end, it closes the connection, or resets the stream of an HTTP/2 one.
#[allow(clippy::large_enum_variant, reason = "there are few, and each is in a place of its own")]
pub(crate) enum Body {
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
    /// The head of the answer, as it came.
    pub(crate) fn response_header(&mut self) -> Option<&ResponseHeader> {
        match self {
            Self::Http1 { session, .. } => session.resp_header(),
            Self::Http2(share) => share.session().ok()?.response_header(),
            Self::Done => None,
        }
    }

    /// Status and headers of the answer.
    pub(super) fn head(&mut self) -> Option<(StatusCode, HeaderMap)> {
        self.response_header().map(|head| (head.status, head.headers.clone()))
    }

    /// An event stream may be silent for as long as it likes.
    pub(crate) fn wait_for_ever(&mut self) {
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
        match self.read().await {
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

    /// The next piece; none at the end. Cancel-safe.
    pub(crate) async fn read(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Http1 { session, .. } => match session.is_body_done() {
                true => Ok(None),
                false => session.read_body_bytes().await,
            },
            Self::Http2(share) => share.session()?.read_response_body().await,
            Self::Done => Ok(None),
        }
        .map_err(|error| error.into_up())
    }

    /// The next piece, behind what is there; false at the end. Cancel-safe.
    pub(crate) async fn read_into(&mut self, body: &mut BytesMut) -> Result<bool> {
        if let Self::Http1 { session, .. } = self
            && !session.is_body_done()
        {
            let piece = session.read_body_ref().await.map_err(|error| error.into_up())?;
            body.extend_from_slice(piece.unwrap_or_default());
            return Ok(piece.is_some());
        }
        let piece = self.read().await?;
        body.extend_from_slice(piece.as_deref().unwrap_or_default());
        Ok(piece.is_some())
    }

    /// Gives the connection back, where it may serve again. To be called at the end.
    pub(crate) async fn give_back(&mut self) {
        if let Self::Http1 { mut session, target } = std::mem::replace(self, Self::Done) {
            session.respect_keepalive();
            if let Some(stream) = session.reuse().await {
                target.put(stream);
            }
        }
    }
}
