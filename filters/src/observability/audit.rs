//! `observability.audit`: the ledger of decisions, which the gateway writes whether or not the entry is there.
//!
//! Its settings are those of the gateway's `audit:` section, so the configuration reads them and hands on none.

use mcpg_sdk::{Settings, SettingsError};
use serde::Deserialize;

/// The built-in's id.
pub const ID: &str = "observability.audit";

/// The `config:` of `observability.audit` as it comes here: empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditSettings {}

impl AuditSettings {
    /// Parses the settings.
    ///
    /// # Errors
    /// When there is any.
    pub fn build(settings: &Settings) -> Result<Self, SettingsError> {
        settings.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_settings_are_refused() {
        assert!(AuditSettings::build(&Settings::default()).is_ok());
        let settings = Settings(serde_json::json!({"mode": "sync"}));
        assert!(AuditSettings::build(&settings).unwrap_err().message.contains("mode"));
    }
}
