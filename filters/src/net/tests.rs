//! Looking up and refusing.

use super::*;

fn none() -> AllowAddresses {
    AllowAddresses::default()
}

async fn check(host: &str, policy: &AddressPolicy, expected: Result<&[&str], &str>) {
    let resolved = resolve(host, 443, policy).await;
    let expected = expected.map(|addresses| {
        addresses.iter().map(|address| address.parse::<SocketAddr>().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(resolved.map_err(|error| error.to_string()), expected.map_err(str::to_owned), "{host}");
}

#[tokio::test]
async fn literals_are_checked() {
    let public = AddressPolicy::public_only();
    for (host, address) in [("127.0.0.1", "127.0.0.1:443"), ("[::1]", "[::1]:443"), ("::1", "[::1]:443")] {
        check(host, &AddressPolicy::configured(host, &none()), Ok(&[address])).await;
    }
    check("1.1.1.1", &public, Ok(&["1.1.1.1:443"])).await;
    let refused = "`127.0.0.1` is at 127.0.0.1, a loopback address, which is not dialled unless the operator allows it: \
                   `allow_addresses: [127.0.0.1/32]`";
    check("127.0.0.1", &public, Err(refused)).await;
    let refused = "`10.20.3.4` is at 10.20.3.4, a private address, which is not dialled unless the operator allows it: \
                   `allow_addresses: [10.20.0.0/16]`";
    check("10.20.3.4", &public, Err(refused)).await;
    let refused = "`[::ffff:169.254.169.254]` is at ::ffff:169.254.169.254, a metadata address, which is not dialled \
                   unless the operator allows it: `allow_addresses: [169.254.169.254/32]`";
    let host = "[::ffff:169.254.169.254]";
    check(host, &AddressPolicy::configured(host, &none()), Err(refused)).await;
}

#[tokio::test]
async fn what_is_no_host_is_refused() {
    for host in ["", "a b", "a\0b", "fe80::1%eth0", "[::1", "http://x", "x:80", "é", &"a".repeat(254)] {
        let message = format!("`{host}` is no host name and no IP address");
        check(host, &AddressPolicy::configured(host, &none()), Err(&message)).await;
    }
}

#[tokio::test]
async fn other_spellings_of_an_address_are_checked_too() {
    // The system's resolver takes these for 127.0.0.1; whether it does or fails, none is let through.
    for host in ["0x7f.1", "2130706433", "127.1", "0177.0.0.1", "localhost"] {
        assert!(resolve(host, 80, &AddressPolicy::public_only()).await.is_err(), "{host}");
    }
}

#[test]
fn one_internal_address_refuses_the_name() {
    let found = ["93.184.215.14:443", "10.0.0.1:443"].map(|address| address.parse().unwrap());
    assert!(permitted("rebind", found, &AddressPolicy::public_only()).is_err());
    let allowed = serde_json::from_str("\"10.0.0.0/8\"").unwrap();
    assert_eq!(permitted("rebind", found, &AddressPolicy::public_and(&allowed)).unwrap(), found);
}

#[test]
fn each_address_comes_once_and_there_is_one() {
    let address: SocketAddr = "1.1.1.1:443".parse().unwrap();
    let public = AddressPolicy::public_only();
    assert_eq!(permitted("twice", [address, address], &public).unwrap(), [address]);
    assert!(matches!(permitted("none", [], &public), Err(NetError::NoAddress { .. })));
}
