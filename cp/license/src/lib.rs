//! Licences: what a tier includes and which plugins an organization is entitled to.
//!
//! Pure arithmetic on values: a licence's signature and dates are checked before one of these exists.

mod entitlements;
mod tier;

pub use entitlements::{Entitlements, PluginGlob, PluginGlobError};
pub use tier::{Feature, Tier, TierError};
