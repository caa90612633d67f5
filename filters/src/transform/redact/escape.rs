//! The text of a JSON string, out of its escapes and back (RFC 8259 section 7).

/// The text that a scanned string stands for; none if an escape is wrong, which the scanner has ruled out.
pub(super) fn unescaped(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(offset) = special(rest.as_bytes()) {
        let (plain, escape) = rest.split_at_checked(offset)?;
        text.push_str(plain);
        let (char, length) = match escape.as_bytes() {
            [b'\\', b'"', ..] => ('"', 2),
            [b'\\', b'\\', ..] => ('\\', 2),
            [b'\\', b'/', ..] => ('/', 2),
            [b'\\', b'b', ..] => ('\u{8}', 2),
            [b'\\', b'f', ..] => ('\u{c}', 2),
            [b'\\', b'n', ..] => ('\n', 2),
            [b'\\', b'r', ..] => ('\r', 2),
            [b'\\', b't', ..] => ('\t', 2),
            [b'\\', b'u', ..] => unicode(escape)?,
            _ => return None,
        };
        text.push(char);
        rest = escape.get(length..)?;
    }
    text.push_str(rest);
    Some(text)
}

/// The character of `\uXXXX` or of a pair of them, and the length of the escape.
fn unicode(escape: &str) -> Option<(char, usize)> {
    let unit = |escape: &str| {
        let digits = escape.strip_prefix("\\u")?.get(..4)?;
        let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        hex.then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let high = unit(escape)?;
    match char::from_u32(high.into()) {
        Some(char) => Some((char, 6)),
        None => {
            let pair = char::decode_utf16([high, unit(escape.get(6..)?)?]).next()?;
            Some((pair.ok()?, 12))
        }
    }
}

/// The inside of the JSON string of a text.
pub(super) fn escaped(text: &str) -> String {
    let mut raw = String::with_capacity(text.len() + text.len() / 4);
    let mut rest = text;
    while let Some((plain, special)) =
        special(rest.as_bytes()).and_then(|offset| rest.split_at_checked(offset))
    {
        raw.push_str(plain);
        match special.as_bytes().first() {
            Some(b'"') => raw.push_str("\\\""),
            Some(b'\\') => raw.push_str("\\\\"),
            Some(b'\n') => raw.push_str("\\n"),
            Some(b'\r') => raw.push_str("\\r"),
            Some(b'\t') => raw.push_str("\\t"),
            Some(control) => raw.push_str(&format!("\\u{control:04x}")),
            None => {}
        }
        rest = special.get(1..).unwrap_or_default();
    }
    raw.push_str(rest);
    raw
}

/// Where the first quote, backslash or control character is, which is what a string ends or escapes with: eight
/// bytes at a time.
pub(super) fn special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    // Sets the high bit of the lowest byte below a bound, and perhaps of bytes above it, never below.
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word & HIGHS;
    let (chunks, tail) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let hits = below(word, 0x20)
            | below(word ^ (ONES * u64::from(b'"')), 1)
            | below(word ^ (ONES * u64::from(b'\\')), 1);
        if hits != 0 {
            return Some(index * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    let is_special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
    tail.iter().position(is_special).map(|offset| chunks.len() * 8 + offset)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_undone() {
        for (raw, text) in [
            ("plain", "plain"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"a\u0062c", "abc"),
            (r"\ud83d\uDE00!", "😀!"),
            (r"\u0000", "\0"),
        ] {
            assert_eq!(unescaped(raw).as_deref(), Some(text));
        }
        for raw in
            [r"\", r"\x", r"\u12", r"\u+123", r"\ud83d", r"\ud83dx", r"\ude00", r"\ud83d\ud83d", r"\u00é0"]
        {
            assert_eq!(unescaped(raw), None, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn the_first_special_byte_is_found(bytes in proptest::collection::vec(
            prop_oneof![4 => 0x20_u8..0x7f, 1 => any::<u8>()], 0..40,
        )) {
            let slow = bytes.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(special(&bytes), slow);
        }

        #[test]
        fn every_text_survives(text in any::<String>()) {
            let raw = escaped(&text);
            prop_assert_eq!(unescaped(&raw), Some(text.clone()));
            prop_assert_eq!(serde_json::from_str::<String>(&format!("\"{raw}\"")).unwrap(), text);
        }
    }
}
