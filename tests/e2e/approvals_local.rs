//! Approvals without Slack: `mcpg approvals`, and a webhook.

use std::path::Path;
use std::process::{Command, Output};

use boring::hash::hmac_sha256;
use mcpg_tests::mcp::Request;
use mcpg_tests::slack::now;
use mcpg_tests::{Gateway, RawUpstream, Step, mcpg, scenes, until};
use serde_json::{Value, json};

use crate::approvals::{alice, delete, waits};

const POLICY: &str = r#"
@id("protocol") permit (principal, action in Action::"protocol", resource);
@id("all") permit (principal, action in Action::"tools/call", resource);
"#;

fn approvals(gateway: &Gateway, arguments: &[&str]) -> Output {
    let mut command = Command::new(mcpg());
    command.arg("approvals").args(arguments).arg("--config").arg(gateway.dir().join("mcpg.yaml"));
    command.env("ALICE", mcpg_tests::key::key("alice")).env("BOB", mcpg_tests::key::key("bob"));
    command.env("HOOK_SECRET", SECRET).output().unwrap()
}

fn waiting(gateway: &Gateway) -> Value {
    until("a call should wait", || {
        let output = approvals(gateway, &["list", "--json"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().next().map(|line| serde_json::from_str(line).unwrap())
    })
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn local(operators: &str) -> (RawUpstream, Gateway) {
    let upstream = RawUpstream::result(json!({ "content": [], "resultType": "complete" }));
    let plugins = format!(
        "  - {{ id: gate.approval, config: {{ operators: [{operators}], tools: [files.delete_repo] }} }}\n"
    );
    let gateway =
        scenes::governed_with(&upstream.url(), &plugins).file("policies/governed.cedar", POLICY).start();
    (upstream, gateway)
}

#[test]
fn operators_approve_on_the_machine() {
    let (upstream, gateway) = local(&user());
    let mut call = waits(&alice(&gateway), delete());
    let one = waiting(&gateway);
    assert_eq!(
        (&one["gate"], &one["target"], &one["caller"]),
        (&json!("gate.approval"), &json!("delete_repo"), &json!("user:alice@acme.com"))
    );
    assert_eq!(one["arguments"], "{\n  \"name\": \"mcpg\"\n}");
    let id = one["id"].as_str().unwrap();
    let shown = approvals(&gateway, &["list"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("files.delete_repo"));
    let unknown = approvals(&gateway, &["approve", "zzzz"]);
    assert!(!unknown.status.success());
    assert_eq!(upstream.requests().len(), 0);
    let output = approvals(&gateway, &["approve", &id[..8], "--reason", "ticket 4711"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "approved: files.delete_repo\n");
    assert_eq!(call.until(None)["result"]["content"], json!([]));
    let rows = gateway.ledger().rows();
    let approved = rows.iter().find(|row| row["event"] == "approved").unwrap();
    assert!(approved["by"].as_str().unwrap().starts_with(&format!("os:{}(", user())), "{approved}");
    assert_eq!(approved["reason"], "ticket 4711");
    assert!(!approvals(&gateway, &["approve", id]).status.success(), "once");
    // What the gate does not name goes as before.
    let response = alice(&gateway).send("tools/call", json!({ "name": "read", "arguments": {} }));
    assert_eq!(response.status, 200);
}

#[test]
fn who_is_no_operator_can_only_deny() {
    let (upstream, gateway) = local("somebody-else");
    let mut call = waits(&alice(&gateway), delete());
    let id = waiting(&gateway)["id"].as_str().unwrap().to_owned();
    let output = approvals(&gateway, &["approve", &id]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not on the list"), "{output:?}");
    for bad in ["", "  ", "two\nlines", "\u{1b}[2J", &"x".repeat(1025)] {
        let output = approvals(&gateway, &["deny", &id, "--reason", bad]);
        assert_eq!(output.status.code(), Some(2), "{bad:?}: {output:?}");
    }
    let output = approvals(&gateway, &["deny", &id, "--reason", "not today"]);
    assert!(output.status.success(), "{output:?}");
    let error = call.until(None)["error"].clone();
    assert_eq!(error["data"]["detail"], "approval_denied");
    assert_eq!(error["message"], "the call was not approved: not today", "who denies may say why");
    let rows = gateway.ledger().rows();
    assert_eq!(rows.iter().find(|row| row["event"] == "denied").unwrap()["reason"], "not today");
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn the_socket_is_the_gateways_own() {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
    let (_upstream, gateway) = local("bob");
    let folder = find(gateway.dir()).expect("there is a folder for sockets");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let socket = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    assert_eq!(mode(&socket), 0o600);
    let metadata = std::fs::metadata(&socket).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.uid(), std::fs::metadata(gateway.dir()).unwrap().uid());
}

fn find(dir: &Path) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.ends_with("approvals") {
                return Some(path);
            }
            if let Some(found) = find(&path) {
                return Some(found);
            }
        }
    }
    None
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn answer(body: &str, secret: &str, seconds: u64) -> Request {
    let digest = hmac_sha256(secret.as_bytes(), format!("{seconds}.{body}").as_bytes()).unwrap();
    let signature: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Request::new("POST", "/approvals/webhook")
        .header("Content-Type", "application/json")
        .header("X-MCPG-Timestamp", &seconds.to_string())
        .header("X-MCPG-Signature", &format!("v1={signature}"))
        .body(body.to_owned())
}

#[test]
fn a_webhook_is_asked_and_answers() {
    let hook = RawUpstream::unaided(|_| {
        vec![Step::Send(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_vec()), Step::Close]
    });
    let upstream = RawUpstream::result(json!({ "content": [], "resultType": "complete" }));
    let plugins = format!(
        "  - id: gate.webhook-approval\n    config: {{ url: \"{}\", secret: $secret://env/HOOK_SECRET, approvers: [carol, alice@acme.com], tools: [\"files.*\"] }}\n",
        hook.url()
    );
    let gateway = scenes::governed_with(&upstream.url(), &plugins)
        .file("policies/governed.cedar", POLICY)
        .env("HOOK_SECRET", SECRET)
        .start();
    let mut call = waits(&alice(&gateway), delete());
    let asked = until("the webhook should be asked", || hook.requests().first().cloned());
    let (seconds, signature) =
        (asked.header("x-mcpg-timestamp").unwrap(), asked.header("x-mcpg-signature").unwrap());
    let signed = format!("{seconds}.{}", String::from_utf8(asked.body.clone()).unwrap());
    let digest = hmac_sha256(SECRET.as_bytes(), signed.as_bytes()).unwrap();
    let expected: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(signature, format!("v1={expected}"));
    let asked = asked.json();
    assert_eq!((&asked["event"], &asked["question"]["target"]), (&json!("asked"), &json!("delete_repo")));
    let id = asked["question"]["id"].as_str().unwrap();
    let says = |decision: &str, approver: &str| {
        json!({ "id": id, "decision": decision, "approver": approver, "reason": "fine" }).to_string()
    };
    let yes = says("approve", "carol");
    for (case, request) in [
        ("another secret", answer(&yes, "ffffffffffffffffffffffffffffffff", now())),
        ("too old", answer(&yes, SECRET, now() - 360)),
        ("unsigned", answer(&yes, SECRET, now()).set("X-MCPG-Signature", None)),
        ("another body", answer(&says("deny", "carol"), SECRET, now()).body(yes.clone())),
    ] {
        let response = request.send(gateway.address());
        assert_eq!((response.status, response.text().as_str()), (401, ""), "{case}");
    }
    assert_eq!(answer(&says("approve", "eve"), SECRET, now()).send(gateway.address()).status, 403);
    assert_eq!(answer(&says("approve", "alice@acme.com"), SECRET, now()).send(gateway.address()).status, 403);
    // What the gateway itself has signed is no answer.
    let reflected = String::from_utf8(hook.requests()[0].body.clone()).unwrap();
    assert_eq!(answer(&reflected, SECRET, now()).send(gateway.address()).status, 400);
    assert_eq!(upstream.requests().len(), 0);
    let response = answer(&yes, SECRET, now()).send(gateway.address());
    assert_eq!((response.status, response.json()), (200, json!({ "outcome": "approved" })));
    assert_eq!(call.until(None)["result"]["content"], json!([]));
    let again = answer(&yes, SECRET, now()).send(gateway.address());
    assert_eq!(again.status, 409);
    let told = until("the webhook should be told", || hook.requests().get(1).cloned()).json();
    assert_eq!(
        (&told["event"], &told["outcome"], &told["by"]),
        (&json!("concluded"), &json!("approved"), &json!("webhook:carol"))
    );
    assert_eq!(told["reason"], "fine");
}
