//! Licences: what a tier includes and which plugins an organization is entitled to.
//!
//! Pure arithmetic on values: a licence's signature and dates are checked before one of these exists ([`License::verify`]), and the time is
//! a parameter.

mod entitlements;
mod keys;
mod license;
mod tier;

pub use entitlements::{Entitlements, PluginGlob, PluginGlobError};
pub use keys::{KeyError, LicenseKeys};
pub use license::{License, LicenseError, TOKEN_BYTES_MAX};
pub use tier::{Feature, Tier, TierError};
