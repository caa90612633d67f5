//! The sole dialer: every connection that the gateway opens for its filters begins here, and every name is looked up here.
//!
//! INVARIANTS:
//! - If any address of a name is not permitted, the whole name is refused: a name that answers with a public and an
//!   internal address is how rebinding looks.
//! - What is dialled is an address that was checked, never a name: nobody looks it up a second time.
//!
//! [`HttpClient`] fetches for filters (key sets, discovery documents, token introspection, webhooks). Upstreams of bindings
//! are dialled by Pingora, at addresses that [`resolve`] has passed.
//! Nothing here caches or retries.

mod class;
mod client;
mod dial;
mod error;
mod lookup;
mod message;
mod policy;
mod tls;
mod url;

use std::io;
use std::net::{IpAddr, SocketAddr};

pub use class::AddressClass;
pub use client::{Bounds, Cleartext, HttpClient, Stream, Target};
pub use dial::connect_unix;
pub use error::{FetchError, FetchProblem, Phase};
pub use lookup::{Addresses, Lookup, SystemLookup};
pub use message::{Request, Response};
pub use policy::{AddressPolicy, AllowAddresses};
pub use tls::{ClientIdentity, ClientTls, ClientTlsSettings, Roots, TlsError};
pub use url::{Host, HttpUrl, UrlError};

/// The most addresses that are kept of one name.
pub const ADDRESSES_MAX: usize = 64;
const HOST_BYTES_MAX: usize = 253;

/// Looks up a host: a name, an IPv4 address, or an IPv6 address with or without brackets. The addresses are in the
/// system's order, each once, at least one.
///
/// The owner of a target resolves it off the request path, puts its own deadline around the look-up, and swaps the
/// addresses in; a request only ever sees addresses that were checked.
///
/// # Errors
/// When the host is no name, does not resolve, or resolves to an address that may not be dialled.
pub async fn resolve(host: &str, port: u16, policy: &AddressPolicy) -> Result<Vec<SocketAddr>, NetError> {
    resolve_with(&SystemLookup, host, port, policy).await
}

async fn resolve_with(
    lookup: &dyn Lookup,
    host: &str,
    port: u16,
    policy: &AddressPolicy,
) -> Result<Vec<SocketAddr>, NetError> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        policy.check(host, address)?;
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if !is_name(host) {
        return Err(NetError::Host { host: host.to_owned() });
    }
    let found = lookup.addresses(host, port).await;
    permitted(host, found.map_err(|reason| NetError::Lookup { host: host.to_owned(), reason })?, policy)
}

/// All of the addresses, or none.
fn permitted(
    host: &str,
    found: impl IntoIterator<Item = SocketAddr>,
    policy: &AddressPolicy,
) -> Result<Vec<SocketAddr>, NetError> {
    let mut addresses = Vec::new();
    for address in found {
        policy.check(host, address.ip())?;
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
    #[error("cannot look up `{host}`: {reason}")]
    Lookup {
        /// The host as given.
        host: String,
        /// The system's answer.
        reason: io::Error,
    },
    /// The look-up found nothing.
    #[error("`{host}` has no address")]
    NoAddress {
        /// The host as given.
        host: String,
    },
    /// An address that may not be dialled.
    #[error(
        "`{host}` is at {address}, a {class} address, which is not dialled unless the operator allows it: \
         `allow_addresses: [{}]`", policy::suggestion(*.address, *.class)
    )]
    Refused {
        /// The host as given.
        host: String,
        /// The address.
        address: IpAddr,
        /// Its class.
        class: AddressClass,
    },
}

#[cfg(test)]
mod tests;
