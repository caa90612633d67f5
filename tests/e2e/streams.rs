//! Streams that break off and go on, streams that nobody reads, and tasks that outlast them.

use mcpg_tests::client::{Client, Stream, capabilities};
use mcpg_tests::mcp::Request;
use mcpg_tests::{Fixture, Gateway, RawHttp, scenes, until};
use serde_json::{Value, json};

const TASKS: &str = "io.modelcontextprotocol/tasks";

#[test]
fn an_answer_that_broke_off_goes_on_after_the_last_event() {
    let (fixture, _other, gateway) = start(&["--only", "legacy"]);
    for (path, prefix) in [("/mcp", "up."), ("/bindings/up/mcp", "")] {
        let client = Client::legacy(gateway.address(), path);
        let params = json!({ "name": format!("{prefix}slow"), "arguments": { "ms": 1500 }, "_meta": { "progressToken": 1 } });
        let mut stream = client.begin("tools/call", params);
        assert_eq!(stream.head().status, 200, "{path}");
        let seen = stream.event().expect("there is progress");
        let last = seen.id.expect("an event has an id");
        drop(stream);
        let mut stream = resume(&client, path, &last);
        let head = stream.head();
        assert_eq!(head.status, 200, "{path}: {}", head.text());
        let done = stream.until(None);
        assert_eq!(done["id"], client.last_id(), "{path}: {done}");
        assert_eq!(done["result"]["content"][0]["text"], "slept 1500 ms", "{path}");
    }
    assert!(!fixture.process().log().contains("cancelled"), "a connection that broke cancels nothing");
}

#[test]
fn events_of_another_session_are_nobodys() {
    let (_up, _other, gateway) = start(&["--only", "legacy"]);
    let [client, other] = [(); 2].map(|()| Client::legacy(gateway.address(), "/mcp"));
    let params = json!({ "name": "up.slow", "arguments": { "ms": 60_000 }, "_meta": { "progressToken": 1 } });
    let mut stream = client.begin("tools/call", params);
    assert_eq!(stream.head().status, 200);
    let last = stream.event().and_then(|event| event.id).expect("an event has an id");
    let mut stolen = resume(&other, "/mcp", &last);
    let head = stolen.head();
    end(&other);
    while let Some(event) = (head.status == 200).then(|| stolen.event()).flatten() {
        assert!(!event.data.contains("sleeping"), "{}", event.data);
    }
}

#[test]
fn a_task_outlasts_its_call() {
    let (_up, _other, gateway) = start(&["--only", "modern"]);
    for (path, prefix) in [("/mcp", "up."), ("/bindings/up/mcp", "")] {
        let client = with_tasks(&gateway, path);
        let offered = client.ask("server/discover", json!({}));
        assert!(offered["result"]["capabilities"]["extensions"][TASKS].is_object(), "{path}: {offered}");
        let begin = |tool: &str, arguments: Value| -> String {
            let begun = client.call(&format!("{prefix}{tool}"), arguments);
            assert_eq!(begun["resultType"], "task", "{path}: {begun}");
            let id = begun["taskId"].as_str().unwrap_or_else(|| panic!("{path}: {begun}")).to_owned();
            assert!(id.starts_with(prefix), "{path}: {id}");
            id
        };
        let state = |id: &str, status: &str| -> Value {
            until("the task should get there", || {
                let answer = client.ask("tasks/get", json!({ "taskId": id }));
                assert_eq!(answer["result"]["taskId"], json!(id), "{path}: {answer}");
                (answer["result"]["status"] == status).then(|| answer["result"].clone())
            })
        };

        let id = begin("slow_compute", json!({ "seconds": 0.2, "label": path }));
        let done = state(&id, "completed");
        assert_eq!(done["result"]["content"][0]["text"], format!("{path} took 0.2 s"), "{done}");

        let id = begin("confirm_delete", json!({ "filename": "a.txt" }));
        let asked = state(&id, "input_required");
        assert_eq!(asked["inputRequests"]["confirm"]["method"], "elicitation/create", "{path}: {asked}");
        let answer = json!({ "confirm": { "action": "accept", "content": { "confirm": "yes" } } });
        let told = client.ask("tasks/update", json!({ "taskId": id, "inputResponses": answer }));
        assert!(told["result"].is_object(), "{path}: {told}");
        let done = state(&id, "completed");
        assert_eq!(done["result"]["content"][0]["text"], "delete a.txt: \"yes\"", "{path}: {done}");

        let id = begin("slow_compute", json!({ "seconds": 60, "label": "long" }));
        let cancelled = client.ask("tasks/cancel", json!({ "taskId": id }));
        assert!(cancelled["result"].is_object(), "{path}: {cancelled}");
        state(&id, "cancelled");

        let own = id.trim_start_matches("up.");
        let foreign = if path == "/mcp" { format!("other.{own}") } else { format!("up.{own}") };
        for unknown in [foreign.as_str(), "nope.x", ""] {
            let answer = client.ask("tasks/get", json!({ "taskId": unknown }));
            assert!(answer["error"]["code"].is_i64(), "{path} `{unknown}`: {answer}");
        }
    }
}

#[test]
fn a_client_that_does_not_read_is_left() {
    let fixture = Fixture::start_with(&["--only", "legacy"]);
    let limits = "  limits: { write_timeout_ms: 500 }\n";
    let binding = "    calls: { deadline_ms: 600000 }\n";
    let gateway = scenes::open_with(&fixture.url(), limits, binding).start();
    let client = Client::modern(gateway.address(), "/mcp");
    let before = gateway.resident_kib();
    let arguments = json!({ "events": 100_000, "text": "x".repeat(4096) });
    let params = json!({ "name": "stream", "arguments": arguments, "_meta": { "progressToken": 1 } });
    let mut stream = client.begin("tools/call", params);
    assert_eq!(stream.head().status, 200);
    let running = || gateway.metrics().sum("mcpg_upstream_calls", &[("binding", "files")]);
    until("the call should be given up", || (running() == 0.0).then_some(()));
    let after = gateway.resident_kib();
    assert!(after < before + 64 * 1024, "nothing is kept for it: {before} -> {after} KiB");
    let mut read = 0;
    while let Some(event) = stream.event() {
        assert!(event.data.contains("notifications/progress"), "an answer after the client was left");
        read += 1;
    }
    assert!(read < 100_000, "it was sent everything");
    assert_eq!(client.call("echo", json!({ "text": "y" }))["content"][0]["text"], "y");
}

/// A server `up`, with a neighbour, so that `/mcp` is prefixed.
fn start(arguments: &[&str]) -> (Fixture, Fixture, Gateway) {
    let (up, other) = (Fixture::start_with(arguments), Fixture::start());
    let lines = [&up, &other].map(|fixture| format!("    url: {}\n", fixture.url()));
    let gateway = scenes::open_federation(&[("up", &lines[0]), ("other", &lines[1])], "").start();
    (up, other, gateway)
}

/// Ends the session of a client, and with it its streams.
fn end(client: &Client) {
    let Client::Legacy(session) = client else { panic!("only sessions end") };
    assert!(session.end().status < 300);
}

fn resume(client: &Client, path: &str, last: &str) -> Stream {
    let Client::Legacy(session) = client else { panic!("only sessions are resumed") };
    let request = Request::new("GET", path)
        .header("MCP-Protocol-Version", "2025-11-25")
        .header("Mcp-Session-Id", session.id())
        .header("Accept", "text/event-stream")
        .header("Last-Event-ID", last);
    let mut connection = RawHttp::connect(client.address());
    connection.send(&request.bytes(client.address()));
    Stream::over(connection)
}

fn with_tasks(gateway: &Gateway, path: &str) -> Client {
    let mut declared = capabilities();
    declared["extensions"] = json!({ TASKS: {} });
    Client::Modern { address: gateway.address(), path: path.into(), key: None, capabilities: declared }
}
