//! Open-loop load generator and capacity planner.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it dials what its operator names, and figures are what it is for"
)]

mod agent;
pub mod audit;
pub mod fleet;
mod http;
mod operator;
mod process;
pub mod strangers;
mod times;
