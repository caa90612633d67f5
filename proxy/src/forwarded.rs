//! Who a request came from, and over what, when proxies stand in front: `X-Forwarded-For` and `X-Forwarded-Proto`.
//!
//! INVARIANT: what anybody can write is believed from nobody. Only a peer that the operator trusts is listened to, and of the
//! list that it sends, only the end that trusted proxies wrote: it is read from the right, and the first address that is no
//! trusted proxy's is the client. What stands to the left of that, the client wrote itself.
//!
//! `Forwarded` (RFC 7239) is not read: where both are sent, a proxy that writes one passes on the client's other.
//! Neither goes upstream as received (`dispatch::is_forwarded`).

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Proxies in a row that are looked behind. More are nobody's network, but somebody's list.
const HOPS_MAX: usize = 16;

/// The address of the client: the peer's, or the one that trusted proxies say.
///
/// An entry that is no address ends the search: the proxy before it is as far as can be seen.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusts: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut client = peer.to_canonical();
    let mut entries = headers.get_all(FOR).iter().rev().flat_map(|value| value.as_bytes().rsplit(is_comma));
    for _ in 0..HOPS_MAX {
        if !trusts(client) {
            break;
        }
        let Some(address) = entries.next().and_then(address) else { break };
        client = address;
    }
    client
}

/// Whether the client speaks TLS, to us or to the trusted proxy that speaks to us. None if a trusted proxy says something
/// that is neither.
pub fn is_secure(
    peer: IpAddr,
    has_tls: bool,
    headers: &HeaderMap,
    trusts: impl Fn(IpAddr) -> bool,
) -> Option<bool> {
    if !trusts(peer.to_canonical()) {
        return Some(has_tls);
    }
    // Of several, the peer's own is the last.
    let said = headers.get_all(PROTO).iter().next_back().map(HeaderValue::as_bytes);
    let Some(said) = said.and_then(|value| value.rsplit(is_comma).next()) else { return Some(has_tls) };
    match said.trim_ascii() {
        said if said.eq_ignore_ascii_case(b"https") => Some(true),
        said if said.eq_ignore_ascii_case(b"http") => Some(false),
        _ => None,
    }
}

fn is_comma(byte: &u8) -> bool {
    *byte == b','
}

/// An address, perhaps with a port, as proxies write them: `10.0.0.1`, `10.0.0.1:443`, `::1`, `[::1]`, `[::1]:443`.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let is_v4_in_brackets = bare.len() != text.len() && !bare.contains(':');
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok()?;
    (!is_v4_in_brackets).then(|| IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10.0.0.0/8 and ::1 are proxies.
    fn trusts(address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => address.octets()[0] == 10,
            IpAddr::V6(address) => address.is_loopback(),
        }
    }

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        let line = |line: &&str| (name.clone(), HeaderValue::from_bytes(line.as_bytes()).unwrap());
        lines.iter().map(line).collect()
    }

    #[test]
    fn the_client_is_the_last_that_no_trusted_proxy_is() {
        for (peer, lines, expected) in [
            // Nobody is believed who is not trusted.
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("192.0.2.1", &["10.0.0.9"], "192.0.2.1"),
            // One trusted proxy, several, and one outside in between.
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7, 203.0.113.5, 10.0.0.2"], "203.0.113.5"),
            // The client's own list is to the left, whatever is in it.
            ("10.0.0.1", &["127.0.0.1, 10.9.9.9, 198.51.100.7"], "198.51.100.7"),
            // Several headers are one list, in their order.
            ("10.0.0.1", &["1.1.1.1", "198.51.100.7", "10.0.0.2,10.0.0.3"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7", "203.0.113.5"], "203.0.113.5"),
            // All are proxies: the farthest one.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &[], "10.0.0.1"),
            // What is no address ends the search at the one who wrote it.
            ("10.0.0.1", &["198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["198.51.100.7,"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["\u{e9}"], "10.0.0.1"),
            // Ports, IPv6, and IPv4 in IPv6 form.
            ("10.0.0.1", &["198.51.100.7:52100"], "198.51.100.7"),
            ("10.0.0.1", &["[2001:db8::7]:52100"], "2001:db8::7"),
            ("10.0.0.1", &["[2001:db8::7]"], "2001:db8::7"),
            ("10.0.0.1", &["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.1", &[" ::ffff:198.51.100.7\t"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["198.51.100.7, ::ffff:10.0.0.2"], "198.51.100.7"),
            ("::1", &["2001:db8::7, ::1"], "2001:db8::7"),
            ("10.0.0.1", &["[198.51.100.7]"], "10.0.0.1"),
            ("10.0.0.1", &["fe80::1%eth0"], "10.0.0.1"),
            ("10.0.0.1", &["\"198.51.100.7\""], "10.0.0.1"),
        ] {
            let found = client(peer.parse().unwrap(), &headers(&FOR, lines), trusts);
            assert_eq!(found.to_string(), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_long_list_costs_no_more_than_a_short_one() {
        let list = "10.0.0.2,".repeat(100_000) + "10.0.0.3";
        let asked = std::cell::Cell::new(0);
        client("10.0.0.1".parse().unwrap(), &headers(&FOR, &[&list]), |address| {
            asked.set(asked.get() + 1);
            trusts(address)
        });
        assert!(asked.get() <= HOPS_MAX, "{asked:?}");
    }

    #[test]
    fn the_scheme_is_the_trusted_peers_own_word() {
        for (peer, has_tls, lines, expected) in [
            ("192.0.2.1", false, &["https"][..], Some(false)),
            ("192.0.2.1", true, &["http"], Some(true)),
            ("10.0.0.1", false, &["https"], Some(true)),
            ("10.0.0.1", true, &["http"], Some(false)),
            ("10.0.0.1", false, &["HTTPS"], Some(true)),
            ("10.0.0.1", false, &[], Some(false)),
            ("10.0.0.1", true, &[], Some(true)),
            // The last one is the peer's; what it passed on is not.
            ("10.0.0.1", false, &["https, http"], Some(false)),
            ("10.0.0.1", false, &["https", "http"], Some(false)),
            ("10.0.0.1", false, &["http,https"], Some(true)),
            ("10.0.0.1", true, &["wss"], None),
            ("10.0.0.1", true, &[""], None),
        ] {
            let found = is_secure(peer.parse().unwrap(), has_tls, &headers(&PROTO, lines), trusts);
            assert_eq!(found, expected, "{peer} {has_tls} {lines:?}");
        }
    }
}
