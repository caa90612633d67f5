//! The one kind of field that the answers have: `map<string, bytes> bundles` (Protocol Buffers, "Encoding").

use std::collections::BTreeMap;

/// The bundles of an answer, by the SPIFFE ID of their trust domain. Other fields are passed over.
pub(super) fn bundles(answer: &[u8], number: u32) -> Result<BTreeMap<String, Vec<u8>>, Malformed> {
    let mut bundles = BTreeMap::new();
    let mut reader = Reader { rest: answer };
    while let Some(field) = reader.field()? {
        let Some(entry) = field.bytes_of(number)? else { continue };
        let (mut name, mut bundle) = (String::new(), Vec::new());
        let mut entry = Reader { rest: entry };
        while let Some(field) = entry.field()? {
            if let Some(key) = field.bytes_of(1)? {
                name = String::from_utf8(key.to_vec()).map_err(|_| Malformed)?;
            } else if let Some(value) = field.bytes_of(2)? {
                bundle = value.to_vec();
            }
        }
        bundles.insert(name, bundle);
    }
    Ok(bundles)
}

/// No answer of the Workload API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is malformed")]
pub(super) struct Malformed;

struct Reader<'a> {
    rest: &'a [u8],
}

struct Field<'a> {
    number: u64,
    /// `None` if it is of another wire type.
    bytes: Option<&'a [u8]>,
}

impl<'a> Field<'a> {
    /// Its bytes, if it has this number.
    fn bytes_of(&self, number: u32) -> Result<Option<&'a [u8]>, Malformed> {
        if self.number == u64::from(number) { self.bytes.ok_or(Malformed).map(Some) } else { Ok(None) }
    }
}

impl<'a> Reader<'a> {
    fn field(&mut self) -> Result<Option<Field<'a>>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        let bytes = match tag & 7 {
            0 => {
                self.varint()?;
                None
            }
            1 => {
                self.take(8)?;
                None
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Some(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                None
            }
            _ => return Err(Malformed),
        };
        if number == 0 { Err(Malformed) } else { Ok(Some(Field { number, bytes })) }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(Malformed)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn length_delimited(number: u8, bytes: &[u8]) -> Vec<u8> {
        let low = |length: usize| u8::try_from(length & 0x7f).unwrap();
        let mut field = vec![number << 3 | 2];
        let mut length = bytes.len();
        while length >= 0x80 {
            field.push(low(length) | 0x80);
            length >>= 7;
        }
        field.push(low(length));
        field.extend(bytes);
        field
    }

    /// An answer with these bundles in a field.
    pub(in super::super) fn answer(number: u8, bundles: &[(&str, &[u8])]) -> Vec<u8> {
        let entry = |(name, bundle): &(&str, &[u8])| {
            length_delimited(
                number,
                &[length_delimited(1, name.as_bytes()), length_delimited(2, bundle)].concat(),
            )
        };
        bundles.iter().flat_map(entry).collect()
    }

    #[test]
    fn bundles_are_read_from_their_field() {
        let check = |text: &[u8], expected: Result<&[(&str, &[u8])], Malformed>| {
            let read = bundles(text, 2);
            let read = read
                .as_ref()
                .map(|all| all.iter().map(|(k, v)| (k.as_str(), v.as_slice())).collect::<Vec<_>>());
            assert_eq!(read.map_err(|error| *error), expected.map(<[_]>::to_vec), "{text:x?}");
        };
        check(&[], Ok(&[]));
        let long = vec![7; 300];
        check(&answer(2, &[("a", &long), ("b", &[])]), Ok(&[("a", &long), ("b", &[])]));
        check(&answer(1, &[("a", &[1])]), Ok(&[]));
        let others = [
            vec![0x08, 0x96, 0x01, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x1d, 1, 2, 3, 4],
            answer(2, &[("a", &[1])]),
        ];
        check(&others.concat(), Ok(&[("a", &[1])]));
        for wrong in [
            &[0x12u8][..],
            &[0x12, 5, 1],
            &[0x10, 1],
            &[0x13],
            &[0x02, 0],
            &[0xff; 11],
            &[0x12, 3, 0x0a, 1, 0xff],
        ] {
            check(wrong, Err(Malformed));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = bundles(&bytes, 2);
        }
    }
}
