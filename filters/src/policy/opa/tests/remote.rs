//! An OPA elsewhere: a fake, which answers what a test wants and shows what it was asked.

use mcpg_sdk::Base;
use std::path::Path;
use std::sync::mpsc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::secret::SecretResolver;
use crate::shared::Shared;

/// Builds the engine, for an OPA at a port of this machine.
fn build(folder: &Path, port: u16, more: &Value) -> Result<OpaEngine, String> {
    let mut remote = json!({"url": format!("http://127.0.0.1:{port}")});
    remote.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let settings = json!({"mode": "remote", "remote": remote, "limits": {"evaluation_ms_max": 2_000}});
    let settings: OpaSettings = serde_json::from_value(settings).map_err(|error| error.to_string())?;
    let secrets = SecretResolver::new(&Base::trusted(folder));
    let (scope, shared) = (Scope::default(), Arc::<Shared>::default());
    let context = BuildContext {
        base: &Base::trusted(folder),
        secrets: &secrets,
        bindings: &["crm"],
        scope: &scope,
        shared: &shared,
        now: SystemTime::UNIX_EPOCH,
    };
    OpaEngine::build(&settings, &context).map_err(|error| error.to_string())
}

/// Serves one answer after the other, and sends on what was asked.
async fn fake_opa(listener: TcpListener, answers: Vec<String>, asked: mpsc::Sender<String>) {
    for answer in answers {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let read = stream.read(&mut piece).await.unwrap();
            request.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&request).into_owned();
            let length = text.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
            });
            let whole =
                text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length.unwrap_or(0));
            if whole || read == 0 {
                asked.send(text).unwrap();
                break;
            }
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    }
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// What OPA says of an evaluation that fails.
fn failed(code: &str) -> String {
    let errors = json!([{"code": code, "message": "to_number: parsing \"x\"", "location": {"file": "a.rego", "row": 1, "col": 1}}]);
    json!({"code": "internal_error", "message": "error(s) occurred while evaluating query", "errors": errors})
        .to_string()
}

/// The verdicts of as many decisions as there are answers, and what was asked.
#[expect(clippy::needless_pass_by_value, reason = "tests write it in place")]
fn decided(answers: Vec<String>, more: Value, decisions: usize) -> (Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), "s3cret\n").unwrap();
    let (asked, questions) = mpsc::channel();
    let shown = now(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(fake_opa(listener, answers, asked));
        let chain = chain_of(build(folder.path(), port, &more).unwrap());
        let mut shown = Vec::new();
        for _ in 0..decisions {
            let scope = Scope::default();
            shown.push(show(
                &chain.decide(&caller(), &call(&scope, "export", Some(r#"{"limit":1}"#))).await.verdict,
            ));
        }
        serving.abort();
        shown
    });
    (shown, questions.try_iter().collect())
}

#[test]
fn it_is_asked_by_its_rest_interface_and_believed_if_it_permits() {
    let result = r#"{"result": {"allow": true, "obligations": ["redact:email"]}}"#;
    let more =
        json!({"token": "$secret://file/token", "reads": ["caller.subject", "context.arguments.limit"]});
    let (shown, asked) = decided(vec![answer("200 OK", result)], more, 1);
    assert_eq!(shown, ["permit with redact:email"]);
    let (head, body) = asked[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/data/mcpg/decision?strict-builtin-errors=true HTTP/1.1"), "{head}");
    assert!(head.to_ascii_lowercase().contains("authorization: bearer s3cret"), "{head}");
    assert_eq!(
        serde_json::from_str::<Value>(body).unwrap(),
        json!({"input": {
            "caller": {"subject": "user:alice@acme.com", "attributes": {}},
            "action": {"method": "tools/call", "kind": "tool"},
            "resource": {"binding": "crm", "kind": "tool"},
            "context": {"arguments": {"limit": 1}},
        }})
    );
}

#[test]
fn whatever_is_no_permit_denies() {
    for (text, expected) in [
        (answer("200 OK", r#"{"result": true}"#), "permit"),
        (answer("200 OK", r#"{"result": false}"#), "not_permitted"),
        (answer("200 OK", "{}"), "not_permitted"),
        (answer("200 OK", r#"{"result": "true"}"#), "policy_error"),
        (answer("200 OK", r#"{"result": {"allow": true, "more": 1}}"#), "policy_error"),
        (answer("200 OK", "true"), "policy_unavailable"),
        (answer("200 OK", r#"{"result": true"#), "policy_unavailable"),
        (
            answer("200 OK", &format!("{}{}", r#"{"result": true}"#, " ".repeat(100_000))),
            "policy_unavailable",
        ),
        (answer("500 Oops", r#"{"result": true}"#), "policy_unavailable"),
        (answer("500 Oops", &failed("eval_builtin_error")), "policy_error"),
        (answer("500 Oops", &failed("eval_conflict_error")), "policy_error"),
        (answer("500 Oops", &failed("eval_cancel_error")), "policy_unavailable"),
        (answer("500 Oops", &failed("storage_internal_error")), "policy_unavailable"),
        (answer("500 Oops", &failed("eval_ \n")), "policy_unavailable"),
        (answer("400 Bad Request", &failed("eval_builtin_error")), "policy_unavailable"),
        (answer("404 Not Found", r#"{"result": true}"#), "policy_unavailable"),
        (answer("204 No Content", ""), "policy_unavailable"),
        (answer("302 Found", r#"{"result": true}"#), "policy_unavailable"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"result\": true}".to_owned(), "policy_unavailable"),
        (String::new(), "policy_unavailable"),
    ] {
        assert_eq!(decided(vec![text.clone()], json!({}), 1).0, [expected], "{text:.80}");
    }
}

#[test]
fn one_that_does_not_answer_is_left_alone_for_a_moment() {
    let broken = vec![answer("500 Oops", ""); 5];
    let (shown, asked) = decided(broken, json!({}), 8);
    assert_eq!(shown, ["policy_unavailable"; 8]);
    assert_eq!(asked.len(), 5);
    // Policies that fail are an answer: who makes them fail keeps nobody else from being decided.
    let mut answers = vec![answer("500 Oops", &failed("eval_builtin_error")); 7];
    answers.push(answer("200 OK", r#"{"result": true}"#));
    let (shown, asked) = decided(answers, json!({}), 8);
    assert_eq!((shown.last().map(String::as_str), asked.len()), (Some("permit"), 8));
}

#[test]
fn answers_are_kept_only_where_the_settings_say_so() {
    let permit = || answer("200 OK", r#"{"result": true}"#);
    let (shown, asked) = decided(vec![permit(), permit()], json!({}), 2);
    assert_eq!((shown, asked.len()), (vec!["permit".to_owned(); 2], 2));
    let more = json!({"cache": true, "cache_ms": 3_600_000, "reads": ["caller.subject"]});
    let (shown, asked) = decided(vec![permit(), permit()], more, 2);
    assert_eq!((shown, asked.len()), (vec!["permit".to_owned(); 2], 1));
}

#[test]
fn settings_that_do_not_hold_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |more: Value| build(folder.path(), 1, &more).unwrap_err();
    refused(json!({"url": "ftp://a"}));
    assert!(refused(json!({"reads": ["caller.name"]})).contains("the input has no `caller.name`"));
    assert!(refused(json!({"cache": true})).contains("needs `reads`"));
    refused(json!({"token": "$secret://file/none"}));
    assert!(refused(json!({"colour": 1})).contains("colour"));
}
