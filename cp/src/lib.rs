//! The control plane: tenants, roles, plugin sets, revisions.
//!
//! Who may do what is decided here by one pure function, [`authorization::authorize`]; every handler of the API is behind it
//! before it touches the store.

pub mod agents;
pub mod api;
pub mod audit;
pub mod authorization;
pub mod canonical;
mod diff;
pub mod license;
pub mod publish;
pub mod serve;
pub mod sign_in;
pub mod store;
