//! `mcpg keys new`: makes an API key, shows it once, and keeps its keyed hash.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use mcpg_filters::identity::api_key::{HashKey, generate};
use mcpg_sdk::Secret;

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Make a key. Its token goes to standard output, once; its record to the keys file.
    New {
        /// Whose key it is, such as `user:alice@acme.com`.
        #[arg(long)]
        subject: String,
        /// A label in the token, such as `live` or `test`.
        #[arg(long, default_value = "live")]
        env: String,
        /// The file with the secret that stored hashes are keyed with (`hash_key` of `identity.api-key`). Made if missing.
        #[arg(long)]
        hash_key_file: PathBuf,
        /// The file to add the record to (`keys_file` of `identity.api-key`). Without it the record goes to standard error.
        #[arg(long)]
        keys_file: Option<PathBuf>,
        /// When the key ends to hold: an RFC 3339 time.
        #[arg(long)]
        expires_at: Option<String>,
    },
}

impl Keys {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self::New { subject, env, hash_key_file, keys_file, expires_at } = self;
        let hash_key = hash_key(&hash_key_file)?;
        let mut key = generate(&env, &subject, &hash_key)?;
        key.record.expires_at = expires_at;
        let record = serde_json::to_string(&key.record)?;
        match keys_file {
            Some(path) => append(&path, &record)?,
            None => eprintln!("{record}"),
        }
        println!("{}", String::from_utf8_lossy(key.token.expose()));
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads the secret, or makes it: 32 random bytes in hex, readable by the owner only.
fn hash_key(path: &Path) -> anyhow::Result<HashKey> {
    let failed = || format!("`{}`", path.display());
    let mut bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            make_hash_key(path).with_context(failed)?
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    };
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    HashKey::new(&Secret::new(bytes)).with_context(failed)
}

fn make_hash_key(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut random = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(random.as_mut_slice()).map_err(|error| anyhow!("no randomness: {error}"))?;
    let mut text = blake3::Hash::from_bytes(*random).to_hex().to_string().into_bytes();
    text.push(b'\n');
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&text)?;
    file.sync_all()?;
    Ok(text)
}

fn append(path: &Path, record: &str) -> anyhow::Result<()> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(format!("{record}\n").as_bytes()).and_then(|()| file.sync_all()))
        .with_context(|| format!("cannot write `{}`", path.display()))
}
