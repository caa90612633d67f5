//! `observability.metrics`: Prometheus metrics at the admin listener. It has no settings yet, and refuses any.

use mcpg_sdk::{Settings, SettingsError};
use serde::Deserialize;

/// The built-in's id.
pub const ID: &str = "observability.metrics";

/// The `config:` of `observability.metrics`: empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsSettings {}

impl MetricsSettings {
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
        assert!(MetricsSettings::build(&Settings::default()).is_ok());
        let settings = Settings(serde_json::json!({"port": 9090}));
        assert!(MetricsSettings::build(&settings).unwrap_err().message.contains("port"));
    }
}
