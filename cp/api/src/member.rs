//! Members, and the roles they hold.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Role, Target};

/// A role of a member on a node of the tenancy tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Who.
    pub member: Member,
    /// What they may do.
    pub role: Role,
    /// Where, and below.
    pub on: Target,
}

/// A person, by the address that their identity provider vouches for: `alice@acme.com`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Member(String);

/// A name for people to read: 1 to 100 characters, on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DisplayName(String);

impl Member {
    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl FromStr for Member {
    type Err = MemberError;

    /// One `@` with something on both sides. ASCII only: two addresses that look alike must not be two members.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('@').filter(|(name, domain)| !name.is_empty() && !domain.is_empty());
        let plain = text.len() <= 254
            && text.matches('@').count() == 1
            && text.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase());
        match parts {
            Some(_) if plain => Ok(Self(text.to_owned())),
            _ => Err(MemberError { text: text.to_owned() }),
        }
    }
}

impl FromStr for DisplayName {
    type Err = DisplayNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let length = text.chars().count();
        if (1..=100).contains(&length) && text.trim() == text && !text.contains(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(DisplayNameError)
        }
    }
}

crate::text::text_access!(Member);
crate::text::text_access!(DisplayName);
crate::text::wire_text!(Member, MemberError, r"^[!-?\[-~]+@[!-?\[-~]+$", 3, 254, "alice@acme.com");
crate::text::wire_text!(
    DisplayName,
    DisplayNameError,
    r"^[^\s\u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f\u2028\u2029]{0,98}[^\s\u0000-\u001f\u007f-\u009f])?$",
    1,
    100,
    "Acme, Inc."
);

/// A text that names no member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a member: use an address in lower case, such as `alice@acme.com`")]
pub struct MemberError {
    /// The text as given.
    pub text: String,
}

/// A text that is no display name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a display name has 1 to 100 characters on one line, with no space around it")]
pub struct DisplayNameError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_addresses() {
        for text in ["alice@acme.com", "a.b+c@x"] {
            assert_eq!(text.parse::<Member>().map(|member| member.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("alice@acme.com".parse::<Member>().unwrap().domain(), "acme.com");
        for text in [
            "",
            "alice",
            "@acme.com",
            "alice@",
            "a@b@c",
            "Alice@acme.com",
            "al ice@acme.com",
            "аlice@acme.com",
        ] {
            assert!(text.parse::<Member>().is_err(), "{text}");
        }
    }

    #[test]
    fn display_names_are_one_line() {
        assert!("Acme, Inc.".parse::<DisplayName>().is_ok());
        for text in ["", " Acme", "Acme\nInc", "a\u{1b}[31m", &"x".repeat(101)] {
            assert!(text.parse::<DisplayName>().is_err(), "{text}");
        }
    }

    #[test]
    fn grants_round_trip_as_json() {
        let json = r#"{"member":"alice@acme.com","role":"admin","on":"org/acme-corp"}"#;
        let grant: Grant = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&grant).unwrap(), json);
        for wrong in [
            json.replace("admin", "owner"),
            json.replace("org/", ""),
            json.replace("\"role\"", "\"extra\":1,\"role\""),
        ] {
            assert!(serde_json::from_str::<Grant>(&wrong).is_err(), "{wrong}");
        }
    }
}
