//! Who calls: an API key, valid and whole, or 401; and the key goes no further than the gateway.

use mcpg_tests::key::{key, mistyped};
use mcpg_tests::mcp::Request;
use mcpg_tests::{Gateway, RawUpstream, scenes};
use serde_json::json;

use crate::expect::refused;

#[test]
fn only_a_known_key_is_let_in() {
    let (upstream, mut gateway) = start();
    let alice = key("alice");
    let rows: &[(&str, Vec<(&str, String)>)] = &[
        ("nothing", vec![]),
        ("an empty header", vec![("Authorization", String::new())]),
        ("only the scheme", vec![("Authorization", "Bearer".into())]),
        ("an unknown key", vec![("Authorization", format!("Bearer {}", key("mallory")))]),
        ("a mistyped key", vec![("Authorization", format!("Bearer {}", mistyped(&alice)))]),
        ("the half of a key", vec![("Authorization", format!("Bearer {}", &alice[..30]))]),
        ("a key and more", vec![("Authorization", format!("Bearer {alice}x"))]),
        ("two keys in one header", vec![("Authorization", format!("Bearer {alice}, Bearer {alice}"))]),
        ("another case", vec![("Authorization", format!("Bearer {}", alice.to_uppercase()))]),
        ("another scheme", vec![("Authorization", format!("Basic {alice}"))]),
        ("no scheme", vec![("Authorization", alice.clone())]),
        (
            "two headers",
            vec![("Authorization", format!("Bearer {alice}")), ("Authorization", format!("Bearer {alice}"))],
        ),
        (
            "two different headers",
            vec![("Authorization", format!("Bearer {alice}")), ("X-API-Key", key("bob"))],
        ),
        ("a cookie", vec![("Cookie", format!("api_key={alice}"))]),
        ("a JWT without a signature", vec![("Authorization", "Bearer eyJhbGciOiJub25lIn0.e30.".into())]),
    ];
    for (case, headers) in rows {
        let request = Request::modern_call("/mcp", "echo", json!({ "text": "x" }));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let response = request.send(gateway.address());
        refused(401, 40101, "unauthenticated").check(case, &response);
        assert!(
            response.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")),
            "{case}"
        );
        assert!(!response.text().contains(&alice), "{case}");
    }
    let query = Request::modern_call(&format!("/mcp?api_key={alice}"), "echo", json!({ "text": "x" }));
    assert_eq!(query.send(gateway.address()).status, 401, "a key in the query");
    assert_eq!(upstream.bytes_in(), 0);

    for (case, name, value) in [
        ("bearer", "Authorization", format!("Bearer {alice}")),
        ("lower case", "authorization", format!("bearer {alice}")),
        ("its own header", "X-API-Key", alice.clone()),
    ] {
        let request = Request::modern_call("/mcp", "echo", json!({ "text": "x" })).header(name, &value);
        assert_eq!(request.send(gateway.address()).status, 200, "{case}");
    }
    leaves_no_trace(&mut gateway, &upstream, &alice);
}

/// The canary: a key that was used is in no log, no metric, no row and no request to the upstream.
fn leaves_no_trace(gateway: &mut Gateway, upstream: &RawUpstream, key: &str) {
    let log = gateway.process().log();
    assert!(!log.contains(key), "the key is in the log");
    assert!(!gateway.metrics().mentions(key), "the key is in the metrics");
    for file in gateway.ledger().files() {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(key.len()).any(|window| window == key.as_bytes());
        assert!(!found, "the key is in {}", file.display());
    }
    for seen in upstream.requests() {
        let found = seen.headers.iter().any(|(_, value)| value.contains(key));
        assert!(!found && seen.header("authorization").is_none(), "the key went to the upstream: {seen:?}");
    }
}

fn start() -> (RawUpstream, Gateway) {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let gateway = scenes::governed(&upstream.url()).start();
    (upstream, gateway)
}
