//! Several servers behind one endpoint: what is listed, in which order and for whom, and where each request goes.

use mcpg_tests::key::key;
use mcpg_tests::mcp::Session;
use mcpg_tests::{Fixture, Gateway, RawUpstream, Step, scenes, until};
use serde_json::{Value, json};

use crate::expect::refused;
use mcpg_tests::client::{Client, capabilities};

const LISTS: &[&str] = &["tools/list", "prompts/list", "resources/list", "resources/templates/list"];
/// Short enough for a test, long enough for a busy machine.
const IMPATIENT: &str =
    "federation: { initialize_timeout_ms: 2000, catalogue: { fetch_timeout_ms: 2000 } }\n";

#[test]
fn lists_are_merged_in_the_order_of_the_configuration() {
    let bench = Bench::start("federation: { page_size: 10 }\n");
    for (era, client) in Client::both(bench.gateway.address(), "/mcp") {
        for method in LISTS {
            let mut expected = Vec::new();
            for (id, fixture) in &bench.fixtures {
                let own = native(fixture).names(method);
                let separator = if method.starts_with("resources") { '+' } else { '.' };
                expected.extend(own.iter().map(|name| format!("{id}{separator}{name}")));
            }
            assert_eq!(client.names(method), expected, "{era} {method}");
            assert_eq!(client.names(method), expected, "{era} {method} again");
        }
    }
}

#[test]
fn definitions_are_the_servers_own_but_for_the_name() {
    let bench = Bench::start("");
    let client = Client::modern(bench.gateway.address(), "/mcp");
    let (_, fixture) = &bench.fixtures[2];
    let own = Client::modern(fixture.address(), "/mcp");
    let merged = client.list("tools/list");
    for mut tool in own.list("tools/list") {
        let name = format!("both.{}", tool["name"].as_str().unwrap());
        tool["name"] = json!(name);
        let found = merged.iter().find(|merged| merged["name"] == json!(name));
        assert_eq!(found, Some(&tool));
    }
}

#[test]
fn each_page_is_as_long_as_configured_and_each_cursor_is_ours() {
    let bench = Bench::start("federation: { page_size: 10 }\n");
    for (era, client) in Client::both(bench.gateway.address(), "/mcp") {
        let first = client.ask("tools/list", json!({}));
        assert_eq!(first["result"]["tools"].as_array().map(Vec::len), Some(10), "{era}");
        let cursor = first["result"]["nextCursor"].as_str().expect("there is more");
        for foreign in ["from-10", "", "AAAA", &format!("{cursor}A"), &cursor.to_uppercase()] {
            let answer = client.ask("tools/list", json!({ "cursor": foreign }));
            assert_eq!(answer["error"]["code"], -32602, "{era} `{foreign}`: {answer}");
        }
        let other = client.ask("prompts/list", json!({ "cursor": cursor }));
        assert_eq!(other["error"]["code"], -32602, "{era}: a cursor of another list: {other}");
    }
}

#[test]
fn requests_go_to_their_binding() {
    let bench = Bench::start("");
    for (era, client) in Client::both(bench.gateway.address(), "/mcp") {
        for (id, _) in &bench.fixtures {
            let case = format!("{era} {id}");
            let result = client.call(&format!("{id}.echo"), json!({ "text": case }));
            assert_eq!(result["content"][0]["text"], json!(case));
            let uri = format!("{id}+test://static-text");
            let read = client.ask("resources/read", json!({ "uri": uri }));
            assert_eq!(read["result"]["contents"][0]["uri"], json!(uri), "{case}: {read}");
            let uri = format!("{id}+test://template/7/data");
            let read = client.ask("resources/read", json!({ "uri": uri }));
            assert_eq!(read["result"]["contents"][0]["uri"], json!(uri), "{case}: {read}");
            let name = format!("{id}.test_prompt_with_arguments");
            let arguments = json!({ "arg1": "one", "arg2": "two" });
            let got = client.ask("prompts/get", json!({ "name": name, "arguments": arguments }));
            let text = got["result"]["messages"][0]["content"]["text"].as_str().unwrap_or_default();
            assert!(text.contains("arg1='one'"), "{case}: {got}");
            for reference in [
                json!({ "type": "ref/prompt", "name": name }),
                json!({ "type": "ref/resource", "uri": format!("{id}+test://template/{{id}}/data") }),
            ] {
                let argument = json!({ "name": "arg1", "value": "par" });
                let params = json!({ "ref": reference, "argument": argument });
                let completed = client.ask("completion/complete", params);
                let values = &completed["result"]["completion"]["values"];
                assert_eq!(*values, json!(["paris", "park", "party"]), "{case}: {completed}");
            }
        }
    }
}

#[test]
fn uris_in_results_are_the_endpoints() {
    let bench = Bench::start("");
    for (era, client) in Client::both(bench.gateway.address(), "/mcp") {
        for (id, _) in &bench.fixtures {
            let result = client.call(&format!("{id}.test_embedded_resource"), json!({}));
            let uri = result["content"][0]["resource"]["uri"].as_str().unwrap_or_default();
            assert!(uri.starts_with(&format!("{id}+test://")), "{era} {id}: {result}");
            let params = json!({
                "name": format!("{id}.test_prompt_with_embedded_resource"),
                "arguments": { "resourceUri": "test://example" },
            });
            let got = client.ask("prompts/get", params);
            let uri = &got["result"]["messages"][0]["content"]["resource"]["uri"];
            assert_eq!(*uri, json!(format!("{id}+test://example")), "{era} {id}: {got}");
        }
    }
}

#[test]
fn what_no_binding_has_is_a_defined_error() {
    let bench = Bench::start("");
    for (era, client) in Client::both(bench.gateway.address(), "/mcp") {
        let check = |method: &str, params: Value| {
            let answer = client.ask(method, params);
            assert!(answer["error"]["code"].is_i64(), "{era} {method}: {answer}");
            crate::expect::says_nothing_inside(era, &answer.to_string());
        };
        for name in [
            "echo",
            "nope.echo",
            ".echo",
            "both.",
            "both",
            "BOTH.echo",
            "both+echo",
            "both..echo",
            "old.both.echo",
        ] {
            check("tools/call", json!({ "name": name, "arguments": { "text": "x" } }));
            check("prompts/get", json!({ "name": name }));
        }
        for uri in [
            "test://static-text",
            "nope+test://static-text",
            "+test://static-text",
            "both.test://static-text",
        ] {
            check("resources/read", json!({ "uri": uri }));
        }
    }
}

#[test]
fn a_method_that_names_no_binding_is_for_a_lone_one() {
    // Policy leaves one binding of three: that does not say that it was meant.
    let bench = Bench::governed("permit (principal, action, resource in Binding::\"new\");\n");
    let address = bench.gateway.address();
    let alice = |path: &str| Client::modern(address, path).with_key(&key("alice"));
    let several = alice("/mcp").send("com.example/x", json!({}));
    refused(404, -32601, "one_binding_only").check("modern", &several);
    // The fixture knows no such method, and says so itself.
    let alone = alice("/bindings/new/mcp").send("com.example/x", json!({}));
    assert_eq!(alone.json()["error"]["code"], -32601, "{}", alone.text());
    assert!(!alone.text().contains("one_binding_only"), "{}", alone.text());
    // With a session 404 would say that it is gone.
    let open = Bench::start("");
    for method in ["tasks/list", "com.example/x"] {
        let several = Client::legacy(open.gateway.address(), "/mcp").send(method, json!({}));
        refused(200, -32601, "one_binding_only").check(method, &several);
    }
}

#[test]
fn a_list_shows_what_its_reader_may_use() {
    let bench = Bench::governed(
        r#"
permit (principal, action in Action::"protocol", resource);
permit (principal == User::"alice@acme.com", action, resource);
permit (principal == User::"bob@acme.com", action in [Action::"new.echo", Action::"both.add"], resource);
permit (principal == User::"bob@acme.com", action == Action::"prompts/get", resource in Binding::"old");
"#,
    );
    let address = bench.gateway.address();
    for era in ["modern", "legacy"] {
        let client = |name: &str| match era {
            "modern" => Client::modern(address, "/mcp").with_key(&key(name)),
            _ => Client::Legacy(Session::open_with(address, "/mcp", Some(&key(name)), capabilities())),
        };
        let [alice, bob] = ["alice", "bob"].map(client);
        assert!(alice.names("tools/list").len() > 100, "{era}: {:?}", alice.names("tools/list"));
        assert_eq!(bob.names("tools/list"), ["new.echo", "both.add"], "{era}");
        assert!(bob.names("prompts/list").iter().all(|name| name.starts_with("old.")), "{era}");
        assert!(!bob.names("prompts/list").is_empty(), "{era}");
        assert_eq!(bob.names("resources/list"), Vec::<String>::new(), "{era}");
        assert_eq!(bob.call("both.add", json!({ "a": 1, "b": 2 }))["structuredContent"]["sum"], 3.0, "{era}");
        let hidden = bob.send("tools/call", json!({ "name": "both.echo", "arguments": { "text": "x" } }));
        assert_eq!(hidden.status, 403, "{era}: {}", hidden.text());
    }
    let answer = Client::modern(address, "/mcp").with_key(&key("bob")).ask("tools/list", json!({}));
    assert_eq!(answer["result"]["cacheScope"], "private", "{answer}");
    assert!(answer["result"]["ttlMs"].is_u64(), "{answer}");
}

#[test]
fn the_endpoint_speaks_for_all_its_servers() {
    let bench = Bench::start("");
    let address = bench.gateway.address();
    let discovered = Client::modern(address, "/mcp").ask("server/discover", json!({}));
    let begun = Session::initialize(address, "/mcp", None).json();
    for answer in [&discovered, &begun] {
        let result = &answer["result"];
        for capability in ["tools", "prompts", "resources", "completions", "logging"] {
            assert!(result["capabilities"][capability].is_object(), "{capability}: {answer}");
        }
        assert!(result["instructions"].as_str().is_some_and(|text| text.contains("Fixtures")), "{answer}");
    }
    let versions = &discovered["result"]["supportedVersions"];
    assert!(versions.as_array().is_some_and(|all| all.contains(&json!("2026-07-28"))), "{discovered}");
    assert_eq!(begun["result"]["protocolVersion"], "2025-11-25");
}

#[test]
fn one_binding_of_several_is_served_alone_and_bare() {
    let bench = Bench::start("");
    for (id, fixture) in &bench.fixtures {
        let expected = native(fixture).names("tools/list");
        for (era, client) in Client::both(bench.gateway.address(), &format!("/bindings/{id}/mcp")) {
            assert_eq!(client.names("tools/list"), expected, "{era} {id}");
            assert_eq!(client.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x", "{era} {id}");
        }
    }
}

#[test]
fn names_that_collide_are_prefixed_and_others_are_bare() {
    let fixtures = [Fixture::start(), Fixture::start()];
    let define = json!({ "name": "tool_of_one", "description": "Only one server has it" });
    Client::modern(fixtures[0].address(), "/mcp").call("define_tool", define);
    let gateway = federation(&fixtures, "federation: { naming: bare }\n").start();
    for (era, client) in Client::both(gateway.address(), "/mcp") {
        let names = client.names("tools/list");
        let has = |name: &str| names.iter().any(|known| known == name);
        assert!(has("tool_of_one") && !has("a.tool_of_one"), "{era}: {names:?}");
        assert_eq!(client.call("tool_of_one", json!({ "text": "z" }))["content"][0]["text"], "z", "{era}");
        assert!(has("a.echo") && has("b.echo") && !has("echo"), "{era}: {names:?}");
        assert_eq!(client.call("b.echo", json!({ "text": "y" }))["content"][0]["text"], "y", "{era}");
        let ambiguous = client.ask("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }));
        assert!(ambiguous["error"].is_object(), "{era}: {ambiguous}");
    }
}

#[test]
fn a_change_is_seen() {
    let fixtures = [Fixture::start(), Fixture::start_with(&["--only", "legacy"])];
    let gateway = federation(&fixtures, "").start();
    let client = Client::modern(gateway.address(), "/mcp");
    let before = client.names("tools/list").len();
    // Whoever listens is told; then the list is another.
    let wanted = json!({ "notifications": { "toolsListChanged": true } });
    let mut stream = client.begin("subscriptions/listen", wanted);
    assert_eq!(stream.head().status, 200);
    assert_eq!(stream.message()["method"], "notifications/subscriptions/acknowledged");
    for (number, id) in ["a", "b"].into_iter().enumerate() {
        let define = json!({ "name": "tool_new", "description": "Was not there before" });
        client.call(&format!("{id}.define_tool"), define);
        stream.until(Some("notifications/tools/list_changed"));
        until("the new tool should be listed", || {
            let names = client.names("tools/list");
            (names.contains(&format!("{id}.tool_new")) && names.len() == before + number + 1).then_some(())
        });
    }
}

#[test]
fn a_server_that_is_down_or_silent_is_left_out() {
    let silent = RawUpstream::unaided(|_| vec![Step::Stall]);
    let fixture = Fixture::start();
    let port = mcpg_tests::free_port();
    let bindings = [
        ("silent", format!("    url: {}\n", silent.url())),
        ("down", format!("    url: http://127.0.0.1:{port}/mcp\n")),
        ("up", format!("    url: {}\n", fixture.url())),
    ];
    let bindings: Vec<(&str, &str)> = bindings.iter().map(|(id, lines)| (*id, lines.as_str())).collect();
    let gateway = scenes::open_federation(&bindings, IMPATIENT).start();
    for (era, client) in Client::both(gateway.address(), "/mcp") {
        let names = client.names("tools/list");
        assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("up.")), "{era}: {names:?}");
        assert_eq!(client.call("up.echo", json!({ "text": "x" }))["content"][0]["text"], "x", "{era}");
        let down = client.ask("tools/call", json!({ "name": "down.echo", "arguments": { "text": "x" } }));
        assert!(down["error"].is_object(), "{era}: {down}");
    }
}

#[test]
fn what_a_server_listed_is_served_for_a_while_after_its_end() {
    let gone = Fixture::start_with(&["--ttl-ms", "200"]);
    let stays = Fixture::start_with(&["--ttl-ms", "200"]);
    let catalogue = "federation: { catalogue: { ttl_ms: 200, stale_ms: 3000, fetch_timeout_ms: 1000 } }\n";
    let [a, b] =
        [&gone, &stays].map(|fixture| format!("    url: {}\n    calls: {{ breaker: off }}\n", fixture.url()));
    let gateway = scenes::open_federation(&[("a", &a), ("b", &b)], catalogue).start();
    let client = Client::modern(gateway.address(), "/mcp");
    let has = |id: &str| client.names("tools/list").iter().any(|name| name.starts_with(id));
    assert!(has("a.") && has("b."));
    drop(gone);
    assert!(has("a.") && has("b."), "it is served stale");
    until("it should be left out", || (!has("a.")).then_some(()));
    assert!(has("b."), "the other is still there");
}

#[test]
fn a_name_that_is_too_long_is_left_out() {
    let fixtures = [Fixture::start(), Fixture::start()];
    let client = Client::modern(fixtures[0].address(), "/mcp");
    let long = format!("tool_{}", "x".repeat(125 - 5));
    let longer = format!("tool_{}", "y".repeat(127 - 5));
    for name in [&long, &longer] {
        client.call("define_tool", json!({ "name": name, "description": "Has a long name" }));
    }
    let gateway = federation(&fixtures, "").start();
    let names = Client::modern(gateway.address(), "/mcp").names("tools/list");
    assert!(names.contains(&format!("a.{long}")), "127 characters are fine");
    assert!(!names.contains(&format!("a.{longer}")), "129 are too many");
}

/// Three servers: one of the new era, one of the old, one of both, which pages its lists.
struct Bench {
    fixtures: [(&'static str, Fixture); 3],
    gateway: Gateway,
}

impl Bench {
    fn start(more: &str) -> Self {
        Self::with(|bindings| scenes::open_federation(bindings, more).start())
    }

    fn governed(policy: &str) -> Self {
        Self::with(|bindings| scenes::governed_federation(bindings, "", policy).start())
    }

    fn with(start: impl FnOnce(&[(&str, &str)]) -> Gateway) -> Self {
        let fixtures = [
            ("new", Fixture::start_with(&["--only", "modern"])),
            ("old", Fixture::start_with(&["--only", "legacy"])),
            ("both", Fixture::start_with(&["--page-size", "7"])),
        ];
        let lines = fixtures.each_ref().map(|(id, fixture)| (*id, format!("    url: {}\n", fixture.url())));
        let gateway = start(&lines.each_ref().map(|(id, lines)| (*id, lines.as_str())));
        Self { fixtures, gateway }
    }
}

/// A client of the era that the server speaks.
fn native(fixture: &Fixture) -> Client {
    let modern = Client::modern(fixture.address(), "/mcp");
    if modern.ask("server/discover", json!({}))["result"].is_object() {
        modern
    } else {
        Client::legacy(fixture.address(), "/mcp")
    }
}

/// Bindings `a` and `b`.
fn federation(fixtures: &[Fixture; 2], more: &str) -> mcpg_tests::Setup {
    let [a, b] = fixtures.each_ref().map(|fixture| format!("    url: {}\n", fixture.url()));
    scenes::open_federation(&[("a", &a), ("b", &b)], more)
}
