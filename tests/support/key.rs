//! API keys in the gateway's form, made here, so that a test needs no command and no stored record.
//!
//! `mcpg_<label>_<43 digits><6 digits>` in base62 (`0-9A-Za-z`); the last six are the CRC-32 (IEEE) of what
//! stands before them.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key that is always the same for the same name, and valid in form.
pub fn key(name: &str) -> String {
    let mut secret = String::new();
    let mut state = name.bytes().fold(7_u64, |state, byte| state.wrapping_mul(31).wrapping_add(byte.into()));
    for _ in 0..43 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        secret.push(digit(state >> 40));
    }
    with_checksum(&format!("mcpg_test_{secret}"))
}

/// The same key with its checksum broken.
pub fn mistyped(key: &str) -> String {
    let (body, last) = key.split_at(key.len() - 1);
    format!("{body}{}", if last == "0" { "1" } else { "0" })
}

fn with_checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut checksum = ['0'; 6];
    for place in checksum.iter_mut().rev() {
        *place = digit(rest.into());
        rest /= 62;
    }
    format!("{body}{}", checksum.iter().collect::<String>())
}

fn digit(value: u64) -> char {
    char::from(DIGITS[usize::try_from(value % 62).expect("it is small")])
}
