//! `observability.audit`: which guarantee the audit log gives, and where it goes.
//!
//! The same settings are the gateway's `audit:` section; a plugin entry without any uses that section.

use mcpg_sdk::{SecretRef, Settings, SettingsError};
use serde::Deserialize;

/// The built-in's id.
pub const ID: &str = "observability.audit";

/// The `config:` of `observability.audit`. What is absent is as the gateway's `audit:` section says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditSettings {
    /// The folder of the segment files; a relative path is below the configuration's folder.
    pub dir: Option<String>,
    /// When a decision's row is on its way to disk, relative to the call.
    pub mode: Option<AuditMode>,
    /// The Ed25519 key (PKCS#8 PEM) that signs checkpoints.
    #[schemars(with = "Option<String>")]
    pub signing_key: Option<SecretRef>,
}

impl AuditSettings {
    /// Parses the settings.
    ///
    /// # Errors
    /// When they do not parse.
    pub fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let settings: Self = settings.parse()?;
        if settings.dir.as_deref() == Some("") {
            return Err(SettingsError::at("/dir", "the folder of the audit log is empty"));
        }
        Ok(settings)
    }
}

/// When a call may be dispatched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditMode {
    /// When the kernel has the row: survives the death of the process.
    #[default]
    Written,
    /// When the disk has the row: survives the loss of power.
    Sync,
    /// When the row is in a bounded queue.
    Async,
}

impl AuditMode {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Sync => "sync",
            Self::Async => "async",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_parse() {
        let settings = Settings(json!({"dir": "audit", "mode": "sync", "signing_key": "$secret://file/key"}));
        let audit = AuditSettings::build(&settings).unwrap();
        assert_eq!(audit.mode, Some(AuditMode::Sync));
        assert_eq!(audit.signing_key, Some(SecretRef::File("key".to_owned())));
        assert_eq!(AuditSettings::build(&Settings::default()).unwrap(), AuditSettings::default());
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        for (settings, pointer) in [
            (json!({"dir": ""}), "/dir"),
            (json!({"mode": "fast"}), "/mode"),
            (json!({"signing_key": "hunter2"}), "/signing_key"),
            (json!({"dri": "audit"}), "/dri"),
        ] {
            let error = AuditSettings::build(&Settings(settings)).unwrap_err();
            assert_eq!(error.pointer, pointer, "{error}");
            assert!(!error.message.contains("hunter2"));
        }
    }
}
