//! What is sealed in a session's id has one encoding, and nothing is opened that was not sealed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpg::sessions::{Purpose, Sealer, SessionKey, SessionToken};

const KEY: &[u8] = b"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fuzz_target!(|data: &[u8]| {
    if let Some(token) = SessionToken::from_bytes(data) {
        assert_eq!(token.to_bytes(), data);
    }
    let sealer = Sealer::new(vec![SessionKey::parse(KEY).expect("a key")]).expect("a ring");
    assert!(sealer.open(Purpose::Session, data).is_err());
    assert!(sealer.open(Purpose::RequestState, data).is_err());
});
