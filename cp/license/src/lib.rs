//! Licences: tiers, entitlements, verification.
