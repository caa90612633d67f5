//! Digests of artifacts, in the form registries use: `sha256:` and 64 lower-case hexadecimal digits (OCI image spec,
//! "Digests").

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// The SHA-256 of an artifact.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest and the length of all that a reader yields.
    ///
    /// # Errors
    /// When reading fails.
    pub fn of_reader(mut reader: impl Read) -> io::Result<(Self, u64)> {
        let mut hasher = Sha256::new();
        let mut bytes = 0;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => return Ok((Self(hasher.finalize().into()), bytes)),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(buffer.get(..read).unwrap_or_default());
            bytes += read as u64;
        }
    }

    /// Checks bytes against this digest.
    ///
    /// # Errors
    /// When they are other bytes.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Mismatch> {
        let actual = Self::of(bytes);
        if actual == *self { Ok(()) } else { Err(Mismatch { expected: *self, actual }) }
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || DigestError { text: text.to_owned() };
        let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64).ok_or_else(error)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            *byte = pair
                .iter()
                .try_fold(0, |value, digit| Some(value << 4 | nibble(*digit)?))
                .ok_or_else(error)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Upper case is refused: one artifact has one spelling.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a digest: use `sha256:` and 64 digits of `0-9a-f`")]
pub struct DigestError {
    /// The text as given.
    pub text: String,
}

/// An artifact that is not the one that was named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the artifact's digest is `{actual}`, but `{expected}` was named")]
pub struct Mismatch {
    /// What was named.
    pub expected: Digest,
    /// What is there.
    pub actual: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4, example of one block.
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digests_are_of_the_bytes() {
        assert_eq!(Digest::of(b"abc").to_string(), ABC);
        assert_eq!(Digest::of_reader(&b"abc"[..]).unwrap(), (Digest::of(b"abc"), 3));
        assert_eq!(ABC.parse::<Digest>().unwrap().verify(b"abc"), Ok(()));
    }

    #[test]
    fn other_bytes_are_refused() {
        let digest: Digest = ABC.parse().unwrap();
        for bytes in [&b"abd"[..], b"ab", b"abc\0", b""] {
            assert_eq!(digest.verify(bytes), Err(Mismatch { expected: digest, actual: Digest::of(bytes) }));
        }
    }

    #[test]
    fn a_digest_has_one_spelling() {
        for text in [
            "",
            "sha256:",
            ABC.strip_prefix("sha256:").unwrap(),
            &ABC.to_uppercase(),
            &ABC.replace("ba78", "BA78"),
            &ABC.replace("ba78", "zz78"),
            &ABC.replace("sha256", "sha512"),
            &format!("{ABC}00"),
            ABC.trim_end_matches('d'),
            &ABC.replace("ad", "é"),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn digests_print_as_they_parse(bytes: [u8; 32]) {
            let digest = Digest(bytes);
            proptest::prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        }

        #[test]
        fn any_text_parses_or_is_refused(text in "(sha256:)?[0-9a-fA-F]{60,66}|.{0,80}") {
            if let Ok(digest) = text.parse::<Digest>() {
                proptest::prop_assert_eq!(digest.to_string(), text);
            }
        }
    }
}
