//! Policy: the chain of engines that decides every call, its decision cache, and the built-in engines.
//!
//! Default deny: a call goes on only when every configured engine permits it, and a chain without
//! engines permits nothing. Errors deny. See `docs/POLICY.md`.

pub mod bundle;
mod cache;
pub mod casbin;
pub mod cedar;
mod chain;
pub mod document;
mod input;
pub mod opa;
mod revoked;
#[cfg(test)]
mod testing;
mod threads;
mod viewpoint;

pub use cache::{CacheCounters, CacheLimits};
pub use cedar::nearest_name;
pub use chain::{Decided, PolicyChain, PolicyRef, Shadow, ShadowOpinion, Verdict};
pub use revoked::RevokedEngine;
pub use threads::PolicyThreads;
pub use viewpoint::{Listed, Shown, Viewpoint};
