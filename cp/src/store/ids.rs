//! Names that the store gives to things, and the clock and the randomness that they are made of.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type UnixMillis = i64;

/// Where time and randomness come from.
pub trait Clock: Send + Sync {
    /// The time.
    fn now(&self) -> UnixMillis;

    /// Bytes that nobody can guess.
    fn random(&self) -> [u8; 16];
}

/// The system's clock and random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    #[expect(clippy::expect_used, reason = "getrandom(2) fails on no supported system after boot")]
    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the system has random numbers");
        bytes
    }
}

/// Defines the name of one kind of thing: a UUID of version 7, as text.
macro_rules! ids {
    ($($(#[$doc:meta])+ $name:ident)+) => {$(
        $(#[$doc])+
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Makes a new one.
            pub(super) fn new(clock: &dyn Clock) -> Self {
                Self(uuid_v7(clock.now(), clock.random()))
            }

            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                is_uuid(text).then(|| Self(text.to_owned())).ok_or(IdError)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                is_uuid(&text).then_some(Self(text)).ok_or(IdError)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

ids! {
    /// An organization.
    OrgId
    /// A workspace.
    WorkspaceId
    /// An environment.
    EnvironmentId
    /// A gateway instance.
    GatewayId
    /// A token: of the API, of the platform, or for enrolment.
    TokenId
    /// A role binding.
    BindingId
    /// A claim on an idempotency key.
    ClaimNonce
}

/// A text that is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct IdError;

/// RFC 9562, section 5.7.
fn uuid_v7(now: UnixMillis, random: [u8; 16]) -> String {
    let mut bytes = random;
    let time = now.max(0).to_be_bytes();
    for (byte, time) in bytes.iter_mut().zip(time.iter().skip(2)) {
        *byte = *time;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        match index {
            6 => *byte = (*byte & 0x0f) | 0x70,
            8 => *byte = (*byte & 0x3f) | 0x80,
            _ => {}
        }
    }
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&hex(&[*byte]));
    }
    text
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from_digit(u32::from(nibble), 16).unwrap_or('0'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_in_the_order_of_time() {
        let early = uuid_v7(1_700_000_000_000, [0xff; 16]);
        let late = uuid_v7(1_700_000_000_001, [0; 16]);
        assert_eq!(early, "018bcfe5-6800-7fff-bfff-ffffffffffff");
        assert!(early < late);
        for text in [
            "",
            "x",
            "018BCFE5-6800-7fff-bfff-ffffffffffff",
            &format!("{early}0"),
            "018bcfe5_6800-7fff-bfff-ffffffffffff",
        ] {
            assert!(text.parse::<OrgId>().is_err(), "{text}");
        }
        assert_eq!(early.parse::<OrgId>().map(|id| id.to_string()), Ok(early));
    }
}
