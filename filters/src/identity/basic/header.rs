//! `Authorization: Basic …` (RFC 7617): from the header's bytes to a name and a password.
//!
//! Strict: padded base64 of RFC 4648 section 4 and nothing else, UTF-8, no control character, a name without a
//! colon and up to 255 bytes, neither part empty, 1024 bytes in all. No normalisation: a name is its bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The longest `name:password`.
pub(crate) const USER_PASS_BYTES_MAX: usize = 1024;

/// The longest name.
pub(crate) const NAME_BYTES_MAX: usize = 255;

const BASE64_BYTES_MAX: usize = USER_PASS_BYTES_MAX.div_ceil(3) * 4;

/// Room for what a header holds. Wiped when dropped.
pub(crate) struct Buffer(Zeroizing<[u8; BASE64_BYTES_MAX / 4 * 3]>);

impl Default for Buffer {
    fn default() -> Self {
        Self(Zeroizing::new([0; BASE64_BYTES_MAX / 4 * 3]))
    }
}

/// What a header proves, borrowed from its buffer.
#[derive(Clone, Copy)]
pub(crate) struct UserPass<'b> {
    /// `name:password`.
    pub(crate) whole: &'b str,
    /// Up to the first colon.
    pub(crate) name: &'b str,
    /// After it.
    pub(crate) password: &'b str,
}

/// The header is for this provider and does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads the value of `Authorization`. None if it is of another scheme.
pub(crate) fn parse<'b>(value: &[u8], buffer: &'b mut Buffer) -> Option<Result<UserPass<'b>, Malformed>> {
    let (scheme, rest) = value.split_first_chunk::<5>()?;
    if !scheme.eq_ignore_ascii_case(b"basic") || rest.first().is_some_and(is_token) {
        return None;
    }
    Some(user_pass(rest, buffer).ok_or(Malformed))
}

fn user_pass<'b>(rest: &[u8], buffer: &'b mut Buffer) -> Option<UserPass<'b>> {
    let digits = rest.strip_prefix(b" ")?;
    let spaces = digits.iter().take_while(|byte| **byte == b' ').count();
    let digits = digits.get(spaces..).filter(|digits| digits.len() <= BASE64_BYTES_MAX)?;
    let length = STANDARD.decode_slice(digits, buffer.0.as_mut_slice()).ok()?;
    let bytes = buffer.0.get(..length).filter(|bytes| bytes.len() <= USER_PASS_BYTES_MAX)?;
    let whole = std::str::from_utf8(bytes).ok()?;
    let (name, password) = whole.split_once(':')?;
    let holds = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !password.is_empty()
        && !whole.chars().any(char::is_control);
    holds.then_some(UserPass { whole, name, password })
}

/// Whether a scheme's name would go on with this byte (RFC 9110 section 5.6.2).
fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `name|password`, `absent` or `malformed`.
    fn read(value: &[u8]) -> String {
        let mut buffer = Buffer::default();
        match parse(value, &mut buffer) {
            None => "absent".to_owned(),
            Some(Err(Malformed)) => "malformed".to_owned(),
            Some(Ok(UserPass { whole, name, password })) => {
                assert_eq!(whole, format!("{name}:{password}"));
                format!("{name}|{password}")
            }
        }
    }

    fn encoded(user_pass: &[u8]) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(user_pass)).into_bytes()
    }

    #[test]
    fn the_header_as_it_is_written() {
        let check = |value: &str, expected: &str| assert_eq!(read(value.as_bytes()), expected, "{value}");
        // RFC 7617 section 2, and section 2.1 with its pound sign.
        check("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin|open sesame");
        check("Basic dGVzdDoxMjPCow==", "test|123£");
        for scheme in ["basic", "BASIC", "bAsIc"] {
            check(&format!("{scheme} YTpi"), "a|b");
        }
        check("Basic    YTpi", "a|b");
        // Another scheme.
        for value in
            ["", "Bas", "Basi YTpi", "Bearer YTpi", "Basically YTpi", "Basic-2 YTpi", " Basic YTpi", "YTpi"]
        {
            check(value, "absent");
        }
        // This scheme, and nothing that holds.
        for value in [
            "Basic",
            "Basic ",
            "Basic=YTpi",
            "Basic\tYTpi",
            "Basic \tYTpi",
            "Basic,YTpi",
            "Basic YTpi ",
            "Basic YTpi YTpi",
            "Basic YTpi=",
            "Basic YTpi\n",
            "Basic YTpiYw",
            "Basic YTpiYw=",
            "Basic YTpiYx==",
            "Basic YTpi_-",
            "Basic YT pi",
            "Basic ====",
            "Basic a:b",
            "Basic \"YTpi\"",
            "Basic YTpi, Basic YTpi",
        ] {
            check(value, "malformed");
        }
    }

    #[test]
    fn the_name_ends_at_the_first_colon() {
        let check = |user_pass: &[u8], expected: &str| assert_eq!(read(&encoded(user_pass)), expected);
        check(b"a:b:c", "a|b:c");
        check(b"a::", "a|:");
        check("ålice:pässword".as_bytes(), "ålice|pässword");
        check(b"a: b ", "a| b ");
        for user_pass in
            [&b""[..], b"a", b":", b":b", b"a:", b"\xff:b", b"a:\xc3", b"\xef\xbb", b"a:\xed\xa0\x80"]
        {
            check(user_pass, "malformed");
        }
        for control in ["\0", "\n", "\r", "\t", "\x1f", "\x7f", "\u{80}", "\u{9f}"] {
            check(format!("a{control}:b").as_bytes(), "malformed");
            check(format!("a:b{control}").as_bytes(), "malformed");
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let check = |name: usize, password: usize, holds: bool| {
            let user_pass = format!("{}:{}", "n".repeat(name), "p".repeat(password));
            assert_eq!(read(&encoded(user_pass.as_bytes())) != "malformed", holds, "{name}, {password}");
        };
        check(255, 768, true);
        check(256, 700, false);
        check(1, 1022, true);
        check(1, 1023, false);
        check(1, 1024, false);
        check(1, 100_000, false);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(value: Vec<u8>) {
            read(&value);
            read(&encoded(&value));
        }

        #[test]
        fn what_was_written_is_read(name in "[^:\\pC]{1,30}", password in "[^\\pC]{1,60}") {
            let expected = format!("{name}|{password}");
            prop_assert_eq!(read(&encoded(format!("{name}:{password}").as_bytes())), expected);
        }
    }
}
