//! Which `Host` and `Origin` values are answered: the guard against DNS rebinding (MCP "Streamable HTTP", security).

use std::net::{Ipv4Addr, Ipv6Addr};

use ::url::Url;

/// The `Host` values that are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Every one: only by an explicit `*`.
    Any,
    /// These.
    Listed(Vec<HostPattern>),
}

impl Hosts {
    /// Whether a request with this `Host` (or `:authority`) is answered.
    ///
    /// Letter case does not count; a trailing dot makes another name.
    pub fn permits(&self, host: &str) -> bool {
        let Self::Listed(patterns) = self else { return true };
        let Some((name, port)) = split_port(host) else { return false };
        patterns.iter().any(|pattern| {
            pattern.name.eq_ignore_ascii_case(name) && (pattern.port.is_none() || pattern.port == port)
        })
    }
}

/// One host that is answered, on one port or on any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    name: String,
    port: Option<u16>,
}

impl HostPattern {
    /// Its name or address, in lower case; a v6 address in its brackets.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port that it is on; none for any.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// A host on any port.
    pub(crate) fn any_port(name: impl Into<String>) -> Self {
        Self { name: name.into(), port: None }
    }

    /// Reads `host`, `host:port`, `[v6]` or `[v6]:port`; `None` if it is none of them.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, port) = split_port(text)?;
        let is_host = match name.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().is_ok(),
            None => name.parse::<Ipv4Addr>().is_ok() || is_dns_name(name),
        };
        is_host.then(|| Self { name: name.to_ascii_lowercase(), port })
    }
}

/// The `Origin` values of other hosts that are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Every one: only by an explicit `*`.
    Any,
    /// These, as browsers write them.
    Listed(Vec<String>),
}

impl Origins {
    pub(super) fn lists(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(origins) => origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin)),
        }
    }
}

/// Reads `scheme://host[:port]` into the form that browsers send; `None` if it is anything else.
pub(crate) fn parse_origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let origin = url.origin();
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && !text.ends_with('/')
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    is_plain.then(|| origin.ascii_serialization())
}

/// Whether the origin's authority is the very host that was asked.
pub(super) fn is_same_host(origin: &str, host: &str) -> bool {
    origin.split_once("://").is_some_and(|(scheme, authority)| {
        matches!(scheme, "http" | "https") && authority.eq_ignore_ascii_case(host)
    })
}

/// Whether a name is one of DNS: labels of letters, digits, `-` and `_`, without a trailing dot.
pub(crate) fn is_dns_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// Splits `host[:port]`, leaving a v6 literal in its brackets; none for what is neither.
pub fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let after_host = text.rfind(']').map_or(0, |at| at + 1);
    let (name, port) = match text.get(after_host..)?.split_once(':') {
        None => (text, None),
        Some((rest, port)) => (text.get(..after_host + rest.len())?, Some(parse_port(port)?)),
    };
    (!name.is_empty()).then_some((name, port))
}

/// A port in plain digits: no sign, which `u16::from_str` would take.
pub(crate) fn parse_port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(patterns: &[&str]) -> Hosts {
        Hosts::Listed(patterns.iter().map(|text| HostPattern::parse(text).unwrap()).collect())
    }

    #[test]
    fn only_listed_hosts_are_permitted() {
        let hosts = listed(&["mcp.acme.com", "127.0.0.1:8787", "[::1]"]);
        for host in ["mcp.acme.com", "MCP.acme.com:443", "127.0.0.1:8787", "[::1]", "[::1]:8787"] {
            assert!(hosts.permits(host), "{host}");
        }
        for host in [
            "",
            "acme.com",
            "mcp.acme.com.",
            "mcp.acme.com.evil",
            "mcp.acme.com:",
            "mcp.acme.com:x",
            "mcp.acme.com:+1",
            "127.0.0.1",
            "127.0.0.1:80",
            "::1",
            "[::1",
            "[::1]x",
            "mcp.acme.com:80:80",
            "user@mcp.acme.com",
            "*",
        ] {
            assert!(!hosts.permits(host), "{host}");
        }
        assert!(Hosts::Any.permits("anything"));
    }

    #[test]
    fn a_pattern_is_a_host_and_perhaps_a_port() {
        for text in
            ["", "*", "*.acme.com", "acme.com.", "http://acme.com", "a b", "acme.com:99999", "[::1", "-a.com"]
        {
            assert_eq!(HostPattern::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(parse_origin("https://App.acme.com:443").as_deref(), Some("https://app.acme.com"));
        for text in [
            "null",
            "app.acme.com",
            "https://a.b/",
            "https://a.b/x",
            "https://u@a.b",
            "ftp://a.b",
            "https://a.b?x",
        ] {
            assert_eq!(parse_origin(text), None, "{text}");
        }
    }

    #[test]
    fn the_same_host_compares_whole_authorities() {
        assert!(is_same_host("http://127.0.0.1:8787", "127.0.0.1:8787"));
        for (origin, host) in [
            ("http://evil.com", "127.0.0.1:8787"),
            ("null", "null"),
            ("http://127.0.0.1:8787.evil", "127.0.0.1:8787"),
        ] {
            assert!(!is_same_host(origin, host), "{origin}");
        }
    }
}
