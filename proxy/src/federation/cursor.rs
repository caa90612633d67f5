//! Cursors of merged lists: which list, and which page of it.
//!
//! A cursor names what its caller sees of one version of the list by a digest, so it is good on every instance that sees the same, and
//! for nothing else. Nothing in it is secret, and a forged one leads to a page that its caller may see, or nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The version of the encoding.
const VERSION: u8 = 1;

/// A place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// What is seen.
    pub(super) tag: Tag,
    /// The page, from 0.
    pub(super) page: u32,
}

/// A digest of what a caller sees of a list.
pub(super) type Tag = [u8; 16];

impl Cursor {
    /// The cursor as clients get it.
    pub(super) fn write(self) -> String {
        let mut bytes = [0; 21];
        let parts = [VERSION].into_iter().chain(self.tag).chain(self.page.to_be_bytes());
        bytes.iter_mut().zip(parts).for_each(|(byte, part)| *byte = part);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that a cursor names; none if it is none of ours.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text.len() != 28 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (version, rest) = bytes.split_first()?;
        let (tag, page) = rest.split_first_chunk()?;
        (*version == VERSION).then_some(Self { tag: *tag, page: u32::from_be_bytes(*page.as_array()?) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_survives_a_round_trip(tag in any::<[u8; 16]>(), page in any::<u32>()) {
            let cursor = Cursor { tag, page };
            prop_assert_eq!(Cursor::read(&cursor.write()), Some(cursor));
        }

        #[test]
        fn what_is_read_is_what_was_written(text in "[A-Za-z0-9_=-]{20,32}") {
            if let Some(cursor) = Cursor::read(&text) {
                prop_assert_eq!(cursor.write(), text);
            }
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let good = Cursor { tag: [7; 16], page: 3 }.write();
        let other_version = URL_SAFE_NO_PAD.encode([2; 21]);
        for text in [
            "",
            "x",
            good.trim_start_matches('A'),
            &format!("{good}A"),
            &good.replace('B', "+"),
            &other_version,
            "ä",
        ] {
            assert_eq!(Cursor::read(text), None, "{text}");
        }
    }
}
