use mcpg_protocol::Revision;
use proptest::prelude::{Strategy, any, prop};
use proptest::{prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::sessions::{Purpose, SessionToken};

fn token(upstreams: Vec<UpstreamRef>) -> SessionToken {
    SessionToken {
        nonce: [1; 16],
        caller: [2; 32],
        endpoint: "/mcp".into(),
        expires: 1_790_000_000,
        client: ClientProfile {
            protocol: Revision::V2025_11_25,
            capabilities: r#"{"sampling":{},"roots":{"listChanged":true}}"#.into(),
            info: r#"{"name":"client","version":"1.0.0"}"#.into(),
        },
        upstreams,
    }
}

fn upstream(id: &str) -> UpstreamRef {
    UpstreamRef { binding: "github".into(), id: id.into(), protocol: Revision::V2025_06_18 }
}

/// An id takes so many bytes, and comes back as it was.
fn check_id(id: &str, bytes: usize) {
    let without = encode(&token(vec![upstream("")])).len() - 2;
    let token = token(vec![upstream(id)]);
    let encoded = encode(&token);
    assert_eq!(encoded.len() - without, bytes, "{id}");
    assert_eq!(decode(&encoded), Some(token), "{id}");
}

#[test]
fn ids_that_are_uuids_take_sixteen_bytes_and_keep_their_form() {
    for id in [
        "1f0e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
        "1F0E2D3C-4B5A-6978-8796-A5B4C3D2E1F0",
        "1f0e2d3c4b5a69788796a5b4c3d2e1f0",
        "1F0E2D3C4B5A69788796A5B4C3D2E1F0",
        "00000000-0000-0000-0000-000000000000",
        "12345678901234567890123456789012",
    ] {
        check_id(id, 17);
    }
}

#[test]
fn other_ids_are_kept_as_they_are() {
    for id in [
        "",
        "s",
        "1f0e2d3c-4b5a-6978-8796-A5b4c3d2e1f0",
        "1f0e2d3c-4b5a-6978-8796-a5b4c3d2e1f",
        "1f0e2d3c-4b5a-6978-8796-a5b4c3d2e1fg",
        "1f0e2d3c-4b5a-6978-8796a5-b4c3d2e1f0",
        "1f0e2d3c4b5a69788796a5b4c3d2e1F0",
        "-f0e2d3c4b5a69788796a5b4c3d2e1f0",
        "1f0e2d3c_4b5a_6978_8796_a5b4c3d2e1f0",
        "ünïcödé",
    ] {
        check_id(id, 2 + id.len());
    }
    check_id(&"x".repeat(200), 3 + 200);
}

#[test]
fn sixty_upstreams_with_long_ids_fit_in_a_header() {
    let ids = (0..60).map(|index| UpstreamRef {
        binding: format!("binding-{index:04}").into(),
        id: format!("{index:064}").into(),
        protocol: Revision::V2025_11_25,
    });
    let bytes = encode(&token(ids.collect())).len();
    assert!(bytes <= Purpose::Session.value_bytes_max(), "{bytes}");
}

#[test]
fn a_usual_session_is_short() {
    let bytes = encode(&token(vec![upstream("1f0e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"); 3])).len();
    assert!(bytes < 230, "{bytes}");
}

#[test]
fn nothing_cut_or_appended_is_a_session() {
    let encoded = encode(&token(vec![upstream("1f0e2d3c4b5a69788796a5b4c3d2e1f0"), upstream("x")]));
    for length in 0..encoded.len() {
        assert_eq!(decode(&encoded[..length]), None, "{length}");
    }
    let longer = [&encoded[..], &[0]].concat();
    assert_eq!(decode(&longer), None);
}

#[test]
fn a_number_has_one_form() {
    for (bytes, value) in [
        (&[0][..], Some(0)),
        (&[0x7f], Some(127)),
        (&[0x80, 1], Some(128)),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], Some(u64::MAX)),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], None),
        (&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1], None),
        (&[0x80, 0], None),
        (&[0x80], None),
        (&[], None),
    ] {
        let mut reader = Reader(bytes);
        assert_eq!(reader.number(), value, "{bytes:?}");
        if let Some(value) = value {
            let mut written = Vec::new();
            number(&mut written, value);
            assert_eq!(written, bytes);
        }
    }
}

#[test]
fn lengths_that_lie_take_no_memory() {
    let mut encoded = encode(&token(vec![]));
    encoded.pop();
    for count in [1, u64::from(u32::MAX), u64::MAX] {
        let mut lying = encoded.clone();
        number(&mut lying, count);
        lying.extend([0; 64]);
        assert_eq!(decode(&lying), None, "{count}");
    }
}

fn text() -> impl Strategy<Value = Box<str>> {
    prop_oneof![
        ".{0,80}",
        "[0-9a-f]{32}",
        "[0-9A-F]{32}",
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    ]
    .prop_map(String::into_boxed_str)
}

fn revision() -> impl Strategy<Value = Revision> {
    prop::sample::select(Revision::SUPPORTED)
}

fn session() -> impl Strategy<Value = SessionToken> {
    let upstream = (text(), text(), revision()).prop_map(|(binding, id, protocol)| UpstreamRef {
        binding,
        id,
        protocol,
    });
    let client = (revision(), text(), text()).prop_map(|(protocol, capabilities, info)| ClientProfile {
        protocol,
        capabilities,
        info,
    });
    let upstreams = prop::collection::vec(upstream, 0..6);
    (any::<[u8; 16]>(), any::<[u8; 32]>(), text(), any::<u64>(), client, upstreams).prop_map(
        |(nonce, caller, endpoint, expires, client, upstreams)| SessionToken {
            nonce,
            caller,
            endpoint,
            expires,
            client,
            upstreams,
        },
    )
}

proptest! {
    #[test]
    fn every_session_comes_back_exactly(token in session()) {
        prop_assert_eq!(decode(&encode(&token)), Some(token));
    }

    #[test]
    fn bytes_that_are_read_are_the_only_ones_for_their_session(bytes in any::<Vec<u8>>()) {
        if let Some(token) = decode(&bytes) {
            prop_assert_eq!(encode(&token), bytes);
        }
    }

    #[test]
    fn a_changed_byte_gives_another_session_or_none(
        token in session(),
        place in any::<prop::sample::Index>(),
        change in 1_u8..,
    ) {
        let mut bytes = encode(&token);
        let index = place.index(bytes.len());
        bytes[index] ^= change;
        if let Some(other) = decode(&bytes) {
            prop_assert!(other != token);
            prop_assert_eq!(encode(&other), bytes);
        }
    }
}
