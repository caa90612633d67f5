//! Where the control plane is: `https://cp.acme.com`, `http://127.0.0.1:9400`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use url::{Host, Url};

/// The origin of a control plane: scheme, host and port, nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    is_tls: bool,
    host: Host,
    port: u16,
}

impl Server {
    /// Whether TLS is spoken.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Whether it is on this machine, by its name. What `localhost` leads to is checked when it is dialled.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => *address == Ipv6Addr::LOCALHOST,
        }
    }

    /// The name or address as a certificate has it: without brackets.
    pub fn name(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        }
    }

    /// The address, where it is given as one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as a request names them: without the scheme's own port.
    pub fn authority(&self) -> String {
        let usual = if self.is_tls { 443 } else { 80 };
        if self.port == usual { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let wrong = |reason: &'static str| ServerError { text: text.to_owned(), reason };
        let url = Url::parse(text).map_err(|_| wrong("it is no URL"))?;
        let is_tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong("the scheme is neither `https` nor `http`")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            // The text has a secret, and messages end in logs.
            return Err(ServerError { text: "…".to_owned(), reason: "it has a user in it" });
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has a path, a query or a fragment"));
        }
        let host = url.host().ok_or_else(|| wrong("it has no host"))?.to_owned();
        let port = url.port_or_known_default().filter(|port| *port > 0);
        Ok(Self { is_tls, host, port: port.ok_or_else(|| wrong("it has no port"))? })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.authority())
    }
}

/// A text that says no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the URL of a control plane: {reason}; use one such as `https://cp.acme.com`")]
pub struct ServerError {
    text: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_origins() {
        let check = |text: &str, printed: &str, authority: &str, is_loopback: bool| {
            let server: Server = text.parse().unwrap();
            assert_eq!(server.to_string(), printed, "{text}");
            assert_eq!(server.authority(), authority, "{text}");
            assert_eq!(server.is_loopback(), is_loopback, "{text}");
        };
        check("https://cp.acme.com", "https://cp.acme.com", "cp.acme.com", false);
        check("https://cp.acme.com:443/", "https://cp.acme.com", "cp.acme.com", false);
        check("http://127.0.0.1:9400", "http://127.0.0.1:9400", "127.0.0.1:9400", true);
        check("http://[::1]:9400", "http://[::1]:9400", "[::1]:9400", true);
        check("http://localhost:9400", "http://localhost:9400", "localhost:9400", true);
        check("http://localhost.acme.com", "http://localhost.acme.com", "localhost.acme.com", false);
        check("http://0.0.0.0:1", "http://0.0.0.0:1", "0.0.0.0:1", false);
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in ["", "cp.acme.com", "ftp://x", "https://", "https://a/b", "https://a?b", "https://a#b"] {
            assert!(text.parse::<Server>().is_err(), "{text}");
        }
        let error = "https://alice:hunter2@cp.acme.com".parse::<Server>().unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
