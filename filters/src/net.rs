//! The resolving half of the sole dialer: a host becomes addresses that may be dialled, or none.
//!
//! INVARIANT: if any address of a name is not permitted, the whole name is refused: a name that answers with a
//! public and an internal address is how rebinding looks.
//!
//! Nothing here caches or retries. The owner of a target resolves it off the request path, puts its own deadline
//! around the look-up, and swaps the addresses in; a request only ever sees addresses that were checked.

mod class;

use std::io;
use std::net::{IpAddr, SocketAddr};

pub use class::AddressClass;

/// The most addresses that are kept of one name.
pub const ADDRESSES_MAX: usize = 64;
const HOST_BYTES_MAX: usize = 253;

/// Which addresses may be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPolicy {
    internal: bool,
    metadata: bool,
}

impl AddressPolicy {
    /// For targets that the operator has configured: everything but the metadata services of clouds.
    pub const fn operator() -> Self {
        Self { internal: true, metadata: false }
    }

    /// For targets that somebody else has named (an issuer, an upstream, a plugin): public addresses only.
    pub const fn public_only() -> Self {
        Self { internal: false, metadata: false }
    }

    /// With the metadata services of clouds, by the operator's explicit choice.
    pub const fn allowing_metadata(self) -> Self {
        Self { metadata: true, ..self }
    }

    /// Whether addresses of a class may be dialled.
    pub fn permits(self, class: AddressClass) -> bool {
        match class {
            AddressClass::Public => true,
            AddressClass::Metadata => self.metadata,
            AddressClass::Private
            | AddressClass::Loopback
            | AddressClass::LinkLocal
            | AddressClass::Cgnat
            | AddressClass::Reserved
            | AddressClass::Multicast => self.internal,
        }
    }

    /// Passes an address on, if it may be dialled.
    ///
    /// # Errors
    /// When it may not.
    pub fn check(self, address: IpAddr) -> Result<(), NetError> {
        let class = AddressClass::of(address);
        if self.permits(class) { Ok(()) } else { Err(NetError::Refused { address, class }) }
    }
}

/// Looks up a host: a name, an IPv4 address, or an IPv6 address with or without brackets. The addresses are in the
/// system's order, each once, at least one.
///
/// # Errors
/// When the host is no name, does not resolve, or resolves to an address that may not be dialled.
pub async fn resolve(host: &str, port: u16, policy: AddressPolicy) -> Result<Vec<SocketAddr>, NetError> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        policy.check(address)?;
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if !is_name(host) {
        return Err(NetError::Host { host: host.to_owned() });
    }
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|source| NetError::Lookup { host: host.to_owned(), source })?;
    permitted(host, found, policy)
}

/// All of the addresses, or none.
fn permitted(
    host: &str,
    found: impl Iterator<Item = SocketAddr>,
    policy: AddressPolicy,
) -> Result<Vec<SocketAddr>, NetError> {
    let mut addresses = Vec::new();
    for address in found {
        policy.check(address.ip())?;
        if addresses.len() < ADDRESSES_MAX && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(NetError::NoAddress { host: host.to_owned() }) } else { Ok(addresses) }
}

/// A name that the system's resolver may be asked for: no zone identifiers, no white space, no NUL.
fn is_name(host: &str) -> bool {
    let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !host.is_empty() && host.len() <= HOST_BYTES_MAX && host.bytes().all(is_byte)
}

/// Why a host cannot be dialled.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No host name and no address.
    #[error("`{host}` is no host name and no IP address")]
    Host {
        /// The host as given.
        host: String,
    },
    /// The look-up failed.
    #[error("cannot resolve `{host}`")]
    Lookup {
        /// The host as given.
        host: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The look-up found nothing.
    #[error("`{host}` has no address")]
    NoAddress {
        /// The host as given.
        host: String,
    },
    /// An address that may not be dialled.
    #[error("`{address}` is a {class} address, which may not be dialled from here")]
    Refused {
        /// The address.
        address: IpAddr,
        /// Its class.
        class: AddressClass,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(host: &str, policy: AddressPolicy, expected: Result<&[&str], &str>) {
        let resolved = resolve(host, 443, policy).await;
        let expected = expected.map(|addresses| {
            addresses.iter().map(|address| address.parse::<SocketAddr>().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(resolved.map_err(|error| error.to_string()), expected.map_err(str::to_owned), "{host}");
    }

    #[tokio::test]
    async fn literals_are_checked() {
        let (operator, public) = (AddressPolicy::operator(), AddressPolicy::public_only());
        check("127.0.0.1", operator, Ok(&["127.0.0.1:443"])).await;
        check("[::1]", operator, Ok(&["[::1]:443"])).await;
        check("::1", operator, Ok(&["[::1]:443"])).await;
        check("1.1.1.1", public, Ok(&["1.1.1.1:443"])).await;
        let refused = "`127.0.0.1` is a loopback address, which may not be dialled from here";
        check("127.0.0.1", public, Err(refused)).await;
        let refused = "`169.254.169.254` is a metadata address, which may not be dialled from here";
        check("169.254.169.254", operator, Err(refused)).await;
        check("169.254.169.254", operator.allowing_metadata(), Ok(&["169.254.169.254:443"])).await;
        let refused = "`::ffff:169.254.169.254` is a metadata address, which may not be dialled from here";
        check("[::ffff:169.254.169.254]", operator, Err(refused)).await;
    }

    #[tokio::test]
    async fn what_is_no_host_is_refused() {
        for host in ["", "a b", "a\0b", "fe80::1%eth0", "[::1", "http://x", "x:80", "é", &"a".repeat(254)] {
            let message = format!("`{host}` is no host name and no IP address");
            check(host, AddressPolicy::operator(), Err(&message)).await;
        }
    }

    #[tokio::test]
    async fn other_spellings_of_an_address_are_checked_too() {
        // The system's resolver takes these for 127.0.0.1; whether it does or fails, none is let through.
        for host in ["0x7f.1", "2130706433", "127.1", "0177.0.0.1", "localhost"] {
            assert!(resolve(host, 80, AddressPolicy::public_only()).await.is_err(), "{host}");
        }
    }

    #[test]
    fn one_internal_address_refuses_the_name() {
        let found = ["93.184.215.14:443", "10.0.0.1:443"].map(|address| address.parse().unwrap());
        assert!(permitted("rebind", found.into_iter(), AddressPolicy::public_only()).is_err());
        assert_eq!(permitted("rebind", found.into_iter(), AddressPolicy::operator()).unwrap(), found);
    }

    #[test]
    fn each_address_comes_once_and_there_is_one() {
        let address: SocketAddr = "10.0.0.1:443".parse().unwrap();
        let operator = AddressPolicy::operator();
        assert_eq!(permitted("twice", [address, address].into_iter(), operator).unwrap(), [address]);
        assert!(matches!(permitted("none", [].into_iter(), operator), Err(NetError::NoAddress { .. })));
    }
}
