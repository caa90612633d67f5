//! The streams of an HTTP/2 connection, each of which Pingora handles in a task of its own. That task makes the same offer as a
//! connection of HTTP/1 does: what is left of a request when Pingora has done its part may be handed over.

use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::H2Options;
use pingora_core::server::ShutdownWatch;

use super::handover::offering;

/// An application, as HTTP/2 connections see it.
pub(super) struct Streams<A>(Arc<A>);

impl<A> Streams<A> {
    pub(super) fn new(app: &Arc<A>) -> Self {
        Self(Arc::clone(app))
    }
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> HttpServerApp for Streams<A> {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let (_, rest) = offering(self.0.process_new_http(session, shutdown)).await;
        if let Some(rest) = rest {
            rest.await;
        }
        // A stream serves one request.
        None
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.0.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.0.server_options()
    }

    async fn http_cleanup(&self) {
        self.0.http_cleanup().await;
    }
}
