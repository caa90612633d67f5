//! The built-in filters, one file each, grouped by kind.
//!
//! A filter is built from its settings when a revision is loaded and shared by `Arc` from then on. It sees a
//! `Caller` and a `Call`, never a socket or a framework type; time comes in as a parameter.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests are clients and servers"))]

pub mod gate;
pub mod identity;
pub mod net;
pub mod observability;
pub mod policy;
pub mod registry;
pub mod reliability;
pub mod secret;
pub mod shared;
mod threads;
pub mod transform;

pub use threads::ThreadsUse;
