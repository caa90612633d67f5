//! The long streams of both eras as text: event ids that resume anywhere, ids that find their way back through a stateless
//! gateway, `subscriptions/listen` and what runs on it.
//!
//! INVARIANT: a message is never written anew. Ids and tags are spliced into it, all else stays byte for byte.
//!
//! INVARIANT: nothing here grants access. An event id or a routed id selects among what the session's token already allows;
//! whoever forges one reaches nothing that was out of reach.
//!
//! Sources: MCP 2025-11-25 `basic/transports` ("Resumability and Redelivery"), MCP 2026-07-28
//! `basic/patterns/subscriptions`, SEP-2663 ("Task Status Notifications").

mod change;
mod event_id;
mod filter;
mod listen;
mod notice;
mod route;

pub use change::{Change, Changes};
pub use event_id::{EventId, Positions};
pub use filter::{Filter, FilterError};
pub use listen::{
    SUBSCRIPTION_ID, acknowledged, listen_request, listen_result, resource_updated, tag, untag,
};
pub use notice::{Incoming, Notice};
pub use route::{OutwardError, Routed, RoutedId, inward, outward};

/// Whether a text has the form of a binding's id.
fn is_binding(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
