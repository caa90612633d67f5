//! Open-loop load generator and capacity planner.

#![allow(clippy::print_stdout, reason = "figures are what it is for")]

pub mod fleet;
mod http;
mod process;
mod times;
