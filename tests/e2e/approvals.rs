//! Calls that wait for a person: approved, denied, forgotten, given up, and what happens to the world meanwhile.

use mcpg_tests::client::{Client, Stream, capabilities};
use mcpg_tests::key::key;
use mcpg_tests::mcp::{Request, Session};
use mcpg_tests::slack::{self, FakeSlack, accepted};
use mcpg_tests::{Fixture, Gateway, RawUpstream, Setup, scenes, until};
use serde_json::{Value, json};

/// A gateway with a gate in Slack.
pub(crate) struct Scene {
    pub(crate) slack: FakeSlack,
    pub(crate) upstream: RawUpstream,
    pub(crate) gateway: Gateway,
}

/// Everyone may read; deleting takes an approval.
const POLICY: &str = r#"
@id("protocol") permit (principal, action in Action::"protocol", resource);
@id("reading") permit (principal, action == Action::"files.read", resource);
@id("deleting") @redact(field="email") permit (principal, action == Action::"files.delete_repo", resource)
when { context has approval_token };
@id("echoing") @require_approval permit (principal, action == Action::"files.echo", resource);
@id("moving") @require_approval permit (principal, action == Action::"files.move", resource);
"#;

pub(crate) fn setup(slack: &FakeSlack, upstream: &str, gate: &str) -> Setup {
    let plugins = format!(
        "  - id: tool-gate-slack-approval
    config:
      bot_token: $secret://env/SLACK_BOT_TOKEN
      signing_secret: $secret://env/SLACK_SIGNING_SECRET
      channel: C0123456789
      approvers: {{ users: [U0BOB, U0ALICE], groups: [S0OPS] }}
      api_url: {}
{gate}",
        slack.url()
    );
    scenes::governed_with(upstream, &plugins)
        .file("policies/governed.cedar", POLICY)
        .env("SLACK_BOT_TOKEN", slack::TOKEN)
        .env("SLACK_SIGNING_SECRET", slack::SIGNING_SECRET)
}

pub(crate) fn scene(gate: &str) -> Scene {
    let users = [("alice@acme.com", "U0ALICE"), ("bob@acme.com", "U0BOB")];
    let slack = FakeSlack::start(&users, &[("S0OPS", &["U0OPSY"])]);
    let upstream = RawUpstream::result(json!({ "content": [], "resultType": "complete" }));
    let gateway = setup(&slack, &upstream.url(), gate).start();
    Scene { slack, upstream, gateway }
}

pub(crate) fn alice(gateway: &Gateway) -> Client {
    Client::modern(gateway.address(), "/mcp").with_key(&key("alice"))
}

/// The same in front of a server of both eras, which has sessions.
fn with_sessions() -> (FakeSlack, Fixture, Gateway) {
    let slack = FakeSlack::start(&[("alice@acme.com", "U0ALICE")], &[]);
    let fixture = Fixture::start();
    let gateway = setup(&slack, &fixture.url(), "").start();
    (slack, fixture, gateway)
}

fn legacy(gateway: &Gateway) -> Client {
    Client::Legacy(Session::open_with(gateway.address(), "/mcp", Some(&key("alice")), capabilities()))
}

/// A call that waits.
pub(crate) fn waits(client: &Client, params: Value) -> Stream {
    let mut call = client.begin("tools/call", params);
    let head = call.head();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    call
}

pub(crate) fn delete() -> Value {
    json!({ "name": "delete_repo", "arguments": { "name": "mcpg" } })
}

fn rows(gateway: &Gateway, kind: &str) -> Vec<Value> {
    gateway.ledger().rows().into_iter().filter(|row| row["kind"] == kind).collect()
}

#[test]
fn an_approved_call_is_made_as_it_was_shown() {
    let Scene { slack, upstream, gateway } = scene("      public_url: https://mcp.acme.com/\n");
    let mut params = delete();
    params["arguments"] = json!({ "name": "mcpg", "force": 1.50, "email": "carol@acme.com" });
    params["_meta"]["progressToken"] = json!("p-1");
    // What a client says of an approval counts for nothing.
    params["_meta"]["approval_token"] = json!("0123456789abcdef0123456789abcdef");
    let mut call = waits(&alice(&gateway), params);
    let told = call.until(Some("notifications/progress"));
    assert_eq!(
        (&told["params"]["progressToken"], &told["params"]["message"]),
        (&json!("p-1"), &json!("waiting for approval"))
    );
    let message = slack.posted(0);
    let id = FakeSlack::id(&message);
    let text = message.to_string();
    assert!(text.contains("files.delete_repo") && text.contains("user:alice@acme.com"), "{text}");
    assert!(!text.contains("carol@acme.com"), "as policy says: {text}");
    assert_eq!(gateway.metrics().sum("mcpg_approvals_pending", &[("gate", "gate.slack-approval")]), 1.0);
    assert_eq!(upstream.requests().len(), 0, "nobody has approved it");
    accepted(&slack.press("mcpg-approve", &id, "U0BOB"), gateway.address());
    let answer = call.until(None);
    assert_eq!((&answer["id"], &answer["result"]["content"]), (&json!(1), &json!([])));
    let seen = upstream.requests().pop().unwrap();
    let arguments = &seen.json()["params"]["arguments"];
    assert_eq!(arguments, &json!({ "name": "mcpg", "force": 1.50, "email": "carol@acme.com" }));
    assert_eq!(slack.title_of_update(0), "Approved");
    assert_eq!(slack.wrong(), Vec::<String>::new());
    let approvals = rows(&gateway, "approval");
    let of = |field: &str| approvals.iter().map(|row| row[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("event"), [json!("asked"), json!("approved")]);
    assert_eq!(of("by"), [Value::Null, json!("slack:T0ACME/U0BOB")]);
    assert_eq!(of("gate"), [json!("gate.slack-approval"), json!("gate.slack-approval")]);
    let decisions: Vec<_> =
        rows(&gateway, "decision").into_iter().filter(|row| row["target"] == "delete_repo").collect();
    let of = |field: &str| decisions.iter().map(|row| row[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("decision"), [json!("deny"), json!("permit_with_obligations")]);
    assert_eq!(of("deny_code"), [json!("approval_required"), Value::Null]);
    assert_eq!(of("request_id")[1], approvals[1]["request_id"]);
    assert!(gateway.ledger().verify().status.success());
    assert_eq!(gateway.metrics().sum("mcpg_approvals_total", &[("outcome", "approved")]), 1.0);
    assert_eq!(gateway.metrics().sum("mcpg_approvals_pending", &[]), 0.0);
    let link = text.split("https://mcp.acme.com").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let page = Request::new("GET", &link).send(gateway.address());
    assert_eq!(page.status, 200, "{link}");
    assert!(page.text().contains("<h1>Approved</h1>") && !page.text().contains("carol@"), "{}", page.text());
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    let guessed = Request::new("GET", &format!("/approvals/{id}/0123456789abcdef0123456789abcdef"));
    assert_eq!(guessed.send(gateway.address()).status, 404);
}

#[test]
fn a_denied_call_is_not_made() {
    let (slack, _fixture, gateway) = with_sessions();
    let mut call = waits(&legacy(&gateway), delete());
    accepted(&slack.press("mcpg-deny", &FakeSlack::id(&slack.posted(0)), "U0BOB"), gateway.address());
    let answer = call.until(None);
    assert_eq!(answer["error"]["data"], json!({ "reason": "denied", "detail": "approval_denied" }));
    assert_eq!(slack.title_of_update(0), "Denied");
}

#[test]
fn an_approved_call_of_a_session_is_made_in_it() {
    let (slack, _fixture, gateway) = with_sessions();
    for (client, id) in [(legacy(&gateway), None), (alice(&gateway), Some(1))] {
        let posts = slack.posts();
        let mut call =
            client.begin("tools/call", json!({ "name": "echo", "arguments": { "text": "hello" } }));
        assert_eq!(call.head().status, 200);
        accepted(
            &slack.press("mcpg-approve", &FakeSlack::id(&slack.posted(posts)), "U0BOB"),
            gateway.address(),
        );
        let answer = call.until(None);
        assert_eq!(answer["result"]["content"][0]["text"], "hello", "{answer}");
        assert_eq!(answer["id"], id.unwrap_or_else(|| client.last_id()));
    }
}

#[test]
fn a_call_that_nobody_answers_is_not_made() {
    let Scene { slack, upstream, gateway } = scene("      deadline_ms: 1000\n");
    // A client that reads no streams waits in silence.
    let request = alice(&gateway).request("tools/call", delete()).set("Accept", Some("application/json"));
    let response = request.send(gateway.address());
    assert_eq!(response.status, 403);
    assert_eq!(response.json()["error"]["data"]["detail"], "approval_expired");
    assert_eq!(slack.title_of_update(0), "Expired");
    accepted(&slack.press("mcpg-approve", &FakeSlack::id(&slack.posted(0)), "U0BOB"), gateway.address());
    assert_eq!(slack.told(0), "This call has expired.");
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_client_without_streams_gets_its_answer_all_the_same() {
    let Scene { slack, upstream, gateway } = scene("");
    let request = alice(&gateway).request("tools/call", delete()).set("Accept", Some("application/json"));
    let mut connection = mcpg_tests::RawHttp::connect(gateway.address());
    connection.send(&request.bytes(gateway.address()));
    accepted(&slack.press("mcpg-approve", &FakeSlack::id(&slack.posted(0)), "U0BOB"), gateway.address());
    let response = connection.response().unwrap();
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn a_client_that_leaves_has_cancelled_its_call() {
    let Scene { slack, upstream, gateway } = scene("");
    let call = waits(&alice(&gateway), delete());
    let id = FakeSlack::id(&slack.posted(0));
    drop(call);
    assert_eq!(slack.title_of_update(0), "Cancelled");
    accepted(&slack.press("mcpg-approve", &id, "U0BOB"), gateway.address());
    assert_eq!(slack.told(0), "This call was cancelled.");
    assert_eq!(upstream.requests().len(), 0);
    assert_eq!(rows(&gateway, "approval").last().unwrap()["event"], "cancelled");
}

#[test]
fn a_legacy_client_cancels_by_notification() {
    let (slack, _fixture, gateway) = with_sessions();
    let client = legacy(&gateway);
    let mut call = waits(&client, delete());
    slack.posted(0);
    let Client::Legacy(session) = &client else { unreachable!() };
    let cancel = |id: u64| {
        session.send(
            &json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } }),
        )
    };
    cancel(client.last_id() + 7);
    cancel(client.last_id());
    assert_eq!(slack.title_of_update(0), "Cancelled");
    assert_eq!(call.until(None)["error"]["data"]["detail"], "approval_cancelled");
}

#[test]
fn an_obligation_asks_as_well() {
    let Scene { slack, upstream, gateway } = scene("");
    let mut call = waits(&alice(&gateway), json!({ "name": "move", "arguments": {} }));
    accepted(&slack.press("mcpg-approve", &FakeSlack::id(&slack.posted(0)), "U0BOB"), gateway.address());
    assert_eq!(call.until(None)["result"]["content"], json!([]));
    assert_eq!(upstream.requests().len(), 1);
    // What policy denies for good asks nobody.
    let response = alice(&gateway).send("tools/call", json!({ "name": "destroy", "arguments": {} }));
    assert_eq!((response.status, slack.posts()), (403, 1));
    let response = alice(&gateway).send("tools/call", json!({ "name": "read", "arguments": {} }));
    assert_eq!((response.status, slack.posts()), (200, 1));
}

#[test]
fn a_call_waits_through_a_reload() {
    let Scene { slack, upstream, gateway } = scene("");
    let mut call = waits(&alice(&gateway), delete());
    let id = FakeSlack::id(&slack.posted(0));
    reload(
        &gateway,
        &format!("{POLICY}\n@id(\"more\") permit (principal, action == Action::\"files.more\", resource);"),
    );
    accepted(&slack.press("mcpg-approve", &id, "U0BOB"), gateway.address());
    assert_eq!(call.until(None)["result"]["content"], json!([]));
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn what_policy_withdraws_meanwhile_is_not_called() {
    let Scene { slack, upstream, gateway } = scene("");
    let mut call = waits(&alice(&gateway), delete());
    let id = FakeSlack::id(&slack.posted(0));
    reload(&gateway, r#"@id("protocol") permit (principal, action in Action::"protocol", resource);"#);
    accepted(&slack.press("mcpg-approve", &id, "U0BOB"), gateway.address());
    assert_eq!(call.until(None)["error"]["data"]["reason"], "denied");
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn a_client_that_shows_pages_comes_back_for_its_call() {
    let Scene { slack, upstream, gateway } = scene("      mode: auto\n");
    let client = alice(&gateway);
    let asked = client.ask("tools/call", delete());
    let result = &asked["result"];
    assert_eq!(result["resultType"], "input_required", "{asked}");
    let elicitation = &result["inputRequests"]["approval"];
    assert_eq!(
        (&elicitation["method"], &elicitation["params"]["mode"]),
        (&json!("elicitation/create"), &json!("url"))
    );
    let url = elicitation["params"]["url"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{}", gateway.address())).unwrap();
    let page = || Request::new("GET", path).send(gateway.address()).text();
    assert!(page().contains("<h1>Waiting for approval</h1>"));
    let state = result["requestState"].clone();
    let again = |arguments: Value| {
        let responses = json!({ "approval": { "action": "accept" } });
        json!({ "name": "delete_repo", "arguments": arguments, "requestState": state, "inputResponses": responses })
    };
    let own = || again(json!({ "name": "mcpg" }));
    accepted(&slack.press("mcpg-approve", &FakeSlack::id(&slack.posted(0)), "U0BOB"), gateway.address());
    until("the page should show it", || page().contains("<h1>Approved</h1>").then_some(()));
    // Other arguments, and another caller, with the approval of these.
    let over = |response: mcpg_tests::Response| {
        assert_eq!(response.status, 409, "{}", response.text());
        assert_eq!(response.json()["error"]["data"]["detail"], "approval_over");
    };
    over(client.send("tools/call", again(json!({ "name": "other" }))));
    over(client.send("tools/call", again(json!({ "name": "mcpg", "force": true }))));
    let bob = Client::modern(gateway.address(), "/mcp").with_key(&key("bob"));
    over(bob.send("tools/call", own()));
    assert_eq!(upstream.requests().len(), 0);
    let answer = client.ask("tools/call", own());
    assert_eq!(answer["result"]["content"], json!([]), "{answer}");
    let seen = upstream.requests().pop().unwrap().json();
    assert!(
        seen["params"].get("requestState").is_none() && seen["params"].get("inputResponses").is_none(),
        "{seen}"
    );
    // Once.
    over(client.send("tools/call", own()));
    assert_eq!((upstream.requests().len(), slack.posts()), (1, 1));
    assert_eq!(slack.wrong(), Vec::<String>::new());
}

#[test]
fn callers_wait_for_so_many_at_a_time() {
    let Scene { slack, gateway, .. } = scene("      pending_per_caller_max: 2\n");
    let calls: Vec<_> = (0..2).map(|_| alice(&gateway).begin("tools/call", delete())).collect();
    slack.posted(1);
    let response = alice(&gateway).send("tools/call", delete());
    assert_eq!((response.status, response.header("retry-after")), (429, Some("30")));
    assert_eq!(response.json()["error"]["data"]["detail"], "approvals_pending");
    drop(calls);
    until("there should be room again", || {
        let mut call = alice(&gateway).begin("tools/call", delete());
        (call.head().status == 200).then_some(())
    });
}

#[test]
fn without_a_gate_nobody_can_approve() {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let gateway = scenes::governed(&upstream.url()).file("policies/governed.cedar", POLICY).start();
    for tool in ["delete_repo", "move"] {
        let response = alice(&gateway).send("tools/call", json!({ "name": tool, "arguments": {} }));
        assert_eq!(response.status, 403, "{tool}");
        assert_eq!(response.json()["error"]["data"]["detail"], "approval_unavailable", "{tool}");
    }
    assert_eq!(upstream.requests().len(), 0);
}

fn reload(gateway: &Gateway, policy: &str) {
    let number = |gateway: &Gateway| gateway.admin_get("/revision").json()["number"].as_u64().unwrap();
    let before = number(gateway);
    gateway.replace("policies/governed.cedar", policy);
    until("the policy should be in force", || (number(gateway) > before).then_some(()));
}
