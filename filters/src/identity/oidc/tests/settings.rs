//! Settings that cannot be meant, and where they go wrong.

use serde_json::{Value, json};

use super::support::build;

#[expect(clippy::needless_pass_by_value, reason = "cases are written in place")]
fn check(issuers: Value, pointer: &str, part: &str) {
    let error = build(&json!({ "issuers": issuers })).err().unwrap();
    assert_eq!(error.pointer, pointer, "{}", error.message);
    assert!(error.message.contains(part), "{}", error.message);
}

#[expect(clippy::needless_pass_by_value, reason = "cases are written in place")]
fn check_one(more: Value, pointer: &str, part: &str) {
    let mut issuer = json!({"issuer": "https://login.acme.com"});
    more.as_object().unwrap().iter().for_each(|(name, value)| issuer[name] = value.clone());
    check(json!([issuer]), &format!("/issuers/0{pointer}"), part);
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    check(json!([]), "/issuers", "1 to 100");
    check(json!([{"issuer": "https://a"}, {"issuer": "https://a"}]), "/issuers/1/issuer", "twice");
    check_one(json!({"issuer": "http://login.acme.com"}), "/issuer", "not `https`");
    check_one(json!({"issuer": "http://10.0.0.1"}), "/issuer", "not `https`");
    check_one(json!({"issuer": "https://a?x"}), "/issuer", "query");
    check_one(json!({"issuer": "https://u:p@a"}), "/issuer", "user name");
    check_one(json!({"issuer": "login.acme.com"}), "/issuer", "https://");
    check_one(json!({"jwks_uri": "http://10.0.0.1/jwks"}), "/jwks_uri", "not `https`");
    check_one(
        json!({"jwks_uri": "https://a/jwks", "discovery": "https://a"}),
        "/discovery",
        "nothing is discovered",
    );
    check_one(json!({"algorithms": []}), "/algorithms", "at least one");
    check_one(json!({"algorithms": ["HS256"]}), "/algorithms/0", "HS256");
    check_one(json!({"algorithms": ["none"]}), "/algorithms/0", "none");
    check_one(json!({"typ": []}), "/typ", "at least one");
    check_one(json!({"audiences": [""]}), "/audiences/0", "empty");
    check_one(json!({"required_scopes": ["a b"]}), "/required_scopes/0", "one word");
    check_one(json!({"scopes_supported": ["a\"b"]}), "/scopes_supported/0", "one word");
    check_one(json!({"claims": {"prefix": "x"}}), "/claims/prefix", "does not begin a subject");
    check_one(json!({"claims": {"attributes": {"roles": "r"}}}), "/claims/attributes/roles", "another name");
    check_one(json!({"tenant_claim": ""}), "/tenant_claim", "needs a name");
    check_one(json!({"clock_skew_ms": 600_001}), "/clock_skew_ms", "600000");
    check_one(json!({"jwks": {"refresh_ms": 999}}), "/jwks/refresh_ms", "1000");
    check_one(json!({"jwks": {"stale_ms": 1000}}), "/jwks/stale_ms", "refresh_ms");
    check_one(json!({"jwks": {"cooldown_ms": 0}}), "/jwks/cooldown_ms", "1000");
    check_one(json!({"tls": {"ca": "none.pem"}}), "/tls/ca", "none.pem");
    check_one(json!({"replay": "once"}), "/replay", "jti_once");
    check_one(json!({"secret": "x"}), "/secret", "unknown");
    let asked = json!({"client_id": "a", "client_secret": "hunter2"});
    check_one(json!({ "introspection": asked }), "/introspection/client_secret", "$secret://");
    let error = build(&json!({"issuers": [{"issuer": "https://a"}], "cache": {"ttl_max_ms": 3_600_001}}))
        .err()
        .unwrap();
    assert_eq!(error.pointer, "/cache/ttl_max_ms");
}

#[test]
fn one_issuer_may_read_opaque_tokens() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s"), "x").unwrap();
    let asked = json!({"client_id": "a", "client_secret": "$secret://file/s"});
    let issuers: Vec<Value> =
        ["https://a", "https://b"].iter().map(|id| json!({"issuer": id, "introspection": asked})).collect();
    let error = super::support::build_in(folder.path(), &json!({ "issuers": issuers }), &Default::default());
    assert!(error.err().unwrap().message.contains("only one issuer"));
}

#[test]
fn this_machine_needs_no_tls() {
    for issuer in
        ["http://127.0.0.1:4000", "http://[::1]:4000", "http://localhost:4000/realms/a", "https://a/b/"]
    {
        build(&json!({"issuers": [{ "issuer": issuer }]})).unwrap();
    }
}
