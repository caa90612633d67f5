//! The name of one organization, workspace or environment within its parent.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// 2 to 40 characters of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

impl Slug {
    /// The slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = SlugError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (2..=40).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(SlugError { text: text.to_owned() })
        }
    }
}

crate::text::wire_text!(Slug, SlugError, "^[a-z0-9-]{2,40}$", 2, 40, "acme-corp");

impl Borrow<str> for Slug {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no slug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a slug: use 2 to 40 characters of `a-z`, `0-9` and `-`")]
pub struct SlugError {
    /// The text as given.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_short_lower_case_words() {
        let check = |text: &str, valid: bool| assert_eq!(text.parse::<Slug>().is_ok(), valid, "{text}");
        let longest = "a".repeat(40);
        for text in ["acme-corp", "a1", "42", &longest] {
            check(text, true);
        }
        for text in ["", "a", "Acme", "acme corp", "acme_corp", "acme/x", "acmé", &format!("{longest}a")] {
            check(text, false);
        }
    }
}
