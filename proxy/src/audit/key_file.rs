//! The log's own signing key, for a gateway that is given none: made once beside the lanes, its public half next to it.
//!
//! Whoever can read the private half can sign a rewritten log. Such a log proves something only against checkpoints that were
//! shipped elsewhere before.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use mcpg_ledger::verify::VerifyingKey;

use super::error::AuditError;
use super::segment_files::make_private_dir;

/// The private half: PKCS#8 in PEM, for the owner only.
const PRIVATE: &str = "signing-key.pem";
/// The public half: SubjectPublicKeyInfo in PEM.
const PUBLIC: &str = "signing-key.pub.pem";

/// Loads the key of a directory; makes it, and the directory, if there is none.
///
/// # Errors
/// When a file cannot be read or written, or is no Ed25519 key.
pub fn load_or_create(dir: &Path) -> Result<SigningKey, AuditError> {
    make_private_dir(dir)?;
    let path = dir.join(PRIVATE);
    if !path.exists() {
        create(dir, &path)?;
    }
    let text = std::fs::read_to_string(&path).map_err(AuditError::io("read", &path))?;
    let key = SigningKey::from_pkcs8_pem(&text).map_err(|_| AuditError::Key { path })?;
    write_public(dir, &key)?;
    Ok(key)
}

/// Loads the public half, for a verification on the same machine.
///
/// # Errors
/// When the file cannot be read or is no Ed25519 public key.
pub fn load_public(dir: &Path) -> Result<VerifyingKey, AuditError> {
    let path = dir.join(PUBLIC);
    let text = std::fs::read_to_string(&path).map_err(AuditError::io("read", &path))?;
    VerifyingKey::from_public_key_pem(&text).map_err(|_| AuditError::Key { path })
}

/// Two processes may do this at once: the first link wins, and both then load that one.
fn create(dir: &Path, path: &Path) -> Result<(), AuditError> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(AuditError::Random)?;
    let key = SigningKey::from_bytes(&seed);
    let text = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| AuditError::Key { path: path.to_owned() })?;
    let unfinished = write_unfinished(dir, PRIVATE, text.as_bytes())?;
    let linked = std::fs::hard_link(&unfinished, path);
    let removed = std::fs::remove_file(&unfinished);
    match linked {
        Err(source) if source.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(AuditError::io("make", path)(source))
        }
        _ => removed.map_err(AuditError::io("remove", &unfinished)),
    }
}

fn write_public(dir: &Path, key: &SigningKey) -> Result<(), AuditError> {
    let path = dir.join(PUBLIC);
    if load_public(dir).is_ok_and(|public| public == key.verifying_key()) {
        return Ok(());
    }
    let text = key
        .verifying_key()
        .to_public_key_pem(LineEnding::LF)
        .map_err(|_| AuditError::Key { path: path.clone() })?;
    let unfinished = write_unfinished(dir, PUBLIC, text.as_bytes())?;
    std::fs::rename(&unfinished, &path).map_err(AuditError::io("rename", &unfinished))
}

/// Writes a file that no other process writes, durably, under a name that nobody reads.
fn write_unfinished(dir: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, AuditError> {
    let path = dir.join(format!("{name}.{}", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(AuditError::io("write", &path))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{PRIVATE, PUBLIC, load_or_create, load_public};
    use crate::audit::AuditError;

    #[test]
    fn a_key_is_made_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("audit");
        let made = load_or_create(&dir).unwrap();
        assert_eq!(load_or_create(&dir).unwrap(), made);
        assert_eq!(load_public(&dir).unwrap(), made.verifying_key());
        let mode = std::fs::metadata(dir.join(PRIVATE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut names: Vec<_> =
            std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [PRIVATE, PUBLIC], "nothing unfinished is left");
    }

    #[test]
    fn every_directory_has_its_own() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_ne!(load_or_create(one.path()).unwrap(), load_or_create(two.path()).unwrap());
    }

    #[test]
    fn a_lost_public_half_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let made = load_or_create(dir.path()).unwrap();
        std::fs::write(dir.path().join(PUBLIC), "damaged").unwrap();
        assert!(load_public(dir.path()).is_err());
        load_or_create(dir.path()).unwrap();
        assert_eq!(load_public(dir.path()).unwrap(), made.verifying_key());
    }

    #[test]
    fn what_is_no_key_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(PRIVATE), "no key").unwrap();
        assert!(matches!(load_or_create(dir.path()), Err(AuditError::Key { .. })));
        assert_eq!(std::fs::read_to_string(dir.path().join(PRIVATE)).unwrap(), "no key");
    }
}
