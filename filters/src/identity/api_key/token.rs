//! The form of an API key, and its keyed hash at rest.
//!
//! `mcpg_<env>_<secret><checksum>`:
//! - `env` is 1 to 16 of `[a-z0-9]`, chosen when the key is made (`live`, `test`): a label for people and scanners;
//! - `secret` is 32 random bytes as a big-endian number in base62 (`0-9A-Za-z`), padded to 43 digits;
//! - `checksum` is the CRC-32 (IEEE) of everything before it in base62, padded to 6 digits, so that a secret
//!   scanner or a gateway tells a key from noise, and a mistyped key from a forged one, without a look-up.
//!
//! INVARIANT: what is stored is a BLAKE3 hash keyed by the operator's hash key, never the token.

use std::fmt;
use std::str::FromStr;

use mcpg_sdk::Secret;
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// Every key begins with it.
pub(crate) const PREFIX: &[u8] = b"mcpg_";
const ENV_BYTES_MAX: usize = 16;
const RANDOM_BYTES: usize = 32;
const SECRET_DIGITS: usize = 43;
const CHECKSUM_DIGITS: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The fewest bytes of a hash key.
pub const HASH_KEY_BYTES_MIN: usize = 32;
const HASH_KEY_CONTEXT: &str = "mcpg 2026-11 identity.api-key hash key";
const FINGERPRINT_CONTEXT: &str = "mcpg 2026-11 identity.api-key fingerprint";
const HASH_PREFIX: &str = "blake3-keyed:";

/// Whether a presented text has the form of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Form and checksum hold.
    Key,
    /// Not the form.
    Malformed,
    /// The form of a key with another checksum.
    Checksum,
}

/// Tells a key from other text. Looks at public structure only, so its time tells nothing about stored keys.
pub(crate) fn form(token: &[u8]) -> Form {
    let Some(rest) = token.strip_prefix(PREFIX) else { return Form::Malformed };
    let Some((env, digits)) = rest.split_last_chunk::<{ SECRET_DIGITS + CHECKSUM_DIGITS }>() else {
        return Form::Malformed;
    };
    let Some(env) = env.strip_suffix(b"_") else { return Form::Malformed };
    if !is_env(env) || !digits.iter().all(u8::is_ascii_alphanumeric) {
        return Form::Malformed;
    }
    let Some((body, checksum)) = token.split_last_chunk::<CHECKSUM_DIGITS>() else { return Form::Malformed };
    if *checksum == checksum_of(body) { Form::Key } else { Form::Checksum }
}

/// Whether a text can be the `env` of a key.
pub(crate) fn is_env(env: &[u8]) -> bool {
    (1..=ENV_BYTES_MAX).contains(&env.len())
        && env.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// A new token from 32 random bytes.
pub(crate) fn compose(env: &str, random: &[u8; RANDOM_BYTES]) -> Secret {
    let mut text = Vec::with_capacity(PREFIX.len() + ENV_BYTES_MAX + 1 + SECRET_DIGITS + CHECKSUM_DIGITS);
    text.extend_from_slice(PREFIX);
    text.extend_from_slice(env.as_bytes());
    text.push(b'_');
    text.extend_from_slice(&*Zeroizing::new(base62::<SECRET_DIGITS>(Zeroizing::new(*random).as_mut_slice())));
    let checksum = checksum_of(&text);
    text.extend_from_slice(&checksum);
    Secret::new(text)
}

/// A short name of a token: safe to show, the same on every gateway. 64 bits of a one-way function of a 256-bit
/// random value tell nothing about it.
pub(crate) fn fingerprint(token: &[u8]) -> String {
    let hash = blake3::Hasher::new_derive_key(FINGERPRINT_CONTEXT).update(token).finalize();
    hash.to_hex().chars().take(16).collect()
}

fn checksum_of(body: &[u8]) -> [u8; CHECKSUM_DIGITS] {
    base62(&mut crc32fast::hash(body).to_be_bytes())
}

/// Writes a big-endian number in base62; uses it up.
fn base62<const N: usize>(number: &mut [u8]) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        let mut remainder = 0_usize;
        for byte in number.iter_mut() {
            let value = remainder << 8 | usize::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX); // remainder < 62, so the quotient fits
            remainder = value % 62;
        }
        *digit = DIGITS.get(remainder).copied().unwrap_or(b'0');
    }
    digits
}

/// The operator's key of the stored hashes, derived from a configured secret.
#[derive(Clone)]
pub struct HashKey(Zeroizing<[u8; 32]>);

impl HashKey {
    /// Derives it.
    ///
    /// # Errors
    /// When the secret is under 32 bytes.
    pub fn new(secret: &Secret) -> Result<Self, HashKeyError> {
        let bytes = secret.expose();
        if bytes.len() < HASH_KEY_BYTES_MIN {
            return Err(HashKeyError::Short { bytes: bytes.len() });
        }
        Ok(Self(Zeroizing::new(blake3::derive_key(HASH_KEY_CONTEXT, bytes))))
    }

    /// A key for hashes that never leave this process.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice())?;
        Ok(Self(key))
    }

    /// Hashes a token.
    pub(crate) fn hash(&self, token: &[u8]) -> KeyHash {
        KeyHash(*blake3::keyed_hash(&self.0, token).as_bytes())
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

/// Why a secret makes no hash key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashKeyError {
    /// Too short to be a key.
    #[error(
        "the hash key has {bytes} bytes: use at least 32 random ones, such as `openssl rand -hex 32` prints"
    )]
    Short {
        /// Its length.
        bytes: usize,
    },
}

/// The keyed hash of a token. Written `blake3-keyed:<64 hex digits>`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyHash([u8; 32]);

impl KeyHash {
    /// Where the hash goes in a table: the output of a keyed hash is as good as random.
    pub(crate) fn bucket(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl ConstantTimeEq for KeyHash {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HASH_PREFIX}{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl FromStr for KeyHash {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix(HASH_PREFIX).ok_or(())?;
        if hex.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(());
        }
        blake3::Hash::from_hex(hex).map(|hash| Self(*hash.as_bytes())).map_err(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base62_is_the_number_in_fixed_width() {
        assert_eq!(&base62::<3>(&mut [0]), b"000");
        assert_eq!(&base62::<3>(&mut [61]), b"00z");
        assert_eq!(&base62::<3>(&mut [62]), b"010");
        assert_eq!(&base62::<6>(&mut u32::MAX.to_be_bytes()), b"4gfFC3");
        // 2^256 - 1 fills the 43 digits without losing the high ones.
        assert_eq!(&base62::<43>(&mut [0xff; 32]), b"yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1");
    }

    #[test]
    fn a_composed_token_has_the_form() {
        for env in ["live", "t", "a123456789012345"] {
            let token = compose(env, &[7; 32]);
            assert_eq!(form(token.expose()), Form::Key);
            assert!(token.expose().starts_with(format!("mcpg_{env}_").as_bytes()));
            assert_eq!(token.expose().len(), 5 + env.len() + 1 + 49);
        }
    }

    #[test]
    fn any_single_changed_byte_is_noticed() {
        let token = compose("live", &[0xa5; 32]);
        for index in 0..token.expose().len() {
            for replacement in [b'0', b'Z', b'_', b' ', 0, 0xff] {
                let mut changed = token.expose().to_vec();
                if changed[index] != replacement {
                    changed[index] = replacement;
                    assert_ne!(form(&changed), Form::Key, "byte {index} as {replacement}");
                }
            }
        }
    }

    #[test]
    fn other_text_is_malformed() {
        let token = compose("live", &[1; 32]);
        let text = std::str::from_utf8(token.expose()).unwrap();
        let cases = [
            String::new(),
            "mcpg_".to_owned(),
            "mcpg__".to_owned() + &"0".repeat(49),
            text.replace("mcpg_", "MCPG_"),
            text.replace("_live_", "_Live_"),
            text.replace("_live_", "_a12345678901234567_"),
            text.replace("_live_", "_li_ve_"),
            format!("{text} "),
            format!(" {text}"),
            format!("{text}\0"),
            text.split_at(text.len() - 1).0.to_owned(),
        ];
        for case in cases {
            assert_ne!(form(case.as_bytes()), Form::Key, "{case}");
        }
    }

    #[test]
    fn hashes_print_and_parse() {
        let key = HashKey::new(&Secret::new(vec![3; 32])).unwrap();
        let hash = key.hash(b"token");
        let text = hash.to_string();
        assert!(bool::from(text.parse::<KeyHash>().unwrap().ct_eq(&hash)));
        let hex = text.trim_start_matches("blake3-keyed:");
        for bad in [
            hex,
            &text.to_uppercase(),
            text.split_at(text.len() - 1).0,
            "blake3-keyed:",
            "",
            &format!("{text}0"),
        ] {
            assert!(bad.parse::<KeyHash>().is_err(), "{bad}");
        }
    }

    #[test]
    fn another_hash_key_gives_another_hash() {
        let one = HashKey::new(&Secret::new(vec![1; 32])).unwrap().hash(b"token");
        let two = HashKey::new(&Secret::new(vec![2; 32])).unwrap().hash(b"token");
        assert!(!bool::from(one.ct_eq(&two)));
        assert_eq!(HashKey::new(&Secret::new(vec![1; 31])).unwrap_err(), HashKeyError::Short { bytes: 31 });
    }
}
