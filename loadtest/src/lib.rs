//! Open-loop load generator and capacity planner.

pub mod fleet;
mod http;
mod process;
mod times;
