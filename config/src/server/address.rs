//! Reads a listening address: `host:port`, `[v6]:port` or `fd://name`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::ListenAddress;
use crate::server::hosts::parse_port;

/// Reads a listening address. `localhost` is 127.0.0.1; no other name is resolved.
pub(crate) fn parse(text: &str) -> Result<ListenAddress, AddressError> {
    if let Some(name) = text.strip_prefix("fd://") {
        // The characters that systemd allows in FileDescriptorName=, short of the ones it splits at.
        let is_name = (1..=255).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':' && byte != b'/');
        return if is_name { Ok(ListenAddress::Fd(name.to_owned())) } else { Err(AddressError::FdName) };
    }
    if text.contains("://") || text.starts_with("unix:") || text.starts_with('/') {
        return Err(AddressError::Scheme);
    }
    let (host, port) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
    let port = parse_port(port).ok_or(AddressError::Port)?;
    let ip = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(v6) => IpAddr::V6(v6.parse::<Ipv6Addr>().map_err(|_| AddressError::Host)?),
        None if host == "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        None if host.is_empty() || host == "*" => return Err(AddressError::NoHost { port }),
        None if host.contains(':') => return Err(AddressError::Unbracketed),
        None => IpAddr::V4(host.parse::<Ipv4Addr>().map_err(|_| AddressError::Host)?),
    };
    Ok(ListenAddress::Socket(SocketAddr::new(ip, port)))
}

/// Why a text is no listening address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    /// No colon.
    #[error("write an address and a port, such as `127.0.0.1:8787`")]
    NoPort,
    /// The port is no number or out of range.
    #[error("a port is a number from 0 to 65535")]
    Port,
    /// No host before the colon.
    #[error(
        "write `0.0.0.0:{port}` for every IPv4 address, `[::]:{port}` for every address, or `127.0.0.1:{port}`"
    )]
    NoHost {
        /// The port as read.
        port: u16,
    },
    /// A v6 address without brackets.
    #[error("write an IPv6 address in brackets, such as `[::1]:8787`")]
    Unbracketed,
    /// A name, or a malformed address.
    #[error("listen on an IP address of this machine (or `localhost`); names are not resolved")]
    Host,
    /// Another kind of socket.
    #[error("write `host:port`, `[v6]:port`, or `fd://name` for a socket from systemd")]
    Scheme,
    /// A bad descriptor name.
    #[error("`fd://` is followed by the socket's `FileDescriptorName=`, without `:` or `/`")]
    FdName,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, printed) in [
            ("127.0.0.1:8787", "127.0.0.1:8787"),
            ("localhost:0", "127.0.0.1:0"),
            ("[::]:443", "[::]:443"),
            ("fd://mcpg-http", "fd://mcpg-http"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_address_is_told_apart() {
        for (text, error) in [
            ("8787", AddressError::NoPort),
            ("0.0.0.0:70000", AddressError::Port),
            ("0.0.0.0:+1", AddressError::Port),
            ("0.0.0.0:", AddressError::Port),
            (":8787", AddressError::NoHost { port: 8787 }),
            ("::1:8787", AddressError::Unbracketed),
            ("mcp.acme.com:443", AddressError::Host),
            ("[::g]:443", AddressError::Host),
            ("unix:/run/mcpg.sock", AddressError::Scheme),
            ("http://0.0.0.0:80", AddressError::Scheme),
            ("fd://", AddressError::FdName),
            ("fd://a:b", AddressError::FdName),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
