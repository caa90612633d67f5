//! Callers by the tokens of an issuer, and the gateway as an OAuth 2.1 resource server. The issuer is npm `oidc-provider`.

mod issuer;

use std::process::Command;

use mcpg_tests::mcp::Request;
use mcpg_tests::{Fixture, Gateway, RawUpstream, Response, Setup, exchange, packages, until};
use serde_json::{Value, json};

use crate::expect::{refused, says_nothing_inside};
use issuer::{CLIENT, Issuer, SECRET};

/// Of upstreams that answer calls and nothing else.
const MODERN: &str = "    protocol: 2026-07-28\n";

/// A gateway for the tokens of an issuer, with `more` settings of it and more lines in the one binding.
fn setup(issuer: &Issuer, upstream: &str, more: &str, binding: &str) -> Setup {
    let config = format!(
        "server:
  listen: [\"{{listen}}\"]
  admin: \"{{admin}}\"
plugins:
  - id: identity.oidc
    config:
      issuers:
        - issuer: {}
{more}
  - {{ id: policy.cedar, config: {{ bundle: ./policies }} }}
audit: {{ dir: ./audit }}
bindings:
  - id: files
    type: mcp
    url: {upstream}
{binding}",
        issuer.url
    );
    let policy = "permit (principal in Group::\"engineers\", action, resource);\n\
                  permit (principal == User::\"mcpg\", action, resource);\n";
    Setup::new(&config).file("policies/all.cedar", policy).env("CLIENT_SECRET", SECRET)
}

fn accepting() -> RawUpstream {
    let content = json!([{ "type": "text", "text": "ok" }]);
    RawUpstream::result(json!({ "resultType": "complete", "content": content, "tools": [] }))
}

fn call(gateway: &Gateway, token: &str) -> Response {
    Request::modern_call("/mcp", "echo", json!({ "text": "x" })).bearer(token).send(gateway.address())
}

fn get(gateway: &Gateway, method: &str, path: &str, more: &str) -> Response {
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{more}\r\n", gateway.address());
    exchange(gateway.address(), head.as_bytes())
}

fn challenge(response: &Response) -> &str {
    response.header("www-authenticate").unwrap_or_default()
}

#[test]
fn a_client_finds_its_way_to_a_token() {
    let Some(issuer) = Issuer::start() else { return };
    let upstream = accepting();
    let scopes = "          required_scopes: [mcp]\n          scopes_supported: [tools:call]\n";
    let gateway = setup(&issuer, &upstream.url(), scopes, MODERN).start();
    let metadata = gateway.url("/.well-known/oauth-protected-resource/mcp");

    let missing = Request::modern_call("/mcp", "echo", json!({ "text": "x" })).send(gateway.address());
    refused(401, 40101, "unauthenticated").check("nothing", &missing);
    assert_eq!(challenge(&missing), format!("Bearer scope=\"mcp\", resource_metadata=\"{metadata}\""));

    let document =
        get(&gateway, "GET", "/.well-known/oauth-protected-resource/mcp", "Origin: https://web.example\r\n");
    assert_eq!(document.status, 200, "{}", document.text());
    let expected = json!({
        "resource": gateway.url("/mcp"), "authorization_servers": [issuer.url],
        "scopes_supported": ["mcp", "tools:call"], "bearer_methods_supported": ["header"],
    });
    assert_eq!(document.json(), expected);
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert_eq!(document.header("access-control-allow-origin"), Some("*"));
    assert_eq!(document.header("cache-control"), Some("public, max-age=300"));

    let token = issuer.token("alice", &gateway.url("/mcp"), "mcp");
    let response = call(&gateway, &token);
    assert_eq!(response.status, 200, "{}", response.text());

    let narrow = issuer.token("alice", &gateway.url("/mcp"), "tools:call");
    let response = call(&gateway, &narrow);
    refused(403, 40303, "insufficient_scope").check("narrow", &response);
    let expected =
        format!("Bearer error=\"insufficient_scope\", scope=\"mcp\", resource_metadata=\"{metadata}\"");
    assert_eq!(challenge(&response), expected);
}

#[test]
fn documents_are_where_endpoints_are() {
    let Some(issuer) = Issuer::start() else { return };
    let upstream = accepting();
    let gateway = setup(&issuer, &upstream.url(), "", MODERN).start();
    let well_known = "/.well-known/oauth-protected-resource";
    for (method, path, status) in [
        ("GET", "/mcp", 200),
        ("HEAD", "/mcp", 200),
        ("GET", "/bindings/files/mcp", 200),
        ("OPTIONS", "/mcp", 204),
        ("POST", "/mcp", 405),
        ("DELETE", "/mcp", 405),
        ("GET", "", 404),
        ("GET", "/", 404),
        ("GET", "/bindings/other/mcp", 404),
        ("GET", "/mcp/", 404),
    ] {
        let response = get(&gateway, method, &format!("{well_known}{path}"), "");
        assert_eq!(response.status, status, "{method} {path}: {}", response.text());
        if method == "GET" && status == 200 {
            assert_eq!(response.json()["resource"], gateway.url(path));
        }
    }
    let foreign = "GET /.well-known/oauth-protected-resource/mcp HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert_eq!(exchange(gateway.address(), foreign.as_bytes()).status, 421);
    // A host that the client makes up in a proxy's words changes nothing.
    let more =
        "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\n";
    let response = get(&gateway, "GET", "/.well-known/oauth-protected-resource/mcp", more);
    assert_eq!(response.json()["resource"], gateway.url("/mcp"));
    let open = mcpg_tests::scenes::open(&upstream.url()).start();
    assert_eq!(get(&open, "GET", "/.well-known/oauth-protected-resource/mcp", "").status, 404);
}

#[test]
fn what_is_nearly_a_token_for_here_is_refused_and_goes_nowhere() {
    let Some(issuer) = Issuer::start() else { return };
    let Some(other) = Issuer::start() else { return };
    let upstream = accepting();
    let mut gateway = setup(&issuer, &upstream.url(), "", MODERN).start();
    let here = gateway.url("/mcp");
    let good = issuer.token("alice", &here, "mcp");
    let (head, signature) = good.rsplit_once('.').unwrap();
    let changed = format!("{head}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    let tokens = [
        ("for another endpoint", issuer.token("alice", &gateway.url("/bindings/files/mcp"), "mcp")),
        ("for another server", issuer.token("alice", "https://other.example/mcp", "mcp")),
        ("of another issuer", other.token("alice", &here, "mcp")),
        ("an ID token", issuer.id_token("alice")),
        ("an opaque token", issuer.client_token(None)),
        ("changed", changed),
        ("without a signature", format!("{head}.")),
    ];
    for (case, token) in &tokens {
        let response = call(&gateway, token);
        refused(401, 40101, "unauthenticated").check(case, &response);
        let expected = "Bearer error=\"invalid_token\", resource_metadata=\"";
        assert!(challenge(&response).starts_with(expected), "{case}: {}", challenge(&response));
        says_nothing_inside(case, &response.text());
    }
    let to = |path: &str| Request::modern_call(path, "echo", json!({ "text": "x" }));
    let request = || to("/mcp");
    let bearer = format!("Bearer {good}");
    for (case, request) in [
        ("twice", request().header("Authorization", &bearer).header("Authorization", &bearer)),
        ("no token", request().header("Authorization", "Bearer")),
        ("two in one", request().header("Authorization", &format!("{bearer}, {bearer}"))),
        ("in the query", to(&format!("/mcp?access_token={good}"))),
        ("also in the query", to("/mcp?access_token=x").header("Authorization", &bearer)),
    ] {
        let response = request.send(gateway.address());
        assert_eq!(response.status, 400, "{case}: {}", response.text());
        assert!(challenge(&response).starts_with("Bearer error=\"invalid_request\""), "{case}");
    }
    assert_eq!(upstream.bytes_in(), 0);

    assert_eq!(call(&gateway, &good).status, 200);
    let seen = upstream.requests();
    assert!(seen.iter().all(|request| request.header("authorization").is_none()), "the token went upstream");
    let log = gateway.process().log();
    let audit = std::fs::read_dir(gateway.dir().join("audit")).unwrap().flatten();
    let audit: Vec<Vec<u8>> = audit
        .filter(|entry| entry.path().is_file())
        .map(|entry| std::fs::read(entry.path()).unwrap())
        .collect();
    let metrics = gateway.admin_get("/metrics").text();
    for (case, token) in tokens.iter().map(|(case, token)| (*case, token)).chain([("good", &good)]) {
        let canary = &token[token.len() - 30..];
        assert!(!log.contains(canary) && !metrics.contains(canary), "{case}");
        assert!(!audit.iter().any(|file| file.windows(30).any(|part| part == canary.as_bytes())), "{case}");
    }
}

#[test]
fn keys_rotate_and_issuers_fail() {
    let Some(issuer) = Issuer::start() else { return };
    let upstream = accepting();
    let times = "          jwks: { refresh_ms: 60000, stale_ms: 60000, cooldown_ms: 1000 }\n";
    let gateway = setup(&issuer, &upstream.url(), times, MODERN).start();
    let here = gateway.url("/mcp");
    let old = issuer.token("alice", &here, "mcp");
    assert_eq!(call(&gateway, &old).status, 200);
    issuer.control("rotate");
    let new = issuer.token("alice", &here, "mcp");
    until("the new key should be found", || (call(&gateway, &new).status == 200).then_some(()));
    issuer.control("outage");
    // Of the old key only what is remembered is left; the new one outlasts the issuer.
    assert_eq!(call(&gateway, &old).status, 200);
    assert_eq!(call(&gateway, &new).status, 200);
}

#[test]
fn beyond_the_bound_nobody_is_judged_by_old_keys() {
    let Some(issuer) = Issuer::start() else { return };
    let upstream = accepting();
    let times = "          jwks: { refresh_ms: 1000, stale_ms: 1500, cooldown_ms: 1000 }\n      cache: { ttl_max_ms: 0 }\n";
    let gateway = setup(&issuer, &upstream.url(), times, MODERN).start();
    let token = issuer.token("alice", &gateway.url("/mcp"), "mcp");
    assert_eq!(call(&gateway, &token).status, 200);
    issuer.control("outage");
    let response = until("the keys should be too old", || {
        let response = call(&gateway, &token);
        (response.status != 200).then_some(response)
    });
    refused(503, 50304, "identity_unavailable").check("an outage", &response);
    assert!(response.header("retry-after").is_some());
    assert_eq!(response.header("www-authenticate"), None, "another token would not help");
    issuer.control("outage");
    until("the issuer is back", || (call(&gateway, &token).status == 200).then_some(()));
}

#[test]
fn opaque_tokens_are_worth_what_their_issuer_says() {
    let Some(issuer) = Issuer::start() else { return };
    let upstream = accepting();
    let asked = format!(
        "          claims: {{ subject: client_id }}\n          introspection:\n            client_id: {CLIENT}\n            \
         client_secret: $secret://env/CLIENT_SECRET\n            allow_missing_audience: true\n"
    );
    let mut gateway = setup(&issuer, &upstream.url(), &asked, MODERN).start();
    assert_eq!(call(&gateway, &issuer.client_token(None)).status, 200);
    assert_eq!(call(&gateway, "invented").status, 401);
    issuer.control("outage");
    assert_eq!(call(&gateway, "invented-in-an-outage").status, 503);
    assert!(!gateway.process().log().contains(SECRET));
}

#[test]
fn a_callers_token_is_exchanged_for_one_of_the_upstreams() {
    let Some(issuer) = Issuer::start() else { return };
    let upstream = accepting();
    let exchange = format!(
        "{MODERN}    credentials:
      type: token_exchange
      token_url: {}/token
      client_id: {CLIENT}
      client_secret: $secret://env/CLIENT_SECRET
      audience: urn:upstream
",
        issuer.url
    );
    let gateway = setup(&issuer, &upstream.url(), "", &exchange).start();
    for login in ["alice", "bob"] {
        let token = issuer.token(login, &gateway.url("/mcp"), "mcp");
        for _ in 0..2 {
            let response = call(&gateway, &token);
            assert_eq!(response.status, 200, "{}", response.text());
        }
        let seen = upstream.requests().pop().unwrap();
        let presented = seen.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned();
        assert_ne!(presented, token, "the caller's own token went upstream");
        assert_eq!(issuer::claims(&presented)["sub"], login);
        assert_eq!(issuer::claims(&presented)["aud"], "urn:upstream");
    }
    let exchanged: Vec<Value> = issuer.said();
    assert_eq!(exchanged.len(), 2, "one exchange for each token: {exchanged:?}");
}

#[test]
fn the_official_client_gets_a_token_by_itself() {
    let Some(issuer) = Issuer::start() else { return };
    let scripts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/scripts");
    let installed = packages::npm(&scripts).and_then(|modules| Ok((packages::node(&modules)?, modules)));
    let (node, modules) = match installed {
        Ok(installed) => installed,
        Err(missing) => return packages::skip("the official client", &missing),
    };
    let fixture = Fixture::start();
    let gateway = setup(&issuer, &fixture.url(), "          required_scopes: [mcp]\n", "").start();
    let mut script = Command::new(node);
    let output =
        script.arg(modules.join("oauth-1.mjs")).arg(gateway.url("/mcp")).args([CLIENT, SECRET]).output();
    let output = output.expect("cannot run the client");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let said: Value =
        serde_json::from_str(said.trim()).unwrap_or_else(|error| panic!("{error}: {said} {errors}"));
    assert_eq!(said["echo"]["content"][0]["text"], "hello", "{said}");
}
