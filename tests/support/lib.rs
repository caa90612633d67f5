//! Starts real servers on free ports and talks to them byte by byte.
//!
//! Everything here blocks and everything has a deadline, so that a test reads from top to bottom and a server
//! that hangs fails it by name. What a test started dies with it. An assumption that does not hold is a failed
//! test, so this crate panics where others return errors.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::print_stderr,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a failed assumption here is a failed test, and its JSON is passed as it is written"
)]

mod audit;
mod binaries;
pub mod client;
mod control_plane;
mod ctl;
mod fixture;
mod gateway;
pub mod h2;
mod h2_upstream;
mod http;
pub mod key;
pub mod mcp;
mod metrics;
pub mod packages;
mod ports;
pub mod postgres;
mod process;
mod provider;
pub mod scenes;
pub mod slack;
pub mod tls;
mod upstream;
mod wait;
mod wire;

pub use audit::Ledger;
pub use binaries::{fixture as fixture_binary, mcpg, mcpg_cp, mcpg_ctl, run_mcpg};
pub use control_plane::ControlPlane;
pub use ctl::{Ctl, Said};
pub use fixture::Fixture;
pub use gateway::{Gateway, Setup};
pub use h2_upstream::{H2Step, H2Upstream};
pub use http::{Event, RawHttp, Response, exchange};
pub use metrics::Metrics;
pub use ports::free_port;
pub use process::{Orphan, Process, Signal, process_exists, signal};
pub use provider::Provider;
pub use upstream::{RawUpstream, Seen, Step};
pub use wait::{DEADLINE, until};
pub use wire::Wire;
