//! What is asked of the control plane, and what is made of its answers.

use serde_json::{Value, json};

use super::*;
use crate::client::tests::{Script, answer, client, line, ok, run};
use crate::failure::Exit;
use crate::manifest::{self, Source};

const SET: &str = "\
apiVersion: mcpg.dev/v1
kind: MCPGPluginSet
metadata: { name: main }
spec:
  workspace: acme-corp/platform-team
  plugins: [{ id: identity.oidc }]
";
const ORG: &str = "\
apiVersion: mcpg.dev/v1
kind: MCPGOrganization
metadata: { name: acme-corp }
spec: {}
---
apiVersion: mcpg.dev/v1
kind: MCPGWorkspace
metadata: { name: platform-team }
spec: { organization: acme-corp }
---
";

fn manifests(text: &str) -> Vec<Manifest> {
    let source = Source { name: "a.yaml".to_owned(), base: ".".into(), bytes: text.as_bytes().to_vec() };
    manifest::read(&[source], None).unwrap_or_else(|mistakes| panic!("{mistakes:?}")).manifests
}

fn set(version: u32, plugins: &Value) -> String {
    ok(&json!({
        "on": "workspace/acme-corp/platform-team", "name": "main", "etag": version.to_string(), "version": version,
        "digest": "blake3:00", "spec": { "plugins": plugins },
        "created_at": "2026-11-22T10:11:54Z", "created_by": "user:alice@acme.com",
    }))
}

fn problem(status: u16, code: &str, errors: &Value) -> String {
    let body = json!({
        "type": format!("/problems/{code}"), "title": code, "status": status, "errors": errors,
    });
    answer(&format!("{status} {code}"), "Content-Type: application/problem+json\r\n", &body.to_string())
}

#[test]
fn a_change_says_what_it_was_compared_with() {
    let script =
        Script::start(vec![set(3, &json!([])), set(4, &json!([])), problem(412, "precondition", &json!([]))]);
    let failure = run(async {
        let client = client(&script).await;
        let plan = Plan::make(&client, manifests(SET)).await.unwrap();
        assert_eq!(plan.steps()[0].outcome(), Outcome::Configured);
        assert!(plan.steps()[0].is_tried());
        plan.steps()[0].carry_out(&client).await.unwrap_err()
    });
    assert_eq!(failure.exit(), Exit::Conflict);
    let requests = script.requests();
    let path = "/v1/orgs/acme-corp/workspaces/platform-team/plugin-sets/main";
    assert!(requests[0].starts_with(&format!("GET {path} ")), "{}", requests[0]);
    assert!(requests[1].starts_with(&format!("PUT {path}?dry_run=true ")), "{}", requests[1]);
    assert!(requests[2].starts_with(&format!("PUT {path} ")), "{}", requests[2]);
    assert_eq!(line(&requests[1], "if-match"), Some("\"3\""));
    assert_eq!(line(&requests[2], "if-match"), Some("\"3\""));
}

#[test]
fn what_says_the_same_is_left_alone() {
    // What is as it would be anyway is written here and not there.
    let script = Script::start(vec![set(3, &json!([{ "id": "identity.oidc" }]))]);
    run(async {
        let client = client(&script).await;
        let plan =
            Plan::make(&client, manifests(&SET.replace("oidc }", "oidc, enforce: true }"))).await.unwrap();
        assert_eq!(plan.steps()[0].outcome(), Outcome::Unchanged);
        plan.steps()[0].carry_out(&client).await.unwrap();
    });
    assert_eq!(script.requests().len(), 1);
}

#[test]
fn what_is_to_stand_on_something_new_is_not_tried() {
    let missing = || problem(404, "not-found", &json!([]));
    let script = Script::start(vec![missing(), missing(), missing()]);
    run(async {
        let plan = Plan::make(&client(&script).await, manifests(&format!("{ORG}{SET}"))).await.unwrap();
        let outcomes: Vec<_> = plan.steps().iter().map(|step| (step.outcome(), step.is_tried())).collect();
        assert_eq!(outcomes, [(Outcome::Created, false); 3]);
    });
    assert!(script.requests().iter().all(|request| request.starts_with("GET ")));
}

#[test]
fn nothing_is_changed_where_anything_is_refused() {
    let other = SET.replace("name: main", "name: other");
    let errors = json!([{ "pointer": "/spec/plugins/0", "detail": "no" }]);
    let script = Script::start(vec![
        set(3, &json!([])),
        problem(422, "invalid", &errors),
        problem(404, "not-found", &json!([])),
        problem(403, "forbidden", &json!([])),
    ]);
    let failure = run(async {
        Plan::make(&client(&script).await, manifests(&format!("{SET}---\n{other}"))).await.unwrap_err()
    });
    assert_eq!(failure.to_string(), "nothing was changed: the control plane refuses 2 manifests");
    let requests = script.requests();
    assert_eq!(line(&requests[3], "if-none-match"), Some("*"));
    assert!(requests.iter().all(|request| request.starts_with("GET ") || request.contains("?dry_run=true ")));
}
