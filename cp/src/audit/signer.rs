//! The key that the heads of the audit chains are signed with, and those before it.
//!
//! The key is the service's own and signs nothing else. A new one takes its place when the file is moved away and the service starts again; the public
//! halves of all that there were stay in a list beside it, for who verifies older rows.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use ed25519_dalek::{SigningKey, VerifyingKey};

use crate::sign_in::key_file::{self, StateError};
use crate::sign_in::token::hex;

const KEY_FILE: &str = "audit-signing.key";
const PUBLIC_FILE: &str = "audit-signing.pub";

/// Signs heads of audit chains.
pub struct AuditSigner {
    key: SigningKey,
    known: Vec<VerifyingKey>,
}

impl AuditSigner {
    /// The key of the state folder; made of `random` where there is none. Replicas share the folder's files.
    ///
    /// # Errors
    /// When a file cannot be read or made, is no key, or others may read the secret.
    pub fn load(state: &Path, random: [u8; 32]) -> Result<Self, StateError> {
        let signer = Self::from_seed(&key_file::secret(state, KEY_FILE, random)?);
        let path = state.join(PUBLIC_FILE);
        let failed = |source| StateError::Io { path: path.clone(), source };
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.map_err(failed)?,
        };
        let mut known = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            known.push(public(line.trim()).ok_or_else(|| StateError::Key { path: path.clone() })?);
        }
        let own = signer.key.verifying_key();
        if !known.contains(&own) {
            let mut file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
            let line = format!("{}\n", hex(own.as_bytes()));
            file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
            known.push(own);
        }
        Ok(Self { known, ..signer })
    }

    /// A signer with a key of one's own.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let known = vec![key.verifying_key()];
        Self { key, known }
    }

    /// What signs.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The public keys that there have been, the one that signs now included.
    pub fn known(&self) -> &[VerifyingKey] {
        &self.known
    }

    /// The public key that signs now.
    pub fn public(&self) -> VerifyingKey {
        self.key.verifying_key()
    }
}

/// A public key of 64 hexadecimal digits.
fn public(line: &str) -> Option<VerifyingKey> {
    let mut bytes = [0; 32];
    if line.len() != 64 || !line.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(line.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak())
}

impl fmt::Debug for AuditSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditSigner").field("public", &hex(self.public().as_bytes())).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn former_keys_stay_known() {
        let state = tempfile::tempdir().unwrap();
        let first = AuditSigner::load(state.path(), [1; 32]).unwrap();
        assert_eq!(first.known(), [first.public()]);
        let again = AuditSigner::load(state.path(), [2; 32]).unwrap();
        assert_eq!((again.public(), again.known().len()), (first.public(), 1));
        fs::remove_file(state.path().join(KEY_FILE)).unwrap();
        let next = AuditSigner::load(state.path(), [2; 32]).unwrap();
        assert_ne!(next.public(), first.public());
        assert_eq!(next.known(), [first.public(), next.public()]);
        fs::write(state.path().join(PUBLIC_FILE), "no key\n").unwrap();
        assert!(matches!(AuditSigner::load(state.path(), [2; 32]), Err(StateError::Key { .. })));
    }
}
