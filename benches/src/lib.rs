//! Microbenchmarks, instruction counts and the peer ladder.
//!
//! What is measured here decides performance questions: instruction counts gate a change, ratios of runs that are
//! interleaved on one machine inform (docs/PERFORMANCE.md). Absolute times of a shared machine mean nothing.

#![allow(clippy::disallowed_methods, reason = "load comes from clients")]

pub mod ladder;
pub mod load;
pub mod message;
pub mod ops;
pub mod process;
