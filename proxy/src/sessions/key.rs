//! The keys that sessions are sealed with: configured, or made on first start.
//!
//! Every instance that serves the same sessions needs the same keys. A key that was made is in `session.key` of the state
//! folder: processes that start at once agree on whichever came first, and a successor finds its predecessor's.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mcpg_filters::secret::{SecretError, SecretResolver};
use mcpg_sdk::{Base, Scope, SecretRef};
use zeroize::{Zeroize as _, Zeroizing};

use super::sealer::{KEY_ID_BYTES, RingError, Sealer};
use crate::new_file;

/// The key that was made on first start, as hexadecimal digits; for its owner only.
pub const KEY_FILE: &str = "session.key";

const KEY_BYTES: usize = 32;
const ROOT_CONTEXT: &str = "mcpg 2026-08 sealed values: root";
const SCOPE_CONTEXT: &str = "mcpg 2026-11 sealed values: key of a scope";
const ID_CONTEXT: &str = "mcpg 2026-08 sealed values: key id";

/// One key of the ring.
pub struct SessionKey {
    root: Zeroizing<[u8; KEY_BYTES]>,
    id: [u8; KEY_ID_BYTES],
}

/// Why there are no keys. The keys themselves are never repeated.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A secret is no key.
    #[error("`{place}` {reason}")]
    Invalid {
        /// Where it is.
        place: String,
        /// What is wrong with it.
        reason: InvalidKey,
    },
    /// Two keys of `sessions.keys` are one.
    #[error("`sessions.keys`: {0}")]
    Ring(#[from] RingError),
    /// There is no randomness for a key.
    #[error("cannot make a session key: {0}")]
    Randomness(io::Error),
    /// The key of the state folder cannot be read or made.
    #[error("cannot read or make `{path}`: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Why a secret is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Neither form.
    #[error("is no key: it takes 32 bytes as 64 hexadecimal digits or as base64")]
    Form,
    /// Not made at random.
    #[error("repeats one byte: make a key with `openssl rand -hex 32`")]
    Weak,
}

impl SessionKey {
    /// Reads 32 bytes that are written as 64 hexadecimal digits or as base64 of either alphabet.
    ///
    /// # Errors
    /// When it is neither, or obviously not random.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidKey> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if text.len() == 2 * KEY_BYTES {
            hex(text, &mut key).ok_or(InvalidKey::Form)?;
        } else {
            base64(text, &mut key).ok_or(InvalidKey::Form)?;
        }
        if key.iter().all(|byte| Some(byte) == key.first()) {
            return Err(InvalidKey::Weak);
        }
        Ok(Self::new(&key))
    }

    fn new(key: &[u8; KEY_BYTES]) -> Self {
        let id = blake3::derive_key(ID_CONTEXT, key);
        Self {
            root: Zeroizing::new(blake3::derive_key(ROOT_CONTEXT, key)),
            id: id.first_chunk().copied().unwrap_or_default(),
        }
    }

    /// The key of one of many scopes: what it seals, no other opens.
    fn of_scope(&self, scope: &Scope) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(SCOPE_CONTEXT);
        hasher.update(self.root.as_slice()).update(scope.to_string().as_bytes());
        Self::new(&Zeroizing::new(*hasher.finalize().as_bytes()))
    }

    pub(super) fn root(&self) -> &[u8; KEY_BYTES] {
        &self.root
    }

    pub(super) fn id(&self) -> &[u8; KEY_ID_BYTES] {
        &self.id
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({:08x})", u32::from_be_bytes(self.id))
    }
}

/// The ring that is configured. Where none is, the key of the state folder, which is made if there is none, or for one of many
/// scopes a key that is derived from it; without a folder, a key that nobody else has.
///
/// # Errors
/// When a key cannot be read or made.
pub fn load(
    keys: &[SecretRef],
    secrets: &SecretResolver,
    state_dir: Option<&Path>,
    scope: Option<&Scope>,
) -> Result<Sealer, KeyError> {
    let ring = match state_dir {
        _ if !keys.is_empty() => {
            keys.iter().map(|reference| configured(reference, secrets)).collect::<Result<_, _>>()?
        }
        Some(dir) => vec![match scope {
            Some(scope) => own(dir)?.of_scope(scope),
            None => own(dir)?,
        }],
        None => vec![SessionKey::new(&*fresh().map_err(KeyError::Randomness)?)],
    };
    Ok(Sealer::new(ring)?)
}

fn configured(reference: &SecretRef, secrets: &SecretResolver) -> Result<SessionKey, KeyError> {
    SessionKey::parse(secrets.resolve(reference)?.expose())
        .map_err(|reason| KeyError::Invalid { place: reference.to_string(), reason })
}

fn own(dir: &Path) -> Result<SessionKey, KeyError> {
    let path = dir.join(KEY_FILE);
    if !path.try_exists().map_err(|error| KeyError::File { path: path.clone(), error })? {
        make(dir, &path).map_err(|error| KeyError::File { path: path.clone(), error })?;
    }
    // Read back even when just made: if another process was first, its key is the one.
    configured(&SecretRef::File(path.display().to_string()), &SecretResolver::new(&Base::trusted(dir)))
}

fn make(dir: &Path, path: &Path) -> io::Result<()> {
    let key = fresh()?;
    let mut text = Zeroizing::new(Vec::with_capacity(2 * KEY_BYTES + 1));
    for byte in key.iter() {
        text.extend([byte >> 4, byte & 15].map(digit));
    }
    text.push(b'\n');
    new_file::folder(dir)?;
    if new_file::place(path, 0o600, &text)? {
        tracing::info!(path = %path.display(), "session key made: instances that share sessions need the same");
    }
    Ok(())
}

fn fresh() -> io::Result<Zeroizing<[u8; KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(key.as_mut_slice()).map_err(io::Error::other)?;
    Ok(key)
}

fn digit(nibble: u8) -> u8 {
    nibble + if nibble < 10 { b'0' } else { b'a' - 10 }
}

fn hex(text: &[u8], key: &mut [u8; KEY_BYTES]) -> Option<()> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    for (byte, digits) in key.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = digits else { return None };
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(())
}

fn base64(text: &[u8], key: &mut [u8; KEY_BYTES]) -> Option<()> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    // The decoder wants room for whole groups.
    let mut bytes = Zeroizing::new([0; KEY_BYTES + 1]);
    for alphabet in [&STANDARD, &URL_SAFE] {
        if let Ok(KEY_BYTES) = GeneralPurpose::new(alphabet, config).decode_slice(text, bytes.as_mut_slice())
        {
            key.copy_from_slice(bytes.first_chunk::<KEY_BYTES>()?);
            return Some(());
        }
    }
    bytes.zeroize();
    None
}

#[cfg(test)]
mod tests;
