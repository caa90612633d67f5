//! The `config:` of `identity.basic`, and how it becomes a table of users.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use mcpg_sdk::{AuthMethod, Caller, SecretRef, Settings, SettingsError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::header::NAME_BYTES_MAX;
use super::verifier::Verifier;
use super::{Basic, Decoys, Key, StoredHash, User};
use crate::identity::api_key::check_subject;
use crate::registry::BuildContext;
use crate::secret::file;

const USERS_FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
const CACHE_TTL_MS_MAX: u64 = 60 * 60 * 1000;
const TRIES_PER_MINUTE_MAX: u32 = 6000;
const REALM_BYTES_MAX: usize = 128;
const DECOYS_CONTEXT: &str = "mcpg 2026-11 identity.basic decoys";

/// The `config:` of `identity.basic`.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicSettings {
    /// A file of users, each a line `name:HASH` or a JSON object; a relative path is below the configuration's folder.
    pub users_file: Option<String>,
    /// Users whose hashes are behind secret references.
    #[serde(default)]
    pub users: Vec<UserRecord>,
    /// What a client is asked for: shown to its user. Default: `mcpg`.
    pub realm: Option<String>,
    /// How long a verified password is remembered, in milliseconds, at most 3600000; 0 verifies at every request. Default: 60000.
    #[schemars(range(max = 3_600_000))]
    pub cache_ttl_ms: Option<u64>,
    /// How often one address may try passwords of one user in a minute, 1 to 6000. Default: 10.
    #[schemars(range(min = 1, max = 6000))]
    pub tries_per_minute: Option<u32>,
}

/// A user whose hash is behind a reference.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserRecord {
    /// The name to log in with: no colon, no control character.
    pub name: String,
    /// Where the argon2id or bcrypt hash is.
    #[schemars(with = "String")]
    pub hash: SecretRef,
    /// Who that is: `user:<name>` if absent.
    pub subject: Option<String>,
    /// What policy sees as the caller's attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, Value>,
    /// Whom the password was issued for.
    pub audience: Option<String>,
}

/// A user as a line of JSON in a users file.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserLine {
    /// The name to log in with.
    pub name: String,
    /// The argon2id or bcrypt hash.
    pub hash: String,
    /// Who that is: `user:<name>` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What policy sees as the caller's attributes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Value>,
    /// Whom the password was issued for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

impl Basic {
    /// Builds the provider: reads the users file and resolves the secrets.
    ///
    /// # Errors
    /// When the settings do not parse, a secret or the file cannot be read, a hash is of another scheme, too weak,
    /// too dear or malformed, a name is used twice, or there is no user. No message repeats a hash.
    pub fn build(settings: &Settings, context: &BuildContext<'_>) -> Result<Self, SettingsError> {
        let settings: BasicSettings = settings.parse()?;
        let realm = settings.realm.as_deref().unwrap_or("mcpg");
        check_realm(realm).map_err(|message| SettingsError::at("/realm", message))?;
        let cache_ttl = bounded(settings.cache_ttl_ms.unwrap_or(60_000), 0, CACHE_TTL_MS_MAX)
            .map_err(|message| SettingsError::at("/cache_ttl_ms", message))?;
        let tries = bounded(settings.tries_per_minute.unwrap_or(10), 1, TRIES_PER_MINUTE_MAX)
            .map_err(|message| SettingsError::at("/tries_per_minute", message))?;
        let mut users = HashMap::new();
        if let Some(path) = &settings.users_file {
            let at = |message| SettingsError::at("/users_file", message);
            let file = context.base.file(path).map_err(|error| at(error.to_string()))?;
            read(&file, &mut users).map_err(at)?;
        }
        for (index, record) in settings.users.into_iter().enumerate() {
            let at = |message| SettingsError::at(format!("/users/{index}"), message);
            add(&mut users, resolved(record, context).map_err(at)?).map_err(at)?;
        }
        if users.is_empty() {
            return Err(SettingsError::at("", "no user is configured: set `users_file` or `users`"));
        }
        let failed = |_| SettingsError::at("", "the system gives no randomness");
        Ok(Self {
            realm: realm.into(),
            decoys: decoys(&users).map_err(failed)?,
            users,
            cache_ttl: Duration::from_millis(cache_ttl),
            key: Key::random().map_err(failed)?,
            verifier: Arc::new(Verifier::new(context.shared.hashing.clone(), tries)),
        })
    }
}

/// Reads a users file: `name:HASH` or a JSON object a line; empty lines and lines that begin with `#` do not count.
fn read(path: &Path, users: &mut HashMap<Box<str>, User>) -> Result<(), String> {
    let unreadable = |error: String| format!("cannot read `{}`: {error}", path.display());
    let bytes = file::read(path, USERS_FILE_BYTES_MAX).map_err(|error| unreadable(error.to_string()))?;
    let bytes = Zeroizing::new(bytes);
    let text = std::str::from_utf8(&bytes).map_err(|_| unreadable("it is not UTF-8".to_owned()))?;
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        parse(line)
            .and_then(|line| add(users, line))
            .map_err(|error| format!("line {} of `{}`: {error}", index + 1, path.display()))?;
    }
    Ok(())
}

fn parse(line: &str) -> Result<UserLine, String> {
    if line.starts_with('{') {
        // Not the whole of serde's message: it may repeat a value.
        return serde_json::from_str(line).map_err(|error| {
            format!(
                "column {}: not a JSON object with `name`, `hash` and perhaps `subject`, `attributes`, `audience`",
                error.column()
            )
        });
    }
    let (name, hash) = line.split_once(':').ok_or("write `name:HASH`, or a JSON object")?;
    let (subject, attributes, audience) = Default::default();
    Ok(UserLine { name: name.to_owned(), hash: hash.trim_end().to_owned(), subject, attributes, audience })
}

fn resolved(record: UserRecord, context: &BuildContext<'_>) -> Result<UserLine, String> {
    let secret = context.secrets.resolve(&record.hash).map_err(|error| error.to_string())?;
    let hash = std::str::from_utf8(secret.expose())
        .map_err(|_| format!("what `{}` holds is no password hash", record.hash))?;
    let UserRecord { name, subject, attributes, audience, .. } = record;
    Ok(UserLine { name, hash: hash.to_owned(), subject, attributes, audience })
}

fn add(users: &mut HashMap<Box<str>, User>, line: UserLine) -> Result<(), String> {
    let UserLine { name, hash, subject, attributes, audience } = line;
    let hash = Zeroizing::new(hash);
    check_name(&name)?;
    let hash: StoredHash = hash.parse().map_err(|error| format!("user `{name}`: {error}"))?;
    let subject = subject.unwrap_or_else(|| format!("user:{name}"));
    check_subject(&subject)?;
    let attributes = attributes.into_iter().collect();
    let caller = Caller { subject, audience, attributes, auth_method: AuthMethod::Basic };
    let user = User {
        hash: Arc::new(hash),
        caller: Arc::new(caller),
        id: name.as_str().into(),
        verified: ArcSwapOption::empty(),
    };
    match users.insert(name.as_str().into(), user) {
        None => Ok(()),
        Some(_) => Err(format!("the user `{name}` is there twice")),
    }
}

/// The same hashes give the same decoys in every process, so that a restart does not show which names are decoys'.
fn decoys(users: &HashMap<Box<str>, User>) -> Result<Decoys, getrandom::Error> {
    let mut digests: Vec<&[u8]> = users.values().map(|user| user.hash.digest()).collect();
    digests.sort_unstable();
    let mut key = blake3::Hasher::new_derive_key(DECOYS_CONTEXT);
    digests.iter().for_each(|digest| {
        key.update(digest);
    });
    let mut schemes: Vec<_> = users.values().map(|user| user.hash.scheme()).collect();
    schemes.sort_unstable();
    let mut hashes: Vec<Arc<StoredHash>> = Vec::with_capacity(schemes.len());
    for scheme in schemes {
        let decoy = match hashes.last() {
            Some(last) if last.scheme() == scheme => Arc::clone(last),
            _ => Arc::new(StoredHash::decoy(scheme)?),
        };
        hashes.push(decoy);
    }
    Ok(Decoys { key: Key(Zeroizing::new(*key.finalize().as_bytes())), hashes })
}

/// A name that a client can present.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(format!("a user's name has 1 to {NAME_BYTES_MAX} bytes"));
    }
    if name.contains(':') || name.chars().any(char::is_control) {
        return Err(format!(
            "the user name {name:?} has a colon or a control character: no client can present it"
        ));
    }
    Ok(())
}

/// What stands in a quoted string as it is (RFC 9110 section 5.6.4).
fn check_realm(realm: &str) -> Result<(), String> {
    let plain = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && byte != b'"' && byte != b'\\';
    if !realm.is_empty() && realm.len() <= REALM_BYTES_MAX && realm.bytes().all(plain) {
        return Ok(());
    }
    Err(format!("a realm has 1 to {REALM_BYTES_MAX} characters of printable ASCII without `\"` and `\\`"))
}

fn bounded<T: PartialOrd + std::fmt::Display + Copy>(value: T, min: T, max: T) -> Result<T, String> {
    if value < min || value > max {
        Err(format!("`{value}` is not within {min} to {max}"))
    } else {
        Ok(value)
    }
}
