//! Trace context: the caller's trace goes on to the upstream, under a span of the gateway's own (W3C Trace Context).

use mcpg_tests::mcp::Request;
use mcpg_tests::{RawUpstream, scenes};
use serde_json::json;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

#[test]
fn a_trace_is_joined() {
    let sent = format!("00-{TRACE}-{PARENT}-01");
    let seen = seen(Some(&sent));
    let parts: Vec<&str> = seen.split('-').collect();
    assert_eq!((parts[0], parts[1], parts[3]), ("00", TRACE, "01"), "{seen}");
    assert_ne!(parts[2], PARENT, "the upstream's parent is the gateway's span");
}

#[test]
fn a_trace_that_is_none_is_begun_anew() {
    for sent in [
        None,
        Some("00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
        Some("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"),
        Some("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        Some("evil"),
    ] {
        let seen = seen(sent);
        let parts: Vec<&str> = seen.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2], "{seen}");
        assert!(!sent.is_some_and(|sent| sent.to_lowercase().contains(parts[1])), "{sent:?}: {seen}");
    }
}

/// The `traceparent` that the upstream sees.
fn seen(sent: Option<&str>) -> String {
    let upstream = RawUpstream::result(json!({ "content": [] }));
    let gateway = scenes::open(&upstream.url()).start();
    let request = Request::modern_call("/mcp", "echo", json!({})).set("traceparent", sent);
    assert_eq!(request.send(gateway.address()).status, 200);
    upstream.requests()[0].header("traceparent").expect("the upstream should see one").to_owned()
}
