//! `application/x-www-form-urlencoded`, as OAuth wants it (RFC 6749 appendix B). Wiped when dropped: it may hold secrets.

use bytes::Bytes;
use zeroize::Zeroizing;

/// A form.
#[derive(Clone, Default)]
pub struct Form(Zeroizing<Vec<u8>>);

impl Form {
    /// Adds a field.
    pub(super) fn add(&mut self, name: &str, value: &[u8]) {
        // All at once, so that growing leaves no copy of what is there more than once.
        self.0.reserve(name.len() + 3 * value.len() + 2);
        if !self.0.is_empty() {
            self.0.push(b'&');
        }
        encode(&mut self.0, name.as_bytes());
        self.0.push(b'=');
        encode(&mut self.0, value);
    }

    /// The body of a request. Wiped when its last user drops it.
    pub(super) fn into_body(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Form {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Encodes a text: what is not unreserved, by its bytes.
pub(super) fn encode(out: &mut Vec<u8>, text: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => {
                out.push(b'%');
                out.extend([byte >> 4, byte & 15].iter().filter_map(|digit| DIGITS.get(usize::from(*digit))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_so_that_nothing_leaks_into_the_next() {
        let mut form = Form::default();
        form.add("grant_type", b"urn:ietf:params:oauth:grant-type:token-exchange");
        form.add("scope", b"read write");
        form.add("subject_token", b"a&b=c+d%e\0\xc3\xbc~");
        let text = String::from_utf8(form.into_body().to_vec()).unwrap();
        assert_eq!(
            text,
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&scope=read+write\
             &subject_token=a%26b%3Dc%2Bd%25e%00%C3%BC%7E"
        );
    }
}
