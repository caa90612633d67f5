//! The streams of an HTTP/2 connection, each of which Pingora handles in a task of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::server::ShutdownWatch;

use super::{Handled, Handler};

/// Limits of HTTP/2 connections.
#[derive(Debug, Clone, Copy)]
pub struct Http2 {
    /// Streams of a connection at a time.
    pub streams_max: u32,
    /// A head, as RFC 9113 section 6.5.2 counts it.
    pub header_bytes_max: u32,
    /// How long a connection may be without a stream.
    pub idle_timeout: Duration,
}

/// A handler, as HTTP/2 connections see it.
pub(super) struct Streams<A> {
    handler: Arc<A>,
    server: HttpServerOptions,
    h2: H2Options,
}

impl<A> Streams<A> {
    pub(super) fn new(handler: Arc<A>, http2: Http2) -> Self {
        let mut server = HttpServerOptions::default();
        server.h2c = true;
        server.h2_idle_timeout = Some(http2.idle_timeout);
        let mut h2 = default_h2_options();
        h2.max_concurrent_streams(http2.streams_max);
        h2.max_header_list_size(http2.header_bytes_max);
        Self { handler, server, h2 }
    }
}

#[async_trait]
impl<A: Handler> HttpServerApp for Streams<A> {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        _shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if let Handled::Lasts(rest) = Box::pin(self.handler.handle(session)).await {
            rest.await;
        }
        // A stream serves one request.
        None
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(self.h2.clone())
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.server)
    }
}
