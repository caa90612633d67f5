//! The `config:` of `identity.api-key`, and how it becomes a table of keys.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use hashbrown::HashTable;
use mcpg_sdk::{AuthMethod, Caller, Secret, SecretRef, Settings, SettingsError};
use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::token::{self, Form, KeyHash};
use super::{ApiKeys, HashKey, Key};
use crate::registry::BuildContext;
use crate::secret::file;

const KEYS_FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
const SUBJECT_BYTES_MAX: usize = 512;

/// The `config:` of `identity.api-key`.
#[derive(Debug, Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeySettings {
    /// The secret that the stored hashes are keyed with: needed with `keys` and `keys_file`.
    #[schemars(with = "Option<String>")]
    pub hash_key: Option<SecretRef>,
    /// Keys by hash, as `mcpg keys new` prints them.
    #[serde(default)]
    pub keys: Vec<KeyRecord>,
    /// A file of such keys, one JSON object a line; a relative path is below the configuration's folder.
    pub keys_file: Option<String>,
    /// Whole tokens behind secret references.
    #[serde(default)]
    pub tokens: Vec<TokenEntry>,
}

/// A key at rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Names the key in audit rows.
    pub id: String,
    /// Whose key it is: `user:alice@acme.com`.
    pub subject: String,
    /// `blake3-keyed:` and 64 hex digits.
    pub hash: String,
    /// What policy sees as the caller's attributes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Value>,
    /// Whom the key was issued for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// When it ends to hold: an RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// A whole token behind a reference: bare, or with its subject.
#[derive(Debug, Clone, PartialEq, schemars::JsonSchema)]
#[schemars(untagged)]
pub enum TokenEntry {
    /// `$secret://…`: the subject is `key:<fingerprint>`.
    Bare(#[schemars(with = "String")] SecretRef),
    /// `{ token: $secret://…, subject: … }`.
    Full(TokenRecord),
}

/// A token behind a reference, with what is known of its holder.
#[derive(Debug, Clone, PartialEq, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRecord {
    /// Where the whole token is.
    #[schemars(with = "String")]
    pub token: SecretRef,
    /// Names the key in audit rows; its fingerprint if absent.
    pub id: Option<String>,
    /// Whose key it is; `key:<fingerprint>` if absent.
    pub subject: Option<String>,
    /// What policy sees as the caller's attributes.
    #[serde(default)]
    pub attributes: BTreeMap<String, Value>,
    /// Whom the key was issued for.
    pub audience: Option<String>,
    /// When it ends to hold: an RFC 3339 time.
    pub expires_at: Option<String>,
}

impl<'de> Deserialize<'de> for TokenEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = TokenEntry;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`$secret://…` or `{ token: $secret://…, subject: … }`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TokenEntry, E> {
                text.parse().map(TokenEntry::Bare).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TokenEntry, A::Error> {
                TokenRecord::deserialize(MapAccessDeserializer::new(map)).map(TokenEntry::Full)
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

impl ApiKeys {
    /// Builds the provider: reads the keys file and resolves the secrets.
    ///
    /// # Errors
    /// When the settings do not parse, a secret or the file cannot be read, a token or a hash has the wrong form,
    /// or two keys have the same id or the same token. No message repeats a token.
    pub fn build(settings: &Settings, context: &BuildContext<'_>) -> Result<Self, SettingsError> {
        let settings: ApiKeySettings = settings.parse()?;
        let stored = !settings.keys.is_empty() || settings.keys_file.is_some();
        let hash_key = match &settings.hash_key {
            Some(reference) => {
                let secret = resolve(reference, "/hash_key", context)?;
                HashKey::new(&secret).map_err(|error| SettingsError::at("/hash_key", error.to_string()))?
            }
            None if stored => {
                let message = "`keys` and `keys_file` hold keyed hashes: `hash_key: $secret://…` is needed to check them";
                return Err(SettingsError::at("/hash_key", message));
            }
            None => HashKey::random().map_err(|error| SettingsError::at("", error.to_string()))?,
        };
        let mut table = Table::default();
        for (index, record) in settings.keys.into_iter().enumerate() {
            table
                .add_record(record)
                .map_err(|message| SettingsError::at(format!("/keys/{index}"), message))?;
        }
        if let Some(path) = &settings.keys_file {
            let at = |message| SettingsError::at("/keys_file", message);
            let file = context.base.file(path).map_err(|error| at(error.to_string()))?;
            for (number, record) in records(&file).map_err(at)? {
                table
                    .add_record(record)
                    .map_err(|message| at(format!("line {number} of `{path}`: {message}")))?;
            }
        }
        for (index, entry) in settings.tokens.into_iter().enumerate() {
            let pointer = format!("/tokens/{index}");
            let record = entry.into_record();
            let secret = resolve(&record.token, &pointer, context)?;
            table
                .add_token(record, &secret, &hash_key)
                .map_err(|message| SettingsError::at(pointer, message))?;
        }
        if table.keys.is_empty() {
            let message = "no key is configured: set `keys`, `keys_file` or `tokens`";
            return Err(SettingsError::at("", message));
        }
        Ok(Self { hash_key, keys: table.keys })
    }
}

/// Keys as they are gathered: no id and no token twice.
#[derive(Default)]
struct Table {
    keys: HashTable<Key>,
    ids: HashSet<Arc<str>>,
}

impl Table {
    fn add_record(&mut self, record: KeyRecord) -> Result<(), String> {
        let hash = record.hash.parse().map_err(|()| {
            format!("the hash of key `{}` is not `blake3-keyed:` and 64 lowercase hex digits", record.id)
        })?;
        let KeyRecord { id, subject, attributes, audience, expires_at, .. } = record;
        self.add(hash, id, subject, attributes, audience, expires_at.as_deref())
    }

    fn add_token(&mut self, record: TokenRecord, secret: &Secret, hash_key: &HashKey) -> Result<(), String> {
        let token = secret.expose();
        if token::form(token) != Form::Key {
            return Err(format!(
                "what `{}` holds is no API key of MCPG: make one with `mcpg keys new`",
                record.token
            ));
        }
        let fingerprint = token::fingerprint(token);
        let subject = record.subject.unwrap_or_else(|| format!("key:{fingerprint}"));
        let id = record.id.unwrap_or(fingerprint);
        let hash = hash_key.hash(token);
        self.add(hash, id, subject, record.attributes, record.audience, record.expires_at.as_deref())
    }

    fn add(
        &mut self,
        hash: KeyHash,
        id: String,
        subject: String,
        attributes: BTreeMap<String, Value>,
        audience: Option<String>,
        expires_at: Option<&str>,
    ) -> Result<(), String> {
        if id.is_empty() {
            return Err("a key needs an id".to_owned());
        }
        check_subject(&subject)?;
        let expires_at = expires_at.map(parse_time).transpose()?;
        let id: Arc<str> = id.into();
        if !self.ids.insert(Arc::clone(&id)) {
            return Err(format!("two keys have the id `{id}`"));
        }
        if let Some(other) = self.keys.find(hash.bucket(), |key| key.hash.ct_eq(&hash).into()) {
            return Err(format!("the keys `{}` and `{id}` are the same token", other.id));
        }
        let attributes = attributes.into_iter().collect();
        let caller = Arc::new(Caller { subject, audience, attributes, auth_method: AuthMethod::ApiKey });
        let key = Key { hash, id, caller, expires_at };
        self.keys.insert_unique(hash.bucket(), key, |key| key.hash.bucket());
        Ok(())
    }
}

impl TokenEntry {
    fn into_record(self) -> TokenRecord {
        match self {
            Self::Full(record) => record,
            Self::Bare(token) => TokenRecord {
                token,
                id: None,
                subject: None,
                attributes: BTreeMap::new(),
                audience: None,
                expires_at: None,
            },
        }
    }
}

/// A subject is `<kind>:<name>`, as `user:alice@acme.com`: a bare word would be no principal of any policy.
pub(in crate::identity) fn check_subject(subject: &str) -> Result<(), String> {
    let kind = subject.split_once(':').map(|(kind, name)| (kind, !name.is_empty()));
    let is_kind = |kind: &str| {
        kind.starts_with(|first: char| first.is_ascii_lowercase())
            && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    match kind {
        Some((kind, true)) if is_kind(kind) => {}
        _ => {
            return Err(format!(
                "`{subject}` is no subject: write `<kind>:<name>`, such as `user:alice@acme.com`"
            ));
        }
    }
    if subject.len() > SUBJECT_BYTES_MAX {
        return Err(format!(
            "the subject has {} bytes: at most {SUBJECT_BYTES_MAX} are allowed",
            subject.len()
        ));
    }
    if subject.chars().any(char::is_control) {
        return Err("the subject has a control character".to_owned());
    }
    Ok(())
}

fn parse_time(text: &str) -> Result<SystemTime, String> {
    chrono::DateTime::parse_from_rfc3339(text)
        .map(SystemTime::from)
        .map_err(|_| format!("`{text}` is no RFC 3339 time such as `2027-01-31T00:00:00Z`"))
}

fn resolve(
    reference: &SecretRef,
    pointer: &str,
    context: &BuildContext<'_>,
) -> Result<Secret, SettingsError> {
    context.secrets.resolve(reference).map_err(|error| SettingsError::at(pointer, error.to_string()))
}

/// The records of a keys file with their line numbers.
fn records(path: &Path) -> Result<Vec<(usize, KeyRecord)>, String> {
    let unreadable = |error: String| format!("cannot read `{}`: {error}", path.display());
    let bytes = file::read(path, KEYS_FILE_BYTES_MAX).map_err(|error| unreadable(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8".to_owned()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let number = index + 1;
            serde_json::from_str(line)
                .map(|record| (number, record))
                .map_err(|error| format!("line {number} of `{}`: {error}", path.display()))
        })
        .collect()
}
