//! The keys whose licences are believed.

use std::fmt;

use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey as _;

/// Public Ed25519 keys by id. The id is not chosen: it is the beginning of the key's BLAKE3 digest.
#[derive(Clone, Default)]
pub struct LicenseKeys {
    keys: Vec<(String, VerifyingKey)>,
}

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";
const KEYS_MAX: usize = 64;

impl LicenseKeys {
    /// No key: no licence is believed.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads PEM blocks, one a key. Text between them is a comment.
    ///
    /// # Errors
    /// When a block is no Ed25519 public key, a key is weak, or there is none.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        let mut rest = text;
        while let Some((_, after)) = rest.split_once(BEGIN) {
            let number = keys.len() + 1;
            let (body, after) = after.split_once(END).ok_or(KeyError::Block { number })?;
            let pem = format!("{BEGIN}{body}{END}\n");
            let key = VerifyingKey::from_public_key_pem(&pem).map_err(|_| KeyError::Block { number })?;
            if key.is_weak() {
                return Err(KeyError::Block { number });
            }
            keys.push((key_id(&key), key));
            if keys.len() > KEYS_MAX {
                return Err(KeyError::Many);
            }
            rest = after;
        }
        if keys.is_empty() { Err(KeyError::None) } else { Ok(Self { keys }) }
    }

    /// The ids.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| id.as_str())
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&VerifyingKey> {
        self.keys.iter().find(|(other, _)| other == id).map(|(_, key)| key)
    }
}

impl fmt::Debug for LicenseKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// The id of a key: the first 16 hexadecimal digits of the BLAKE3 digest of its 32 bytes.
pub(crate) fn key_id(key: &VerifyingKey) -> String {
    blake3::hash(key.as_bytes()).to_hex().chars().take(16).collect()
}

/// Why a text has no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no PEM block.
    #[error("there is no `{BEGIN}` block")]
    None,
    /// A block is no usable key.
    #[error("block {number} is no usable Ed25519 public key")]
    Block {
        /// Which, from 1.
        number: usize,
    },
    /// Too many keys.
    #[error("there are over {KEYS_MAX} keys")]
    Many,
}
