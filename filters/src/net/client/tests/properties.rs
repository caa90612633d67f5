//! No text leads the client to an address that it may not dial.

use proptest::prelude::*;

use super::*;
use crate::net::{Host, NetError};

/// Addresses of every kind, in the spellings that have fooled others.
fn spelled() -> impl Strategy<Value = String> {
    let octets = prop_oneof![
        Just([127, 0, 0, 1]),
        Just([169, 254, 169, 254]),
        Just([10, 0, 0, 1]),
        Just([192, 168, 1, 1]),
        Just([100, 64, 0, 1]),
        Just([0, 0, 0, 0]),
        any::<[u8; 4]>(),
    ];
    (octets, 0..14u8).prop_map(|([a, b, c, d], form)| {
        let number = u32::from_be_bytes([a, b, c, d]);
        let (high, low) = (number >> 16, number & 0xffff);
        match form {
            0 => format!("{a}.{b}.{c}.{d}"),
            1 => number.to_string(),
            2 => format!("{number:#x}"),
            3 => format!("{a:#o}.{b}.{c}.{d}").replace("0o", "0"),
            4 => format!("{a}.{}", number & 0xff_ffff),
            5 => format!("[::ffff:{a}.{b}.{c}.{d}]"),
            6 => format!("[64:ff9b::{high:x}:{low:x}]"),
            7 => format!("[2002:{high:x}:{low:x}::1]"),
            8 => format!("{a}%2e{b}%2e{c}%2e{d}"),
            9 => format!("{a}。{b}。{c}。{d}"),
            10 => format!("[::{high:x}:{low:x}]"),
            11 => "localhost".to_owned(),
            12 => "[::1]".to_owned(),
            _ => format!("{a}.{b}.{c}.{d}."),
        }
    })
}

fn texts() -> impl Strategy<Value = String> {
    let scheme =
        prop_oneof![Just("http://"), Just("https://"), Just("HTTP://"), Just("//"), Just("http:"), Just("")];
    let around = prop_oneof![
        Just(""),
        Just("1.1.1.1@"),
        Just("a:b@"),
        Just("1.1.1.1\\@"),
        Just("1.1.1.1#@"),
        Just(" ")
    ];
    let tail = prop_oneof![
        Just(""),
        Just("/"),
        Just(":80/"),
        Just("@1.1.1.1/"),
        Just("#@1.1.1.1"),
        Just("?@1.1.1.1/"),
        Just("\t")
    ];
    prop_oneof![
        (scheme, around, spelled(), tail)
            .prop_map(|(scheme, around, host, tail)| format!("{scheme}{around}{host}{tail}")),
        "\\PC{0,40}",
        "https?://\\PC{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_leads_to_what_may_not_be_dialled(text in texts(), answer in any::<[u8; 4]>()) {
        let Ok(url) = text.parse::<HttpUrl>() else { return Ok(()) };
        // Whatever the host, the answer of the resolver is what an attacker likes.
        struct Answer(IpAddr);
        impl Lookup for Answer {
            fn addresses<'a>(&'a self, _: &'a str, port: u16) -> Addresses<'a> {
                Box::pin(std::future::ready(Ok(vec![SocketAddr::new(self.0, port)])))
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let policy = AddressPolicy::public_only();
        let host = url.host().to_string();
        let resolved = runtime.block_on(resolve_with(&Answer(IpAddr::from(answer)), &host, url.port(), &policy));
        match resolved {
            Ok(addresses) => {
                for address in addresses {
                    prop_assert_eq!(AddressClass::of(address.ip()), AddressClass::Public, "{}", text);
                    if let Host::Ip(written) = url.host() {
                        prop_assert_eq!(address.ip(), *written);
                    }
                }
            }
            Err(NetError::Refused { class, .. }) => prop_assert_ne!(class, AddressClass::Public),
            Err(_) => {}
        }
    }

    #[test]
    fn what_is_read_is_read_again_the_same(text in texts()) {
        if let Ok(url) = text.parse::<HttpUrl>() {
            prop_assert_eq!(url.as_str().parse(), Ok(url.clone()));
            prop_assert!(url.path_and_query().as_str().starts_with('/'));
            prop_assert!(!url.authority().contains(['@', '/', '\\', ' ']));
        }
    }

    #[test]
    fn no_reference_joins_to_what_would_not_be_read(reference in texts()) {
        let base = url("https://acme.com/a/b?c");
        if let Ok(joined) = base.join(&reference) {
            prop_assert_eq!(joined.as_str().parse(), Ok(joined));
        }
    }
}
