//! The text of a JSON string, out of its escapes and back (RFC 8259 section 7).

/// The text that a scanned string stands for; none if an escape is wrong, which the scanner has ruled out.
pub(super) fn unescaped(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut chars = escape.chars();
        let escaped = match chars.next()? {
            '"' => '"',
            '\\' => '\\',
            '/' => '/',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (unit, after) = unit(chars.as_str())?;
                chars = after.chars();
                match char::from_u32(unit.into()) {
                    Some(char) => char,
                    None => {
                        let (low, after) = self::unit(after.strip_prefix("\\u")?)?;
                        chars = after.chars();
                        char::decode_utf16([unit, low]).next()?.ok()?
                    }
                }
            }
            _ => return None,
        };
        text.push(escaped);
        rest = chars.as_str();
    }
    text.push_str(rest);
    Some(text)
}

/// Four hex digits and what follows them.
fn unit(text: &str) -> Option<(u16, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
    Some((u16::from_str_radix(digits, 16).ok()?, rest))
}

/// The inside of the JSON string of a text.
pub(super) fn escaped(text: &str) -> String {
    let mut raw = String::with_capacity(text.len() + text.len() / 8);
    for char in text.chars() {
        match char {
            '"' => raw.push_str("\\\""),
            '\\' => raw.push_str("\\\\"),
            '\n' => raw.push_str("\\n"),
            '\r' => raw.push_str("\\r"),
            '\t' => raw.push_str("\\t"),
            '\0'..='\x1f' => raw.push_str(&format!("\\u{:04x}", u32::from(char))),
            _ => raw.push(char),
        }
    }
    raw
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
        fn every_text_survives(text in any::<String>()) {
            let raw = escaped(&text);
            prop_assert_eq!(unescaped(&raw), Some(text.clone()));
            prop_assert_eq!(serde_json::from_str::<String>(&format!("\"{raw}\"")).unwrap(), text);
        }
    }
}
