//! What the gateway presents to upstreams: its own credentials, never the client's.
//!
//! The authorization server is npm `oidc-provider`. It has no token exchange (RFC 8693), so of that only the refusals are
//! proved here.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mcpg_tests::key::key;
use mcpg_tests::mcp::Session;
use mcpg_tests::{Fixture, Gateway, Process, RawUpstream, Seen, Setup, Step, packages, scenes, until};
use serde_json::{Value, json};

use mcpg_tests::client::{Client, capabilities};

const PERMIT: &str = "permit (principal, action, resource);\n";
/// Which revisions the upstream speaks.
const ERAS: &[&[&str]] = &[&[]];
const SECRET: &str = "a-secret-of-the-gateway";

#[test]
fn a_clients_credentials_go_no_further() {
    for era in ERAS {
        let fixture = Fixture::start_with(era);
        let gateway =
            scenes::governed_federation(&[("up", &format!("    url: {}\n", fixture.url()))], "", PERMIT)
                .start();
        for (client_era, client) in clients(&gateway, "alice") {
            let params = json!({ "name": "request_headers", "arguments": {} });
            let mut request = client.request("tools/call", params);
            for (name, value) in [
                ("Cookie", "session=canary"),
                ("Proxy-Authorization", "Basic canary"),
                ("X-Forwarded-For", "203.0.113.9"),
                ("Forwarded", "for=203.0.113.9"),
            ] {
                request = request.header(name, value);
            }
            let answer = request.send(gateway.address()).json();
            let seen = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
            let case = format!("{client_era} client, {era:?}: {seen}");
            for secret in ["canary", "203.0.113.9", &key("alice")] {
                assert!(!seen.contains(secret), "{case}");
            }
            let headers: Value = serde_json::from_str(seen).unwrap();
            for name in ["authorization", "cookie", "proxy-authorization"] {
                assert_eq!(headers[name], Value::Null, "{case}");
            }
        }
    }
}

#[test]
fn a_static_secret_is_presented_and_not_shown() {
    let fixture = Fixture::start();
    let lines = format!(
        "    url: {}\n    headers: {{ Authorization: Bearer $secret://env/STATIC }}\n",
        fixture.url()
    );
    let mut gateway =
        scenes::governed_federation(&[("up", &lines)], "", PERMIT).env("STATIC", "the-static-token").start();
    for (era, client) in clients(&gateway, "alice") {
        let result = client.call("request_headers", json!({}));
        let seen = result["content"][0]["text"].as_str().unwrap_or_default();
        assert!(seen.contains("Bearer the-static-token"), "{era}: {seen}");
    }
    assert!(!gateway.process().log().contains("the-static-token"));
}

#[test]
fn a_token_of_the_gateways_own_is_fetched_once_and_kept() {
    let Some(issuer) = Issuer::start("600") else { return };
    let upstream = accepting();
    let gateway = issuer.setup(&upstream, "client_credentials", "      scope: tools:read\n").start();
    for name in ["alice", "bob"] {
        let client = Client::modern(gateway.address(), "/mcp").with_key(&key(name));
        for _ in 0..3 {
            client.call("whoami", json!({}));
        }
    }
    let granted = issuer.answers();
    assert_eq!(granted.len(), 1, "one token for all callers: {granted:?}");
    assert_eq!(granted[0]["params"]["grant_type"], "client_credentials");
    assert_eq!(granted[0]["params"]["scope"], "tools:read");
    assert_eq!(granted[0]["basic"], true, "the secret is in the header, as by default");
    let expected = format!("Bearer {}", granted[0]["token"].as_str().unwrap());
    for seen in calls(&upstream) {
        assert_eq!(seen.header("authorization"), Some(expected.as_str()));
    }
}

#[test]
fn a_token_is_for_the_resource_that_is_configured() {
    let Some(issuer) = Issuer::start("600") else { return };
    let upstream = accepting();
    let more = "      auth: post\n      resource: https://tools.example/mcp\n";
    let gateway = issuer.setup(&upstream, "client_credentials", more).start();
    Client::modern(gateway.address(), "/mcp").with_key(&key("alice")).call("whoami", json!({}));
    let granted = issuer.answers();
    assert_eq!(granted[0]["params"]["resource"], "https://tools.example/mcp", "{granted:?}");
    assert_eq!(granted[0]["basic"], false, "the secret is in the body");
    let token = calls(&upstream)[0].header("authorization").unwrap().to_owned();
    assert_eq!(token.matches('.').count(), 2, "the issuer's own JWT: {token}");
}

#[test]
fn a_token_is_fetched_again_before_it_ends() {
    let Some(issuer) = Issuer::start("2") else { return };
    let upstream = accepting();
    let gateway = issuer.setup(&upstream, "client_credentials", "").start();
    let client = Client::modern(gateway.address(), "/mcp").with_key(&key("alice"));
    until("another token should be fetched", || {
        client.call("whoami", json!({}));
        (issuer.answers().len() > 1).then_some(())
    });
    let last = calls(&upstream).pop().unwrap();
    assert!(issuer.answers().iter().any(|granted| last.header("authorization") == Some(&bearer(granted))));
}

#[test]
fn a_token_that_the_upstream_refuses_is_replaced() {
    // Straight through, and message by message.
    for era in ["modern", "legacy"] {
        let (issuer, good) = (Counting::start(), Arc::new(AtomicUsize::new(1)));
        let upstream = accepting_only(&good);
        let lines = lines(&upstream, "client_credentials", &issuer.url(), "");
        let gateway =
            scenes::governed_federation(&[("up", &lines)], "", PERMIT).env("CLIENT_SECRET", SECRET).start();
        let client = match era {
            "modern" => Client::modern(gateway.address(), "/mcp").with_key(&key("alice")),
            _ => Client::Legacy(Session::open(gateway.address(), "/mcp", Some(&key("alice")))),
        };
        let call = || client.send("tools/call", json!({ "name": "whoami", "arguments": {} }));
        let is_served = || call().json()["result"]["content"][0]["text"] == "ok";
        assert!(is_served(), "{era}");
        good.store(2, Ordering::SeqCst);
        // One that has just been granted is not thrown away at the first word.
        let asked = until("the token should be replaced", || {
            let before = calls(&upstream).len();
            is_served().then(|| calls(&upstream).len() - before)
        });
        assert_eq!(asked, 2, "{era}: within one call");
        let seen = calls(&upstream);
        let presented = |seen: &Seen| seen.header("authorization").map(str::to_owned);
        let last: Vec<_> = seen[seen.len() - 2..].iter().map(presented).collect();
        assert_eq!(last, [Some("Bearer token-1".into()), Some("Bearer token-2".into())], "{era}");
        assert_eq!(issuer.granted(), 2, "{era}");

        good.store(0, Ordering::SeqCst);
        let before = calls(&upstream).len();
        let refused = call();
        assert!(refused.json()["result"].is_null(), "{era}: {}", refused.text());
        assert_eq!(
            (calls(&upstream).len() - before, issuer.granted()),
            (1, 2),
            "{era}: it goes round and round"
        );
    }
}

#[test]
fn a_key_of_the_gateway_is_not_given_to_an_issuer() {
    // What can be exchanged is a token of the caller's issuer. An API key is a secret of this gateway.
    let Some(issuer) = Issuer::start("600") else { return };
    let upstream = accepting();
    let gateway = issuer.setup(&upstream, "token_exchange", "      audience: tools\n").start();
    let client = Client::modern(gateway.address(), "/mcp").with_key(&key("alice"));
    let response = client.send("tools/call", json!({ "name": "whoami", "arguments": {} }));
    assert_eq!(response.status, 502, "{}", response.text());
    assert_eq!(issuer.answers(), Vec::<Value>::new(), "the issuer was asked");
    assert!(calls(&upstream).is_empty(), "the upstream was asked");
}

#[test]
fn without_a_token_the_upstream_is_not_asked() {
    let Some(issuer) = Issuer::start("600") else { return };
    let upstream = accepting();
    for (case, setup) in [
        ("a wrong secret", issuer.setup(&upstream, "client_credentials", "").env("CLIENT_SECRET", "wrong")),
        ("no issuer", {
            let port = mcpg_tests::free_port();
            let lines = lines(&upstream, "client_credentials", &format!("http://127.0.0.1:{port}/token"), "");
            scenes::governed_federation(&[("up", &lines)], "", PERMIT).env("CLIENT_SECRET", SECRET)
        }),
    ] {
        let mut gateway = setup.start();
        let client = Client::modern(gateway.address(), "/mcp").with_key(&key("alice"));
        let response = client.send("tools/call", json!({ "name": "whoami", "arguments": {} }));
        assert!(response.status >= 500, "{case}: {}", response.text());
        crate::expect::says_nothing_inside(case, &response.text());
        assert!(calls(&upstream).is_empty(), "{case}");
        assert!(!gateway.process().log().contains(SECRET), "{case}");
    }
}

/// An issuer whose tokens are numbered.
pub(crate) struct Counting {
    issuer: RawUpstream,
    granted: Arc<AtomicUsize>,
}

impl Counting {
    pub(crate) fn start() -> Self {
        let granted = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&granted);
        let issuer = RawUpstream::unaided(move |_| {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            let token = json!({ "access_token": format!("token-{number}"), "token_type": "Bearer", "expires_in": 600 });
            vec![Step::Send(answer("200 OK", &token.to_string()))]
        });
        Self { issuer, granted }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/token", self.issuer.address())
    }

    pub(crate) fn granted(&self) -> usize {
        self.granted.load(Ordering::SeqCst)
    }
}

/// Answers calls with the token of this number only, and refuses others by 401.
fn accepting_only(good: &Arc<AtomicUsize>) -> RawUpstream {
    let good = Arc::clone(good);
    RawUpstream::start(move |seen| {
        let token = format!("token-{}", good.load(Ordering::SeqCst));
        let message = seen.json();
        let called = message["method"] == "tools/call";
        if called && seen.header("authorization") != Some(&format!("Bearer {token}")) {
            return vec![Step::Send(answer("401 Unauthorized", ""))];
        }
        let result =
            json!({ "resultType": "complete", "content": [{ "type": "text", "text": "ok" }], "tools": [] });
        let body = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
        vec![Step::Send(answer("200 OK", &body.to_string()))]
    })
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into()
}

struct Issuer {
    process: Process,
    url: String,
    _folder: tempfile::TempDir,
}

impl Issuer {
    /// None, aloud, where there is no Node. `lifetime` is of its tokens, in seconds.
    fn start(lifetime: &str) -> Option<Self> {
        let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/issuer");
        let installed = packages::npm(&pins).and_then(|modules| Ok((packages::node(&modules)?, modules)));
        let (node, modules) = match installed {
            Ok(installed) => installed,
            Err(missing) => {
                packages::skip("credentials", &missing);
                return None;
            }
        };
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(node);
        command.arg(modules.join("issuer.mjs")).args(["mcpg", SECRET, lifetime]);
        let mut process = Process::start("issuer", &mut command, &folder.path().join("issuer.log"));
        let url = until("the issuer should announce its address", || {
            assert_eq!(process.exited(), None, "{}", process.log());
            let log = process.log();
            let (line, _) = log.split_once("listening on ")?.1.split_once('\n')?;
            Some(line.to_owned())
        });
        Some(Self { process, url, _folder: folder })
    }

    fn setup(&self, upstream: &RawUpstream, kind: &str, more: &str) -> Setup {
        let lines = lines(upstream, kind, &format!("{}/token", self.url), more);
        scenes::governed_federation(&[("up", &lines)], "", PERMIT).env("CLIENT_SECRET", SECRET)
    }

    /// What its token endpoint answered, oldest first.
    fn answers(&self) -> Vec<Value> {
        self.process.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

fn lines(upstream: &RawUpstream, kind: &str, token_url: &str, more: &str) -> String {
    format!(
        "    url: {}
    protocol: 2026-07-28
    credentials:
      type: {kind}
      token_url: {token_url}
      client_id: mcpg
      client_secret: $secret://env/CLIENT_SECRET
{more}",
        upstream.url()
    )
}

/// Answers every call.
fn accepting() -> RawUpstream {
    RawUpstream::result(
        json!({ "resultType": "complete", "content": [{ "type": "text", "text": "ok" }], "tools": [] }),
    )
}

fn calls(upstream: &RawUpstream) -> Vec<Seen> {
    upstream.requests().into_iter().filter(|seen| seen.json()["method"] == "tools/call").collect()
}

fn bearer(granted: &Value) -> String {
    format!("Bearer {}", granted["token"].as_str().unwrap_or_default())
}

fn clients(gateway: &Gateway, name: &str) -> [(&'static str, Client); 2] {
    let session = Session::open_with(gateway.address(), "/mcp", Some(&key(name)), capabilities());
    [
        ("modern", Client::modern(gateway.address(), "/mcp").with_key(&key(name))),
        ("legacy", Client::Legacy(session)),
    ]
}
