//! Which plugins an organization may use: ids and globs over them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The plugins a licence covers. An empty list covers none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Entitlements {
    globs: Vec<PluginGlob>,
}

impl Entitlements {
    /// Entitlements by globs.
    pub fn new(globs: Vec<PluginGlob>) -> Self {
        Self { globs }
    }

    /// Whether a plugin's id is covered.
    pub fn cover(&self, plugin: &str) -> bool {
        self.globs.iter().any(|glob| glob.matches(plugin))
    }
}

/// A plugin id in which `*` stands for any run of characters: `policy.*`, `*`, `identity.oidc`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginGlob(String);

impl PluginGlob {
    /// Whether the glob matches the whole of an id.
    pub fn matches(&self, plugin: &str) -> bool {
        let Some((prefix, rest)) = self.0.split_once('*') else {
            return self.0 == plugin;
        };
        let Some(mut left) = plugin.strip_prefix(prefix) else {
            return false;
        };
        let (middle, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
        // Taking each piece at its first place leaves the most for those that follow.
        for piece in middle.split('*') {
            match left.split_once(piece) {
                Some((_, after)) => left = after,
                None => return false,
            }
        }
        left.ends_with(suffix)
    }
}

impl FromStr for PluginGlob {
    type Err = PluginGlobError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_' | b'*')
        };
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PluginGlobError { text: text.to_owned() })
        }
    }
}

impl TryFrom<String> for PluginGlob {
    type Error = PluginGlobError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PluginGlob> for String {
    fn from(glob: PluginGlob) -> Self {
        glob.0
    }
}

impl fmt::Display for PluginGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no glob over plugin ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a plugin id or a glob over them: use 1 to 128 of `a-z`, `0-9`, `.`, `-`, `_` and `*`"
)]
pub struct PluginGlobError {
    /// The text as given.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_ids() {
        let check = |glob: &str, plugin: &str, expected: bool| {
            let parsed: PluginGlob = glob.parse().unwrap();
            assert_eq!(parsed.matches(plugin), expected, "`{glob}` and `{plugin}`");
        };
        for (glob, plugin, expected) in [
            ("policy.cedar", "policy.cedar", true),
            ("policy.cedar", "policy.cedar2", false),
            ("policy.cedar", "my.policy.cedar", false),
            ("policy.*", "policy.cedar", true),
            ("policy.*", "policy.", true),
            ("policy.*", "policyx", false),
            ("*", "anything", true),
            ("*.oidc", "identity.oidc", true),
            ("*.oidc", "identity.oidc.x", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a**c", "ac", true),
            ("*b*b*", "b", false),
            ("*b*b*", "abcbd", true),
        ] {
            check(glob, plugin, expected);
        }
    }

    #[test]
    fn nothing_is_covered_unless_named() {
        assert!(!Entitlements::default().cover("policy.cedar"));
        let entitlements: Entitlements = serde_json::from_str(r#"["policy.*", "identity.oidc"]"#).unwrap();
        for (plugin, expected) in
            [("policy.opa", true), ("identity.oidc", true), ("identity.mtls", false), ("", false)]
        {
            assert_eq!(entitlements.cover(plugin), expected, "{plugin}");
        }
        assert!(serde_json::from_str::<Entitlements>(r#"["Policy.*"]"#).is_err());
        assert!(serde_json::from_str::<Entitlements>(r#"[""]"#).is_err());
    }

    /// What a glob means, without regard to cost.
    fn matches_slowly(glob: &[u8], plugin: &[u8]) -> bool {
        match (glob.split_first(), plugin.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => matches_slowly(rest, plugin),
            (Some((b'*', rest)), Some((_, after))) => {
                matches_slowly(rest, plugin) || matches_slowly(glob, after)
            }
            (Some((byte, rest)), Some((first, after))) => byte == first && matches_slowly(rest, after),
            _ => false,
        }
    }

    proptest::proptest! {
        #[test]
        fn globs_match_as_defined(glob in "[ab.*]{1,8}", plugin in "[ab.]{0,10}") {
            let parsed: PluginGlob = glob.parse().unwrap();
            let expected = matches_slowly(glob.as_bytes(), plugin.as_bytes());
            proptest::prop_assert_eq!(parsed.matches(&plugin), expected);
        }
    }
}
