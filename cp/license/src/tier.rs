//! The four tiers, what each keeps and what each unlocks.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const DAY: Duration = Duration::from_hours(24);

/// What an organization has bought. Each tier includes the ones before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Tier 0: no licence, no federation, no call to anywhere.
    #[default]
    Community,
    /// Tier 1.
    Pro,
    /// Tier 2.
    Team,
    /// Tier 3.
    Enterprise,
}

/// What only some tiers include.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// `workspace.rbac`: roles granted on a workspace.
    WorkspaceRbac,
    /// `environment.rbac`: roles granted on an environment.
    EnvironmentRbac,
    /// `federation`: licences fetched from an issuer.
    Federation,
}

impl Tier {
    /// Every tier, the least first.
    pub const ALL: [Self; 4] = [Self::Community, Self::Pro, Self::Team, Self::Enterprise];

    /// How long audit rows are kept. Seven years count their leap days: 2,557 days cover any seven.
    pub fn audit_retention(self) -> Duration {
        match self {
            Self::Community => 30 * DAY,
            Self::Pro => 90 * DAY,
            Self::Team => 180 * DAY,
            Self::Enterprise => 2557 * DAY,
        }
    }

    /// Whether the tier unlocks the feature.
    pub fn includes(self, feature: Feature) -> bool {
        self >= feature.least_tier()
    }

    /// The name as written in a licence.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Community => "community",
            Self::Pro => "pro",
            Self::Team => "team",
            Self::Enterprise => "enterprise",
        }
    }
}

impl Feature {
    /// The lowest tier that unlocks it.
    pub fn least_tier(self) -> Tier {
        match self {
            Self::Federation => Tier::Pro,
            Self::WorkspaceRbac => Tier::Team,
            Self::EnvironmentRbac => Tier::Enterprise,
        }
    }

    /// The name as written in a licence.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WorkspaceRbac => "workspace.rbac",
            Self::EnvironmentRbac => "environment.rbac",
            Self::Federation => "federation",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Tier {
    type Err = TierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.as_str() == text)
            .ok_or_else(|| TierError { text: text.to_owned() })
    }
}

/// A text that names no tier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a tier: use `community`, `pro`, `team` or `enterprise`")]
pub struct TierError {
    /// The text as given.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audit_rows_are_kept_as_long_as_the_tier_says() {
        for (tier, days) in [("community", 30), ("pro", 90), ("team", 180), ("enterprise", 7 * 365 + 2)] {
            let tier: Tier = tier.parse().unwrap();
            assert_eq!(tier.audit_retention(), days * DAY, "{tier}");
        }
        assert!("Enterprise".parse::<Tier>().is_err());
        assert_eq!(Tier::default(), Tier::Community);
    }

    #[test]
    fn features_open_at_their_tier() {
        let check = |feature: Feature, least: Tier| {
            for tier in Tier::ALL {
                assert_eq!(tier.includes(feature), tier >= least, "{feature} at {tier}");
            }
        };
        check(Feature::Federation, Tier::Pro);
        check(Feature::WorkspaceRbac, Tier::Team);
        check(Feature::EnvironmentRbac, Tier::Enterprise);
    }
}
