//! Clients of one era in front of servers of the other: what a call brings, and what a server asks while it runs.
//!
//! Everything holds at the binding's own endpoint, and at the one that it shares with others.

use mcpg_tests::key::key;
use mcpg_tests::mcp::Session;
use mcpg_tests::{Fixture, Gateway, scenes, until};
use serde_json::{Value, json};

use mcpg_tests::client::{Client, Stream};

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

#[test]
fn a_call_brings_the_same_in_either_era() {
    for bench in [Bench::start("legacy"), Bench::start("modern")] {
        for (case, client) in bench.clients() {
            let name = |own: &str| bench.name(&case, own);
            let result = client.call(&name("add"), json!({ "a": 1.5, "b": 2 }));
            assert_eq!(result["structuredContent"]["sum"], 3.5, "{case}");
            let result = client.call(&name("test_error_handling"), json!({}));
            assert_eq!(result["isError"], true, "{case}: {result}");
            let answer = client.ask("tools/call", json!({ "name": name("no_such_tool"), "arguments": {} }));
            assert_eq!(answer["error"]["code"], -32602, "{case}: {answer}");
            assert_eq!(answer["id"], client.last_id(), "{case}: {answer}");
            if matches!(client, Client::Modern { .. }) {
                assert_eq!(result["resultType"], "complete", "{case}: {result}");
            } else {
                let list = client.ask("tools/list", json!({}));
                assert_eq!(
                    (&list["result"]["ttlMs"], &list["result"]["cacheScope"]),
                    (&Value::Null, &Value::Null)
                );
            }
        }
    }
}

#[test]
fn a_server_sees_a_client_of_its_own_era() {
    for (era, revision) in [("legacy", "2025-11-25"), ("modern", "2026-07-28")] {
        let bench = Bench::start(era);
        for (case, client) in bench.clients() {
            let seen = client.call(&bench.name(&case, "describe_client"), json!({}));
            let seen = &seen["structuredContent"];
            assert_eq!(seen["revision"], revision, "{case}: {seen}");
            assert!(seen["capabilities"]["elicitation"].is_object(), "{case}: {seen}");
            assert!(seen["capabilities"]["roots"].is_object(), "{case}: {seen}");
        }
    }
}

#[test]
fn progress_arrives_under_the_clients_token() {
    for bench in [Bench::start("legacy"), Bench::start("modern")] {
        for (case, client) in bench.clients() {
            for token in [json!("a token"), json!(7)] {
                let name = bench.name(&case, "test_tool_with_progress");
                let params = json!({ "name": name, "arguments": {}, "_meta": { "progressToken": token } });
                let mut stream = client.begin("tools/call", params);
                assert_eq!(stream.head().status, 200, "{case}");
                for step in [0.0, 50.0, 100.0] {
                    let message = stream.until(Some("notifications/progress"));
                    let params = &message["params"];
                    assert_eq!(
                        (&params["progressToken"], &params["progress"]),
                        (&token, &json!(step)),
                        "{case}"
                    );
                }
                assert_eq!(stream.until(None)["id"], client.last_id(), "{case}");
            }
        }
    }
}

#[test]
fn a_client_hears_the_log_that_it_asked_for() {
    let bench = Bench::start("legacy");
    for path in PATHS {
        let client = Client::modern(bench.gateway.address(), path);
        let name = bench.name(path, "test_tool_with_logging");
        let meta = json!({ "io.modelcontextprotocol/logLevel": "info" });
        let mut stream = client.begin("tools/call", json!({ "name": name, "arguments": {}, "_meta": meta }));
        assert_eq!(stream.head().status, 200);
        for said in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
            assert_eq!(stream.until(Some("notifications/message"))["params"]["data"], said, "{path}");
        }
        let response = client.send("tools/call", json!({ "name": name, "arguments": {} }));
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        assert!(!response.text().contains("notifications/message"), "{path}: {}", response.text());
    }
    let bench = Bench::start("modern");
    for path in PATHS {
        let client = Client::legacy(bench.gateway.address(), path);
        let set = client.ask("logging/setLevel", json!({ "level": "warning" }));
        assert!(set["result"].is_object(), "{path}: {set}");
        let name = bench.name(path, "test_logging_tool");
        let mut stream = client.begin("tools/call", json!({ "name": name, "arguments": {} }));
        assert_eq!(stream.head().status, 200);
        assert_eq!(stream.until(Some("notifications/message"))["params"]["level"], "warning", "{path}");
    }
}

#[test]
fn a_question_of_a_server_with_sessions_becomes_required_input() {
    let bench = Bench::start("legacy");
    for path in PATHS {
        let client = Client::modern(bench.gateway.address(), path);
        let check = |tool: &str, arguments: Value, method: &str, expected: &str| {
            let params = json!({ "name": bench.name(path, tool), "arguments": arguments });
            let asked = client.ask("tools/call", params.clone());
            assert_eq!(asked["result"]["resultType"], "input_required", "{path} {tool}: {asked}");
            let answered = client.ask("tools/call", retry(&params, &asked, method));
            let text = answered["result"]["content"][0]["text"].as_str().unwrap_or_default();
            assert!(text.contains(expected), "{path} {tool}: {answered}");
        };
        check("test_elicitation", json!({ "message": "Who?" }), "elicitation/create", "action=accept");
        check("test_sampling", json!({ "prompt": "x" }), "sampling/createMessage", "sampled by the test");
        check("list_roots", json!({}), "roots/list", "file:///test");
        check("elicit_url", json!({ "url": "https://example.com/" }), "elicitation/create", "was opened");
    }
}

#[test]
fn required_input_is_asked_for_within_a_session() {
    let bench = Bench::start("modern");
    for path in PATHS {
        let client = Client::legacy(bench.gateway.address(), path);
        let Client::Legacy(session) = &client else { unreachable!("it is legacy") };
        let check = |tool: &str, questions: usize, expected: &str| {
            let name = bench.name(path, &format!("test_input_required_result_{tool}"));
            let mut stream = client.begin("tools/call", json!({ "name": name, "arguments": {} }));
            assert_eq!(stream.head().status, 200, "{path} {tool}");
            for _ in 0..questions {
                let question = stream.message();
                assert!(!question["id"].is_null(), "{path} {tool}: {question}");
                let method = question["method"].as_str().unwrap_or_default();
                let answer =
                    json!({ "jsonrpc": "2.0", "id": question["id"], "result": answer(method, &question) });
                assert_eq!(session.send(&answer).status, 202, "{path} {tool}");
            }
            let done = stream.until(None);
            assert_eq!(done["id"], client.last_id(), "{path} {tool}: {done}");
            let text = done["result"]["content"][0]["text"].as_str().unwrap_or_default();
            assert!(text.contains(expected), "{path} {tool}: {done}");
        };
        check("elicitation", 1, "Hello, test!");
        check("sampling", 1, "sampled by the test");
        check("list_roots", 1, "file:///test");
        check("multiple_inputs", 3, "All inputs received");
        check("multi_round", 2, "All rounds are done");
        check("request_state", 1, "state-ok");
    }
}

#[test]
fn a_state_serves_its_caller_and_its_call_only() {
    let fixture = Fixture::start_with(&["--only", "legacy"]);
    let lines = format!("    url: {}\n", fixture.url());
    let permit = "permit (principal, action, resource);\n";
    let gateway = scenes::governed_federation(&[("up", &lines)], "", permit).start();
    let [alice, bob] =
        ["alice", "bob"].map(|name| Client::modern(gateway.address(), "/mcp").with_key(&key(name)));
    let params = json!({ "name": "test_elicitation", "arguments": { "message": "Who?" } });
    let asked = alice.ask("tools/call", params.clone());
    let good = retry(&params, &asked, "elicitation/create");
    let refused = |case: &str, client: &Client, params: Value| {
        let answer = client.ask("tools/call", params);
        let text = answer.to_string();
        assert!(!text.contains("action=accept"), "{case}: {answer}");
        assert!(answer["error"]["code"].is_i64(), "{case}: {answer}");
    };
    refused("another caller", &bob, good.clone());
    let with = |change: &dyn Fn(&mut Value)| {
        let mut params = good.clone();
        change(&mut params);
        params
    };
    refused("another tool", &alice, with(&|params| params["name"] = json!("test_sampling")));
    refused("other arguments", &alice, with(&|params| params["arguments"]["message"] = json!("Other?")));
    let state = good["requestState"].as_str().expect("there is a state").to_owned();
    let broken = format!("{}AAAA", &state[..state.len() - 4]);
    refused("a changed state", &alice, with(&|params| params["requestState"] = json!(broken)));
    refused("a made-up state", &alice, with(&|params| params["requestState"] = json!("made up")));
    let answered = alice.ask("tools/call", good.clone());
    assert!(answered.to_string().contains("action=accept"), "none of these has ended the call: {answered}");
    refused("a second time", &alice, good.clone());
}

#[test]
fn a_client_is_asked_only_what_it_declared() {
    let bench = Bench::start("legacy");
    for path in PATHS {
        let Client::Modern { address, path: endpoint, key, .. } =
            Client::modern(bench.gateway.address(), path)
        else {
            unreachable!("it is modern")
        };
        let client = Client::Modern { address, path: endpoint, key, capabilities: json!({}) };
        let params =
            json!({ "name": bench.name(path, "test_elicitation"), "arguments": { "message": "Who?" } });
        let answer = client.ask("tools/call", params);
        assert_ne!(answer["result"]["resultType"], "input_required", "{path}: {answer}");
        assert!(answer["error"].is_object() || answer["result"]["isError"] == true, "{path}: {answer}");
    }
    let bench = Bench::start("modern");
    for path in PATHS {
        let session = Session::open(bench.gateway.address(), path, None);
        let name = bench.name(path, "test_input_required_result_elicitation");
        let answer = session.call(&name, json!({})).json();
        assert!(answer["error"].is_object() || answer["result"]["isError"] == true, "{path}: {answer}");
    }
}

#[test]
fn a_call_that_its_client_gives_up_is_cancelled() {
    for bench in [Bench::start("legacy"), Bench::start("modern")] {
        for (case, client) in bench.clients() {
            let before = bench.cancelled();
            let name = bench.name(&case, "slow");
            let params =
                json!({ "name": name, "arguments": { "ms": 60_000 }, "_meta": { "progressToken": 1 } });
            let mut stream = client.begin("tools/call", params);
            assert_eq!(stream.head().status, 200, "{case}");
            stream.until(Some("notifications/progress"));
            match &client {
                Client::Modern { .. } => drop(stream),
                Client::Legacy(session) => {
                    let cancel = json!({
                        "jsonrpc": "2.0", "method": "notifications/cancelled",
                        "params": { "requestId": session.last_id() },
                    });
                    assert_eq!(session.send(&cancel).status, 202, "{case}");
                }
            }
            until("the server should be told", || (bench.cancelled() > before).then_some(()));
            let result = client.call(&bench.name(&case, "echo"), json!({ "text": "still there" }));
            assert_eq!(result["content"][0]["text"], "still there", "{case}");
        }
    }
}

#[test]
fn a_call_ends_at_its_deadline_whatever_it_sends() {
    for era in ["legacy", "modern"] {
        let fixture = Fixture::start_with(&["--only", era]);
        let lines = format!("    url: {}\n    calls: {{ deadline_ms: 700 }}\n", fixture.url());
        let gateway = scenes::open_federation(&[("up", &lines)], "").start();
        let client = match era {
            "legacy" => Client::modern(gateway.address(), "/mcp"),
            _ => Client::legacy(gateway.address(), "/mcp"),
        };
        let params =
            json!({ "name": "slow", "arguments": { "ms": 60_000 }, "_meta": { "progressToken": 1 } });
        let answer = client.ask("tools/call", params);
        assert_eq!(answer["error"]["data"]["reason"], "upstream_timeout", "{era}: {answer}");
        until("the server should be told", || fixture.process().log().contains("cancelled").then_some(()));
    }
}

#[test]
fn news_reaches_clients_of_either_era() {
    for bench in [Bench::start("legacy"), Bench::start("modern")] {
        for (case, client) in bench.clients() {
            let uri = bench.uri(&case, "test://watched-resource");
            let (mut stream, subscription) = listen(&client, &uri);
            let define = json!({ "name": "tool_new", "description": case });
            client.call(&bench.name(&case, "define_tool"), define);
            let news = stream.until(Some("notifications/tools/list_changed"));
            assert_eq!(news["params"]["_meta"][SUBSCRIPTION], subscription, "{case}: {news}");
            client.call(&bench.name(&case, "touch_resource"), json!({ "uri": "test://watched-resource" }));
            let news = stream.until(Some("notifications/resources/updated"));
            assert_eq!(news["params"]["uri"], json!(uri), "{case}: {news}");
            assert_eq!(news["params"]["_meta"][SUBSCRIPTION], subscription, "{case}: {news}");
        }
    }
}

#[test]
fn a_client_that_reads_no_events_is_told_so_when_it_must_be_asked() {
    let bench = Bench::start("modern");
    for path in PATHS {
        let client = Client::legacy(bench.gateway.address(), path);
        let name = bench.name(path, "test_input_required_result_elicitation");
        let request = client.request("tools/call", json!({ "name": name, "arguments": {} }));
        let response = request.set("Accept", Some("application/json")).send(bench.gateway.address());
        assert!(
            response.status >= 400 || response.json()["error"].is_object(),
            "{path}: {}",
            response.text()
        );
    }
}

const PATHS: [&str; 2] = ["/mcp", "/bindings/up/mcp"];

/// A server of one era, with a neighbour, so that `/mcp` is prefixed.
struct Bench {
    fixture: Fixture,
    _neighbour: Fixture,
    gateway: Gateway,
    client_era: &'static str,
}

impl Bench {
    fn start(era: &str) -> Self {
        let fixture = Fixture::start_with(&["--only", era]);
        let neighbour = Fixture::start();
        let [up, other] = [&fixture, &neighbour].map(|fixture| format!("    url: {}\n", fixture.url()));
        let gateway = scenes::open_federation(&[("up", &up), ("other", &other)], "").start();
        let client_era = if era == "legacy" { "modern" } else { "legacy" };
        Self { fixture, _neighbour: neighbour, gateway, client_era }
    }

    /// A client of the other era at both paths, by path.
    fn clients(&self) -> [(String, Client); 2] {
        PATHS.map(|path| {
            let client = match self.client_era {
                "modern" => Client::modern(self.gateway.address(), path),
                _ => Client::legacy(self.gateway.address(), path),
            };
            (path.to_owned(), client)
        })
    }

    fn name(&self, path: &str, own: &str) -> String {
        if path == "/mcp" { format!("up.{own}") } else { own.to_owned() }
    }

    fn uri(&self, path: &str, own: &str) -> String {
        if path == "/mcp" { format!("up+{own}") } else { own.to_owned() }
    }

    fn cancelled(&self) -> usize {
        self.fixture.process().log().matches(r#"{"cancelled":"slow"}"#).count()
    }
}

/// Opens the stream of a client on which news arrives; with it, the id that news must carry.
pub(crate) fn listen(client: &Client, uri: &str) -> (Stream, Value) {
    match client {
        Client::Modern { .. } => {
            let wanted = json!({ "toolsListChanged": true, "resourceSubscriptions": [uri] });
            let mut stream = client.begin("subscriptions/listen", json!({ "notifications": wanted }));
            assert_eq!(stream.head().status, 200);
            let first = stream.message();
            assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
            assert_eq!(first["params"]["_meta"][SUBSCRIPTION], 1, "{first}");
            (stream, json!(1))
        }
        Client::Legacy(session) => {
            let (connection, head) = session.listen();
            assert_eq!(head.status, 200, "{}", head.text());
            let subscribed = client.ask("resources/subscribe", json!({ "uri": uri }));
            assert!(subscribed["result"].is_object(), "{subscribed}");
            (Stream::over(connection), Value::Null)
        }
    }
}

/// The call again, with an answer to each question, all of which must be of one method.
pub(crate) fn retry(params: &Value, asked: &Value, method: &str) -> Value {
    let questions = asked["result"]["inputRequests"].as_object();
    let questions = questions.unwrap_or_else(|| panic!("there should be questions: {asked}"));
    let mut params = params.clone();
    for (key, question) in questions {
        assert_eq!(question["method"], method, "{asked}");
        params["inputResponses"][key] = answer(method, question);
    }
    if !asked["result"]["requestState"].is_null() {
        params["requestState"] = asked["result"]["requestState"].clone();
    }
    params
}

/// What the user, the model and the client itself say.
pub(crate) fn answer(method: &str, question: &Value) -> Value {
    match method {
        "sampling/createMessage" => json!({
            "role": "assistant",
            "model": "test",
            "content": { "type": "text", "text": "sampled by the test" },
        }),
        "roots/list" => json!({ "roots": [{ "uri": "file:///test" }] }),
        _ if question["params"]["mode"] == "url" => json!({ "action": "accept" }),
        _ => {
            let properties = question["params"]["requestedSchema"]["properties"].as_object();
            let fields = properties.into_iter().flatten().map(|(name, property)| {
                let value = if property["type"] == "boolean" { json!(true) } else { json!("test") };
                (name.clone(), value)
            });
            json!({ "action": "accept", "content": fields.collect::<serde_json::Map<_, _>>() })
        }
    }
}

#[test]
fn both_kinds_of_server_declare_what_they_can() {
    // A bridge promises nothing that it does not keep: tasks differ between the eras.
    for (era, client_era) in [("legacy", "modern"), ("modern", "legacy")] {
        let bench = Bench::start(era);
        for path in PATHS {
            let answer = match client_era {
                "modern" => Client::modern(bench.gateway.address(), path).ask("server/discover", json!({})),
                _ => Session::initialize(bench.gateway.address(), path, None).json(),
            };
            let offered = &answer["result"]["capabilities"];
            assert!(offered["tools"].is_object(), "{era} {path}: {answer}");
            if path != "/mcp" {
                assert_eq!(offered["tasks"], Value::Null, "{era} {path}: {answer}");
                let extension = &offered["extensions"]["io.modelcontextprotocol/tasks"];
                assert_eq!(*extension, Value::Null, "{era} {path}: {answer}");
            }
        }
    }
}
