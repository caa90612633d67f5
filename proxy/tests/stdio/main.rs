//! Servers that are processes, with real ones: small shell scripts behind the gateway's own keeper.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed assumption here is a failed test"
)]

mod ends;
mod keeps;
mod rig;
mod sessions;
mod shared;
mod trouble;
