//! Reads an upstream's URL. It may hold a secret, so no error repeats it.

use std::net::IpAddr;

use ::url::Url;

use crate::binding::{Endpoint, Host};
use crate::place::{Place, Report};

/// Reads an `http` or `https` URL.
pub(crate) fn parse(text: &str) -> Result<Endpoint, UrlError> {
    let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
    let secure = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(UrlError::Scheme),
    };
    // The library repairs these silently; here they are more likely a mistake, or hide one.
    if text.chars().any(|character| character.is_whitespace() || character.is_control() || character == '\\')
        || rest.starts_with('/')
    {
        return Err(UrlError::Malformed);
    }
    let url = Url::parse(text).map_err(|_| UrlError::Malformed)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(UrlError::UserInfo);
    }
    if url.fragment().is_some() {
        return Err(UrlError::Fragment);
    }
    let host = match url.host().ok_or(UrlError::Malformed)? {
        ::url::Host::Ipv4(address) => Host::Ip(IpAddr::V4(address)),
        ::url::Host::Ipv6(address) => Host::Ip(IpAddr::V6(address)),
        ::url::Host::Domain(name) if crate::server::hosts::is_dns_name(name) => Host::Name(name.to_owned()),
        ::url::Host::Domain(_) => return Err(UrlError::Malformed),
    };
    let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(UrlError::Port)?;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    Ok(Endpoint { secure, host, port, path_and_query: format!("{}{query}", url.path()) })
}

/// Reads a URL that secrets go to: `https`, or `http` on this machine. Otherwise the report has why not.
pub(crate) fn over_tls(
    text: &str,
    why: &str,
    place: &Place<'_>,
    report: &mut Report<'_>,
) -> Option<Endpoint> {
    let endpoint = parse(text).map_err(|error| report.error(place, error.to_string())).ok()?;
    let is_local = match &endpoint.host {
        Host::Ip(address) => address.is_loopback(),
        Host::Name(name) => name == "localhost",
    };
    if !endpoint.secure && !is_local {
        report.error_with_help(place, why, "write `https://`; `http://` is for this machine only");
    }
    Some(endpoint)
}

/// Why a text is no URL of an upstream.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UrlError {
    /// Another scheme, or none.
    #[error("an upstream's URL begins with `http://` or `https://`")]
    Scheme,
    /// Not a URL.
    #[error("this is not a URL: expected `http://HOST:PORT/PATH`")]
    Malformed,
    /// Port 0.
    #[error("an upstream's port is a number from 1 to 65535")]
    Port,
    /// `user:password@`.
    #[error(
        "a URL must not hold a user name or password: send them in `headers`, with a `$secret://` reference"
    )]
    UserInfo,
    /// `#…`
    #[error("a fragment (`#`) is never sent, so the URL must not have one")]
    Fragment,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read() {
        for (text, shown, authority) in [
            ("http://127.0.0.1:3001/mcp", "http://127.0.0.1:3001/mcp", "127.0.0.1:3001"),
            ("https://Tools.acme.com/mcp?key=hunter2", "https://tools.acme.com:443/mcp", "tools.acme.com"),
            ("http://[::1]:80", "http://[::1]:80/", "[::1]"),
            (
                "HTTPS://b\u{fc}cher.example:8443/a%20b",
                "https://xn--bcher-kva.example:8443/a%20b",
                "xn--bcher-kva.example:8443",
            ),
        ] {
            let endpoint = parse(text).unwrap();
            assert_eq!(format!("{endpoint:?}"), shown);
            assert_eq!(endpoint.authority(), authority);
        }
        assert_eq!(parse("http://a/mcp?key=x").unwrap().path_and_query, "/mcp?key=x");
    }

    #[test]
    fn what_is_no_endpoint_is_told_apart_and_not_repeated() {
        for (text, error) in [
            ("", UrlError::Scheme),
            ("127.0.0.1:3001/mcp", UrlError::Scheme),
            ("ftp://hunter2", UrlError::Scheme),
            ("http:/a", UrlError::Scheme),
            ("http://", UrlError::Malformed),
            ("http:///mcp", UrlError::Malformed),
            ("http://a b/", UrlError::Malformed),
            ("http://a\\b/", UrlError::Malformed),
            ("http://a:99999/", UrlError::Malformed),
            ("http://a..b/", UrlError::Malformed),
            ("http://a./", UrlError::Malformed),
            ("http://a:0/", UrlError::Port),
            ("http://user:hunter2@a/", UrlError::UserInfo),
            ("http://@a/", UrlError::UserInfo),
            ("http://a/#hunter2", UrlError::Fragment),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        for error in
            [UrlError::Scheme, UrlError::Malformed, UrlError::Port, UrlError::UserInfo, UrlError::Fragment]
        {
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
