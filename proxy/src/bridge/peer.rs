//! A session with a legacy upstream, as a bridged call uses it.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::upstream::{Behalf, Lease, Reply, UpstreamError, UpstreamSession};

/// A stream is open before the call is made, as long as that takes no longer than this: some round trips to a distant server.
const HEAD_START: Duration = Duration::from_secs(2);
/// The same for a server that begins a stream with its first event: waiting for it would keep the call from causing one.
const HEAD_START_LATE: Duration = Duration::from_millis(250);

/// A session that serves one call at a time.
#[async_trait]
pub(super) trait Peer: Send + Sync {
    /// Sends a request.
    async fn request(&self, json: Bytes, repeatable: bool) -> Result<Reply, UpstreamError>;

    /// Sends a notification or a response.
    async fn send(&self, json: Bytes) -> Result<(), UpstreamError>;

    /// What the upstream says on its own, or what it went on to say after an event.
    async fn stream(&self, last_event_id: Option<&str>) -> Result<Option<Reply>, UpstreamError>;

    /// How long a call waits for the stream to open before it is made.
    fn head_start(&self) -> Duration;

    /// Whether the stream has opened in that time.
    fn opened(&self, in_time: bool);

    /// What the upstream said to `initialize`: the raw text of its result.
    fn initialized(&self) -> &str;

    /// Gives the session back. One that is not as it was before the call serves no other.
    fn release(&self, clean: bool);
}

/// A leased session.
pub(super) struct Leased {
    session: UpstreamSession,
    behalf: Behalf,
    initialized: Box<str>,
    lease: Mutex<Option<Lease>>,
}

impl Leased {
    pub(super) fn new(lease: Lease, behalf: Behalf) -> Self {
        Self {
            session: UpstreamSession::clone(&lease),
            behalf,
            initialized: lease.initialized().result.clone(),
            lease: Mutex::new(Some(lease)),
        }
    }

    /// The lease, for whoever begins another session with it.
    pub(super) fn into_lease(self) -> Option<Lease> {
        self.lease.into_inner()
    }
}

#[async_trait]
impl Peer for Leased {
    async fn request(&self, json: Bytes, repeatable: bool) -> Result<Reply, UpstreamError> {
        self.session.request(&self.behalf.borrow(), json, repeatable).await
    }

    async fn send(&self, json: Bytes) -> Result<(), UpstreamError> {
        self.session.send(&self.behalf.borrow(), json).await
    }

    async fn stream(&self, last_event_id: Option<&str>) -> Result<Option<Reply>, UpstreamError> {
        self.session.stream(&self.behalf.borrow(), last_event_id).await
    }

    fn head_start(&self) -> Duration {
        let route = self.session.route();
        let usual = if route.leases.streams_open_late() { HEAD_START_LATE } else { HEAD_START };
        // What the call itself may take is for the upstream to use.
        usual.min(route.gate.calls().deadline / 4)
    }

    fn opened(&self, in_time: bool) {
        self.session.route().leases.note_stream(in_time);
    }

    fn initialized(&self) -> &str {
        &self.initialized
    }

    fn release(&self, clean: bool) {
        let lease = self.lease.lock().take();
        if let Some(lease) = lease.filter(|_| clean) {
            lease.keep();
        }
    }
}
