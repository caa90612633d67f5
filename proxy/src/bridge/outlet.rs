//! The client of a bridged call: what it gets, in which form.

use bytes::Bytes;
use mcpg_protocol::catalogue::{Prefix, outward};
use mcpg_protocol::{Accept, Era, Limits, RpcError};

use super::failure::Failure;
use crate::revision::Route;
use crate::serve::{Admitted, Client, ClientError};
use crate::upstream::Message;

/// The client of a bridged call.
pub(super) struct Outlet<'c> {
    client: &'c mut dyn Client,
    /// The raw JSON of its request's id.
    id: Box<str>,
    era: Era,
    accept: Accept,
    /// Where the endpoint names things otherwise than the upstream.
    prefix: Option<Prefix>,
    limits: Limits,
}

impl<'c> Outlet<'c> {
    pub(super) fn new(client: &'c mut dyn Client, admitted: &Admitted, route: &Route, id: &str) -> Self {
        Self {
            client,
            id: id.into(),
            era: admitted.protocol.era(),
            accept: admitted.accept,
            prefix: (!admitted.endpoint.is_transparent()).then(|| Prefix::new(&route.id)),
            limits: admitted.revision.message,
        }
    }

    /// The raw JSON of the request's id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Whether messages can come before the answer.
    pub(super) fn can_stream(&self) -> bool {
        self.accept.event_stream
    }

    /// Sends a message before the answer, if the client can read it. Begins the stream if need be.
    pub(super) async fn notice(&mut self, json: Bytes) -> Result<(), ClientError> {
        if !self.can_stream() {
            return Ok(());
        }
        let Ok(json) = self.named(json) else {
            tracing::debug!("a notification cannot be named for its endpoint");
            return Ok(());
        };
        self.event(json).await
    }

    /// Answers the request, and ends. `status` holds unless the stream has begun.
    pub(super) async fn answer(&mut self, status: u16, json: Vec<u8>) -> Result<(), ClientError> {
        let (status, json) = match self.named(Bytes::from(json)) {
            Ok(json) => (status, json),
            Err(failure) => {
                let (status, json) = failure.write(&self.id, self.era);
                (status, Bytes::from(json))
            }
        };
        if self.client.is_streaming() || (!self.accept.json && self.accept.event_stream) {
            self.event(json).await?;
            return self.client.finish().await;
        }
        self.client.json(status, &[], json).await
    }

    /// Answers that there is no answer.
    pub(super) async fn fail(&mut self, failure: &Failure) -> Result<(), ClientError> {
        tracing::debug!(?failure, "a bridged call failed");
        let (status, json) = failure.write(&self.id, self.era);
        self.answer(status, json).await
    }

    /// Ends without an answer: the client has cancelled its request.
    pub(super) async fn silence(&mut self) -> Result<(), ClientError> {
        if !self.client.is_streaming() {
            if !self.accept.event_stream {
                let cancelled =
                    Failure::said(RpcError::InvalidRequest, "cancelled", "the request was cancelled");
                return self.fail(&cancelled).await;
            }
            self.client.open_stream(&[]).await?;
        }
        self.client.finish().await
    }

    /// Completes when the client leaves. Cancel-safe.
    pub(super) async fn gone(&mut self) {
        self.client.gone().await;
    }

    async fn event(&mut self, json: Bytes) -> Result<(), ClientError> {
        if !self.client.is_streaming() {
            self.client.open_stream(&[]).await?;
        }
        self.client.event(&Message { json, ..Message::default() }).await
    }

    /// A message with things named as the endpoint names them.
    fn named(&self, json: Bytes) -> Result<Bytes, Failure> {
        let Some(prefix) = &self.prefix else { return Ok(json) };
        match outward(&json, prefix, &self.limits) {
            Ok(std::borrow::Cow::Borrowed(_)) => Ok(json),
            Ok(std::borrow::Cow::Owned(named)) => Ok(Bytes::from(named)),
            Err(_) => Err(Failure::invalid("a message whose names cannot be read")),
        }
    }
}
