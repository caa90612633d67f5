//! What `oci://…` names: registry, repository, tag and digest (OCI distribution specification 1.1, "Pulling manifests").

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// The tag when neither tag nor digest is written.
const DEFAULT_TAG: &str = "latest";

const REPOSITORY_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;

/// An artifact of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleReference {
    /// Host and port of the registry, as written.
    pub registry: String,
    /// The repository in it.
    pub repository: String,
    /// The tag. With a digest it is for people only.
    pub tag: Option<String>,
    /// The digest of the manifest.
    pub digest: Option<ContentDigest>,
}

/// A SHA-256 digest of content. Prints as `sha256:…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentDigest([u8; 32]);

impl BundleReference {
    /// The tag that is asked for when there is no digest.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or(DEFAULT_TAG)
    }
}

impl FromStr for BundleReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("oci://").ok_or(ReferenceError::Scheme)?;
        let (rest, digest) = match rest.split_once('@') {
            None => (rest, None),
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
        };
        let (registry, rest) = rest.split_once('/').ok_or(ReferenceError::Repository)?;
        let (repository, tag) = match rest.split_once(':') {
            None => (rest, None),
            Some((repository, tag)) => (repository, Some(tag)),
        };
        if !is_registry(registry) {
            return Err(ReferenceError::Registry);
        }
        if repository.len() > REPOSITORY_BYTES_MAX || !repository.split('/').all(is_component) {
            return Err(ReferenceError::Repository);
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag);
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

/// A host, with or without a port; the URL that is made of it is read more strictly.
fn is_registry(text: &str) -> bool {
    let is_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    !text.is_empty() && text.bytes().all(is_byte)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends_well = |byte: Option<u8>| byte.is_some_and(is_word);
    let separators =
        text.split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit());
    ends_well(text.bytes().next())
        && ends_well(text.bytes().last())
        && separators
            .into_iter()
            .all(|one| matches!(one, "" | "." | "_" | "__") || one.bytes().all(|byte| byte == b'-'))
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= TAG_BYTES_MAX
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

impl fmt::Display for BundleReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl ContentDigest {
    /// That of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The hexadecimal digits alone.
    pub(super) fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FromStr for ContentDigest {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("sha256:").ok_or(ReferenceError::Digest)?;
        if digits.len() != 64 || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ReferenceError::Digest);
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            let pair = digits.get(at * 2..at * 2 + 2).ok_or(ReferenceError::Digest)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| ReferenceError::Digest)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text names no artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// No `oci://`.
    #[error("expected `oci://REGISTRY/REPOSITORY:TAG@sha256:DIGEST`")]
    Scheme,
    /// The host.
    #[error("the registry is a host, with or without a port")]
    Registry,
    /// The repository.
    #[error("a repository is parts of `a-z`, `0-9`, `.`, `_` and `-` with `/` between them")]
    Repository,
    /// The tag.
    #[error("a tag is 1 to 128 of `A-Z`, `a-z`, `0-9`, `_`, `.` and `-`")]
    Tag,
    /// The digest.
    #[error("a digest is `sha256:` and 64 hexadecimal digits in lower case")]
    Digest,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn references_are_read() {
        let read = |text: &str| text.parse::<BundleReference>();
        let written = read("oci://policies.acme.com/platform-team:1.0").unwrap();
        assert_eq!(written.registry, "policies.acme.com");
        assert_eq!(written.repository, "platform-team");
        assert_eq!(written.tag(), "1.0");
        assert_eq!(written.digest, None);
        let full = format!("oci://localhost:5000/a/b__c/d--e:v1@{DIGEST}");
        let pinned = read(&full).unwrap();
        assert_eq!(pinned.registry, "localhost:5000");
        assert_eq!(pinned.digest, Some(ContentDigest::of(b"")));
        assert_eq!(pinned.to_string(), full);
        assert_eq!(read("oci://a.b/c").unwrap().tag(), "latest");
        assert_eq!(read("oci://[::1]:5000/c").unwrap().registry, "[::1]:5000");
        for (text, error) in [
            ("a.b/c", ReferenceError::Scheme),
            ("oci://a.b", ReferenceError::Repository),
            ("oci:///c", ReferenceError::Registry),
            ("oci://user@a.b/c", ReferenceError::Digest),
            ("oci://a b/c", ReferenceError::Registry),
            ("oci://a.b/C", ReferenceError::Repository),
            ("oci://a.b/../c", ReferenceError::Repository),
            ("oci://a.b/c/", ReferenceError::Repository),
            ("oci://a.b/c..d", ReferenceError::Repository),
            ("oci://a.b/c___d", ReferenceError::Repository),
            ("oci://a.b/c?x", ReferenceError::Repository),
            ("oci://a.b/c:", ReferenceError::Tag),
            ("oci://a.b/c:a/b", ReferenceError::Tag),
            ("oci://a.b/c:../x", ReferenceError::Tag),
            ("oci://a.b/c@sha256:00", ReferenceError::Digest),
            ("oci://a.b/c@sha512:00", ReferenceError::Digest),
            ("oci://a.b/c@", ReferenceError::Digest),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        assert!(DIGEST.to_uppercase().parse::<ContentDigest>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_prints_as_it_was_written(text in "oci://[a-z0-9.:-]{1,9}/[a-z0-9._/-]{1,9}(:[a-zA-Z0-9._-]{1,9})?") {
            if let Ok(read) = text.parse::<BundleReference>() {
                prop_assert_eq!(read.to_string(), text);
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<BundleReference>();
            let _ = format!("oci://{text}").parse::<BundleReference>();
        }
    }
}
