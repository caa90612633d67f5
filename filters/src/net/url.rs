//! URLs that are fetched. Host, server name, `Host` header and request target all come from one reading of the text, so that
//! no two of them can disagree.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::uri::PathAndQuery;

const URL_BYTES_MAX: usize = 8 * 1024;

/// An absolute `http` or `https` URL without user name, password and fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    url: ::url::Url,
    host: Host,
    port: u16,
    path_and_query: PathAndQuery,
}

/// A host: an address or a name to be looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A literal address, in whatever spelling it was written.
    Ip(IpAddr),
    /// A DNS name in lower case (IDNA-encoded).
    Name(String),
}

impl HttpUrl {
    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, the scheme's own if none is written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, percent-encoded, with the leading slash.
    pub fn path_and_query(&self) -> &PathAndQuery {
        &self.path_and_query
    }

    /// Everything. The query may hold a secret.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The value of the `Host` header: the port only when it is not the scheme's own.
    pub fn authority(&self) -> String {
        match (self.is_secure(), self.port) {
            (true, 443) | (false, 80) => self.host.to_string(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// Whether scheme, host and port are the same (RFC 6454 section 5).
    pub fn same_origin(&self, other: &Self) -> bool {
        self.is_secure() == other.is_secure() && self.host == other.host && self.port == other.port
    }

    /// The URL that a reference means here, such as a redirect's `Location` (RFC 3986 section 5).
    ///
    /// # Errors
    /// When that is no URL to be fetched.
    pub fn join(&self, reference: &str) -> Result<Self, UrlError> {
        if has_odd_characters(reference) || reference.len() > URL_BYTES_MAX {
            return Err(UrlError::Malformed);
        }
        // What a fragment points at is in the document: it is not a part of what is fetched.
        let reference = reference.split('#').next().unwrap_or_default();
        let joined = self.url.join(reference).map_err(|_| UrlError::Malformed)?;
        joined.as_str().parse()
    }
}

impl FromStr for HttpUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(UrlError::Scheme);
        }
        // The library repairs these silently; here they are more likely a mistake, or hide one.
        if has_odd_characters(text) || rest.starts_with('/') || text.len() > URL_BYTES_MAX {
            return Err(UrlError::Malformed);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let url = ::url::Url::parse(text).map_err(|_| UrlError::Malformed)?;
        if url.fragment().is_some() {
            return Err(UrlError::Fragment);
        }
        let host = match url.host().ok_or(UrlError::Malformed)? {
            ::url::Host::Ipv4(address) => Host::Ip(IpAddr::V4(address)),
            ::url::Host::Ipv6(address) => Host::Ip(IpAddr::V6(address)),
            ::url::Host::Domain(name) if is_dns_name(name) => Host::Name(name.to_owned()),
            ::url::Host::Domain(_) => return Err(UrlError::Malformed),
        };
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(UrlError::Port)?;
        let target =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let path_and_query = PathAndQuery::try_from(target).map_err(|_| UrlError::Malformed)?;
        Ok(Self { url, host, port, path_and_query })
    }
}

/// Labels of letters, digits, hyphens and underscores, without a dot at the end.
fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn has_odd_characters(text: &str) -> bool {
    text.chars().any(|character| character.is_whitespace() || character.is_control() || character == '\\')
}

impl fmt::Display for HttpUrl {
    /// Without the query, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.url.scheme(), self.authority(), self.url.path())
    }
}

impl fmt::Debug for HttpUrl {
    /// Without the query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Host {
    /// As in a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Ip(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Why a text is no URL to be fetched. It may hold a secret, so it is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("a URL here begins with `https://` or `http://`")]
    Scheme,
    /// Not a URL.
    #[error("this is not a URL: expected `https://HOST/PATH`")]
    Malformed,
    /// Port 0.
    #[error("a URL's port is a number from 1 to 65535")]
    Port,
    /// `user:password@`.
    #[error("a URL must not hold a user name or password")]
    UserInfo,
    /// `#…`
    #[error("a fragment (`#`) is never sent, so the URL must not have one")]
    Fragment,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> HttpUrl {
        text.parse().unwrap()
    }

    #[test]
    fn urls_are_read() {
        for (text, shown, authority) in [
            ("http://127.0.0.1:3001/a", "http://127.0.0.1:3001/a", "127.0.0.1:3001"),
            ("https://Tools.acme.com/a?key=hunter2", "https://tools.acme.com/a", "tools.acme.com"),
            ("http://[::1]:80", "http://[::1]/", "[::1]"),
            (
                "HTTPS://b\u{fc}cher.example:8443/a%20b",
                "https://xn--bcher-kva.example:8443/a%20b",
                "xn--bcher-kva.example:8443",
            ),
            // Spellings of an address are that address, everywhere.
            ("https://0x7f.1/", "https://127.0.0.1/", "127.0.0.1"),
            ("https://2130706433/", "https://127.0.0.1/", "127.0.0.1"),
            ("https://0177.0.0.1/", "https://127.0.0.1/", "127.0.0.1"),
            ("https://１２７.0.0.1/", "https://127.0.0.1/", "127.0.0.1"),
            ("https://127%2e0.0.1/", "https://127.0.0.1/", "127.0.0.1"),
            (
                "https://[::ffff:169.254.169.254]/",
                "https://[::ffff:169.254.169.254]/",
                "[::ffff:169.254.169.254]",
            ),
        ] {
            let url = url(text);
            assert_eq!(format!("{url:?}"), shown);
            assert_eq!(url.authority(), authority);
        }
        assert_eq!(url("http://a/b?key=x").path_and_query(), "/b?key=x");
    }

    #[test]
    fn what_is_no_url_is_told_apart_and_not_repeated() {
        for (text, error) in [
            ("", UrlError::Scheme),
            ("127.0.0.1:3001/a", UrlError::Scheme),
            ("file:///etc/passwd", UrlError::Scheme),
            ("gopher://a/", UrlError::Scheme),
            ("http:/a", UrlError::Scheme),
            ("http://", UrlError::Malformed),
            ("http:///a", UrlError::Malformed),
            ("http://a b/", UrlError::Malformed),
            ("http://a\\@b/", UrlError::Malformed),
            ("http://a\r\nX: y/", UrlError::Malformed),
            ("http://a:99999/", UrlError::Malformed),
            ("http://a..b/", UrlError::Malformed),
            ("http://a./", UrlError::Malformed),
            ("http://[fe80::1%25eth0]/", UrlError::Malformed),
            ("http://a*b/", UrlError::Malformed),
            ("http://a:0/", UrlError::Port),
            ("http://user:hunter2@a/", UrlError::UserInfo),
            ("http://@a/", UrlError::UserInfo),
            ("http://a/#hunter2", UrlError::Fragment),
        ] {
            assert_eq!(text.parse::<HttpUrl>(), Err(error), "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
        assert!(format!("http://a/{}", "a".repeat(URL_BYTES_MAX)).parse::<HttpUrl>().is_err());
    }

    #[test]
    fn references_are_joined() {
        let base = url("https://acme.com/a/b?c");
        for (reference, joined) in [
            ("d", Ok("https://acme.com/a/d")),
            ("/d?e#f", Ok("https://acme.com/d?e")),
            ("//evil.example/", Ok("https://evil.example/")),
            ("http://169.254.169.254/latest", Ok("http://169.254.169.254/latest")),
            ("ftp://acme.com/", Err(UrlError::Scheme)),
            ("javascript:alert(1)", Err(UrlError::Scheme)),
            ("https://a:b@acme.com/", Err(UrlError::UserInfo)),
            ("\\\\evil.example", Err(UrlError::Malformed)),
        ] {
            assert_eq!(
                base.join(reference).map(|url| url.as_str().to_owned()),
                joined.map(str::to_owned),
                "{reference}"
            );
        }
    }

    #[test]
    fn origins_are_scheme_host_and_port() {
        let origin = url("https://acme.com/a");
        for (other, same) in [
            ("https://ACME.com:443/b", true),
            ("http://acme.com/a", false),
            ("https://acme.com:8443/a", false),
            ("https://www.acme.com/a", false),
        ] {
            assert_eq!(origin.same_origin(&url(other)), same, "{other}");
        }
    }
}
