//! The key that signs audit checkpoints: configured, or made on first start beside the log.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use mcpg_config::{Audit, KeySource};
use mcpg_filters::secret::SecretResolver;
use mcpg_sdk::Base;

use crate::new_file;

/// The private key, PKCS#8 PEM, readable by the owner only.
pub(crate) const PRIVATE_FILE: &str = "signing.key";
/// The public key, SPKI PEM: what verification trusts. Keep a copy elsewhere.
pub(crate) const PUBLIC_FILE: &str = "signing.pub";

/// Loads the key that `audit` names, or the log's own.
///
/// # Errors
/// When it cannot be read or made.
pub(super) fn load(audit: &Audit, base: &Base) -> anyhow::Result<SigningKey> {
    match &audit.signing_key {
        Some(KeySource::Secret(reference)) => {
            let secret = SecretResolver::new(base).resolve(reference)?;
            let pem = std::str::from_utf8(secret.expose())
                .map_err(|_| anyhow!("`{reference}` holds no PEM text"))?;
            parse(pem).with_context(|| format!("`{reference}`"))
        }
        Some(KeySource::File(path)) => {
            let pem =
                fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
            parse(&pem).with_context(|| format!("`{}`", path.display()))
        }
        None => own(&audit.dir),
    }
}

/// The key in a folder; it is made where there is none.
///
/// # Errors
/// When it cannot be read or made.
pub(crate) fn own(dir: &Path) -> anyhow::Result<SigningKey> {
    let path = dir.join(PRIVATE_FILE);
    match fs::read_to_string(&path) {
        Ok(pem) => parse(&pem).with_context(|| format!("`{}`", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(dir),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

fn make(dir: &Path) -> anyhow::Result<SigningKey> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|error| anyhow!("no randomness for a key: {error}"))?;
    let key = SigningKey::from_bytes(&seed);
    new_file::folder(dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
    let private =
        key.to_pkcs8_pem(LineEnding::LF).map_err(|error| anyhow!("cannot encode the key: {error}"))?;
    let public = key
        .verifying_key()
        .to_public_key_pem(LineEnding::LF)
        .map_err(|error| anyhow!("cannot encode the key: {error}"))?;
    if !write(&dir.join(PRIVATE_FILE), 0o600, private.as_bytes())? {
        // Another process has just made one: that is the log's key.
        return own(dir);
    }
    write(&dir.join(PUBLIC_FILE), 0o644, public.as_bytes())?;
    tracing::info!(dir = %dir.display(), "audit signing key made: keep a copy of `{PUBLIC_FILE}` elsewhere");
    Ok(key)
}

fn write(path: &Path, mode: u32, contents: &[u8]) -> anyhow::Result<bool> {
    new_file::place(path, mode, contents).with_context(|| format!("cannot write `{}`", path.display()))
}

fn parse(pem: &str) -> anyhow::Result<SigningKey> {
    SigningKey::from_pkcs8_pem(pem).map_err(|_| anyhow!("is no Ed25519 private key in PKCS#8 PEM"))
}
