//! What a bridged call is in HTTP: the headers that a server of the other era wants, and the version that it speaks.

use mcpg_tests::client::Client;
use mcpg_tests::{Fixture, RawUpstream, Seen, scenes};
use serde_json::{Value, json};

#[test]
fn parameters_that_a_tool_wants_in_headers_are_there() {
    let properties = json!({
        "region": { "type": "string", "x-mcp-header": "Region" },
        "count": { "type": "integer", "x-mcp-header": "Count" },
        "exact": { "type": "boolean", "x-mcp-header": "Exact" },
        "text": { "type": "string" },
    });
    let upstream = upstream(&properties);
    let lines = format!("    url: {}\n    protocol: 2026-07-28\n", upstream.url());
    let neighbour = Fixture::start();
    let other = format!("    url: {}\n", neighbour.url());
    let gateway = scenes::open_federation(&[("up", &lines), ("other", &other)], "").start();
    for (path, name) in [("/mcp", "up.lookup"), ("/bindings/up/mcp", "lookup")] {
        let client = Client::legacy(gateway.address(), path);
        let check = |arguments: Value, expected: [Option<&str>; 3]| {
            client.call(name, arguments.clone());
            let seen = calls(&upstream).pop().unwrap();
            let headers = ["mcp-param-region", "mcp-param-count", "mcp-param-exact"];
            assert_eq!(headers.map(|header| seen.header(header)), expected, "{path} {arguments}");
            assert_eq!(seen.header("mcp-name"), Some("lookup"), "{path}");
            assert_eq!(seen.header("mcp-param-text"), None, "{path}");
            assert_eq!(seen.json()["params"]["arguments"], arguments, "{path}");
        };
        check(
            json!({ "region": "eu-1", "count": 7, "exact": true, "text": "t" }),
            [Some("eu-1"), Some("7"), Some("true")],
        );
        check(json!({ "text": "t" }), [None; 3]);
        check(json!({ "region": null, "count": 0 }), [None, Some("0"), None]);
        // What no header can carry as it is goes in base64 (MCP `basic/transports`, "Value Encoding").
        check(json!({ "region": "zürich" }), [Some("=?base64?esO8cmljaA==?="), None, None]);
        check(json!({ "region": " eu " }), [Some("=?base64?IGV1IA==?="), None, None]);
        check(
            json!({ "region": "a\r\nX-Smuggled: 1" }),
            [Some("=?base64?YQ0KWC1TbXVnZ2xlZDogMQ==?="), None, None],
        );
        assert!(calls(&upstream).iter().all(|seen| seen.header("x-smuggled").is_none()));
    }
}

#[test]
fn a_definition_that_asks_for_impossible_headers_is_not_called() {
    for wanted in [json!("Bad Name"), json!("a\r\nX-Smuggled: 1"), json!(""), json!(7)] {
        let upstream = upstream(&json!({ "region": { "type": "string", "x-mcp-header": wanted } }));
        let gateway = scenes::open_with(&upstream.url(), "", "    protocol: 2026-07-28\n").start();
        let client = Client::legacy(gateway.address(), "/mcp");
        let answer = client.ask("tools/call", json!({ "name": "lookup", "arguments": { "region": "eu" } }));
        assert!(answer["error"].is_object(), "{wanted}: {answer}");
        assert!(calls(&upstream).is_empty(), "{wanted}");
    }
}

#[test]
fn messages_pass_over_http_2() {
    for (era, legacy_client) in [("legacy", false), ("modern", true)] {
        let fixture = Fixture::start_with(&["--only", era, "--http", "2", "--note-requests"]);
        let neighbour = Fixture::start();
        let up = format!("    url: {}\n    http2: on\n", fixture.url());
        let other = format!("    url: {}\n", neighbour.url());
        let gateway = scenes::open_federation(&[("up", &up), ("other", &other)], "").start();
        for (path, prefix) in [("/mcp", "up."), ("/bindings/up/mcp", "")] {
            let client = if legacy_client {
                Client::legacy(gateway.address(), path)
            } else {
                Client::modern(gateway.address(), path)
            };
            let case = format!("{era} {path}");
            let name = |own: &str| format!("{prefix}{own}");
            assert!(client.names("tools/list").contains(&name("add")), "{case}");
            let sum = client.call(&name("add"), json!({ "a": 1, "b": 2 }));
            assert_eq!(sum["structuredContent"]["sum"], 3.0, "{case}");
            let text = "0123456789".repeat(20_000);
            let result = client.call(&name("echo"), json!({ "text": text }));
            assert_eq!(result["content"][0]["text"], json!(text), "{case}: larger than a window");
            let params = json!({ "name": name("test_tool_with_progress"), "arguments": {}, "_meta": { "progressToken": "p" } });
            let mut stream = client.begin("tools/call", params);
            assert_eq!(stream.head().status, 200, "{case}");
            for _ in 0..3 {
                assert_eq!(
                    stream.until(Some("notifications/progress"))["params"]["progressToken"],
                    "p",
                    "{case}"
                );
            }
            assert_eq!(stream.until(None)["id"], client.last_id(), "{case}");
        }
        let seen = fixture.requests();
        let asked: Vec<&Value> = seen.iter().filter(|request| request["http"].is_string()).collect();
        assert!(
            !asked.is_empty() && asked.iter().all(|request| request["http"] == "HTTP/2.0"),
            "{era}: {seen:?}"
        );
    }
}

/// A server of 2026-07-28 with the tool `lookup`, whose arguments these are.
fn upstream(properties: &Value) -> RawUpstream {
    let tool = json!({ "name": "lookup", "inputSchema": { "type": "object", "properties": properties } });
    RawUpstream::result(
        json!({ "resultType": "complete", "content": [], "tools": [tool], "ttlMs": 60_000, "cacheScope": "public" }),
    )
}

fn calls(upstream: &RawUpstream) -> Vec<Seen> {
    upstream.requests().into_iter().filter(|seen| seen.json()["method"] == "tools/call").collect()
}
