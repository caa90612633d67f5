//! Text of others on a terminal.

use std::borrow::Cow;

/// The text without what a terminal would act on: control characters, and what changes the order of letters.
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_active) {
        Cow::Owned(text.chars().map(|letter| if is_active(letter) { '\u{fffd}' } else { letter }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// A text as JSON writes it, with everything escaped that a terminal would act on.
pub fn json_string(text: &str) -> String {
    escaped(&serde_json::Value::from(text).to_string())
}

/// JSON in which everything is escaped that a terminal would act on. What is outside of texts has nothing of it but line ends.
pub fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter != '\n' && is_active(letter) {
            let mut units = [0; 2];
            out.extend(letter.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(letter);
        }
    }
    out
}

fn is_active(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_what_it_is() {
        for text in ["a", "\u{7f}\u{9b}31m", "a\nb\u{1b}", "\u{202e}x", "東京"] {
            let json = json_string(text);
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            assert_eq!(plain(&json), json, "{text:?}");
        }
    }

    #[test]
    fn a_terminal_is_not_commanded() {
        for (text, printed) in [
            ("Acme, Inc.", "Acme, Inc."),
            ("a\u{1b}[31mb", "a\u{fffd}[31mb"),
            ("a\nb\tc\r", "a\u{fffd}b\u{fffd}c\u{fffd}"),
            ("a\u{9b}31m", "a\u{fffd}31m"),
            ("evil\u{202e}txt", "evil\u{fffd}txt"),
            ("Zürich 東京", "Zürich 東京"),
        ] {
            assert_eq!(plain(text), printed, "{text:?}");
        }
    }
}
