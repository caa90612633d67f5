//! Long streams: what upstreams tell of their own accord, carried to the clients that listen.
//!
//! A legacy client has the stream of its session (GET), a modern one its subscriptions. Either may come from several upstreams of
//! either era. What is the same for all who listen is heard once and told to each ([`Feeds`]); what is said to one client goes
//! to that client.
//!
//! Invariants:
//! - Memory depends neither on how much upstreams say nor on how slowly a client reads.
//! - A stream is judged again when a revision comes into force and every minute: one whose caller may not have it any more ends.
//! - Event ids and subscriptions select among what the request was admitted for. Nothing is reached by forging them.
//!
//! Sources: MCP 2025-11-25 `basic/transports`, `server/resources`; MCP 2026-07-28 `basic/patterns/subscriptions`; SEP-1699
//! (streams that are polled), SEP-2663 (tasks).

mod end;
mod feed;
mod feeds;
mod live;
mod mailbox;
mod merged;
mod pace;
mod part;
mod recheck;
mod refuse;
mod resume;
#[cfg(test)]
mod script;
mod session;
mod source;
mod subscribe;
mod subscription;
mod term;
#[cfg(test)]
mod tests;
mod voice;
mod watch;

pub use end::end;
pub use feeds::Feeds;
pub use session::get;
pub use subscribe::subscribe;
pub use subscription::listen;
pub(crate) use watch::Watch;

/// What policy knows the stream of a session as.
const SESSION_STREAM: &str = "mcp/stream";
