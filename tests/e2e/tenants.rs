//! Several tenants in one gateway: each request is its own tenant's, and nothing crosses.

use std::thread;

use mcpg_tests::key::key;
use mcpg_tests::mcp::{Request, Session};
use mcpg_tests::tls::Authority;
use mcpg_tests::{Fixture, Gateway, Ledger, RawHttp, RawUpstream, Response, Setup, Signal, Step, until};
use serde_json::json;

use crate::expect::refused;

const PERMIT: &str = "permit (principal, action, resource);\n";
const ACME: &str = "acme.mcpg.test";
const UMBRELLA: &str = "umbrella.mcpg.test";

/// A tenant of both kinds: the same key is somebody else's in each, the same binding and tool lead elsewhere.
fn tenant(scope: &str, more: &str, subject: &str, policies: &str, upstream: &str) -> String {
    format!(
        "    - scope: {scope}
{more}      plugins:
        - id: identity.api-key
          config: {{ tokens: [{{ token: $secret://env/SHARED, id: laptop, subject: \"{subject}\" }}] }}
        - {{ id: policy.cedar, config: {{ bundle: ./{policies} }} }}
        - {{ id: reliability.rate-limit, config: {{ per_caller: {{ requests: 400, per: 1h, burst: 400 }} }} }}
      bindings:
        - {{ id: files, type: mcp, url: {upstream} }}
"
    )
}

fn setup(scopes: &[String]) -> Setup {
    let config = format!(
        "server: {{ listen: [\"{{listen}}\"], admin: \"{{admin}}\", trusted_proxies: [127.0.0.1] }}
audit: {{ dir: ./audit }}
tenancy:
  subdomain_routing: {{ enabled: true, suffix: mcpg.test }}
  header: x-mcpg-tenant
  scopes:
{}",
        scopes.concat()
    );
    Setup::new(&config)
        .file("open/policy.cedar", PERMIT)
        .file("closed/policy.cedar", "permit (principal, action == Action::\"files.echo\", resource);\n")
        .env("SHARED", &key("shared"))
}

fn two(acme: &str, umbrella: &str) -> Setup {
    setup(&[
        tenant("acme-corp/team/prod", "      subdomain: acme\n", "user:alice@acme.com", "open", acme),
        tenant("umbrella/team/prod", "", "user:eve@umbrella.com", "open", umbrella),
    ])
}

fn call(path: &str, host: &str, text: &str) -> Request {
    Request::modern_call(path, "echo", json!({ "text": text })).header("Host", host).bearer(&key("shared"))
}

/// What an upstream answers that says whose it is.
fn upstream(name: &'static str) -> RawUpstream {
    RawUpstream::result(json!({
        "resultType": "complete", "content": [{ "type": "text", "text": format!("of {name}") }],
    }))
}

fn answered_by(response: &Response) -> String {
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["result"]["content"][0]["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_request_is_for_whom_it_says() {
    let (acme, umbrella, staging) = (upstream("acme"), upstream("umbrella"), upstream("staging"));
    let gateway = setup(&[
        tenant(
            "acme-corp/team/prod",
            "      subdomain: acme\n      hosts: [mcp.acme.test]\n",
            "user:alice@acme.com",
            "open",
            &acme.url(),
        ),
        tenant(
            "acme-corp/team/staging",
            "      subdomain: acme\n",
            "user:a@acme.com",
            "open",
            &staging.url(),
        ),
        tenant("umbrella/team/prod", "", "user:eve@umbrella.com", "open", &umbrella.url()),
    ])
    .start();
    let (prod, staged) = ("/t/acme-corp/team/prod/mcp", "/t/acme-corp/team/staging/mcp");
    for (host, path, header, expected) in [
        ("mcp.acme.test", "/mcp", None, "of acme"),
        ("MCP.Acme.Test:8443", "/mcp", None, "of acme"),
        ("mcp.acme.test", "/bindings/files/mcp", None, "of acme"),
        (UMBRELLA, "/mcp", None, "of umbrella"),
        ("UMBRELLA.mcpg.TEST", "/mcp", None, "of umbrella"),
        (ACME, prod, None, "of acme"),
        (ACME, staged, None, "of staging"),
        (ACME, "/t/acme-corp/team/staging/bindings/files/mcp", None, "of staging"),
        (ACME, "/mcp", Some("acme-corp/team/staging"), "of staging"),
        (ACME, staged, Some("acme-corp/team/staging"), "of staging"),
        (UMBRELLA, "/mcp", Some("umbrella/team/prod"), "of umbrella"),
    ] {
        let case = format!("{host} {path} {header:?}");
        let request = call(path, host, "x").set("X-Mcpg-Tenant", header);
        let response = request.send(gateway.address());
        assert_eq!(response.status, 200, "{case}: {}", response.text());
        assert_eq!(answered_by(&response), expected, "{case}");
    }
    let (misdirected, mismatch) =
        (refused(421, 42101, "misdirected"), refused(403, 40301, "tenant_mismatch"));
    let (required, unknown) = (refused(404, 40401, "scope_required"), refused(404, 40401, "unknown_scope"));
    let before = [&acme, &umbrella, &staging].map(|upstream| upstream.bytes_in());
    for (host, path, header, expected) in [
        (ACME, "/mcp", None, required),
        ("mcpg.test", "/mcp", None, misdirected),
        ("acme.mcpg.test.", "/mcp", None, misdirected),
        ("acme.mcpg.test.evil", "/mcp", None, misdirected),
        ("x.acme.mcpg.test", "/mcp", None, misdirected),
        ("acme-corp.mcpg.test", "/mcp", None, misdirected),
        (".mcpg.test", "/mcp", None, misdirected),
        ("other.mcpg.test", "/mcp", None, misdirected),
        ("evil.test", prod, None, misdirected),
        ("evil.test", "/mcp", Some("umbrella/team/prod"), misdirected),
        (UMBRELLA, prod, None, misdirected),
        ("mcp.acme.test", staged, None, misdirected),
        (UMBRELLA, "/mcp", Some("acme-corp/team/prod"), mismatch),
        (ACME, prod, Some("acme-corp/team/staging"), mismatch),
        (UMBRELLA, "/mcp", Some("umbrella/team"), mismatch),
        (UMBRELLA, "/mcp", Some("nobody/team/prod"), mismatch),
        (UMBRELLA, "/mcp", Some(""), mismatch),
        (ACME, "/t/acme-corp/team/nowhere/mcp", None, unknown),
        (ACME, "/t/acme-corp/team%2Fprod/mcp", None, unknown),
        (ACME, "/t/ACME-CORP/team/prod/mcp", None, unknown),
        (ACME, "/t/acme-corp/team/prod/../staging/mcp", None, unknown),
        (ACME, "/t//acme-corp/team/prod/mcp", None, unknown),
        (UMBRELLA, "/v1/orgs", None, refused(404, 40401, "control_plane_path")),
    ] {
        let case = format!("{host} {path} {header:?}");
        expected.check(&case, &call(path, host, "x").set("X-Mcpg-Tenant", header).send(gateway.address()));
    }
    let twice = call("/mcp", UMBRELLA, "x").header("X-Mcpg-Tenant", "umbrella/team/prod");
    let twice = twice.header("X-Mcpg-Tenant", "acme-corp/team/prod");
    mismatch.check("two headers", &twice.send(gateway.address()));
    assert_eq!(
        [&acme, &umbrella, &staging].map(|upstream| upstream.bytes_in()),
        before,
        "an upstream was asked"
    );
    let told = [&acme, &umbrella, &staging]
        .iter()
        .flat_map(|upstream| upstream.requests())
        .all(|seen| seen.header("x-mcpg-tenant").is_none() && seen.header("authorization").is_none());
    assert!(told, "an upstream was told the tenant, or the key");
}

#[test]
fn the_header_of_a_stranger_means_nothing() {
    let (acme, umbrella) = (upstream("acme"), upstream("umbrella"));
    let trusting = "trusted_proxies: [127.0.0.1]";
    let config = two(&acme.url(), &umbrella.url());
    let text = std::fs::read_to_string(config.dir().join("mcpg.yaml")).unwrap();
    let gateway = config.file("mcpg.yaml", &text.replace(trusting, "trusted_proxies: [10.9.9.9]")).start();
    let response = call("/mcp", UMBRELLA, "x").header("X-Mcpg-Tenant", "acme-corp/team/prod");
    assert_eq!(answered_by(&response.send(gateway.address())), "of umbrella");
}

#[test]
fn nothing_crosses_between_tenants_under_load() {
    let (acme, umbrella) = (echoing("acme"), echoing("umbrella"));
    let gateway = two(&acme.url(), &umbrella.url()).start();
    let address = gateway.address();
    // The same key, tool, arguments and JSON-RPC ids, at once.
    thread::scope(|scope| {
        for worker in 0..8 {
            scope.spawn(move || {
                for round in 0..40 {
                    let (host, name) =
                        if (worker + round) % 2 == 0 { (ACME, "acme") } else { (UMBRELLA, "umbrella") };
                    let text = answered_by(&call("/mcp", host, &format!("round {round}")).send(address));
                    assert_eq!(text, format!("{name}: round {round}"));
                }
            });
        }
    });
    for (upstream, subject) in [(&acme, "alice"), (&umbrella, "eve")] {
        assert_eq!(upstream.requests().len(), 160, "{subject}");
    }
    let metrics = gateway.metrics();
    for org in ["acme-corp", "umbrella"] {
        let labels = [("org", org), ("workspace", "team"), ("env", "prod"), ("outcome", "permitted")];
        assert_eq!(metrics.sum("mcpg_requests_total", &labels), 160.0, "{org}");
    }
    let dir = gateway.dir().join("audit");
    drop_gateway(gateway, |_| {
        for (org, own, other) in [
            ("acme-corp", "alice@acme.com", "eve@umbrella.com"),
            ("umbrella", "eve@umbrella.com", "alice@acme.com"),
        ] {
            let ledger = Ledger::at(&dir.join("orgs").join(org));
            let rows = ledger.rows();
            let text = rows.iter().map(ToString::to_string).collect::<String>();
            let decisions = rows.iter().filter(|row| row["kind"] == "decision").count();
            assert_eq!(decisions, 160, "{org}");
            assert!(text.contains(own) && !text.contains(other), "{org}");
        }
    });
}

/// Runs `check` once the gateway's log is at rest.
fn drop_gateway(mut gateway: Gateway, check: impl FnOnce(&Gateway)) {
    gateway.process().signal(Signal::Terminate);
    gateway.process().wait();
    check(&gateway);
}

/// Answers with its name and the text that it was called with.
fn echoing(name: &'static str) -> RawUpstream {
    RawUpstream::start(move |seen| {
        let message = seen.json();
        let text = message["params"]["arguments"]["text"].as_str().unwrap_or_default();
        let content = json!([{ "type": "text", "text": format!("{name}: {text}") }]);
        let result = json!({ "resultType": "complete", "content": content });
        let body = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }).to_string();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
        vec![Step::Send(format!("{head}{}\r\n\r\n{body}", body.len()).into_bytes())]
    })
}

#[test]
fn limits_and_policies_are_each_tenants_own() {
    let (acme, umbrella) = (upstream("acme"), upstream("umbrella"));
    let strict =
        tenant("acme-corp/team/prod", "      subdomain: acme\n", "user:a@acme.com", "closed", &acme.url())
            .replace("requests: 400, per: 1h, burst: 400", "requests: 1, per: 1h, burst: 2");
    let open = tenant("umbrella/team/prod", "", "user:a@acme.com", "open", &umbrella.url());
    let gateway = setup(&[strict, open]).start();
    let other = |host: &str| {
        let request = Request::modern_call("/mcp", "delete", json!({})).header("Host", host);
        request.bearer(&key("shared")).send(gateway.address())
    };
    assert_eq!(other(UMBRELLA).status, 200);
    refused(403, 40301, "denied").check("acme's policy", &other(ACME));
    assert_eq!(call("/mcp", ACME, "x").send(gateway.address()).status, 200);
    let limited = call("/mcp", ACME, "x").send(gateway.address());
    refused(429, 42901, "rate_limited").check("acme's limit", &limited);
    // The same subject elsewhere has used nothing.
    for _ in 0..5 {
        assert_eq!(call("/mcp", UMBRELLA, "x").send(gateway.address()).status, 200);
    }
}

#[test]
fn a_session_is_its_tenants() {
    let (acme, umbrella) = (Fixture::start(), Fixture::start());
    let gateway = two(&acme.url(), &umbrella.url()).start();
    let path = |scope: &str| format!("/t/{scope}/mcp");
    // The gateway's own hosts lead nowhere by themselves, so the path says whose session it is.
    let (own, foreign) = (path("acme-corp/team/prod"), path("umbrella/team/prod"));
    let session = Session::open(gateway.address(), &own, Some(&key("shared")));
    assert_eq!(session.call("echo", json!({ "text": "x" })).status, 200);
    let there = session.at_path(&foreign);
    assert_eq!(there.call("echo", json!({ "text": "x" })).status, 404);
    assert_eq!(there.end().status, 404);
    assert_eq!(session.call("echo", json!({ "text": "x" })).status, 200, "the session is as it was");
}

#[test]
fn a_reload_of_one_tenant_is_no_other_tenants() {
    let (acme, umbrella) = (upstream("acme"), upstream("umbrella"));
    let small = |policies: &str, url: &str| {
        format!(
            "tenancy: {{ scope: umbrella/team/prod }}
plugins:
  - identity.anonymous
  - {{ id: policy.cedar, config: {{ bundle: ./{policies} }} }}
bindings: [{{ id: files, type: mcp, url: {url} }}]
"
        )
    };
    let acme_own =
        tenant("acme-corp/team/prod", "      subdomain: acme\n", "user:a@acme.com", "open", &acme.url());
    let by_file = "    - file: ./umbrella/gateway.yaml\n".to_owned();
    let mut gateway = setup(&[acme_own, by_file])
        .file("umbrella/gateway.yaml", &small("policies", &umbrella.url()))
        .file("umbrella/policies/p.cedar", PERMIT)
        .start();
    let status =
        |host: &str| call("/mcp", host, "x").set("Authorization", None).send(gateway.address()).status;
    assert_eq!(status(UMBRELLA), 200);
    assert_eq!(status(ACME), 401, "nobody is anonymous there");
    let (address, revision) = (gateway.address(), "mcpg_revision_number");
    let first = gateway.metrics().sum(revision, &[]);
    gateway.replace("umbrella/policies/p.cedar", "forbid (principal, action, resource);\n");
    gateway.process().signal(Signal::Hangup);
    until("the second revision", || (gateway.metrics().sum(revision, &[]) > first).then_some(()));
    let status = |host: &str| call("/mcp", host, "x").set("Authorization", None).send(address).status;
    assert_eq!(status(UMBRELLA), 403, "its own policy is in force");
    assert_eq!(call("/mcp", ACME, "x").send(address).status, 200);
    // What is wrong in one tenant's file changes nothing for anyone, and says where.
    gateway.replace("umbrella/gateway.yaml", "bindings: [{ id: files, type: mcp, ulr: x }]\n");
    gateway.process().signal(Signal::Hangup);
    until("the refusal", || {
        let text = gateway.admin_get("/revision").text();
        (text.contains("umbrella/gateway.yaml") && text.contains("ulr")).then_some(())
    });
    assert_eq!(status(UMBRELLA), 403);
    assert_eq!(call("/mcp", ACME, "x").send(address).status, 200);
}

#[test]
fn a_small_gateway_answers_as_the_big_one_does() {
    let (acme, umbrella) = (upstream("acme"), upstream("umbrella"));
    let big = two(&acme.url(), &umbrella.url()).start();
    let alone = || two(&acme.url(), &umbrella.url()).argument("--scope");
    let small = alone().argument("umbrella/team/prod").start();
    for path in ["/mcp", "/bindings/files/mcp", "/t/umbrella/team/prod/mcp", "/nothing"] {
        let [here, there] = [&big, &small].map(|gateway| call(path, UMBRELLA, "x").send(gateway.address()));
        assert_eq!((here.status, here.text()), (there.status, there.text()), "{path}");
    }
    // Its own hosts are its only scope's; the other tenant is not there.
    let own = small.address().to_string();
    assert_eq!(answered_by(&call("/mcp", &own, "x").send(small.address())), "of umbrella");
    let misdirected = refused(421, 42101, "misdirected");
    misdirected.check("the other tenant", &call("/mcp", ACME, "x").send(small.address()));
    assert!(acme.requests().is_empty());
    let said = alone().argument("nobody/team/prod").start_refused();
    assert!(said.contains("nobody/team/prod"), "{said}");
}

#[test]
fn a_scope_with_tls_of_its_own_is_served_under_its_own_terms() {
    let (acme, umbrella) = (upstream("acme"), upstream("umbrella"));
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let pair = |name: &str| {
        let issued = authority.issue(folder.path(), name);
        format!("certificate: {}, private_key: {}", issued.chain.display(), issued.key.display())
    };
    let own_tls = format!("      subdomain: acme\n      tls: {{ {} }}\n", pair(ACME));
    let scopes = [
        tenant("acme-corp/team/prod", &own_tls, "user:alice@acme.com", "open", &acme.url()),
        tenant("umbrella/team/prod", "", "user:eve@umbrella.com", "open", &umbrella.url()),
    ];
    let config = setup(&scopes);
    let text = std::fs::read_to_string(config.dir().join("mcpg.yaml")).unwrap();
    let server =
        format!("tls: {{ {}, certificates: [{{ {} }}] }}, admin:", pair("localhost"), pair(UMBRELLA));
    let gateway = config.file("mcpg.yaml", &text.replacen("admin:", &server, 1)).start();
    let send = |server_name: &str, host: &str, path: &str| {
        let mut connection =
            RawHttp::connect_tls(gateway.address(), &authority, server_name).expect(server_name);
        connection.send(&call(path, host, "x").bytes(gateway.address()));
        connection.response().unwrap()
    };
    assert_eq!(answered_by(&send(ACME, ACME, "/mcp")), "of acme");
    assert_eq!(answered_by(&send(UMBRELLA, UMBRELLA, "/mcp")), "of umbrella");
    assert_eq!(
        answered_by(&send("localhost", UMBRELLA, "/mcp")),
        "of umbrella",
        "the listener's terms are its own"
    );
    let asked = [&acme, &umbrella].map(|upstream| upstream.requests().len());
    for (server_name, host, path) in [
        ("localhost", ACME, "/mcp"),
        (UMBRELLA, ACME, "/mcp"),
        (ACME, UMBRELLA, "/mcp"),
        (ACME, ACME, "/t/umbrella/team/prod/mcp"),
        ("localhost", "localhost", "/t/acme-corp/team/prod/mcp"),
    ] {
        let case = format!("{server_name} {host} {path}");
        refused(421, 42101, "misdirected").check(&case, &send(server_name, host, path));
    }
    assert_eq!([&acme, &umbrella].map(|upstream| upstream.requests().len()), asked, "an upstream was asked");
}
