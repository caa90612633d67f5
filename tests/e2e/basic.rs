//! Who calls, by name and password: verified beside those that serve, changed without a restart, kept out of sight.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use mcpg_tests::key::key;
use mcpg_tests::mcp::Request;
use mcpg_tests::{Gateway, RawHttp, RawUpstream, Setup, until};
use serde_json::json;

use crate::expect::refused;

const CONFIG: &str = "server: { listen: [\"{listen}\"], admin: \"{admin}\" }
plugins:
  - id: identity.api-key
    config: { tokens: [{ token: $secret://env/CRON, subject: \"user:cron@acme.com\" }] }
  - id: identity.basic
    config: { users_file: ./users, realm: \"Acme MCP\" }
  - { id: policy.cedar, config: { bundle: ./policies } }
audit: { dir: ./audit }
bindings:
  - { id: files, type: mcp, url: UPSTREAM }
";
const POLICY: &str = r#"
permit (principal == User::"cron@acme.com", action, resource);
permit (principal == User::"alice", action, resource) when { principal.auth_method == "basic" };
permit (principal == User::"bob@acme.com", action, resource);
"#;

#[test]
fn only_the_password_lets_in() {
    let (upstream, mut gateway) = start();
    let rows: &[(&str, &[&str])] = &[
        ("another password", &[&basic("alice", "Wonderland")]),
        ("a password and more", &[&basic("alice", "wonderland ")]),
        ("another's password", &[&basic("alice", "builder:builder")]),
        ("a name of nobody", &[&basic("mallory", "wonderland")]),
        ("another case of the name", &[&basic("Alice", "wonderland")]),
        ("no password", &[&basic("alice", "")]),
        ("no name", &[&basic("", "wonderland")]),
        ("a control character", &[&basic("alice\n", "wonderland")]),
        ("the scheme alone", &["Basic"]),
        ("no base64", &["Basic alice:wonderland"]),
        ("base64url without padding", &["Basic YWxpY2U6d29uZGVybGFuZA"]),
        ("two credentials", &[&basic("alice", "wonderland"), &format!("Bearer {}", key("cron"))]),
        ("one twice", &[&basic("alice", "wonderland"), &basic("alice", "wonderland")]),
        ("as a bearer token", &["Bearer YWxpY2U6d29uZGVybGFuZA=="]),
        ("far too long", &[&basic("alice", &"w".repeat(3000))]),
    ];
    for (case, values) in rows {
        let request = values.iter().fold(call(), |request, value| request.header("Authorization", value));
        let response = request.send(gateway.address());
        refused(401, 40101, "unauthenticated").check(case, &response);
        assert!(response.header("www-authenticate").is_some(), "{case}");
    }
    let both =
        call().header("Authorization", &basic("alice", "wonderland")).header("X-API-Key", &key("cron"));
    assert_eq!(both.send(gateway.address()).status, 401, "a key beside it");
    assert_eq!(upstream.bytes_in(), 0);
    for _ in 0..3 {
        assert_eq!(status(&gateway, "alice", "wonderland"), 200);
        assert_eq!(status(&gateway, "bob", "builder:builder"), 200);
    }
    assert_eq!(call().bearer(&key("cron")).send(gateway.address()).status, 200);
    leaves_no_trace(&mut gateway, &upstream);
}

/// The canary: a password that was used is in no log, no metric, no row and no request to the upstream.
fn leaves_no_trace(gateway: &mut Gateway, upstream: &RawUpstream) {
    for secret in ["wonderland", "d29uZGVybGFuZ", "$argon2id$"] {
        assert!(!gateway.process().log().contains(secret), "{secret} is in the log");
        assert!(!gateway.metrics().mentions(secret), "{secret} is in the metrics");
        for file in gateway.ledger().files() {
            let bytes = std::fs::read(&file).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {}", file.display());
        }
    }
    for seen in upstream.requests() {
        assert!(seen.header("authorization").is_none(), "the password went to the upstream: {seen:?}");
    }
}

#[test]
fn a_changed_users_file_is_in_force_and_a_broken_one_is_not() {
    let (_upstream, mut gateway) = start();
    assert_eq!(status(&gateway, "alice", "wonderland"), 200);
    gateway.replace("users", &line(&["--name", "alice"], "looking-glass"));
    until("the new password should hold", || {
        (status(&gateway, "alice", "looking-glass") == 200).then_some(())
    });
    assert_eq!(status(&gateway, "alice", "wonderland"), 401, "what was known is forgotten");
    assert_eq!(status(&gateway, "bob", "builder:builder"), 401, "who is gone is gone");
    gateway.replace("users", "alice:$apr1$salt$hash\n");
    until("the broken file should be explained", || gateway.process().log().contains("`apr1`").then_some(()));
    assert_eq!(status(&gateway, "alice", "looking-glass"), 200);
}

#[test]
fn five_hundred_guesses_at_once_take_nothing_from_others() {
    let (_upstream, gateway) = start();
    let cron = || call().bearer(&key("cron")).send(gateway.address()).status;
    assert_eq!((cron(), status(&gateway, "alice", "wonderland")), (200, 200));
    let mut guesses: Vec<RawHttp> = (0..500)
        .map(|number| {
            let name = if number % 2 == 0 { "alice".to_owned() } else { format!("user{number}") };
            let request = call().header("Authorization", &basic(&name, &format!("guess{number}")));
            let mut connection = RawHttp::connect(gateway.address());
            connection.send(&request.bytes(gateway.address()));
            connection
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(cron(), 200, "an API key");
        assert_eq!(status(&gateway, "alice", "wonderland"), 200, "a password that is known");
    }
    let answers: Vec<u16> = guesses.iter_mut().map(|guess| guess.response().unwrap().status).collect();
    let count = |status| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!(count(401) + count(503), 500, "{answers:?}");
    assert!(count(401) > 0 && count(503) > 0, "{} were judged", count(401));
    // 500 times 19 MiB would be 9.5 GB.
    assert!(gateway.resident_kib() < 1024 * 1024, "{} KiB", gateway.resident_kib());
    until("the guesses should be over", || (status(&gateway, "bob", "builder:builder") == 200).then_some(()));
}

#[test]
fn a_hash_is_made_of_a_line_on_standard_input_only() {
    let made = line(&["--memory-kib", "7168", "--passes", "5"], "wonderland");
    assert!(made.starts_with("$argon2id$v=19$m=7168,t=5,p=1$"), "{made}");
    let refused = |arguments: &[&str], input: &str, expected: &str| {
        let output = hash(arguments, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{arguments:?}, {input:?}: {said}");
        assert!(output.stdout.is_empty() && !said.contains("wonder\tland"), "{said}");
    };
    refused(&[], "", "shorter than 8");
    refused(&[], "wonder\tland", "control character");
    refused(&["--name", "a:b"], "wonderland", "colon");
    refused(&["--name", "a", "--subject", "root"], "wonderland", "no subject");
    refused(&["--subject", "user:a"], "wonderland", "--name");
    refused(&["--memory-kib", "8"], "wonderland", "too weak");
    refused(&["--memory-kib", "4194304"], "wonderland", "too dear");
    refused(&["wonderland"], "wonderland", "unexpected");
}

fn start() -> (RawUpstream, Gateway) {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let users = line(&["--name", "alice"], "wonderland")
        + &line(&["--name", "bob", "--subject", "user:bob@acme.com"], "builder:builder");
    let gateway = Setup::new(&CONFIG.replace("UPSTREAM", &upstream.url()))
        .file("policies/policy.cedar", POLICY)
        .file("users", &users)
        .env("CRON", &key("cron"))
        .start();
    (upstream, gateway)
}

fn call() -> Request {
    Request::modern_call("/mcp", "echo", json!({ "text": "x" }))
}

fn status(gateway: &Gateway, name: &str, password: &str) -> u16 {
    call().header("Authorization", &basic(name, password)).send(gateway.address()).status
}

fn line(arguments: &[&str], password: &str) -> String {
    let output = hash(arguments, password);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn hash(arguments: &[&str], password: &str) -> Output {
    let mut command = Command::new(mcpg_tests::mcpg());
    command.args(["users", "hash"]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that is refused reads nothing.
    let _ = writeln!(child.stdin.take().unwrap(), "{password}");
    child.wait_with_output().unwrap()
}

/// RFC 7617, by hand, so that a test can write what no client would.
fn basic(name: &str, password: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("Basic ");
    for bytes in format!("{name}:{password}").as_bytes().chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(*bytes.get(at).unwrap_or(&0)));
        for place in 0..4 {
            let digit = char::from(DIGITS[bits >> (18 - 6 * place) & 63]);
            text.push(if place <= bytes.len() { digit } else { '=' });
        }
    }
    text
}
