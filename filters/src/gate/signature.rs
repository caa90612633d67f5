//! Signatures of callbacks: HMAC-SHA256 over a version, a time and the raw body.
//!
//! INVARIANT: nothing of a body is read before its signature holds. Signatures are compared in constant time, and one that is
//! older than the window, or from further ahead than it, holds no more.
//!
//! Source: Slack, "Verifying requests from Slack" (`v0:{timestamp}:{body}`, five minutes).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use boring::hash::hmac_sha256;
use http::{HeaderMap, HeaderName};
use mcpg_sdk::Secret;
use subtle::ConstantTimeEq as _;

/// How far a signature's time may be from now, either way.
pub(super) const WINDOW: Duration = Duration::from_secs(300);
const DIGEST_BYTES: usize = 32;

/// What is signed besides time and body, and where the signature is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scheme {
    /// Before the time, and before the signature: `v0`.
    version: &'static str,
    /// Between version, time and body.
    separator: char,
    /// The header, in lower case, with the time, in whole seconds since 1970.
    pub(super) timestamp: &'static str,
    /// The header, in lower case, with the signature, in hex.
    pub(super) signature: &'static str,
    /// Whether the version is part of what is signed.
    signs_version: bool,
}

/// Slack's own.
pub(super) const SLACK: Scheme = Scheme {
    version: "v0",
    separator: ':',
    timestamp: "x-slack-request-timestamp",
    signature: "x-slack-signature",
    signs_version: true,
};

/// Webhooks of the gateway, both ways: over `{timestamp}.{body}`.
pub(super) const WEBHOOK: Scheme = Scheme {
    version: "v1",
    separator: '.',
    timestamp: "x-mcpg-timestamp",
    signature: "x-mcpg-signature",
    signs_version: false,
};

/// Why a body is not believed. Whoever sent it learns nothing of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// No signature, or no time, or several.
    #[error("the signature is missing or malformed")]
    Missing,
    /// Too old, or from the future.
    #[error("the signature's time is not within five minutes of now")]
    Stale,
    /// Another key, another time or another body.
    #[error("the signature is wrong")]
    Wrong,
}

impl Scheme {
    /// The value of the signature's header.
    ///
    /// # Errors
    /// When the cryptography fails.
    pub(super) fn sign(&self, key: &Secret, seconds: u64, body: &[u8]) -> Result<String, Unsigned> {
        let digest = self.digest(key, &seconds.to_string(), body)?;
        Ok(format!("{}={}", self.version, hex(&digest)))
    }

    /// Whether a body is from who has the key, and from now.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn verify(
        &self,
        key: &Secret,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), Unsigned> {
        let timestamp = only(headers, self.timestamp).ok_or(Unsigned::Missing)?;
        let signature = only(headers, self.signature).ok_or(Unsigned::Missing)?;
        let given = signature.strip_prefix(self.version).and_then(|rest| rest.strip_prefix('='));
        let given = given.and_then(unhex).ok_or(Unsigned::Missing)?;
        // As it is signed: digits only, so that one time has one form.
        let digits =
            (1..=12).contains(&timestamp.len()) && timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let seconds: u64 = timestamp.parse().ok().filter(|_| digits).ok_or(Unsigned::Missing)?;
        let expected = self.digest(key, timestamp, body)?;
        if !bool::from(expected.ct_eq(&given)) {
            return Err(Unsigned::Wrong);
        }
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if now.abs_diff(seconds) > WINDOW.as_secs() { Err(Unsigned::Stale) } else { Ok(()) }
    }

    fn digest(&self, key: &Secret, timestamp: &str, body: &[u8]) -> Result<[u8; DIGEST_BYTES], Unsigned> {
        let mut signed = Vec::with_capacity(body.len() + 32);
        if self.signs_version {
            signed.extend_from_slice(self.version.as_bytes());
            signed.push(self.separator as u8);
        }
        signed.extend_from_slice(timestamp.as_bytes());
        signed.push(self.separator as u8);
        signed.extend_from_slice(body);
        hmac_sha256(key.expose(), &signed).map_err(|_| Unsigned::Wrong)
    }
}

fn only<'h>(headers: &'h HeaderMap, name: &'static str) -> Option<&'h str> {
    let mut values = headers.get_all(HeaderName::from_static(name)).into_iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Option<[u8; DIGEST_BYTES]> {
    let digit = |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut digest = [0; DIGEST_BYTES];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != DIGEST_BYTES || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of Slack's documentation.
    const SECRET: &[u8] = b"8f742231b10e8888abcd99yyyzzz85a5";
    const TIME: u64 = 1_531_420_618;
    const BODY: &[u8] = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V\
        &channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https\
        %3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015\
        .47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const SIGNATURE: &str = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn headers(scheme: Scheme, timestamp: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(scheme.timestamp), timestamp.parse().unwrap());
        headers.insert(HeaderName::from_static(scheme.signature), signature.parse().unwrap());
        headers
    }

    fn check(timestamp: &str, signature: &str, body: &[u8], now: u64, expected: Result<(), Unsigned>) {
        let headers = headers(SLACK, timestamp, signature);
        let found = SLACK.verify(&Secret::new(SECRET.to_vec()), &headers, body, at(now));
        assert_eq!(found, expected, "{timestamp} {signature} {now}");
    }

    #[test]
    fn slacks_own_example_holds() {
        let time = TIME.to_string();
        assert_eq!(SLACK.sign(&Secret::new(SECRET.to_vec()), TIME, BODY).unwrap(), SIGNATURE);
        check(&time, SIGNATURE, BODY, TIME, Ok(()));
        check(&time, SIGNATURE, BODY, TIME + 300, Ok(()));
        check(&time, SIGNATURE, BODY, TIME - 300, Ok(()));
    }

    #[test]
    fn everything_else_does_not() {
        use Unsigned::{Missing, Stale, Wrong};
        let time = TIME.to_string();
        check(&time, SIGNATURE, BODY, TIME + 301, Err(Stale));
        check(&time, SIGNATURE, BODY, TIME - 301, Err(Stale));
        check(&time, SIGNATURE, &[BODY, b"&"].concat(), TIME, Err(Wrong));
        check(&(TIME + 1).to_string(), SIGNATURE, BODY, TIME, Err(Wrong));
        check(&time, &SIGNATURE.replace("v0=a", "v0=b"), BODY, TIME, Err(Wrong));
        for (timestamp, signature) in [
            (time.as_str(), "v1=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
            (&time, "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
            (&time, "v0="),
            (&time, "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b5"),
            (&time, "v0=zz114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
            ("", SIGNATURE),
            ("+1531420618", SIGNATURE),
            ("1531420618 ", SIGNATURE),
            ("99999999999999999999", SIGNATURE),
        ] {
            check(timestamp, signature, BODY, TIME, Err(Missing));
        }
        let mut twice = headers(SLACK, &time, SIGNATURE);
        twice.append(HeaderName::from_static(SLACK.signature), SIGNATURE.parse().unwrap());
        let found = SLACK.verify(&Secret::new(SECRET.to_vec()), &twice, BODY, at(TIME));
        assert_eq!(found, Err(Missing));
        let none = SLACK.verify(&Secret::new(SECRET.to_vec()), &HeaderMap::new(), BODY, at(TIME));
        assert_eq!(none, Err(Missing));
    }

    #[test]
    fn webhooks_are_signed_over_time_and_body() {
        let key = Secret::new(b"key".to_vec());
        // printf '%s' '1790000000.{}' | openssl dgst -sha256 -hmac key
        let expected = "v1=099d33989336226b12c85da813adf6100e1bbab1e91bede9a41ddeb7882d66b8";
        let signature = WEBHOOK.sign(&key, 1_790_000_000, b"{}").unwrap();
        assert_eq!(signature, expected);
        let found =
            WEBHOOK.verify(&key, &headers(WEBHOOK, "1790000000", &signature), b"{}", at(1_790_000_010));
        assert_eq!(found, Ok(()));
        // Slack's form of the same is another.
        let slack = SLACK.sign(&key, 1_790_000_000, b"{}").unwrap().replace("v0", "v1");
        let found = WEBHOOK.verify(&key, &headers(WEBHOOK, "1790000000", &slack), b"{}", at(1_790_000_000));
        assert_eq!(found, Err(Unsigned::Wrong));
    }
}
