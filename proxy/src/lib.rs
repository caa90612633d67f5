//! The MCPG data plane: a governed ingress for the Model Context Protocol.

pub mod guard;
pub mod sockets;
pub mod trace_context;
pub mod drain;
pub mod metrics;
pub mod peer;
pub mod telemetry;
pub mod audit;
pub mod gateway;
pub mod pipeline;
pub mod refusal;
pub mod response;
pub mod revision;
pub mod admin;
pub mod reload;
pub mod server;
