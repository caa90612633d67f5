//! The stream of terms and revisions to one gateway, as server-sent events.
//!
//! It begins with the terms of the organization, and sends them again when they are others. It is woken when the plan of its environment was read again
//! ([`super::fleet`]), looks at what the gateway is to run, and sends that. It sends a comment every
//! 10 seconds, so that either side finds out when the other is gone; a gateway that was retired is let go of.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::stream::unfold;
use mcpg_cp_api::{EnvironmentPath, SignedRevision, Timestamp, document_digest};
use tokio::sync::watch;
use tokio::time::timeout;

use super::fleet::{Fleet, News, Next, Plan, Subscription};
use crate::store::{Gateway, Revision, StoreError};

/// How often something is sent, whatever happens.
const ALIVE: Duration = Duration::from_secs(10);
const ALIVE_COMMENT: Bytes = Bytes::from_static(b":\n\n");
/// The pause before a revision that cannot be read is read again.
const AGAIN: Duration = Duration::from_secs(2);

/// Where one gateway's stream is.
pub struct Following {
    gateway: Arc<Gateway>,
    /// The number that it has.
    after: i64,
    fleet: Arc<Fleet>,
    subscription: Subscription,
    /// What was not looked at yet.
    plan: Option<Arc<Plan>>,
    /// Turns to true when the service stops.
    stopping: watch::Receiver<bool>,
}

/// The events for a gateway that has a revision, until the service stops.
pub fn body(fleet: Arc<Fleet>, gateway: Arc<Gateway>, after: i64, stopping: watch::Receiver<bool>) -> Body {
    let subscription = fleet.join(&gateway);
    let following = Following { gateway, after, fleet, subscription, plan: None, stopping };
    Body::from_stream(unfold(following, |mut following| async move {
        let piece = following.next().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), following))
    }))
}

impl Following {
    /// The next piece; none at the end of the stream.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if *self.stopping.borrow() {
                return None;
            }
            if let Some(plan) = self.plan.take() {
                match self.look(&plan).await {
                    Ok(Looked::Event(event)) => return Some(event),
                    Ok(Looked::Nothing) => {}
                    Ok(Looked::Gone) => return None,
                    Err(error) => {
                        tracing::warn!(gateway = %self.gateway.id, error = &error as &dyn std::error::Error, "a revision cannot be read");
                        tokio::time::sleep(AGAIN).await;
                        self.plan = Some(plan);
                        return Some(ALIVE_COMMENT);
                    }
                }
            }
            tokio::select! {
                news = timeout(ALIVE, self.subscription.changed()) => match news {
                    Err(_) => return Some(ALIVE_COMMENT),
                    Ok(None) => return None,
                    Ok(Some(News::Terms(terms))) => return Some(terms.event),
                    Ok(Some(News::Plan(plan))) => self.plan = Some(plan),
                },
                _ = self.stopping.changed() => return None,
            }
        }
    }

    async fn look(&mut self, plan: &Plan) -> Result<Looked, StoreError> {
        if self.after > plan.newest() {
            tracing::warn!(gateway = %self.gateway.id, has = self.after, newest = plan.newest(), "a gateway has a newer revision than the database: was it set back?");
        }
        let head = match self.subscription.next(plan, &self.gateway, self.after) {
            Next::Run(head) => head,
            Next::Wait => return Ok(Looked::Nothing),
            Next::Leave => return Ok(Looked::Gone),
        };
        let Some(environment) = plan.environment() else { return Ok(Looked::Gone) };
        let event = self.fleet.event(&self.gateway, environment, &head).await?;
        self.after = head.number;
        let (number, digest) = (head.number, format_args!("blake3:{}", head.digest));
        tracing::debug!(gateway = %self.gateway.id, %environment, number, %digest, "a revision goes to a gateway");
        Ok(Looked::Event(event))
    }
}

enum Looked {
    Event(Bytes),
    Nothing,
    Gone,
}

/// A revision as gateways get it.
///
/// # Errors
/// [`StoreError::Corrupt`] where its document is no text.
pub fn signed(revision: &Revision, environment: &EnvironmentPath) -> Result<SignedRevision, StoreError> {
    let document = String::from_utf8(revision.document.clone());
    let document = document.map_err(|_| StoreError::Corrupt { what: "revision" })?;
    Ok(SignedRevision {
        environment: environment.clone(),
        number: u64::try_from(revision.head.number).map_err(|_| StoreError::Corrupt { what: "number" })?,
        digest: document_digest(&document),
        created_at: Timestamp::from_unix_ms(revision.head.created_at),
        document,
        signature: URL_SAFE_NO_PAD.encode(&revision.head.signature),
    })
}

/// The event of a revision.
pub(super) fn event(revision: &Revision, environment: &EnvironmentPath) -> Result<Bytes, StoreError> {
    let signed = signed(revision, environment)?;
    // JSON has no line ends of its own.
    let data = serde_json::to_string(&signed).map_err(|_| StoreError::Corrupt { what: "revision" })?;
    Ok(format!("event: revision\nid: {}\ndata: {data}\n\n", signed.number).into())
}
