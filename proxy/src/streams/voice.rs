//! How a stream says things to its client.

use bytes::Bytes;
use mcpg_protocol::streams::{Changes, Positions, listen_result, resource_updated, tag};
use mcpg_protocol::{Limits, catalogue};

use super::live::Live;
use super::mailbox::News;
use crate::revision::{Endpoint, Naming, Route};
use crate::serve::{Client, ClientError};
use crate::upstream::Message;

/// How a stream says things to its client.
pub(super) enum Voice {
    /// The stream of a legacy session. Its events say how far every part of it has come.
    Session(Positions),
    /// A subscription: everything is tagged with the raw id of the request that began it, and nothing is told but what was
    /// acknowledged.
    Subscription {
        /// The raw id.
        id: Box<str>,
        /// What was acknowledged of changes.
        changes: Changes,
    },
}

impl Voice {
    fn subscription(&self) -> Option<&str> {
        match self {
            Self::Session(_) => None,
            Self::Subscription { id, .. } => Some(id),
        }
    }

    /// A message with the id that its event has.
    pub(super) fn message(&self, json: impl Into<Bytes>) -> Message {
        let event_id = match self {
            Self::Session(positions) => positions.encode().map(String::into_boxed_str),
            Self::Subscription { .. } => None,
        };
        Message { json: json.into(), event_id, retry_ms: None }
    }

    /// Tells what there is to tell.
    pub(super) async fn tell(
        &self,
        news: News,
        live: &Live,
        client: &mut dyn Client,
    ) -> Result<(), ClientError> {
        let subscription = self.subscription();
        let changes = match self {
            Self::Session(_) => news.changes,
            Self::Subscription { changes, .. } => news.changes.and(*changes),
        };
        for change in changes.iter() {
            client.event(&self.message(change.message(subscription))).await?;
        }
        let endpoint = &live.admitted.endpoint;
        for (part, uri) in &news.updated {
            let Some(attached) = live.find(*part) else { continue };
            let uri = endpoint.uri(&attached.route, uri);
            client.event(&self.message(resource_updated(&uri, subscription))).await?;
        }
        for part in &news.all_of {
            let Some(attached) = live.find(*part) else { continue };
            for uri in &attached.wanted.resources {
                let uri = endpoint.uri(&attached.route, uri);
                client.event(&self.message(resource_updated(&uri, subscription))).await?;
            }
        }
        for ((part, _), json) in news.tasks {
            let Some(attached) = live.find(part) else { continue };
            let Some(json) = outwards(&json, endpoint, &attached.route) else { continue };
            let Ok(text) = str::from_utf8(&json) else { continue };
            // What cannot be tagged cannot be read either.
            let Some(Ok(tagged)) = subscription.map(|id| tag(text, id, &Limits::default())) else { continue };
            client.event(&self.message(tagged)).await?;
        }
        Ok(())
    }

    /// Ends a stream of the gateway's own will. The client is to come back.
    pub(super) async fn end(&self, client: &mut dyn Client) -> Result<(), ClientError> {
        let last = match self {
            Self::Session(_) => Message { retry_ms: Some(retry_ms()), ..self.message(Bytes::new()) },
            Self::Subscription { id, .. } => self.message(listen_result(id)),
        };
        client.event(&last).await?;
        client.finish().await
    }
}

/// Clients that were all sent away do not come back all at once.
fn retry_ms() -> u64 {
    500 + fastrand::u64(..1500)
}

/// A message of a binding under the names of the endpoint; none if it cannot be read.
pub(super) fn outwards(json: &Bytes, endpoint: &Endpoint, route: &Route) -> Option<Bytes> {
    if endpoint.naming == Naming::Bare {
        return Some(json.clone());
    }
    let renamed = catalogue::outward(json, &catalogue::Prefix::new(&route.id), &Limits::default());
    match renamed {
        Ok(std::borrow::Cow::Borrowed(_)) => Some(json.clone()),
        Ok(std::borrow::Cow::Owned(renamed)) => Some(Bytes::from(renamed)),
        Err(error) => {
            tracing::debug!(binding = route.id, %error, "a message of an upstream cannot be read");
            None
        }
    }
}
