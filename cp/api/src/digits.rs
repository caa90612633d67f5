//! Hexadecimal digits as the API has them: lower case, two for each byte, as many as there are bytes.

/// Bytes as digits.
pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

/// Digits as bytes; none where they are others, or not as many.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_of_one_form() {
        assert_eq!(hex(&[0, 1, 0xab, 0xff]), "0001abff");
        assert_eq!(unhex("0001abff"), Some([0, 1, 0xab, 0xff]));
        assert_eq!(unhex(""), Some([]));
        for wrong in [
            "0001abf",
            "0001ab",
            "0001abff00",
            "0001ABFF",
            "0001abfg",
            "+001abff",
            "0001ab\u{e9}",
            " 001abff",
        ] {
            assert_eq!(unhex::<4>(wrong), None, "{wrong}");
        }
    }
}
