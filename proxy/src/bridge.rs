//! Calls between the eras, and calls to servers that are processes: message by message, one binding each.
//!
//! | client | upstream | what happens |
//! | --- | --- | --- |
//! | modern | legacy | `to_legacy`: a leased session; what the upstream asks becomes `input_required`, and the call waits in it |
//! | legacy | modern | `to_modern`: what the upstream requires is asked on the client's stream, and the call is repeated with it |
//! | either | the same era, a process | `same_era`: messages pass as they are |
//!
//! What a client says on its own (responses, notifications) finds its way by [`client_message()`].
//!
//! Invariants:
//! - A client is never asked for what it did not declare.
//! - An answer reaches the request that it is of, or nobody: an upstream that answers anything else has failed its call.
//! - What waits is bounded in number, per caller and in time; whoever does not come back leaves nothing behind, and the
//!   upstream is told.
//!
//! Sources: MCP 2026-07-28 `basic/patterns/{mrtr,cancellation,progress}`, `basic/transports`; 2025-11-25 `basic/transports`,
//! `basic/utilities/*`, `client/*`.

mod call;
mod client_message;
mod failure;
mod outlet;
mod parked;
mod peer;
mod same_era;
mod source;
mod state;
mod to_legacy;
mod to_modern;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};

pub use client_message::client_message;
pub use parked::Parked;

use std::sync::Arc;

use bytes::Bytes;
use mcpg_protocol::bridge::Request;
use mcpg_protocol::{Era, RpcError};

use self::outlet::Outlet;
use crate::revision::Route;
use crate::serve::{Admitted, Client, ClientError};

/// What bridged calls have in common: it lives as long as the process.
pub struct Bridge {
    /// The calls that wait for their clients.
    pub parked: Parked,
    /// Tells this process from others that share its keys.
    instance: [u8; 16],
}

impl Bridge {
    /// With room for so many calls that wait.
    pub fn new(parked_max: usize) -> Self {
        let mut instance = [0; 16];
        // Where there is no randomness nothing can be sealed either, and so nothing waits.
        let _ = getrandom::fill(&mut instance);
        Self { parked: Parked::new(parked_max), instance }
    }
}

/// Serves a request by way of a binding, message by message. `there` is the era in which its upstream is spoken to; `body` is the
/// request as the upstream shall read it: its names are the upstream's own.
///
/// # Errors
/// When the client is gone.
pub async fn call(
    admitted: &Admitted,
    route: &Arc<Route>,
    there: Era,
    body: &Bytes,
    client: &mut dyn Client,
) -> Result<(), ClientError> {
    let Ok(request) = Request::parse(body, &admitted.revision.message) else {
        // INVARIANT: the pipeline has read the message. What came of it is a request, too.
        return client.empty(RpcError::InvalidRequest.status(), &[]).await;
    };
    let mut outlet = Outlet::new(client, admitted, route, request.id().raw());
    match (admitted.protocol.era(), there) {
        (Era::Modern, Era::Legacy) => to_legacy::serve(admitted, route, &request, &mut outlet).await,
        (Era::Legacy, Era::Modern) => to_modern::serve(admitted, route, &request, &mut outlet).await,
        (Era::Modern, Era::Modern) | (Era::Legacy, Era::Legacy) => {
            same_era::serve(admitted, route, &request, body, &mut outlet).await
        }
    }
}

/// The raw JSON of an id that no other request of this process has.
fn fresh_id() -> Box<str> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("\"mcpg-{}\"", NEXT.fetch_add(1, Ordering::Relaxed)).into()
}

impl Admitted {
    /// Digest of whose request it is.
    fn caller_digest(&self) -> [u8; 32] {
        crate::sessions::caller_digest(&self.revision.scope.scope, &self.caller)
    }
}
