//! The admin listener: what it answers, and that it is nowhere else.

use mcpg_tests::mcp::Request;
use mcpg_tests::{Gateway, RawUpstream, scenes, until};
use serde_json::json;

#[test]
fn the_four_pages_answer() {
    let gateway = start();
    assert_eq!(gateway.admin_get("/livez").status, 200);
    let ready = gateway.admin_get("/readyz");
    assert_eq!((ready.status, ready.json()["ready"].clone()), (200, json!(true)));
    let revision = gateway.admin_get("/revision");
    assert_eq!(revision.status, 200);
    assert_eq!(revision.json()["number"], 1, "{}", revision.text());
    let metrics = gateway.admin_get("/metrics");
    assert!(metrics.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    for name in ["mcpg_requests_total", "mcpg_revision_number", "mcpg_request_duration_seconds"] {
        assert!(metrics.text().contains(name), "{name} in {}", metrics.text());
    }
    assert_eq!(gateway.admin_get("/").status, 404);
    let post = Request::post("/revision", "{}").send(gateway.admin());
    assert_eq!(post.status, 405);
}

#[test]
fn clients_cannot_reach_it() {
    let gateway = start();
    for path in ["/livez", "/readyz", "/metrics", "/revision"] {
        assert_ne!(Request::new("GET", path).send(gateway.address()).status, 200, "{path}");
    }
}

#[test]
fn labels_come_from_no_request() {
    let gateway = start();
    for name in ["canary-tool", "another-canary"] {
        assert_eq!(Request::modern_call("/mcp", name, json!({})).send(gateway.address()).status, 200);
    }
    assert_eq!(Request::new("GET", "/canary").send(gateway.address()).status, 404);
    // A request is counted once its answer is out.
    let permitted = [("binding", "files"), ("outcome", "permitted")];
    until("both calls should be counted", || {
        (gateway.metrics().sum("mcpg_requests_total", &permitted) == 2.0).then_some(())
    });
    assert!(!gateway.metrics().mentions("canary"));
}

#[test]
fn a_remote_admin_address_needs_a_word() {
    let config = "server: { listen: [\"{listen}\"], admin: \"0.0.0.0:0\" }\nplugins: [identity.anonymous]\n\
                  bindings: [{ id: files, type: mcp, url: \"http://127.0.0.1:1/mcp\" }]\n";
    let said = mcpg_tests::Setup::new(config).start_refused();
    assert!(said.contains("admin_allow_remote"), "{said}");
}

fn start() -> Gateway {
    let upstream = Box::leak(Box::new(RawUpstream::result(json!({ "content": [] }))));
    scenes::open(&upstream.url()).start()
}
