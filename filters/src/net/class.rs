//! What kind of place an IP address is, seen through every form that carries an IPv4 address in an IPv6 one.
//!
//! From the IANA special-purpose address registries (RFC 6890 and its updates).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kind of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// Anywhere on the internet.
    Public,
    /// A private network (RFC 1918, RFC 4193).
    Private,
    /// This machine.
    Loopback,
    /// This link.
    LinkLocal,
    /// The metadata or credential service of a cloud.
    Metadata,
    /// Shared by the customers of a carrier (RFC 6598).
    Cgnat,
    /// For documentation, for benchmarks, for the future, or for nobody.
    Reserved,
    /// A group.
    Multicast,
}

impl AddressClass {
    /// The class of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => v4(address),
            IpAddr::V6(address) => v6(address),
        }
    }

    /// The name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Metadata => "metadata",
            Self::Cgnat => "carrier-grade NAT",
            Self::Reserved => "reserved",
            Self::Multicast => "multicast",
        }
    }

    /// Of the two addresses in a Teredo address, the one that gives more cause to refuse.
    fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Metadata, _) | (_, Self::Metadata) => Self::Metadata,
            (Self::Public, other) => other,
            (this, _) => this,
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn v4(address: Ipv4Addr) -> AddressClass {
    match address.octets() {
        // EC2, GCP, Azure, DigitalOcean; ECS tasks; EKS pods; Azure's host; Alibaba; Oracle.
        [169, 254, 169, 254]
        | [169, 254, 170, 2 | 23]
        | [168, 63, 129, 16]
        | [100, 100, 100, 200]
        | [192, 0, 0, 192] => AddressClass::Metadata,
        [127, ..] => AddressClass::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressClass::Private,
        [169, 254, ..] => AddressClass::LinkLocal,
        [100, 64..=127, ..] => AddressClass::Cgnat,
        [224..=239, ..] => AddressClass::Multicast,
        [0 | 240..=255, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => AddressClass::Reserved,
        _ => AddressClass::Public,
    }
}

fn v6(address: Ipv6Addr) -> AddressClass {
    // EC2; EKS pods; GCP.
    const METADATA: [Ipv6Addr; 3] = [
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    ];
    if METADATA.contains(&address) {
        return AddressClass::Metadata;
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressClass::Reserved,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressClass::Loopback,
        // IPv4-compatible, -mapped and -translated (RFC 4291, RFC 7915); NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(embedded(high, low)),
        // Local NAT64 (RFC 8215): where it puts the IPv4 address is the network's own affair.
        [0x64, 0xff9b, 1, ..] => AddressClass::Private,
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => v4(embedded(high, low)),
        // Teredo (RFC 4380): the server, and the client's address with its bits flipped.
        [0x2001, 0, high, low, _, _, client_high, client_low] => {
            v4(embedded(high, low)).stricter(v4(embedded(!client_high, !client_low)))
        }
        // ISATAP (RFC 5214), in any network.
        [.., 0 | 0x200, 0x5efe, high, low] => v4(embedded(high, low)).stricter(v6_network(address)),
        _ => v6_network(address),
    }
}

fn v6_network(address: Ipv6Addr) -> AddressClass {
    match address.segments() {
        [0xfe80..=0xfebf, ..] => AddressClass::LinkLocal,
        // Unique local, and the site-local that it replaced (RFC 4193, RFC 3879).
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => AddressClass::Private,
        [0xff00..=0xffff, ..] => AddressClass::Multicast,
        // Protocol assignments and documentation (RFC 2928, RFC 3849, RFC 9637).
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => AddressClass::Reserved,
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        _ => AddressClass::Reserved,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: AddressClass, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(AddressClass::of(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn ipv4_addresses() {
        check(AddressClass::Public, &["1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.0", "100.63.0.1"]);
        check(
            AddressClass::Public,
            &["100.128.0.0", "192.0.1.1", "198.17.0.1", "198.20.0.0", "223.255.255.255"],
        );
        check(
            AddressClass::Private,
            &["10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1"],
        );
        check(AddressClass::Loopback, &["127.0.0.1", "127.255.255.255"]);
        check(AddressClass::LinkLocal, &["169.254.0.1", "169.254.169.253"]);
        check(AddressClass::Metadata, &["169.254.169.254", "169.254.170.2", "169.254.170.23"]);
        check(AddressClass::Metadata, &["168.63.129.16", "100.100.100.200", "192.0.0.192"]);
        check(AddressClass::Cgnat, &["100.64.0.0", "100.127.255.255"]);
        check(AddressClass::Multicast, &["224.0.0.1", "239.255.255.255"]);
        check(AddressClass::Reserved, &["0.0.0.0", "0.1.2.3", "192.0.0.1", "192.0.2.1", "192.88.99.1"]);
        check(AddressClass::Reserved, &["198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1"]);
        check(AddressClass::Reserved, &["240.0.0.1", "255.255.255.255"]);
    }

    #[test]
    fn ipv6_addresses() {
        check(AddressClass::Public, &["2606:4700::1111", "2001:4860:4860::8888", "2a00::1", "2001:200::1"]);
        check(AddressClass::Loopback, &["::1"]);
        check(AddressClass::Private, &["fc00::1", "fdff::1", "fec0::1", "64:ff9b:1::7f00:1"]);
        check(AddressClass::LinkLocal, &["fe80::1", "febf::1"]);
        check(AddressClass::Metadata, &["fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"]);
        check(AddressClass::Multicast, &["ff02::1", "ffff::1"]);
        check(
            AddressClass::Reserved,
            &["::", "100::1", "2001:db8::1", "2001:20::1", "3fff::1", "4000::1", "5f00::1"],
        );
    }

    #[test]
    fn an_embedded_ipv4_address_counts() {
        for (address, class) in [
            ("127.0.0.1", AddressClass::Loopback),
            ("10.1.2.3", AddressClass::Private),
            ("169.254.169.254", AddressClass::Metadata),
            ("100.64.1.1", AddressClass::Cgnat),
            ("8.8.8.8", AddressClass::Public),
        ] {
            let v4: Ipv4Addr = address.parse().unwrap();
            let [a, b, c, d] = v4.octets();
            let hex = format!("{a:02x}{b:02x}:{c:02x}{d:02x}");
            let flipped = format!("{:02x}{:02x}:{:02x}{:02x}", !a, !b, !c, !d);
            for form in [
                format!("::{address}"),
                format!("::ffff:{address}"),
                format!("::ffff:0:{address}"),
                format!("64:ff9b::{address}"),
                format!("2002:{hex}::1"),
                format!("2001:0:{hex}:0:0:f7f7:f7f7"),
                format!("2001:0:0808:0808:0:0:{flipped}"),
                format!("2a00::5efe:{hex}"),
                format!("2a00::200:5efe:{hex}"),
            ] {
                check(class, &[&form]);
            }
        }
    }
}
