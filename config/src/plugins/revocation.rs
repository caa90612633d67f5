//! Artifacts that must not run, by their digest: what `plugins.revocation_list` says, or a control plane.

use std::collections::BTreeMap;

use serde_json::{Value, json};

const DIGEST: &str = "sha256:";
const DIGITS: usize = 64;

/// Artifacts that must not run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevocationList {
    /// The version of the list; of two that were joined, that of the one that was joined last.
    pub version: u64,
    /// Why each must not run, by its digest: `sha256:` and 64 hexadecimal digits.
    artifacts: BTreeMap<String, (u64, Option<String>)>,
}

/// An artifact of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked<'a> {
    /// Its digest.
    pub digest: &'a str,
    /// The version of the list that names it.
    pub version: u64,
    /// Why, if anybody has said.
    pub reason: Option<&'a str>,
}

impl RevocationList {
    /// A list of digests, each with its reason. What is no digest is left out: it names nothing.
    pub fn new(version: u64, artifacts: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        let artifacts = artifacts.into_iter().filter(|(digest, _)| is_digest(digest));
        Self { version, artifacts: artifacts.map(|(digest, reason)| (digest, (version, reason))).collect() }
    }

    /// The artifact of a digest, if it must not run.
    pub fn find(&self, digest: &str) -> Option<Revoked<'_>> {
        let (digest, (version, reason)) = self.artifacts.get_key_value(digest)?;
        Some(Revoked { digest, version: *version, reason: reason.as_deref() })
    }

    /// Whether it names nothing.
    pub fn is_empty(&self) -> bool {
        self.artifacts.is_empty()
    }

    /// How many artifacts it names.
    pub fn len(&self) -> usize {
        self.artifacts.len()
    }

    /// This list and another: what either names must not run.
    #[must_use]
    pub fn joined(mut self, other: &Self) -> Self {
        self.version = other.version;
        self.artifacts.extend(other.artifacts.clone());
        self
    }

    /// What a fingerprint is made over.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "version": self.version, "artifacts": self.artifacts })
    }
}

impl std::fmt::Display for Revoked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { digest, version, reason } = self;
        write!(f, "`{digest}` is on the revocation list, version {version}")?;
        reason.map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

/// Whether a text is a digest.
pub(super) fn is_digest(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix(DIGEST).is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(is_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(letter: char) -> String {
        format!("sha256:{}", letter.to_string().repeat(64))
    }

    #[test]
    fn digests_have_one_form() {
        for (text, expected) in [
            (digest('a'), true),
            (digest('0'), true),
            (digest('A'), false),
            (digest('g'), false),
            (digest('a').replace("sha256", "sha512"), false),
            (digest('a') + "a", false),
            ("a".repeat(64), false),
            (String::new(), false),
        ] {
            assert_eq!(is_digest(&text), expected, "{text}");
        }
    }

    #[test]
    fn what_either_list_names_is_revoked_and_each_says_its_version() {
        let own = RevocationList::new(2, [(digest('a'), None), ("x".to_owned(), None)]);
        assert_eq!(own.len(), 1);
        let both = own.joined(&RevocationList::new(7, [(digest('b'), Some("lets all in".to_owned()))]));
        let say = |letter| both.find(&digest(letter)).map(|revoked| revoked.to_string());
        assert_eq!(say('a').unwrap(), format!("`{}` is on the revocation list, version 2", digest('a')));
        let expected = format!("`{}` is on the revocation list, version 7: lets all in", digest('b'));
        assert_eq!(say('b').unwrap(), expected);
        assert_eq!((say('c'), both.version), (None, 7));
    }
}
