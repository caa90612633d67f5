//! The control plane: tenants, roles, plugin sets, revisions.
//!
//! Who may do what is decided here by one pure function, [`authorization::authorize`]; every handler of the API asks it
//! before it touches the store.

pub mod authorization;
pub mod store;
