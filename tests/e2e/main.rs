//! The real gateway over real sockets: what goes in byte by byte, what comes out, and what an upstream saw.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::print_stderr,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failed assumption here is a failed test, and its JSON is passed as it is written"
)]

mod admin;
mod approvals;
mod approvals_local;
mod approvals_slack;
mod audit;
mod basic;
mod bridging;
mod bridging_http;
mod bundles;
mod chained;
mod commands;
mod control_plane;
mod control_plane_audit;
mod credentials;
mod crossing;
mod ctl;
mod direct_streams;
mod drain;
mod expect;
mod fan_out;
mod faults;
mod federation;
mod fixture;
mod fleet;
mod framing;
mod h2;
mod h2_upstreams;
mod hostile;
mod hosts;
mod identity;
mod jsonrpc;
mod limits;
mod listener_tls;
mod next_hop;
mod oidc;
mod pinning;
mod policy;
mod processes;
mod quickstart;
mod rate_limit;
mod redaction;
mod reload;
mod retried;
mod revocation;
mod sealed_sessions;
mod sessions;
mod stalls;
mod stdio;
mod stdio_streams;
mod streams;
mod support;
mod tenants;
mod tls;
mod tool_pinning;
mod trace;
mod upgrade;
