//! A strict reader of DER (X.690 section 10): what the standard's bytes say where BoringSSL has no safe call for it.
//!
//! INVARIANT: nothing is read that is not in its one canonical form: definite lengths, shortest lengths, low tags,
//! and no byte after what was asked for. Whatever else is there is an error, never skipped.

/// Not in the canonical form, or not of the expected type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the DER is malformed")]
pub(crate) struct Malformed;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// `[number]`, of a simple type.
pub(crate) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// `[number]`, of a type made of others.
pub(crate) const fn context_constructed(number: u8) -> u8 {
    0xa0 | number
}

/// One element: its tag, its contents, and the whole of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) contents: &'a [u8],
    pub(crate) whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// The one element that a text is.
    pub(crate) fn only(text: &'a [u8], tag: u8) -> Result<Self, Malformed> {
        let mut reader = Reader::new(text);
        let element = reader.expect(tag)?;
        reader.end().map(|()| element)
    }

    /// A reader of the elements within.
    pub(crate) fn reader(&self) -> Reader<'a> {
        Reader::new(self.contents)
    }
}

/// Reads one element after the other.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element, of any tag.
    pub(crate) fn element(&mut self) -> Result<Element<'a>, Malformed> {
        let whole = self.rest;
        let (&tag, rest) = whole.split_first().ok_or(Malformed)?;
        // Tags of more than one byte appear in no certificate.
        if tag & 0x1f == 0x1f || tag == 0 {
            return Err(Malformed);
        }
        let (length, rest) = length(rest)?;
        let (contents, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        let whole = whole.get(..whole.len() - rest.len()).ok_or(Malformed)?;
        self.rest = rest;
        Ok(Element { tag, contents, whole })
    }

    /// The next element, of this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<Element<'a>, Malformed> {
        let element = self.element()?;
        if element.tag == tag { Ok(element) } else { Err(Malformed) }
    }

    /// The next element if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, Malformed> {
        if self.rest.first() == Some(&tag) { self.element().map(Some) } else { Ok(None) }
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

fn length(text: &[u8]) -> Result<(usize, &[u8]), Malformed> {
    let (&first, rest) = text.split_first().ok_or(Malformed)?;
    if first < 0x80 {
        return Ok((usize::from(first), rest));
    }
    let count = usize::from(first & 0x7f);
    if !(1..=3).contains(&count) {
        return Err(Malformed);
    }
    let (bytes, rest) = rest.split_at_checked(count).ok_or(Malformed)?;
    let length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    // The shortest form: neither a leading zero nor a long form where the short one would do.
    if length < 0x80 || bytes.first() == Some(&0) { Err(Malformed) } else { Ok((length, rest)) }
}

/// A BOOLEAN's value.
pub(crate) fn boolean(contents: &[u8]) -> Result<bool, Malformed> {
    match contents {
        [0x00] => Ok(false),
        [0xff] => Ok(true),
        _ => Err(Malformed),
    }
}

/// An INTEGER's value, if it is one of the small numbers that certificates limit things by.
pub(crate) fn small_integer(contents: &[u8]) -> Result<u32, Malformed> {
    match contents {
        [] | [0x80..=0xff, ..] | [0, 0..=0x7f, ..] => Err(Malformed),
        digits if digits.len() <= 4 => {
            Ok(digits.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
        }
        _ => Err(Malformed),
    }
}

/// The named bits of a BIT STRING, the first as the highest bit of the first byte.
pub(crate) fn named_bits(contents: &[u8]) -> Result<u16, Malformed> {
    let (&unused, bytes) = contents.split_first().ok_or(Malformed)?;
    let bits = match *bytes {
        [] => 0,
        [first] => u16::from_be_bytes([first, 0]),
        [first, second] => u16::from_be_bytes([first, second]),
        _ => return Err(Malformed),
    };
    let length = bytes.len() * 8;
    let used = length.checked_sub(usize::from(unused)).filter(|_| unused < 8).ok_or(Malformed)?;
    // Named bits end with the last one that is set (X.690 section 11.2.2).
    let significant = 16 - bits.trailing_zeros() as usize;
    if used == significant { Ok(bits) } else { Err(Malformed) }
}

/// The dotted form of an OBJECT IDENTIFIER.
pub(crate) fn dotted(contents: &[u8]) -> Result<String, Malformed> {
    let mut text = String::new();
    let mut number = 0u64;
    let mut first = true;
    let mut open = true;
    for &byte in contents {
        if (open && byte == 0x80) || number > u64::MAX >> 8 {
            return Err(Malformed);
        }
        number = number << 7 | u64::from(byte & 0x7f);
        open = byte & 0x80 == 0;
        if !open {
            continue;
        }
        if first {
            let root = (number / 40).min(2);
            text = format!("{root}.{}", number - root * 40);
            first = false;
        } else {
            text += &format!(".{number}");
        }
        number = 0;
    }
    if first || !open { Err(Malformed) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_follow_one_another() {
        let mut reader = Reader::new(&[0x02, 1, 7, 0x04, 0]);
        assert_eq!(reader.expect(INTEGER).unwrap().contents, [7]);
        assert_eq!(reader.clone().expect(INTEGER), Err(Malformed));
        assert_eq!(reader.optional(INTEGER), Ok(None));
        assert_eq!(reader.element().unwrap(), Element { tag: 4, contents: &[], whole: &[4, 0] });
        assert_eq!(reader.end(), Ok(()));
        assert_eq!(reader.element(), Err(Malformed));
    }

    #[test]
    fn only_the_canonical_form_is_read() {
        let mut long = vec![0x04, 0x81, 0x80];
        long.resize(3 + 128, 0);
        assert_eq!(Element::only(&long, OCTET_STRING).unwrap().contents.len(), 128);
        for text in [
            &[][..],
            &[0x04],
            &[0x04, 1],
            &[0x04, 0, 0],
            &[0x04, 0x80, 0, 0],
            &[0x04, 0x81, 1, 0],
            &[0x04, 0x82, 0, 0x80],
            &[0x04, 0x84, 0, 0, 0, 1, 0],
            &[0x04, 0xff],
            &[0x1f, 0x04, 0],
            &[0x00, 0],
            &[0x02, 0],
        ] {
            assert_eq!(Element::only(text, OCTET_STRING), Err(Malformed), "{text:x?}");
        }
    }

    #[test]
    fn values_have_one_form() {
        assert_eq!((boolean(&[0]), boolean(&[0xff]), boolean(&[1])), (Ok(false), Ok(true), Err(Malformed)));
        for (text, expected) in [
            (&[0u8][..], Ok(0)),
            (&[0x7f], Ok(127)),
            (&[0, 0x80], Ok(128)),
            (&[0x7f, 0xff, 0xff, 0xff], Ok(0x7fff_ffff)),
            (&[], Err(Malformed)),
            (&[0x80], Err(Malformed)),
            (&[0, 0x7f], Err(Malformed)),
            (&[0, 0xff, 0xff, 0xff, 0xff], Err(Malformed)),
        ] {
            assert_eq!(small_integer(text), expected, "{text:x?}");
        }
        for (text, expected) in [
            (&[7u8, 0x80][..], Ok(0x8000)),
            (&[1, 0x06], Ok(0x0600)),
            (&[7, 0x06, 0x80], Ok(0x0680)),
            (&[0], Ok(0)),
            (&[], Err(Malformed)),
            (&[8, 0x80], Err(Malformed)),
            (&[0, 0x06], Err(Malformed)),
            (&[1], Err(Malformed)),
        ] {
            assert_eq!(named_bits(text), expected, "{text:x?}");
        }
    }

    #[test]
    fn object_identifiers_are_written_with_dots() {
        assert_eq!(dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1]).unwrap(), "1.2.840.113549.1.9.1");
        assert_eq!(dotted(&[0x55, 4, 3]).unwrap(), "2.5.4.3");
        assert_eq!(dotted(&[0x88, 0x37]).unwrap(), "2.999");
        for text in [&[][..], &[0x80, 1], &[0x2a, 0x86], &[0xff; 12]] {
            assert_eq!(dotted(text), Err(Malformed), "{text:x?}");
        }
    }
}
