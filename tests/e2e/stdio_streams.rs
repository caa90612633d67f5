//! Streams of servers that are processes: what they tell on their own, what they ask, and what becomes of it when they die.

use std::sync::atomic::{AtomicBool, Ordering};

use mcpg_tests::client::{Client, Stream, capabilities};
use mcpg_tests::mcp::Session;
use mcpg_tests::{Gateway, Signal, signal, until};
use serde_json::{Value, json};

use crate::bridging::{answer, listen, retry};
use crate::stdio::{NOTE_PID, bench, bench_script, pids};

const WATCHED: &str = "test://watched-resource";

#[test]
fn what_a_process_tells_reaches_who_listens() {
    // Each session of a legacy server is a process of its own, in which nothing happens but by a call of this session.
    for (process, sessions) in [("legacy", "shared"), ("modern", "shared"), ("modern", "per_session")] {
        let gateway = start(process, sessions);
        for (era, client) in Client::both(gateway.address(), "/mcp") {
            let case = format!("{era} client, {process} {sessions} process");
            let (mut news, id) = listen(&client, WATCHED);
            let is_tagged = |message: &Value| {
                let tag = &message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
                assert_eq!(*tag, id, "{case}: {message}");
            };
            let changed = told(&client, &mut news, "define_tool", "notifications/tools/list_changed");
            is_tagged(&changed);
            let updated = told(&client, &mut news, "touch_resource", "notifications/resources/updated");
            assert_eq!(updated["params"]["uri"], WATCHED, "{case}: {updated}");
            is_tagged(&updated);
        }
    }
}

#[test]
fn what_the_process_of_a_session_tells_during_a_call_comes_with_it() {
    let gateway = start("legacy", "per_session");
    let client = Client::legacy(gateway.address(), "/mcp");
    let (_news, _) = listen(&client, WATCHED);
    for (tool, arguments, told) in [
        ("define_tool", json!({ "name": "new", "description": "x" }), "notifications/tools/list_changed"),
        ("touch_resource", json!({ "uri": WATCHED }), "notifications/resources/updated"),
    ] {
        let mut call = client.begin("tools/call", json!({ "name": tool, "arguments": arguments }));
        assert_eq!(call.head().status, 200, "{tool}");
        call.until(Some(told));
        assert_eq!(call.until(None)["id"], client.last_id(), "{tool}");
    }
}

#[test]
fn progress_of_a_process_comes_in_order_under_the_clients_token() {
    for process in ["legacy", "modern"] {
        for sessions in ["shared", "per_session"] {
            let gateway = start(process, sessions);
            for (era, client) in Client::both(gateway.address(), "/mcp") {
                let case = format!("{era} client, {process} {sessions} process");
                let meta = json!({ "progressToken": "mine" });
                let params = json!({ "name": "test_tool_with_progress", "arguments": {}, "_meta": meta });
                let mut stream = client.begin("tools/call", params);
                assert_eq!(stream.head().status, 200, "{case}");
                for expected in [0.0, 50.0, 100.0] {
                    let told = stream.message();
                    assert_eq!(told["method"], "notifications/progress", "{case}: {told}");
                    assert_eq!(told["params"]["progressToken"], "mine", "{case}: {told}");
                    assert_eq!(told["params"]["progress"], expected, "{case}: {told}");
                }
                let done = stream.message();
                assert_eq!(done["id"], client.last_id(), "{case}: {done}");
                assert!(done["result"].is_object(), "{case}: {done}");
                assert!(stream.event().is_none(), "{case}: nothing follows the answer");
            }
        }
    }
}

/// Tools that ask, with what they ask and a word of what they say to the answer.
const ASKING: [(&str, &str, &str); 3] = [
    ("test_sampling", "sampling/createMessage", "sampled by the test"),
    ("test_elicitation", "elicitation/create", "accept"),
    ("list_roots", "roots/list", "file:///test"),
];

fn asking(tool: &str) -> Value {
    json!({ "name": tool, "arguments": { "prompt": "Say something", "message": "Who?" } })
}

#[test]
fn a_process_asks_the_client_of_its_session() {
    let gateway = start("legacy", "per_session");
    let session = Session::open_with(gateway.address(), "/mcp", None, capabilities());
    let (_stream, head) = session.listen();
    assert_eq!(head.status, 200);
    let client = Client::Legacy(session.clone());
    for (tool, method, said) in ASKING {
        let mut stream = client.begin("tools/call", asking(tool));
        assert_eq!(stream.head().status, 200, "{tool}");
        let asked = stream.until(Some(method));
        let response = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": answer(method, &asked) });
        assert_eq!(session.send(&response).status, 202, "{tool}");
        let done = stream.until(None);
        assert_eq!(done["id"], client.last_id(), "{tool}: {done}");
        let text = done["result"]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(text.contains(said), "{tool}: {done}");
    }
}

#[test]
fn a_process_asks_a_client_without_sessions() {
    let gateway = start("legacy", "per_session");
    let client = Client::modern(gateway.address(), "/mcp");
    for (tool, method, said) in ASKING {
        let asked = client.ask("tools/call", asking(tool));
        assert_eq!(asked["result"]["resultType"], "input_required", "{tool}: {asked}");
        let done = client.ask("tools/call", retry(&asking(tool), &asked, method));
        let text = done["result"]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(text.contains(said), "{tool}: {done}");
    }
}

#[test]
fn a_process_without_sessions_asks_a_client_with_one() {
    for sessions in ["shared", "per_session"] {
        let gateway = start("modern", sessions);
        let session = Session::open_with(gateway.address(), "/mcp", None, capabilities());
        let client = Client::Legacy(session.clone());
        let params = json!({ "name": "test_input_required_result_elicitation", "arguments": {} });
        let mut stream = client.begin("tools/call", params);
        assert_eq!(stream.head().status, 200, "{sessions}");
        let method = "elicitation/create";
        let asked = stream.until(Some(method));
        let response = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": answer(method, &asked) });
        assert_eq!(session.send(&response).status, 202, "{sessions}");
        let done = stream.until(None);
        assert_eq!(done["id"], client.last_id(), "{sessions}: {done}");
    }
}

#[test]
fn a_session_whose_process_dies_is_lost_at_once() {
    let gateway = bench_script("--only legacy", "    sessions: per_session\n", NOTE_PID).start();
    let session = Session::open_with(gateway.address(), "/mcp", None, capabilities());
    let client = Client::Legacy(session.clone());
    let (_news, head) = session.listen();
    assert_eq!(head.status, 200);
    let mut call = slow(&client);
    pids(gateway.dir()).into_iter().for_each(|pid| signal(pid, Signal::Kill));
    let end = call.until(None);
    assert!(end["error"].is_object(), "{end}");
    assert_eq!(end["id"], client.last_id(), "{end}");
    assert!(call.event().is_none(), "and the stream of the call ends");
    assert_eq!(session.call("echo", json!({ "text": "x" })).status, 404, "the client begins another");
    let next = Client::legacy(gateway.address(), "/mcp");
    assert_eq!(next.call("echo", json!({ "text": "x" }))["content"][0]["text"], "x");
}

#[test]
fn a_subscription_outlives_the_process() {
    for process in ["legacy", "modern"] {
        let lines = "    sessions: shared\n    restart: { backoff_ms: 50, backoff_max_ms: 200 }\n";
        let gateway = bench_script(&format!("--only {process}"), lines, NOTE_PID).start();
        for (era, client) in Client::both(gateway.address(), "/mcp") {
            let case = format!("{era} client, {process} process");
            let (mut news, _) = listen(&client, WATCHED);
            told(&client, &mut news, "touch_resource", "notifications/resources/updated");
            let last = *pids(gateway.dir()).last().expect("a process");
            signal(last, Signal::Kill);
            until("a process should serve again", || {
                let answer =
                    client.ask("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }));
                (answer["result"]["content"][0]["text"] == "x").then_some(())
            });
            assert_ne!(pids(gateway.dir()).last(), Some(&last), "{case}");
            // What changed while it was away is not known, so the client is told that it may have.
            news.until(Some("notifications/tools/list_changed"));
            told(&client, &mut news, "touch_resource", "notifications/resources/updated");
        }
    }
}

#[test]
fn a_question_whose_process_has_died_is_answered_with_an_error() {
    let gateway = bench_script("--only legacy", "    sessions: per_session\n", NOTE_PID).start();
    let client = Client::modern(gateway.address(), "/mcp");
    let (tool, method, _) = ASKING[1];
    let asked = client.ask("tools/call", asking(tool));
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    pids(gateway.dir()).into_iter().for_each(|pid| signal(pid, Signal::Kill));
    let done = client.send("tools/call", retry(&asking(tool), &asked, method));
    assert!(done.json()["error"]["code"].is_i64(), "{}", done.text());
    crate::expect::says_nothing_inside("a question of the dead", &done.text());
    let again = client.ask("tools/call", asking(tool));
    assert_eq!(again["result"]["resultType"], "input_required", "the next call has a process: {again}");
}

fn start(process: &str, sessions: &str) -> Gateway {
    bench(&format!("--only {process}"), &format!("    sessions: {sessions}\n")).start()
}

/// What a tool makes the server tell on a stream. It is called until then: the fixture acknowledges a subscription before it
/// has it, and tells nobody of what happens between.
fn told(client: &Client, news: &mut Stream, tool: &str, method: &str) -> Value {
    let heard = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            until(&format!("{tool} should be heard of"), || {
                let arguments = json!({ "name": "new", "description": "x", "uri": WATCHED });
                client.call(tool, arguments);
                heard.load(Ordering::SeqCst).then_some(())
            });
        });
        let told = news.until(Some(method));
        heard.store(true, Ordering::SeqCst);
        told
    })
}

/// A call that is under way, and has said so.
fn slow(client: &Client) -> Stream {
    let params = json!({ "name": "slow", "arguments": { "ms": 60_000 }, "_meta": { "progressToken": 1 } });
    let mut stream = client.begin("tools/call", params);
    assert_eq!(stream.head().status, 200);
    stream.until(Some("notifications/progress"));
    stream
}
