//! Connections to upstreams that are HTTP endpoints: which kind, and whether their peer is who it must be.
//!
//! INVARIANT: [`trust`] has passed before a byte of a request leaves, on new and on pooled connections alike.

use std::sync::Arc;

use pingora_core::connectors::TransportConnector;
use pingora_core::connectors::http::v2;
use pingora_core::protocols::http::client::HttpSession as AnySession;
use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_core::protocols::{Digest, Stream};
use pingora_core::{Error, ErrorType, Result};

use super::HttpUpstream;
use crate::dispatch::Target;

/// What connections are made with. One for the process: it holds the HTTP/2 connections of every upstream.
pub struct Connectors {
    transport: TransportConnector,
    http2: v2::Connector,
}

/// A connection, or a share in one.
#[allow(clippy::large_enum_variant, reason = "there are few, and each is in a place of its own")]
pub(super) enum Connection {
    /// HTTP/1.1: nobody else uses it.
    Http1 {
        /// The connection.
        stream: Stream,
        /// Whether it has served before.
        reused: bool,
    },
    /// A stream of an HTTP/2 connection.
    Http2 {
        /// The stream.
        session: Http2Share,
        /// Whether the connection has served before.
        reused: bool,
    },
}

/// A stream of an HTTP/2 connection. Dropping it resets the stream where it has not ended.
pub(crate) struct Http2Share {
    session: Option<Http2Session>,
    connectors: Arc<Connectors>,
    target: Arc<Target>,
}

impl Default for Connectors {
    #[expect(clippy::disallowed_methods, reason = "the one place where connections to upstreams are made")]
    fn default() -> Self {
        Self { transport: TransportConnector::new(None), http2: v2::Connector::new(None) }
    }
}

impl Connectors {
    /// A new connection to an upstream that is spoken to in HTTP/1.1.
    async fn http1(&self, target: &Target) -> Result<Stream> {
        self.transport.new_stream(target.peer()).await.map_err(|error| error.into_up())
    }

    /// A connection to any upstream: a pooled one unless `fresh`.
    pub(super) async fn any(
        self: &Arc<Self>,
        http: &HttpUpstream,
        target: &Arc<Target>,
        fresh: bool,
    ) -> Result<Connection> {
        let http1_only = http.peer.speaks_http1();
        if !fresh {
            // A connection that went away while it was asked for a stream is no failure: there will be another.
            if !http1_only && let Ok(Some(session)) = self.http2.reused_http_session(target.peer()).await {
                return Ok(Connection::Http2 { session: self.share(session, target), reused: true });
            }
            if let Some(stream) = target.take() {
                return Ok(Connection::Http1 { stream, reused: true });
            }
        }
        // Rare, and large: a request that finds a connection does not carry room for making one.
        Box::pin(self.fresh(target, http1_only)).await
    }

    /// A new connection.
    async fn fresh(self: &Arc<Self>, target: &Arc<Target>, http1_only: bool) -> Result<Connection> {
        if http1_only {
            return Ok(Connection::Http1 { stream: self.http1(target).await?, reused: false });
        }
        let session: AnySession =
            self.http2.new_http_session(target.peer()).await.map_err(|error| error.into_up())?;
        match session {
            AnySession::H1(session) => Ok(Connection::Http1 { stream: session.into_inner(), reused: false }),
            AnySession::H2(session) => {
                Ok(Connection::Http2 { session: self.share(session, target), reused: false })
            }
            AnySession::Custom(()) => {
                Error::e_explain(ErrorType::InternalError, "no custom protocol is configured")
            }
        }
    }

    fn share(self: &Arc<Self>, session: Http2Session, target: &Arc<Target>) -> Http2Share {
        Http2Share { session: Some(session), connectors: Arc::clone(self), target: Arc::clone(target) }
    }
}

impl Http2Share {
    /// The stream.
    pub(super) fn session(&mut self) -> Result<&mut Http2Session> {
        self.session
            .as_mut()
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "the stream was given back already"))
    }
}

impl Drop for Http2Share {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        // Giving it back starts the connection's idle timer, which needs a runtime.
        if tokio::runtime::Handle::try_current().is_ok() {
            let idle = self.target.idle_time_max();
            self.connectors.http2.release_http_session(session, self.target.peer(), Some(idle));
        }
    }
}

/// Checks what the upstream has proven, before any byte of the request leaves.
pub(super) fn trust(http: &HttpUpstream, digest: Option<&Digest>) -> Result<()> {
    http.peer.check(digest).map_err(|error| {
        let mut error = Error::because(ErrorType::InvalidCert, "upstream not trusted", error).into_up();
        error.set_retry(false);
        error
    })
}
