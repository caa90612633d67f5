//! The stream of revisions to one gateway, as server-sent events.
//!
//! Whatever wakes it, it looks at what the gateway is to run and sends that: a hint that is lost or comes twice costs a look. It sends a comment
//! every 15 seconds, so that either side finds out when the other is gone, and looks again then: a gateway that was retired is let go of.

use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::stream::unfold;
use mcpg_cp_api::{EnvironmentPath, SignedRevision, Timestamp, document_digest};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::publish::wanted;
use crate::store::{Changes, GatewayId, Hint, Revision, Scoped, StoreError};

/// How often something is sent, whatever happens.
const ALIVE: Duration = Duration::from_secs(15);
/// The pause before a store that cannot be read is read again.
const AGAIN: Duration = Duration::from_secs(2);

/// Where one gateway's stream is.
pub struct Following {
    /// Its organization's rows.
    pub scope: Scoped,
    /// The gateway.
    pub gateway: GatewayId,
    /// Its environment.
    pub environment: EnvironmentPath,
    /// The number that it has.
    pub after: i64,
    /// Says that there may be something new.
    pub changes: Changes,
    /// Turns to true when the service stops.
    pub stopping: watch::Receiver<bool>,
}

/// The events for a gateway.
pub fn body(following: Following) -> Body {
    Body::from_stream(unfold((following, true), |(mut following, first)| async move {
        let piece = following.next(first).await?;
        Some((Ok::<_, std::convert::Infallible>(piece), (following, false)))
    }))
}

impl Following {
    /// The next piece; none at the end of the stream.
    async fn next(&mut self, first: bool) -> Option<Bytes> {
        // Looked at before anything is waited for: what was published before the subscription has no hint.
        let mut look = first;
        loop {
            if *self.stopping.borrow() {
                return None;
            }
            if look {
                match self.look().await {
                    Ok(Looked::Event(event)) => return Some(event),
                    Ok(Looked::Nothing) => {}
                    Ok(Looked::Gone) => return None,
                    Err(error) => {
                        tracing::warn!(gateway = %self.gateway, error = &error as &dyn std::error::Error, "revisions cannot be read");
                        tokio::time::sleep(AGAIN).await;
                        return Some(Bytes::from_static(b": wait\n\n"));
                    }
                }
            }
            tokio::select! {
                hint = timeout(ALIVE, self.changes.next()) => match hint {
                    Err(_) => return Some(Bytes::from_static(b":\n\n")),
                    Ok(None) => return None,
                    Ok(Some(Hint::Look)) => look = true,
                    Ok(Some(Hint::Changed(change))) => look = change.org == *self.scope.org_id(),
                },
                _ = self.stopping.changed() => return None,
            }
        }
    }

    async fn look(&mut self) -> Result<Looked, StoreError> {
        let mut read = self.scope.read().await?;
        let gateway = match read.gateway(&self.gateway).await {
            Ok(gateway) if gateway.retired_at.is_none() => gateway,
            Ok(_) | Err(StoreError::NotFound) => return Ok(Looked::Gone),
            Err(error) => return Err(error),
        };
        let Some(head) = wanted(&mut read, &gateway, self.after).await? else { return Ok(Looked::Nothing) };
        let revision = read.revision(&gateway.environment_id, head.number).await?;
        let event = event(&revision, &self.environment)?;
        self.after = head.number;
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

fn event(revision: &Revision, environment: &EnvironmentPath) -> Result<Bytes, StoreError> {
    let signed = signed(revision, environment)?;
    // JSON has no line ends of its own.
    let data = serde_json::to_string(&signed).map_err(|_| StoreError::Corrupt { what: "revision" })?;
    Ok(format!("event: revision\nid: {}\ndata: {data}\n\n", signed.number).into())
}
