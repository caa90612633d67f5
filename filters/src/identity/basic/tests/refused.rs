//! Settings and users files that do not hold: each is refused where it is, and no hash or password is repeated.

use super::*;

/// A hash that is accepted.
const HASH: &str =
    "$argon2id$v=19$m=7168,t=5,p=1$MDEyMzQ1Njc4OWFiY2RlZg$2Ek5zMZVGrFVTlHZZgywf+fd0fS6/y+DB3Z5fAX1+zM";

#[expect(clippy::needless_pass_by_value, reason = "JSON is passed as it is written")]
fn refused(folder: &Folder, settings: Value, pointer: &str, expected: &str) {
    let (at, message) =
        folder.build(settings.clone()).err().unwrap_or_else(|| panic!("{settings} is accepted"));
    assert_eq!(at, pointer, "{settings}: {message}");
    assert!(message.contains(expected), "{settings}: {message}");
    for secret in ["2Ek5zMZVGrFVTlHZ", "hunter2"] {
        assert!(!message.contains(secret), "{settings}: {message}");
    }
}

#[test]
fn settings() {
    let folder = Folder::new();
    folder.write("users", &format!("a:{HASH}\n"));
    folder.write("hash", HASH);
    folder.write("binary", "hunter2");
    let good = |key: &str, value: Value| json!({"users_file": "users", key: value});
    let user = |value: Value| json!({"users": [value]});
    for (settings, pointer, message) in [
        (json!({}), "", "no user is configured"),
        (Value::Null, "", "no user is configured"),
        (json!({"users": []}), "", "no user is configured"),
        (json!({"users_file": "none"}), "/users_file", "cannot read"),
        (json!({"users_file": "."}), "/users_file", "not a regular file"),
        (good("colour", json!("red")), "/colour", "unknown"),
        (good("realm", json!("")), "/realm", "1 to 128"),
        (good("realm", json!("a\"b")), "/realm", "printable ASCII"),
        (good("realm", json!("a\\")), "/realm", "printable ASCII"),
        (good("realm", json!("a\r\nSet-Cookie: b")), "/realm", "printable ASCII"),
        (good("realm", json!("é")), "/realm", "printable ASCII"),
        (good("realm", json!("a".repeat(129))), "/realm", "1 to 128"),
        (good("cache_ttl_ms", json!(3_600_001)), "/cache_ttl_ms", "0 to 3600000"),
        (good("tries_per_minute", json!(0)), "/tries_per_minute", "1 to 6000"),
        (good("tries_per_minute", json!(6001)), "/tries_per_minute", "1 to 6000"),
        (user(json!({"name": "a", "hash": HASH})), "/users/0/hash", "reference"),
        (user(json!({"name": "a", "hash": "$secret://file/none"})), "/users/0", "none"),
        (user(json!({"name": "a", "hash": "$secret://file/binary"})), "/users/0", "no password hash"),
        (user(json!({"name": "", "hash": "$secret://file/hash"})), "/users/0", "1 to 255 bytes"),
        (user(json!({"name": "a:b", "hash": "$secret://file/hash"})), "/users/0", "colon"),
        (
            user(json!({"name": "a", "hash": "$secret://file/hash", "subject": "root"})),
            "/users/0",
            "no subject",
        ),
        (
            user(json!({"name": "a", "hash": "$secret://file/hash", "colour": 1})),
            "/users/0/colour",
            "unknown",
        ),
        (
            json!({"users_file": "users", "users": [{"name": "a", "hash": "$secret://file/hash"}]}),
            "/users/0",
            "`a` is there twice",
        ),
    ] {
        refused(&folder, settings, pointer, message);
    }
}

#[test]
fn users_files() {
    let folder = Folder::new();
    let check = |text: &str, expected: &str| {
        folder.write("users", text);
        refused(&folder, json!({"users_file": "users"}), "/users_file", expected);
    };
    check(&format!("a:{HASH}\nb:hunter2\n"), "line 2 of ");
    check("hunter2\n", "line 1 of ");
    check("a:hunter2\n", "user `a`: a text that is no password hash");
    check("a:{SHA}hunter2hunter2=\n", "unsalted SHA-1");
    check(&format!("a:{HASH}:x\n"), "user `a`");
    check(&format!("a: {HASH}\n"), "user `a`");
    check(&format!(":{HASH}\n"), "1 to 255 bytes");
    check(&format!("{}:{HASH}\n", "n".repeat(256)), "1 to 255 bytes");
    check(&format!("a\u{7f}:{HASH}\n"), "control character");
    check(&format!("a:{HASH}\n\na:{HASH}\n"), "line 3 of ");
    check(&format!("{{\"name\": \"a\", \"hash\": \"{HASH}\", \"hunter2\": 1}}"), "not a JSON object with");
    check(&format!("{{\"name\": \"a\", \"hash\": \"{HASH}\"}} hunter2"), "not a JSON object with");
    check("{\"name\": \"a\", \"hash\": 72072}", "not a JSON object with");
    check(&format!("{{\"name\": \"a\\u0000\", \"hash\": \"{HASH}\"}}"), "control character");
    check(&format!("a:{}\n", HASH.replace("argon2id", "argon2i")), "argon2i is not accepted");
    check(&format!("a:{}\n", HASH.replace("m=7168", "m=4194304")), "too dear");
    check("a:$2y$05$abcdefghijklmnopqrstuu23JPZtHcGhwXSF41f93o/7vBdDut3Xu\n", "too weak");
    std::fs::write(folder.dir.path().join("users"), b"a:\xff\n").unwrap();
    refused(&folder, json!({"users_file": "users"}), "/users_file", "UTF-8");
}

#[test]
fn a_users_file_that_others_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    folder.write("users", &format!("a:{HASH}\n"));
    let mode = |mode| {
        std::fs::set_permissions(folder.dir.path().join("users"), std::fs::Permissions::from_mode(mode))
    };
    mode(0o666).unwrap();
    refused(&folder, json!({"users_file": "users"}), "/users_file", "others may write it");
    mode(0o640).unwrap();
    assert!(folder.build(json!({"users_file": "users"})).is_ok());
}

#[test]
fn lines_that_are_made_are_read_again() {
    let check = |name: &str, subject: Option<&str>, expected: &str| {
        let new = NewUser { name: Some(name.to_owned()), subject: subject.map(str::to_owned) };
        let line = new.line(CHEAP, "wonderland").unwrap();
        let folder = Folder::new();
        folder.write("users", &line);
        let basic = folder.build(json!({"users_file": "users"})).unwrap();
        let subjects: Vec<_> = basic.users.values().map(|user| &*user.caller.subject).collect();
        assert_eq!(subjects, [expected], "{line}");
        assert!(basic.users.contains_key(name), "{line}");
    };
    check("alice", None, "user:alice");
    check("alice", Some("user:alice@acme.com"), "user:alice@acme.com");
    check("#alice", None, "user:#alice");
    check("{alice", None, "user:{alice");
    check(" alice", None, "user: alice");
    let hash = NewUser::default().line(CHEAP, "wonderland").unwrap();
    assert!(hash.parse::<StoredHash>().is_ok());
    for (name, subject) in [("", None), ("a:b", None), ("a\n", None), ("a", Some("root"))] {
        let new = NewUser { name: Some(name.to_owned()), subject: subject.map(str::to_owned) };
        assert!(new.line(CHEAP, "wonderland").is_err(), "{name}");
    }
    let weak = Scheme::Argon2id { memory_kib: 8, passes: 1, lanes: 1 };
    assert!(NewUser::default().line(weak, "wonderland").is_err());
}
