//! Which listener a connection came in at: the one whose address its own end has.

use std::net::SocketAddr;

use pingora_core::protocols::Stream;

/// The addresses of the listeners, in their order.
#[derive(Debug, Clone)]
pub struct Listeners(Vec<SocketAddr>);

impl Listeners {
    /// Listeners at these addresses.
    pub fn new(addresses: &[SocketAddr]) -> Self {
        Self(addresses.to_vec())
    }

    /// The listener of a connection. None if that cannot be told: then nobody can say whether it must have TLS.
    pub fn of(&self, stream: &Stream) -> Option<usize> {
        if self.0.len() == 1 {
            return Some(0);
        }
        let digest = stream.get_socket_digest()?;
        self.find(*digest.local_addr()?.as_inet()?)
    }

    /// The listener at an address, else the one at every address of its port.
    fn find(&self, local: SocketAddr) -> Option<usize> {
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        let exact = |address: &&SocketAddr| address.ip().to_canonical() == local.ip();
        let any = |address: &&SocketAddr| {
            // `[::]` takes IPv4 too, where no listener for that is beside it.
            address.ip().is_unspecified() && (address.is_ipv6() || local.is_ipv4())
        };
        let family = |address: &&SocketAddr| any(address) && address.is_ipv4() == local.is_ipv4();
        let position = |which: &dyn Fn(&&SocketAddr) -> bool| {
            self.0.iter().position(|address| address.port() == local.port() && which(&address))
        };
        position(&exact).or_else(|| position(&family)).or_else(|| position(&any))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_belongs_to_the_closest_listener() {
        let addresses = ["10.0.0.1:443", "0.0.0.0:443", "[::]:443", "[::]:8443", "127.0.0.1:80"];
        let listeners = Listeners(addresses.map(|address| address.parse().unwrap()).to_vec());
        for (local, listener) in [
            ("10.0.0.1:443", Some(0)),
            ("[::ffff:10.0.0.1]:443", Some(0)),
            ("10.0.0.2:443", Some(1)),
            ("[2001:db8::1]:443", Some(2)),
            ("10.0.0.2:8443", Some(3)),
            ("[::ffff:10.0.0.2]:8443", Some(3)),
            ("127.0.0.1:80", Some(4)),
            ("10.0.0.1:80", None),
            ("10.0.0.1:81", None),
        ] {
            assert_eq!(listeners.find(local.parse().unwrap()), listener, "{local}");
        }
    }
}
