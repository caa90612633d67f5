//! API keys: every way in, and every way to stay out.

use std::time::Duration;

use mcpg_sdk::{AuthMethod, Base, Secret, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::identity::Presented;
use crate::registry::BuildContext;
use crate::secret::SecretResolver;

const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;
const HASH_KEY: [u8; 32] = [9; 32];

/// A configuration's folder with a hash key and what else a test writes.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("hash.key", &HASH_KEY);
        folder
    }

    fn write(&self, name: &str, contents: &[u8]) {
        std::fs::write(self.0.path().join(name), contents).unwrap();
    }

    fn build(&self, settings: Value) -> Result<ApiKeys, (String, String)> {
        let secrets = SecretResolver::new(&Base::trusted(self.0.path()));
        let (scope, shared) = (mcpg_sdk::Scope::default(), Arc::default());
        let context = BuildContext {
            base: &Base::trusted(self.0.path()),
            secrets: &secrets,
            bindings: &[],
            scope: &scope,
            shared: &shared,
            now: EPOCH,
        };
        ApiKeys::build(&Settings(settings), &context).map_err(|error| (error.pointer, error.message))
    }
}

fn new_key(subject: &str) -> (String, KeyRecord) {
    let hash_key = HashKey::new(&Secret::new(HASH_KEY.to_vec())).unwrap();
    let NewKey { token, record } = generate("live", subject, &hash_key).unwrap();
    (String::from_utf8(token.expose().to_vec()).unwrap(), record)
}

fn keys_of(records: &[&KeyRecord]) -> ApiKeys {
    Folder::new().build(json!({"hash_key": "$secret://file/hash.key", "keys": records})).unwrap()
}

fn bearer(value: &str) -> Credentials<'_> {
    Credentials { authorization: Presented::Once(value.as_bytes()), ..Default::default() }
}

fn x_api_key(value: &str) -> Credentials<'_> {
    Credentials { api_key: Presented::Once(value.as_bytes()), ..Default::default() }
}

/// The subject, `absent`, or the code.
fn outcome(keys: &ApiKeys, credentials: &Credentials<'_>) -> String {
    outcome_at(keys, credentials, EPOCH)
}

fn outcome_at(keys: &ApiKeys, credentials: &Credentials<'_>, now: SystemTime) -> String {
    match keys.resolve(credentials, now) {
        Outcome::Resolved { caller, .. } => caller.subject.clone(),
        Outcome::Absent => "absent".to_owned(),
        Outcome::Invalid(code) => code.to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_resolves_to_its_caller() {
    let (token, mut record) = new_key("user:alice@acme.com");
    record.attributes.insert("team".to_owned(), json!("platform"));
    record.audience = Some("https://mcp.acme.com".to_owned());
    let keys = keys_of(&[&record]);
    let Outcome::Resolved { caller, credential } = keys.resolve(&x_api_key(&token), EPOCH) else {
        panic!("refused")
    };
    assert_eq!(caller.subject, "user:alice@acme.com");
    assert_eq!(caller.auth_method, AuthMethod::ApiKey);
    assert_eq!(caller.audience.as_deref(), Some("https://mcp.acme.com"));
    assert_eq!(caller.attributes["team"], "platform");
    assert_eq!(credential.as_deref(), Some(&*record.id));
}

#[test]
fn headers() {
    let (token, record) = new_key("user:a@acme.com");
    let (other, other_record) = new_key("user:b@acme.com");
    let keys = keys_of(&[&record, &other_record]);
    let check = |authorization: &[&str], api_key: &[&str], expected: &str| {
        let credentials = Credentials {
            authorization: authorization.iter().map(|value| value.as_bytes()).collect(),
            api_key: api_key.iter().map(|value| value.as_bytes()).collect(),
            ..Credentials::default()
        };
        assert_eq!(outcome(&keys, &credentials), expected, "{credentials:?}");
    };
    let with = |scheme: &str| format!("{scheme}{token}");
    let ours = &*with("Bearer ");
    check(&[], &[], "absent");
    check(&[ours], &[], "user:a@acme.com");
    check(&[&with("bearer ")], &[], "user:a@acme.com");
    check(&[&with("BEARER   ")], &[], "user:a@acme.com");
    check(&[], &[&token], "user:a@acme.com");
    check(&[ours], &[&token], "user:a@acme.com");
    // Not for this provider.
    for value in
        ["Bearer eyJhbGciOiJub25lIn0.e30.", "Basic YTpi", "Bearer", "", "Bearer MCPG_live_0", &with("")]
    {
        check(&[value], &[], "absent");
    }
    // Two credentials, or one twice.
    check(&[ours], &[&other], "ambiguous");
    check(&["Bearer eyJ.e.s"], &[&token], "ambiguous");
    check(&["Basic YTpi"], &[&token], "ambiguous");
    check(&[""], &[&token], "ambiguous");
    check(&[ours, ours], &[], "repeated");
    check(&["Basic YTpi", "Basic YTpi"], &[], "repeated");
    check(&[], &[&token, &token], "repeated");
    check(&[ours], &[&token, &other], "repeated");
    // The header is ours alone.
    for value in ["", "secret", "Bearer x", &with("Bearer "), &with(" ")] {
        check(&[], &[value], "malformed");
    }
    check(&[&format!("{ours} ")], &[], "malformed");
    check(&[&format!("{ours},{ours}")], &[], "malformed");
}

#[test]
fn a_wrong_checksum_is_refused_before_any_look_up() {
    let (token, record) = new_key("user:a@acme.com");
    let keys = keys_of(&[&record]);
    let swapped = |index: usize| {
        let mut bytes = token.clone().into_bytes();
        bytes[index] = if bytes[index] == b'x' { b'y' } else { b'x' };
        String::from_utf8(bytes).unwrap()
    };
    for index in 0..token.len() {
        let changed = swapped(index);
        let code = outcome(&keys, &x_api_key(&changed));
        assert!(matches!(&*code, "malformed" | "checksum"), "{changed}: {code}");
    }
}

#[test]
fn a_well_formed_key_that_nobody_issued_is_refused() {
    let (_, record) = new_key("user:a@acme.com");
    let (stranger, _) = new_key("user:b@acme.com");
    assert_eq!(outcome(&keys_of(&[&record]), &bearer(&format!("Bearer {stranger}"))), "unknown");
}

#[test]
fn another_hash_key_knows_no_key() {
    let (token, record) = new_key("user:a@acme.com");
    let folder = Folder::new();
    folder.write("hash.key", &[8; 32]);
    let keys = folder.build(json!({"hash_key": "$secret://file/hash.key", "keys": [record]})).unwrap();
    assert_eq!(outcome(&keys, &x_api_key(&token)), "unknown");
}

#[test]
fn a_key_holds_until_it_expires() {
    let (token, mut record) = new_key("user:a@acme.com");
    record.expires_at = Some("1970-01-01T01:00:10+01:00".to_owned());
    let keys = keys_of(&[&record]);
    let check = |seconds: u64, expected: &str| {
        assert_eq!(outcome_at(&keys, &x_api_key(&token), EPOCH + Duration::from_secs(seconds)), expected);
    };
    check(0, "user:a@acme.com");
    check(9, "user:a@acme.com");
    check(10, "expired");
    check(u32::MAX.into(), "expired");
}

#[test]
fn a_keys_file_has_one_key_a_line() {
    let ((one, first), (two, second)) = (new_key("user:a@acme.com"), new_key("user:b@acme.com"));
    let folder = Folder::new();
    let line = |record| serde_json::to_string(record).unwrap();
    folder.write("keys.jsonl", format!("{}\n\n{}\n", line(&first), line(&second)).as_bytes());
    let settings = json!({"hash_key": "$secret://file/hash.key", "keys_file": "keys.jsonl"});
    let keys = folder.build(settings.clone()).unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(outcome(&keys, &x_api_key(&one)), "user:a@acme.com");
    assert_eq!(outcome(&keys, &x_api_key(&two)), "user:b@acme.com");

    folder.write("keys.jsonl", format!("{}\n{{\"id\": 1}}\n", line(&first)).as_bytes());
    let (pointer, message) = folder.build(settings).unwrap_err();
    assert_eq!(pointer, "/keys_file");
    assert!(message.contains("line 2"), "{message}");
}

#[test]
fn whole_tokens_come_from_secrets() {
    let ((one, first), (two, _)) = (new_key("user:a@acme.com"), new_key("user:b@acme.com"));
    let folder = Folder::new();
    folder.write("one", format!("{one}\n").as_bytes());
    folder.write("two", two.as_bytes());
    let entry = json!({"token": "$secret://file/two", "id": "bob", "subject": "user:bob@acme.com"});
    let keys = folder.build(json!({"tokens": ["$secret://file/one", entry]})).unwrap();
    assert_eq!(outcome(&keys, &x_api_key(&one)), format!("key:{}", first.id));
    assert_eq!(outcome(&keys, &x_api_key(&two)), "user:bob@acme.com");
}

#[test]
fn settings_that_do_not_hold_say_where() {
    let (token, record) = new_key("user:a@acme.com");
    let folder = Folder::new();
    folder.write("token", token.as_bytes());
    folder.write("noise", b"hunter2");
    folder.write("short.key", b"hunter2");
    let with = |change: fn(&mut KeyRecord)| {
        let mut record = record.clone();
        change(&mut record);
        json!({"hash_key": "$secret://file/hash.key", "keys": [record]})
    };
    let hash_key = "$secret://file/hash.key";
    let cases = [
        (json!({}), "", "no key is configured"),
        (json!({"keys": [record]}), "/hash_key", "is needed"),
        (json!({"hash_key": "hunter2"}), "/hash_key", "must be a reference"),
        (json!({"hash_key": "$secret://file/short.key", "keys": [record]}), "/hash_key", "at least 32"),
        (json!({"hash_key": "$secret://file/none", "keys": [record]}), "/hash_key", "cannot be read"),
        (json!({"tokens": ["hunter2"]}), "/tokens/0", "must be a reference"),
        (json!({"tokens": ["$secret://file/noise"]}), "/tokens/0", "is no API key of MCPG"),
        (json!({"tokens": ["$secret://vault/kv/data/x#token"]}), "/tokens/0", "not in this build"),
        (
            json!({"tokens": [{"token": "$secret://file/token", "subjekt": "x"}]}),
            "/tokens/0/subjekt",
            "subject",
        ),
        (
            json!({"tokens": ["$secret://file/token", "$secret://file/token"]}),
            "/tokens/1",
            "two keys have the id",
        ),
        (
            json!({"tokens": ["$secret://file/token", {"token": "$secret://file/token", "id": "b"}]}),
            "/tokens/1",
            "are the same token",
        ),
        (json!({"hash_key": hash_key, "keys": [record, record]}), "/keys/1", "two keys have the id"),
        (json!({"hash_key": hash_key, "keys_file": "none.jsonl"}), "/keys_file", "cannot read"),
        (with(|record| record.hash = "00".repeat(32)), "/keys/0", "blake3-keyed:"),
        (with(|record| record.id.clear()), "/keys/0", "needs an id"),
        (with(|record| record.subject = "alice".to_owned()), "/keys/0", "is no subject"),
        (with(|record| record.subject = "anonymous".to_owned()), "/keys/0", "is no subject"),
        (with(|record| record.subject = "user:".to_owned()), "/keys/0", "is no subject"),
        (with(|record| record.subject = "user:a\nb".to_owned()), "/keys/0", "control character"),
        (with(|record| record.expires_at = Some("2027-01-01".to_owned())), "/keys/0", "RFC 3339"),
    ];
    for (settings, pointer, part) in cases {
        let (at, message) = folder.build(settings.clone()).unwrap_err();
        assert_eq!(at, pointer, "{settings}: {message}");
        assert!(message.contains(part), "{settings}: {message}");
        assert!(!message.contains("hunter2") && !message.contains(&token), "{message}");
    }
}

#[test]
fn a_new_key_is_random_and_its_record_tells_nothing_of_it() {
    let ((one, first), (two, second)) = (new_key("user:a@acme.com"), new_key("user:a@acme.com"));
    assert_ne!(one, two);
    assert_ne!(first.id, second.id);
    let secret = one.trim_start_matches("mcpg_live_");
    let record = serde_json::to_string(&first).unwrap();
    assert!(!record.contains(secret.split_at(8).0), "{record}");
    let hash_key = HashKey::new(&Secret::new(HASH_KEY.to_vec())).unwrap();
    for env in ["", "Live", "li_ve", "a1234567890123456", "é"] {
        assert!(
            matches!(generate(env, "user:a@acme.com", &hash_key), Err(GenerateError::Env { .. })),
            "{env}"
        );
    }
    assert!(matches!(generate("live", "alice", &hash_key), Err(GenerateError::Subject { .. })));
}

#[test]
fn nothing_secret_is_printed() {
    let (token, record) = new_key("user:a@acme.com");
    let hash_key = HashKey::new(&Secret::new(HASH_KEY.to_vec())).unwrap();
    let new = generate("live", "user:a@acme.com", &hash_key).unwrap();
    let printed = format!("{:?} {:?} {hash_key:?}", keys_of(&[&record]), new.token);
    assert!(!printed.contains(&token) && !printed.contains("mcpg_live"), "{printed}");
    assert!(!printed.contains("9, 9, 9"), "{printed}");
}
