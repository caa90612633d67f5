//! Pins: SHA-256 digests in the forms that tools print them in.
//!
//! Hexadecimal digits (`sha256sum`), pairs of them with colons between (`openssl x509 -fingerprint`), base64 (RFC 7469
//! section 2.4), the last also after `sha256/`. The forms differ in length, so none is taken for another.

use crate::place::{Place, Report};
use crate::wire::OneOrMany;

/// What a pin is a digest of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pinned {
    /// The whole certificate, DER.
    Certificate,
    /// Its `SubjectPublicKeyInfo`, DER.
    PublicKey,
}

/// Reads one pin or several.
pub(super) fn read(
    texts: Option<OneOrMany>,
    of: Pinned,
    place: &Place<'_>,
    report: &mut Report<'_>,
) -> Vec<[u8; 32]> {
    let texts = texts.map(OneOrMany::into_vec).unwrap_or_default();
    let mut pins = Vec::new();
    for (text, place) in texts.iter().zip(place.one_or_many()) {
        match sha256(text) {
            Some(pin) => pins.push(pin),
            None => {
                let found = text.chars().count();
                let message = format!(
                    "expected a SHA-256 of 64 hexadecimal digits, or in base64, found {found} characters"
                );
                report.error_with_help(&place, message, of.help());
            }
        }
    }
    pins
}

impl Pinned {
    fn help(self) -> &'static str {
        match self {
            Self::Certificate => "`openssl x509 -outform der -in cert.pem | sha256sum` prints it",
            Self::PublicKey => {
                "`openssl x509 -pubkey -noout -in cert.pem | openssl pkey -pubin -outform der | sha256sum` prints it"
            }
        }
    }
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    let base64 = text.strip_prefix("sha256/");
    match (base64, text.len()) {
        (None, 64) => hex(text.as_bytes().as_chunks::<2>().0.iter().map(<[u8; 2]>::as_slice)),
        (None, 95) => hex(text.as_bytes().split(|&byte| byte == b':')),
        _ => from_base64(base64.unwrap_or(text)),
    }
}

fn hex<'a>(pairs: impl Iterator<Item = &'a [u8]>) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    pairs.map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()
}

/// 32 bytes are 43 characters, of which the last carries four bits, and one of padding.
fn from_base64(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_suffix('=').filter(|digits| digits.len() == 43)?;
    let mut bytes = Vec::with_capacity(33);
    let (mut held, mut bits) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    // What is left over is zero, or the same digest could be written in four ways.
    (held & 0b11 == 0).then(|| bytes.try_into().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_says_the_same() {
        let digest: [u8; 32] = std::array::from_fn(|index| u8::try_from(index * 7 + 3).unwrap());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let colons = digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
        let base64 = "AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dw=";
        for text in [&hex, &hex.to_uppercase(), &colons, base64, &format!("sha256/{base64}")] {
            assert_eq!(sha256(text), Some(digest), "{text}");
        }
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        let hex = "00".repeat(32);
        for text in [
            "",
            "a8f7b3...",
            &"0".repeat(63),
            &format!("{hex}0"),
            &hex.replacen('0', "g", 1),
            &hex.replacen("00", "é", 1),
            &hex.replacen('0', "+", 1),
            &format!("000:{}", ["00"; 30].join(":") + ":0"),
            &format!("sha256/{hex}"),
            "AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dw",
            "AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dy=",
            "AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dx=",
            "AwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1d-=",
        ] {
            assert_eq!(sha256(text), None, "{text}");
        }
    }
}
