//! `identity.anonymous`: everyone is the caller `anonymous`. For scopes that are public by explicit choice.
//!
//! It is the last provider of its chain, and beside other providers it admits only requests that present no
//! credential: a mistyped key is refused, not served as a stranger.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use mcpg_sdk::{AuthMethod, Caller, Settings, SettingsError};
use serde::Deserialize;
use serde_json::Value;

use super::Outcome;

/// The built-in's id.
pub const ID: &str = "identity.anonymous";

/// The subject of every anonymous caller.
pub const SUBJECT: &str = "anonymous";

/// The `config:` of `identity.anonymous`.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnonymousSettings {
    /// What policy sees as the caller's attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, Value>,
}

/// The provider.
#[derive(Debug)]
pub struct Anonymous {
    caller: Arc<Caller>,
}

impl Anonymous {
    /// Builds the provider from its settings.
    ///
    /// # Errors
    /// When the settings do not parse.
    pub fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let settings: AnonymousSettings = settings.parse()?;
        let caller = Caller {
            subject: SUBJECT.to_owned(),
            audience: None,
            attributes: settings.attributes.into_iter().collect::<HashMap<_, _>>(),
            auth_method: AuthMethod::Anonymous,
        };
        Ok(Self { caller: Arc::new(caller) })
    }

    /// Resolves every request to the same caller.
    pub fn resolve(&self) -> Outcome {
        Outcome::Resolved { caller: Arc::clone(&self.caller), credential: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_is_the_same_caller() {
        let settings = Settings(serde_json::json!({"attributes": {"tier": "public"}}));
        let anonymous = Anonymous::build(&settings).unwrap();
        let Outcome::Resolved { caller, credential } = anonymous.resolve() else { panic!("not resolved") };
        assert_eq!(caller.subject, "anonymous");
        assert_eq!(caller.auth_method, AuthMethod::Anonymous);
        assert_eq!(caller.attributes["tier"], "public");
        assert_eq!(credential, None);
    }

    #[test]
    fn the_subject_is_not_a_setting() {
        let settings = Settings(serde_json::json!({"subject": "user:root@acme.com"}));
        assert!(Anonymous::build(&settings).is_err());
    }
}
