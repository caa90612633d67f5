//! Values that the gateway hands to clients and gets back: encrypted, authenticated, for one purpose.
//!
//! A sealed value is base64url text (RFC 4648 section 5, no padding) of
//!
//! ```text
//! version (1) | key id (4) | salt (24) | ciphertext | tag (16)
//! ```
//!
//! The salt is random. A keyed BLAKE3 of it and of everything else that is public gives a key and a nonce for AES-256-GCM that
//! are used once, so however many values one key seals, no nonce is ever used twice. Version, key id and purpose are
//! associated data. Opening writes nothing but the caller's buffer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use boring::aead::{AeadCtx, Algorithm};
use zeroize::{Zeroize as _, Zeroizing};

use super::key::SessionKey;

const VERSION: u8 = 1;
const SALT_BYTES: usize = 24;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES + SALT_BYTES;
const TAG_BYTES: usize = 16;
pub(super) const KEY_ID_BYTES: usize = 4;
const PURPOSE_BYTES: usize = 16;
const ASSOCIATED_BYTES: usize = 1 + KEY_ID_BYTES + PURPOSE_BYTES;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// What a sealed value is for. One made for another purpose cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The id of a legacy session.
    Session,
    /// `requestState` of a result that asks for input.
    RequestState,
    /// `requestState` of a call that waits for an approval.
    Approval,
}

/// Seals and opens values. The first key seals, all open.
pub struct Sealer {
    keys: Vec<SessionKey>,
}

/// Why a value cannot be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It does not fit.
    #[error("it has {bytes} bytes, the most is {bytes_max}")]
    TooLong {
        /// Its bytes.
        bytes: usize,
        /// The most.
        bytes_max: usize,
    },
    /// There is no randomness.
    #[error("no randomness")]
    Randomness,
    /// The cipher failed.
    #[error("the cipher failed")]
    Cipher,
}

/// Why a text is no sealed value of this gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Longer than any that is made.
    #[error("it is too long")]
    TooLong,
    /// No base64url text, too short, or of an unknown version.
    #[error("it has not the form of a sealed value")]
    Malformed,
    /// Sealed with a key that is not in the ring.
    #[error("it is sealed with an unknown key")]
    UnknownKey,
    /// Not sealed by us, not for this purpose, or changed since.
    #[error("it is not authentic")]
    Forged,
}

/// The same key twice, or two with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// No key at all.
    #[error("there is no key")]
    Empty,
    /// The same key twice.
    #[error("the keys at {0} and {1} are the same")]
    Twice(usize, usize),
}

impl Purpose {
    fn name(self) -> &'static [u8; PURPOSE_BYTES] {
        match self {
            Self::Session => b"legacy session  ",
            Self::RequestState => b"request state   ",
            Self::Approval => b"approval        ",
        }
    }

    /// The longest text. A session's id is a header, and eight KiB is what common proxies allow for one line of a head.
    pub const fn text_bytes_max(self) -> usize {
        match self {
            Self::Session => 7 * 1024,
            Self::RequestState => 64 * 1024,
            Self::Approval => 1024,
        }
    }

    /// The longest value.
    pub const fn value_bytes_max(self) -> usize {
        self.text_bytes_max() / 4 * 3 - HEAD_BYTES - TAG_BYTES
    }
}

impl Sealer {
    /// A ring of keys: the first seals, all open.
    ///
    /// # Errors
    /// When there is none, or one is there twice.
    pub fn new(keys: Vec<SessionKey>) -> Result<Self, RingError> {
        if keys.is_empty() {
            return Err(RingError::Empty);
        }
        for (later, key) in keys.iter().enumerate() {
            if let Some(first) = keys.iter().take(later).position(|other| other.id() == key.id()) {
                return Err(RingError::Twice(first, later));
            }
        }
        Ok(Self { keys })
    }

    /// A key for another use than sealing, the same wherever the first key of the ring is: for each context its own, from which the
    /// ring's cannot be found.
    pub fn derive(&self, context: &'static str) -> Zeroizing<[u8; 32]> {
        let root = self.keys.first().map(SessionKey::root);
        Zeroizing::new(root.map_or([0; 32], |root| blake3::derive_key(context, root)))
    }

    /// Seals a value.
    ///
    /// # Errors
    /// When it is too long, or there is no randomness.
    pub fn seal(&self, purpose: Purpose, value: &[u8]) -> Result<String, SealError> {
        let bytes_max = purpose.value_bytes_max();
        if value.len() > bytes_max {
            return Err(SealError::TooLong { bytes: value.len(), bytes_max });
        }
        let key = self.keys.first().ok_or(SealError::Cipher)?;
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|_| SealError::Randomness)?;
        let mut sealed = Vec::with_capacity(HEAD_BYTES + value.len() + TAG_BYTES);
        sealed.push(VERSION);
        sealed.extend_from_slice(key.id());
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(value);
        let once = Once::new(key, &salt, purpose);
        let mut tag = [0; TAG_BYTES];
        let body = sealed.get_mut(HEAD_BYTES..).ok_or(SealError::Cipher)?;
        let sealed_body = once.cipher().and_then(|mut cipher| {
            let written = cipher.seal_in_place_mut(once.nonce(), body, &mut tag, &once.associated);
            written.ok().filter(|tag| tag.len() == TAG_BYTES).map(|_| ())
        });
        if sealed_body.is_none() {
            sealed.zeroize();
            return Err(SealError::Cipher);
        }
        sealed.extend_from_slice(&tag);
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a sealed value.
    ///
    /// # Errors
    /// When the text is no value that this ring sealed for this purpose.
    pub fn open(&self, purpose: Purpose, text: &[u8]) -> Result<Vec<u8>, OpenError> {
        if text.len() > purpose.text_bytes_max() {
            return Err(OpenError::TooLong);
        }
        let mut buffer = vec![0; text.len()];
        self.open_in(purpose, text, &mut buffer).map(<[u8]>::to_vec)
    }

    /// Opens a sealed value in a buffer of at least three quarters of the text's length.
    ///
    /// # Errors
    /// When the text is no value that this ring sealed for this purpose.
    pub(super) fn open_in<'b>(
        &self,
        purpose: Purpose,
        text: &[u8],
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], OpenError> {
        if text.len() > purpose.text_bytes_max() {
            return Err(OpenError::TooLong);
        }
        let length = URL_SAFE_NO_PAD.decode_slice(text, buffer).map_err(|_| OpenError::Malformed)?;
        let parts = buffer.get_mut(..length).and_then(parts).ok_or(OpenError::Malformed)?;
        let key = self.keys.iter().find(|key| key.id() == parts.key_id).ok_or(OpenError::UnknownKey)?;
        let once = Once::new(key, parts.salt, purpose);
        let mut cipher = once.cipher().ok_or(OpenError::Forged)?;
        cipher
            .open_in_place_mut(once.nonce(), parts.body, parts.tag, &once.associated)
            .map_err(|_| OpenError::Forged)?;
        Ok(parts.body)
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("keys", &self.keys).finish()
    }
}

/// A sealed value, taken apart.
struct Parts<'b> {
    key_id: &'b [u8; KEY_ID_BYTES],
    salt: &'b [u8; SALT_BYTES],
    body: &'b mut [u8],
    tag: &'b [u8],
}

fn parts(sealed: &mut [u8]) -> Option<Parts<'_>> {
    let (version, rest) = sealed.split_first_mut()?;
    if *version != VERSION {
        return None;
    }
    let (key_id, rest) = rest.split_first_chunk_mut()?;
    let (salt, rest) = rest.split_first_chunk_mut()?;
    let (body, tag) = rest.split_at_mut_checked(rest.len().checked_sub(TAG_BYTES)?)?;
    Some(Parts { key_id, salt, body, tag })
}

/// Key and nonce for one value, and what is authenticated beside it.
struct Once {
    secret: Zeroizing<[u8; KEY_BYTES + NONCE_BYTES]>,
    associated: [u8; ASSOCIATED_BYTES],
}

impl Once {
    fn new(key: &SessionKey, salt: &[u8; SALT_BYTES], purpose: Purpose) -> Self {
        let mut input = [0; ASSOCIATED_BYTES + SALT_BYTES];
        let public = [&[VERSION][..], key.id(), purpose.name(), salt];
        for (place, byte) in input.iter_mut().zip(public.into_iter().flatten()) {
            *place = *byte;
        }
        let mut secret = Zeroizing::new([0; KEY_BYTES + NONCE_BYTES]);
        let mut hasher = blake3::Hasher::new_keyed(key.root());
        let mut output = hasher.update(&input).finalize_xof();
        output.fill(secret.as_mut_slice());
        output.zeroize();
        hasher.zeroize();
        let mut associated = [0; ASSOCIATED_BYTES];
        for (place, byte) in associated.iter_mut().zip(input) {
            *place = byte;
        }
        Self { secret, associated }
    }

    fn cipher(&self) -> Option<AeadCtx> {
        let (key, _) = self.secret.split_first_chunk::<KEY_BYTES>()?;
        AeadCtx::new_default_tag(&Algorithm::aes_256_gcm(), key).ok()
    }

    fn nonce(&self) -> &[u8] {
        self.secret.split_last_chunk::<NONCE_BYTES>().map_or(&[], |(_, nonce)| nonce)
    }
}

#[cfg(test)]
mod tests;
