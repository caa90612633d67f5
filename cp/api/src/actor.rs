//! Who did something: `user:alice@acme.com`, `token:<id>`, `platform:<id>`, `gateway:<id>`, `system`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Actor(String);

impl FromStr for Actor {
    type Err = ActorError;

    fn from_str(text: &str) -> Result<Self, ActorError> {
        let known = text == "system"
            || ["user:", "token:", "platform:", "gateway:"]
                .iter()
                .any(|kind| text.strip_prefix(kind).is_some_and(|name| !name.is_empty()));
        let plain = text.len() <= 300 && text.bytes().all(|byte| byte.is_ascii_graphic());
        if known && plain { Ok(Self(text.to_owned())) } else { Err(ActorError) }
    }
}

crate::text::text_access!(Actor);
crate::text::wire_text!(
    Actor,
    ActorError,
    "^(system|(user|token|platform|gateway):[!-~]+)$",
    6,
    300,
    "user:alice@acme.com"
);

/// A text that names nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an actor is `system`, or one of `user:`, `token:`, `platform:` and `gateway:` with a name")]
pub struct ActorError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_have_a_kind_and_a_name() {
        for (text, fits) in [
            ("system", true),
            ("user:alice@acme.com", true),
            ("token:1", true),
            ("token:", false),
            ("alice", false),
            ("user:al ice", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<Actor>().is_ok(), fits, "{text}");
        }
    }
}
