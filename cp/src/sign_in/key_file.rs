//! Secrets of the service in its state folder: the key of the hashes of tokens, and the bootstrap token.
//!
//! INVARIANT: a file with a secret is made with mode 0600, whole or not at all, and never replaced by another
//! process that starts at the same moment: what is there first is what counts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::token::{Token, TokenKey, hex};

const KEY_FILE: &str = "token.key";
const BOOTSTRAP_FILE: &str = "bootstrap.token";

/// Reads the key of the hashes of tokens from the state folder, and makes it where there is none.
///
/// # Errors
/// When the file cannot be read or made, is no key, or others may read it.
pub fn token_key(state: &Path, random: [u8; 32]) -> Result<TokenKey, StateError> {
    secret(state, KEY_FILE, random).map(TokenKey::new)
}

/// Reads 32 secret bytes from a file of the state folder, and makes it where there is none.
///
/// # Errors
/// When the file cannot be read or made, is no key, or others may read it.
pub fn secret(state: &Path, name: &str, random: [u8; 32]) -> Result<[u8; 32], StateError> {
    fs::create_dir_all(state).map_err(|source| StateError::Io { path: state.to_owned(), source })?;
    let path = state.join(name);
    create_secret(&path, &format!("{}\n", hex(&random)))?;
    let text = read_secret(&path)?;
    let digits = text.trim_end_matches('\n').as_bytes();
    let mut key = [0; 32];
    if digits.len() != 64 {
        return Err(StateError::Key { path });
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        *byte = pair.ok_or_else(|| StateError::Key { path: path.clone() })?;
    }
    Ok(key)
}

/// Puts the bootstrap token where the operator finds it. Returns the path.
///
/// # Errors
/// When the file cannot be made, or one is there.
pub fn write_bootstrap(state: &Path, token: &Token) -> Result<PathBuf, StateError> {
    let path = state.join(BOOTSTRAP_FILE);
    if create_secret(&path, &format!("{}\n", token.reveal()))? {
        Ok(path)
    } else {
        let source = io::Error::from(io::ErrorKind::AlreadyExists);
        Err(StateError::Io { path, source })
    }
}

/// Makes a file with a secret unless it is there. Returns whether it was made.
fn create_secret(path: &Path, text: &str) -> Result<bool, StateError> {
    let failed = |source| StateError::Io { path: path.to_owned(), source };
    if path.exists() {
        return Ok(false);
    }
    // Written aside and linked into place: nobody reads half a key, and the first of several processes wins.
    let aside = path.with_extension(format!("new.{}", std::process::id()));
    let made = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::hard_link(&aside, path)
    })();
    let removed = fs::remove_file(&aside);
    match made {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.exists() => return Ok(false),
        Err(error) => return Err(failed(error)),
    }
    removed.map_err(failed)?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(true)
}

fn read_secret(path: &Path) -> Result<String, StateError> {
    let failed = |source| StateError::Io { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(StateError::Exposed { path: path.to_owned(), mode: mode & 0o777 });
    }
    fs::read_to_string(path).map_err(failed)
}

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file cannot be read or written.
    #[error("cannot use `{}`", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is no key.
    #[error("`{}` is no key: it must have 64 hexadecimal digits", path.display())]
    Key {
        /// Which.
        path: PathBuf,
    },
    /// Others may read a secret.
    #[error("`{}` has mode {mode:o}, so others may read the secret in it: make it 600", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign_in::token::TokenKind;

    fn token() -> Token {
        Token::new(TokenKind::Platform, "0199a7f0-6c00-7000-8000-00000000000a".parse().unwrap(), [7; 32])
    }

    #[test]
    fn the_first_key_stays() {
        let state = tempfile::tempdir().unwrap();
        let first = token().hash(&token_key(state.path(), [1; 32]).unwrap());
        let second = token().hash(&token_key(state.path(), [2; 32]).unwrap());
        assert_eq!(first, second);
        assert_eq!(first, token().hash(&TokenKey::new([1; 32])));
        let mode = fs::metadata(state.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_none_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join(KEY_FILE);
        fs::write(&path, "short").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(token_key(state.path(), [1; 32]), Err(StateError::Key { .. })));
        fs::write(&path, "zz".repeat(32)).unwrap();
        assert!(matches!(token_key(state.path(), [1; 32]), Err(StateError::Key { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(token_key(state.path(), [1; 32]), Err(StateError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn a_bootstrap_token_is_written_once() {
        let state = tempfile::tempdir().unwrap();
        let path = write_bootstrap(state.path(), &token()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", token().reveal()));
        assert!(write_bootstrap(state.path(), &token()).is_err());
    }
}
