//! The MCPG data plane: a governed ingress for the Model Context Protocol.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests are clients and servers"))]

pub mod admin;
pub mod approvals;
pub mod audit;
pub mod bridge;
pub mod challenge;
pub mod connection;
pub mod control_plane;
pub mod dispatch;
pub mod drain;
pub mod federation;
pub mod forwarded;
pub mod gateway;
pub mod guard;
mod lru;
pub mod metrics;
mod new_file;
pub mod peer;
pub mod pinning;
pub mod pipeline;
pub mod recorded;
pub mod refusal;
pub mod reload;
pub mod resource_metadata;
pub mod response;
pub mod revision;
pub mod serve;
pub mod server;
pub mod sessions;
pub mod sockets;
pub mod streams;
pub mod telemetry;
pub mod tls;
pub mod upstream;
