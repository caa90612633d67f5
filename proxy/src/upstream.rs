//! An MCP server behind the gateway, spoken to message by message.
//!
//! What passes straight through (`dispatch`) never comes here. What does: whatever the gateway asks on its own account
//! (lists, discovery, sessions), calls between the eras, and every call to a server that is a process.
//!
//! A [`Reply`] is the same whatever carried it: a JSON body is one message, an event stream is many, a process's output
//! is what belongs to the request.

mod answer;
pub(crate) mod body;
mod connect;
pub mod credentials;
mod error;
mod exchange;
mod gate;
mod http;
pub(crate) mod http1;
mod lease;
mod message;
mod modern;
pub(crate) mod outbound;
mod response;
mod resume;
pub(crate) mod retries;
mod session;
mod standing;
pub mod stdio;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use ::http::HeaderValue;
use bytes::Bytes;
use mcpg_protocol::Revision;
use mcpg_sdk::Caller;

use crate::revision::Route;

pub use self::http::{HostAndPort, HttpParts, HttpUpstream};
pub use answer::ReplyLimits;
pub use connect::Connectors;
pub use error::UpstreamError;
pub use exchange::Whole;
pub use gate::{Gate, Outcome, Permit};
pub use lease::{Lease, Leases};
pub use message::{Message, MessageStream, Outgoing, Reply, Verb};
pub use modern::ModernRequest;
pub use response::{Incoming, RpcFailure};
pub(crate) use session::refused;
pub use session::{Initialized, UpstreamSession};
pub use standing::{Eras, LegacyStanding, Standing};

/// For whom the gateway speaks to an upstream.
#[derive(Clone, Copy)]
pub struct OnBehalf<'a> {
    /// The caller.
    pub caller: &'a Arc<Caller>,
    /// The bearer token that the caller presented, for an exchange (RFC 8693) and for nothing else.
    pub bearer: Option<&'a [u8]>,
    /// The trace to join.
    pub traceparent: Option<&'a [u8]>,
}

/// [`OnBehalf`] of its own, for what outlives a request.
#[derive(Clone)]
pub struct Behalf {
    caller: Arc<Caller>,
    bearer: Option<Bytes>,
    traceparent: Option<Bytes>,
}

impl OnBehalf<'_> {
    /// The same, of its own.
    pub fn to_owned(&self) -> Behalf {
        Behalf {
            caller: Arc::clone(self.caller),
            bearer: self.bearer.map(Bytes::copy_from_slice),
            traceparent: self.traceparent.map(Bytes::copy_from_slice),
        }
    }
}

impl Behalf {
    /// The same, borrowed.
    pub fn borrow(&self) -> OnBehalf<'_> {
        OnBehalf {
            caller: &self.caller,
            bearer: self.bearer.as_deref(),
            traceparent: self.traceparent.as_deref(),
        }
    }
}

/// What a client said of itself, in the era of sessions at `initialize`, in the modern one with every request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientProfile {
    /// The revision that it speaks.
    pub protocol: Revision,
    /// `capabilities`: the raw text of an object.
    pub capabilities: Box<str>,
    /// `clientInfo`: the raw text of an object.
    pub info: Box<str>,
}

impl ClientProfile {
    /// What the gateway says of itself where it asks on its own account.
    pub fn own(protocol: Revision) -> Self {
        let info = concat!(r#"{"name":"mcpg","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);
        Self { protocol, capabilities: "{}".into(), info: info.into() }
    }
}

impl Route {
    /// The value of `Authorization` for the upstream, where the binding has credentials of its own.
    pub(crate) async fn authorization(
        &self,
        on_behalf: &OnBehalf<'_>,
    ) -> Result<Option<HeaderValue>, UpstreamError> {
        match self.http().and_then(|http| http.credentials.as_ref()) {
            Some(credentials) => credentials.authorization(on_behalf).await.map(Some),
            None => Ok(None),
        }
    }
}
