//! A block of IP addresses as an operator writes it: `10.20.0.0/16`, `fd00::/8`, `192.0.2.7` (RFC 4632, RFC 4291).
//!
//! INVARIANT: an IPv4 address and its IPv4-mapped form (`::ffff:10.0.0.1`) are one and the same here, in blocks and in what
//! is looked for in them: they are one and the same machine.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A block of IP addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr(IpNet);

impl Cidr {
    /// The block with one address in it.
    pub fn host(address: IpAddr) -> Self {
        Self(IpNet::from(address.to_canonical()))
    }

    /// The block of some size that an address is in. None if addresses have fewer bits.
    pub fn around(address: IpAddr, prefix_bits: u8) -> Option<Self> {
        IpNet::new(address.to_canonical(), prefix_bits).ok().map(|net| Self(net.trunc()))
    }

    /// Whether an address is in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether another block lies within this one.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether there is one address in the block.
    pub fn is_host(&self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::host(address));
        }
        let net: IpNet = text.parse().map_err(|_| CidrError::Form { text: text.to_owned() })?;
        if net != net.trunc() {
            return Err(CidrError::HostBits { text: text.to_owned(), network: Self(net.trunc()) });
        }
        Ok(Self(unmapped(net)))
    }
}

/// `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let v4 = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    v4.and_then(|(address, bits)| Ipv4Net::new(address, bits).ok()).map_or(net, IpNet::V4)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text.parse().map_err(D::Error::custom),
            _ => Err(D::Error::invalid_type(Unexpected::Other("no text"), &"a block such as `10.20.0.0/16`")),
        }
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a text is no block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Something else.
    #[error(
        "`{text}` is no block of addresses: expected `ADDRESS/BITS`, such as `10.20.0.0/16` or `fd00::/8`"
    )]
    Form {
        /// As written.
        text: String,
    },
    /// An address within the block instead of its first: a slip, or another block is meant.
    #[error("`{text}` has bits behind the prefix: write `{network}` for the block, or the address alone")]
    HostBits {
        /// As written.
        text: String,
        /// The block that the address is in.
        network: Cidr,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn blocks_are_read_and_printed() {
        for (text, printed) in [
            ("10.20.0.0/16", "10.20.0.0/16"),
            ("10.20.3.4", "10.20.3.4/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::/0", "::/0"),
        ] {
            let cidr: Cidr = text.parse().unwrap();
            assert_eq!(cidr.to_string(), printed);
            assert_eq!(printed.parse::<Cidr>().unwrap(), cidr);
            assert_eq!(serde_json::from_value::<Cidr>(serde_json::json!(printed)).unwrap(), cidr);
            assert_eq!(serde_json::to_value(cidr).unwrap(), printed);
        }
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in ["", "10", "10.20/16", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "a/8", "10.0.0.0 /8", "*"]
        {
            assert_eq!(text.parse::<Cidr>(), Err(CidrError::Form { text: text.to_owned() }));
        }
        assert_eq!(
            "10.20.3.4/16".parse::<Cidr>().unwrap_err().to_string(),
            "`10.20.3.4/16` has bits behind the prefix: write `10.20.0.0/16` for the block, or the address alone"
        );
        assert!(serde_json::from_str::<Cidr>("10").is_err());
    }

    #[test]
    fn addresses_are_looked_for_in_either_form() {
        for (block, inside, outside) in [
            ("10.20.0.0/16", "10.20.255.1", "10.21.0.0"),
            ("10.20.0.0/16", "::ffff:10.20.0.1", "::10.20.0.1"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::/0", "::1", "10.0.0.1"),
            ("0.0.0.0/0", "10.0.0.1", "::1"),
        ] {
            let block: Cidr = block.parse().unwrap();
            assert!(block.contains(address(inside)), "{block} {inside}");
            assert!(!block.contains(address(outside)), "{block} {outside}");
        }
        assert!(Cidr::host(address("::ffff:1.2.3.4")).is_host());
        assert_eq!(Cidr::around(address("10.20.3.4"), 16), "10.20.0.0/16".parse().ok());
        assert_eq!(Cidr::around(address("10.20.3.4"), 64), None);
    }
}
