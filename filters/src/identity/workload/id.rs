//! SPIFFE IDs (SPIFFE-ID section 2): a trust domain, and a path that names a workload in it.
//!
//! Nothing is normalised: an ID is in its one form, or it is none. So two IDs are the same if their bytes are.

/// The longest ID (SPIFFE-ID section 2.3).
const ID_BYTES_MAX: usize = 2048;
/// The longest name of a trust domain (SPIFFE-ID section 2.1).
const TRUST_DOMAIN_BYTES_MAX: usize = 255;

pub(super) const SCHEME: &str = "spiffe://";

/// A SPIFFE ID, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpiffeId<'a> {
    text: &'a str,
    trust_domain: &'a str,
    path: &'a str,
}

impl<'a> SpiffeId<'a> {
    /// Reads an ID.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &'a str) -> Result<Self, SpiffeIdError> {
        if text.len() > ID_BYTES_MAX {
            return Err(SpiffeIdError::Long);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (trust_domain, path) = rest.split_at_checked(end).ok_or(SpiffeIdError::TrustDomain)?;
        check_trust_domain(trust_domain)?;
        if let Some(segments) = path.strip_prefix('/')
            && !segments.split('/').all(is_segment)
        {
            return Err(SpiffeIdError::Path);
        }
        Ok(Self { text, trust_domain, path })
    }

    /// The whole of it.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// The name of its trust domain.
    pub fn trust_domain(self) -> &'a str {
        self.trust_domain
    }

    /// Its path, from the first slash on. Empty for a trust domain's own ID.
    pub fn path(self) -> &'a str {
        self.path
    }
}

/// Passes the name of a trust domain.
pub(super) fn check_trust_domain(name: &str) -> Result<(), SpiffeIdError> {
    let is_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    if name.is_empty() || name.len() > TRUST_DOMAIN_BYTES_MAX || !name.bytes().all(is_byte) {
        return Err(SpiffeIdError::TrustDomain);
    }
    Ok(())
}

fn is_segment(segment: &str) -> bool {
    let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(is_byte)
}

/// Why a text is no SPIFFE ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeIdError {
    /// Too long.
    #[error("it has over {ID_BYTES_MAX} bytes")]
    Long,
    /// Another scheme.
    #[error("it does not begin with `{SCHEME}`")]
    Scheme,
    /// What follows the scheme.
    #[error("a trust domain is 1 to {TRUST_DOMAIN_BYTES_MAX} of the characters a-z, 0-9, `.`, `-` and `_`")]
    TrustDomain,
    /// What follows the trust domain.
    #[error(
        "a path is segments of the characters a-z, A-Z, 0-9, `.`, `-` and `_`, none of them empty, `.` or `..`"
    )]
    Path,
}

/// IDs that may come in: one, or all below a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    Exact(Box<str>),
    /// Up to and with the last slash.
    Below(Box<str>),
}

impl Pattern {
    /// `spiffe://acme.org/sa/cron`, or `spiffe://acme.org/sa/*` for all that is below.
    pub(super) fn parse(text: &str) -> Result<Self, SpiffeIdError> {
        let Some(prefix) = text.strip_suffix("/*") else {
            return SpiffeId::parse(text).map(|id| Self::Exact(id.as_str().into()));
        };
        SpiffeId::parse(prefix).map(|id| Self::Below(format!("{}/", id.as_str()).into()))
    }

    pub(super) fn permits(&self, id: SpiffeId<'_>) -> bool {
        match self {
            Self::Exact(exact) => **exact == *id.as_str(),
            Self::Below(prefix) => id.as_str().starts_with(&**prefix),
        }
    }

    pub(super) fn trust_domain(&self) -> &str {
        let (Self::Exact(text) | Self::Below(text)) = self;
        let rest = text.strip_prefix(SCHEME).unwrap_or_default();
        rest.split('/').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<(&str, &str), SpiffeIdError>) {
        let parsed = SpiffeId::parse(text).map(|id| (id.trust_domain(), id.path()));
        assert_eq!(parsed, expected, "{text}");
    }

    #[test]
    fn an_id_is_a_trust_domain_and_a_path() {
        check("spiffe://acme.org", Ok(("acme.org", "")));
        check("spiffe://acme.org/sa/cron", Ok(("acme.org", "/sa/cron")));
        check("spiffe://1.2.3.4/A-b_c.d/...", Ok(("1.2.3.4", "/A-b_c.d/...")));
        check(
            "spiffe://a_b-c/9eebccd2-12bf-40a6-b262-65fe0487d453",
            Ok(("a_b-c", "/9eebccd2-12bf-40a6-b262-65fe0487d453")),
        );
        let longest = format!("spiffe://{}/{}", "a".repeat(255), "b".repeat(2048 - 9 - 255 - 1));
        assert!(SpiffeId::parse(&longest).is_ok());
        check(&format!("{longest}b"), Err(SpiffeIdError::Long));
    }

    #[test]
    fn whatever_else_looks_like_one_is_none() {
        for text in [
            "",
            "spiffe",
            "spiffe:/acme.org",
            "SPIFFE://acme.org/a",
            "http://acme.org/a",
            " spiffe://acme.org/a",
            "spiffe:acme.org",
        ] {
            check(text, Err(SpiffeIdError::Scheme));
        }
        for domain in [
            "",
            "Acme.org",
            "acme.org:443",
            "user@acme.org",
            "acme%2eorg",
            "acme.org ",
            "ac\u{e9}me",
            "[::1]",
            "acme?x",
            "acme#x",
            "*",
        ] {
            check(&format!("spiffe://{domain}/a"), Err(SpiffeIdError::TrustDomain));
        }
        check(&format!("spiffe://{}/a", "a".repeat(256)), Err(SpiffeIdError::TrustDomain));
        for path in [
            "/", "/a/", "//a", "/a//b", "/.", "/..", "/a/../b", "/./a", "/a%2fb", "/a?x", "/a#x", "/a b",
            "/\u{e9}", "/a\0", "/a:b", "/a@b", "/~", "/*",
        ] {
            check(&format!("spiffe://acme.org{path}"), Err(SpiffeIdError::Path));
        }
    }

    #[test]
    fn a_pattern_is_one_id_or_all_below_a_path() {
        let permits =
            |pattern: &str, id: &str| Pattern::parse(pattern).unwrap().permits(SpiffeId::parse(id).unwrap());
        assert!(permits("spiffe://acme.org/sa/cron", "spiffe://acme.org/sa/cron"));
        assert!(permits("spiffe://acme.org/sa/*", "spiffe://acme.org/sa/cron/x"));
        assert!(permits("spiffe://acme.org/*", "spiffe://acme.org/sa"));
        for (pattern, id) in [
            ("spiffe://acme.org/sa/cron", "spiffe://acme.org/sa/cron2"),
            ("spiffe://acme.org/sa/cron", "spiffe://acme.org/sa/Cron"),
            ("spiffe://acme.org/sa/*", "spiffe://acme.org/sa"),
            ("spiffe://acme.org/sa/*", "spiffe://acme.org/sab/x"),
            ("spiffe://acme.org/*", "spiffe://acme.org.evil/a"),
            ("spiffe://acme.org/*", "spiffe://evil.org/acme.org/a"),
        ] {
            assert!(!permits(pattern, id), "{pattern} {id}");
        }
        for wrong in [
            "*",
            "spiffe://*",
            "spiffe://*/a",
            "spiffe://acme.org/sa*",
            "spiffe://acme.org/*/a",
            "spiffe://acme.org//*",
        ] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Pattern::parse("spiffe://acme.org/*").unwrap().trust_domain(), "acme.org");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_read_is_what_was_written(text in "(spiffe://)?[a-zA-Z0-9._%/:@?#-]{0,40}") {
            if let Ok(id) = SpiffeId::parse(&text) {
                prop_assert_eq!(format!("spiffe://{}{}", id.trust_domain(), id.path()), text.as_str());
                prop_assert!(!id.path().contains("..") || id.path().split('/').all(|segment| segment != ".."));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = (SpiffeId::parse(&text), Pattern::parse(&text));
        }
    }
}
