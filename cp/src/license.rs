//! The licence of an organization, as it is in force at a moment. Without one that holds: Community.

use std::collections::BTreeMap;

use mcpg_cp_api::LicenseTier;
use mcpg_license::{Entitlements, License, LicenseError, LicenseKeys, Tier};

/// What is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// The tier.
    pub tier: Tier,
    /// The licence, where one is installed and holds.
    pub license: Option<License>,
    /// Why the one that is installed does not.
    pub refused: Option<LicenseError>,
}

impl InForce {
    /// What an installed licence amounts to at a time (milliseconds since 1970).
    pub fn of(installed: Option<&str>, organization: &str, keys: &LicenseKeys, now_ms: i64) -> Self {
        let now = u64::try_from(now_ms).unwrap_or_default() / 1000;
        match installed.map(|text| License::verify(text, organization, keys, now)) {
            None => Self { tier: Tier::Community, license: None, refused: None },
            Some(Ok(license)) => Self { tier: license.tier, license: Some(license), refused: None },
            // Fail closed: what does not hold grants nothing.
            Some(Err(error)) => Self { tier: Tier::Community, license: None, refused: Some(error) },
        }
    }

    /// The tier, as the API names it.
    pub fn tier_shown(&self) -> LicenseTier {
        match self.tier {
            Tier::Community => LicenseTier::Community,
            Tier::Pro => LicenseTier::Pro,
            Tier::Team => LicenseTier::Team,
            Tier::Enterprise => LicenseTier::Enterprise,
        }
    }

    /// The plugins that are covered: none without a licence.
    pub fn entitlements(&self) -> Entitlements {
        self.license.as_ref().map(|license| license.entitlements.clone()).unwrap_or_default()
    }

    /// Numbers that are granted.
    pub fn quotas(&self) -> BTreeMap<String, u64> {
        self.license.as_ref().map(|license| license.quotas.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_does_not_hold_counts() {
        let none = InForce::of(None, "acme", &LicenseKeys::none(), 0);
        assert_eq!((none.tier, none.refused), (Tier::Community, None));
        let wrong = InForce::of(Some("x.y.z"), "acme", &LicenseKeys::none(), 0);
        assert_eq!(
            (wrong.tier, wrong.license.is_none(), wrong.refused.is_some()),
            (Tier::Community, true, true)
        );
    }
}
