//! A changed file is in force without a restart; a bad one changes nothing, and says why.

use mcpg_tests::key::key;
use mcpg_tests::mcp::Request;
use mcpg_tests::{Gateway, RawHttp, RawUpstream, Signal, Step, scenes, until};
use serde_json::{Value, json};

const FORBID_ECHO: &str = "forbid (principal, action == Action::\"files.echo\", resource);";

#[test]
fn a_changed_policy_is_in_force() {
    let (_upstream, gateway) = start();
    assert_eq!(call(&gateway), 200);
    gateway.replace("policies/extra.cedar", FORBID_ECHO);
    until("the new policy should hold", || (call(&gateway) == 403).then_some(()));
    std::fs::remove_file(gateway.dir().join("policies/extra.cedar")).unwrap();
    until("the policy should be gone", || (call(&gateway) == 200).then_some(()));
    assert!(gateway.metrics().sum("mcpg_revision_number", &[]) >= 3.0);
}

#[test]
fn a_changed_configuration_is_in_force() {
    let (_upstream, gateway) = start();
    let other = RawUpstream::json(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"other":true}}"#);
    let config = config(&gateway);
    let url = config
        .lines()
        .find_map(|line| line.split("url: ").nth(1))
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    gateway.replace("mcpg.yaml", &config.replace(&url, &other.url()));
    until("the new upstream should be asked", || {
        (call(&gateway) == 200 && !other.requests().is_empty()).then_some(())
    });
}

#[test]
fn a_hangup_reloads() {
    let (_upstream, mut gateway) = start();
    let before = reloads(&gateway, "applied");
    gateway.process().signal(Signal::Hangup);
    until("the reload should be counted", || (reloads(&gateway, "applied") > before).then_some(()));
    assert_eq!(call(&gateway), 200);
}

#[test]
fn a_bad_file_changes_nothing_and_is_explained() {
    let (_upstream, mut gateway) = start();
    let good = config(&gateway);
    for (case, file, text, explained) in [
        ("no YAML", "mcpg.yaml", "server: [".to_owned(), "mcpg.yaml:"),
        ("an unknown key", "mcpg.yaml", good.replace("bindings:", "bindigns:"), "bindings"),
        ("no bindings", "mcpg.yaml", "server: {}\n".to_owned(), "mcpg.yaml"),
        (
            "another listener",
            "mcpg.yaml",
            good.replacen("listen: [\"127.0.0.1:", "listen: [\"127.0.0.2:", 1),
            "server.listen",
        ),
        (
            "a broken policy",
            "policies/governed.cedar",
            "permit (principal, action".to_owned(),
            "governed.cedar",
        ),
        (
            "a policy about no tool",
            "policies/governed.cedar",
            "permit (principal, action == Action::\"nope.echo\", resource);".to_owned(),
            "nope",
        ),
    ] {
        let old = std::fs::read_to_string(gateway.dir().join(file)).unwrap();
        let before = reloads(&gateway, "refused");
        let number = gateway.metrics().sum("mcpg_revision_number", &[]);
        gateway.replace(file, &text);
        gateway.process().signal(Signal::Hangup);
        until(case, || (reloads(&gateway, "refused") > before).then_some(()));
        assert_eq!(call(&gateway), 200, "{case}: the old revision serves on");
        assert_eq!(gateway.metrics().sum("mcpg_revision_last_reload_successful", &[]), 0.0, "{case}");
        assert_eq!(gateway.metrics().sum("mcpg_revision_number", &[]), number, "{case}");
        let standing = gateway.admin_get("/revision").text();
        assert!(standing.contains(explained), "{case}: {standing}");
        assert!(gateway.process().log().contains(explained), "{case}: the log says why");
        gateway.replace(file, &old);
        until("the good file should be in force", || {
            (gateway.metrics().sum("mcpg_revision_last_reload_successful", &[]) == 1.0).then_some(())
        });
    }
}

#[test]
fn a_bad_file_starts_nothing() {
    let setup = scenes::open("http://127.0.0.1:1/mcp").file("mcpg.yaml", "sever: {}\n");
    let said = setup.start_refused();
    assert!(said.contains("mcpg.yaml:1:1") && said.contains("server"), "{said}");
}

#[test]
fn a_call_under_way_keeps_its_revision() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n";
    let upstream = RawUpstream::start(move |_| {
        let last = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[],\"email\":\"x\"}}\n\n";
        vec![Step::Send(head.into()), Step::AwaitRelease, Step::Send(last.into()), Step::Close]
    });
    let gateway = scenes::governed(&upstream.url()).start();
    let request = Request::modern_call("/mcp", "echo", json!({})).bearer(&key("alice"));
    let mut connection = RawHttp::connect(gateway.address());
    connection.send(&request.bytes(gateway.address()));
    assert_eq!(connection.head().map(|head| head.status), Some(200));
    gateway.replace("policies/extra.cedar", FORBID_ECHO);
    until("the new revision should be in force", || {
        (gateway.metrics().sum("mcpg_revision_number", &[]) >= 2.0).then_some(())
    });
    assert_eq!(call(&gateway), 403, "a call that begins now");
    upstream.release();
    let event = connection.event().expect("the call should end well");
    let message: Value = serde_json::from_str(&event.data).unwrap();
    assert_eq!(message["result"]["email"], "[redacted]", "under the obligations that it began with");
}

fn start() -> (RawUpstream, Gateway) {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let gateway = scenes::governed(&upstream.url()).start();
    (upstream, gateway)
}

fn call(gateway: &Gateway) -> u16 {
    Request::modern_call("/mcp", "echo", json!({})).bearer(&key("alice")).send(gateway.address()).status
}

fn config(gateway: &Gateway) -> String {
    std::fs::read_to_string(gateway.dir().join("mcpg.yaml")).unwrap()
}

fn reloads(gateway: &Gateway, result: &str) -> f64 {
    gateway.metrics().sum("mcpg_revision_reloads_total", &[("result", result)])
}
