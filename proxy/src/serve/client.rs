//! The client of a request, as handlers write to it.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::upstream::Message;

/// Why nothing more can be written to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// It left.
    #[error("the client left")]
    Gone,
    /// An obligation could not be applied: the client got an error instead, and gets nothing more.
    #[error("the answer was withheld")]
    Withheld,
}

/// The client of a request. Every message passes the obligations on its way; headers and status are ours.
#[async_trait]
pub trait Client: Send {
    /// Answers with one JSON body, and ends.
    async fn json(
        &mut self,
        status: u16,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<(), ClientError>;

    /// Answers without a body (202, 204), and ends.
    async fn empty(&mut self, status: u16, headers: &[(HeaderName, HeaderValue)]) -> Result<(), ClientError>;

    /// Begins an event stream. Keep-alive comments are sent while it is silent.
    async fn open_stream(&mut self, headers: &[(HeaderName, HeaderValue)]) -> Result<(), ClientError>;

    /// Sends one event of the stream.
    async fn event(&mut self, message: &Message) -> Result<(), ClientError>;

    /// Ends the stream.
    async fn finish(&mut self) -> Result<(), ClientError>;

    /// Whether a stream was begun.
    fn is_streaming(&self) -> bool;

    /// Completes when the client leaves; meanwhile keeps its stream alive with comments. Cancel-safe: meant for `select!`.
    async fn gone(&mut self);
}
