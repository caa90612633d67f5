//! An upstream that is down, slow, broken, or without end: an error that says so, nothing leaked, in bounded
//! memory.

use std::net::TcpListener;

use mcpg_tests::mcp::Request;
use mcpg_tests::{Fixture, Gateway, RawHttp, RawUpstream, Response, Step, scenes, until};
use serde_json::json;

use crate::expect::{Refused, refused, says_nothing_inside};

const UNAVAILABLE: Refused = refused(502, 50201, "upstream_unavailable");
const INVALID: Refused = refused(502, 50202, "upstream_invalid");
const TIMEOUT: Refused = refused(504, 50401, "upstream_timeout");

/// Short enough for a test, long enough for a busy machine.
const READ_MS: &str = "    timeouts: { read_ms: 1000 }\n";

#[test]
fn an_upstream_that_is_down_is_502() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gateway = scenes::open(&format!("http://127.0.0.1:{port}/mcp")).start();
    UNAVAILABLE.check_id("down", &call(&gateway), json!(1));
    assert_eq!(gateway.metrics().sum("mcpg_upstream_errors_total", &[("binding", "files")]), 1.0);
}

#[test]
fn an_upstream_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let gateway = scenes::open(&format!("http://{address}/mcp")).start();
    UNAVAILABLE.check("down", &call(&gateway));
    let fixture = Fixture::start_at(&address.to_string(), &[]);
    assert_eq!(call(&gateway).status, 200);
    drop(fixture);
    UNAVAILABLE.check("down again", &call(&gateway));
}

#[test]
fn an_upstream_that_never_answers_is_504() {
    let upstream = RawUpstream::start(|_| vec![Step::Stall]);
    let gateway = scenes::open_with(&upstream.url(), "", READ_MS).start();
    TIMEOUT.check_id("slow", &call(&gateway), json!(1));
    until("the gateway should hang up", || (upstream.open_connections() == 0).then_some(()));
    assert_eq!(upstream.requests().len(), 1, "a call that may have had an effect is not repeated");
}

#[test]
fn an_upstream_that_breaks_off_before_its_answer_is_502() {
    for step in [Step::Close, Step::Reset] {
        let upstream = RawUpstream::start(move |_| vec![step.clone()]);
        let gateway = scenes::open(&upstream.url()).start();
        UNAVAILABLE.check_id("broken off", &call(&gateway), json!(1));
        assert_eq!(upstream.requests().len(), 1, "a call that may have had an effect is not repeated");
    }
}

#[test]
fn an_upstream_that_speaks_no_http_is_502() {
    for answer in [
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nxyz",
        "\0\0\0\0\r\n\r\n",
    ] {
        let upstream = raw(answer.as_bytes().to_vec());
        let gateway = scenes::open(&upstream.url()).start();
        let response = call(&gateway);
        assert_eq!(response.status, 502, "{answer:?}: {}", response.text());
        says_nothing_inside(answer, &response.text());
        assert!(!response.text().contains("SSH"), "{}", response.text());
    }
}

#[test]
fn an_upstream_with_endless_headers_is_502() {
    let upstream = RawUpstream::start(|_| {
        vec![Step::Send(b"HTTP/1.1 200 OK\r\n".to_vec()), Step::SendForever(b"X-A: b\r\n".repeat(512))]
    });
    let gateway = scenes::open(&upstream.url()).start();
    let response = call(&gateway);
    assert_eq!(response.status, 502, "{}", response.text());
    until("the gateway should hang up", || (upstream.open_connections() == 0).then_some(()));
    assert!(upstream.bytes_out() < 64 << 20, "{} bytes were read", upstream.bytes_out());
}

#[test]
fn an_answer_that_breaks_off_is_never_whole() {
    for step in [Step::Close, Step::Reset] {
        for head in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
            let half = if head.starts_with('C') { "{\"half\":" } else { "8\r\n{\"half\":\r\n" };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{head}\r\n\r\n{half}");
            let step = step.clone();
            let upstream =
                RawUpstream::start(move |_| vec![Step::Send(answer.clone().into_bytes()), step.clone()]);
            let gateway = scenes::open(&upstream.url()).start();
            let response = call(&gateway);
            assert!(!response.complete || response.status >= 500, "{head}: {response:?}");
        }
    }
}

#[test]
fn an_answer_that_stalls_is_cut_off() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
    let upstream = RawUpstream::start(move |_| vec![Step::Send(head.as_bytes().to_vec()), Step::Stall]);
    let gateway = scenes::open_with(&upstream.url(), "", READ_MS).start();
    let response = call(&gateway);
    assert!(!response.complete || response.status >= 500, "{response:?}");
    until("the gateway should hang up", || (upstream.open_connections() == 0).then_some(()));
}

#[test]
fn an_endless_answer_is_cut_off_in_bounded_memory() {
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 65_536], b"\r\n"].concat();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let upstream = RawUpstream::start(move |_| {
        vec![Step::Send(head.as_bytes().to_vec()), Step::SendForever(chunk.clone())]
    });
    let gateway =
        scenes::open_with(&upstream.url(), "  limits: { response_bytes_max: 1048576 }\n", "").start();
    let before = gateway.resident_kib();
    let response = call(&gateway);
    assert!(!response.complete || response.status >= 500, "{}", response.status);
    assert!(response.body.len() <= 1 << 20, "{} bytes came through", response.body.len());
    until("the gateway should hang up", || (upstream.open_connections() == 0).then_some(()));
    assert!(gateway.resident_kib() < before + 64 * 1024, "{} -> {} KiB", before, gateway.resident_kib());
}

#[test]
fn an_answer_over_the_limit_by_its_own_word_is_502() {
    let upstream =
        raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n{".into());
    let gateway =
        scenes::open_with(&upstream.url(), "  limits: { response_bytes_max: 1048576 }\n", "").start();
    INVALID.check_id("a long answer", &call(&gateway), json!(1));
}

#[test]
fn an_upstreams_refusal_of_our_credentials_is_not_the_clients() {
    let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"inner\"\r\n\
                  Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let upstream = raw(answer.as_bytes().to_vec());
    let gateway = scenes::open(&upstream.url()).start();
    let response = call(&gateway);
    INVALID.check_id("401", &response, json!(1));
    assert_eq!(response.header("www-authenticate"), None);
}

#[test]
fn a_client_that_leaves_cancels_the_call() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n";
    let upstream = RawUpstream::start(move |_| vec![Step::Send(head.as_bytes().to_vec()), Step::Stall]);
    let gateway = scenes::open(&upstream.url()).start();
    let mut connection = RawHttp::connect(gateway.address());
    let request = Request::modern_call("/mcp", "echo", json!({ "text": "x" }));
    connection.send(&request.bytes(gateway.address()));
    assert_eq!(connection.head().map(|head| head.status), Some(200));
    assert_eq!(upstream.open_connections(), 1);
    drop(connection);
    until("the upstream should be told", || (upstream.open_connections() == 0).then_some(()));
}

#[test]
fn an_event_stream_without_end_is_no_fault() {
    let event = b"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\n".repeat(1000);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let upstream = RawUpstream::start(move |_| {
        vec![Step::Send(head.as_bytes().to_vec()), Step::SendForever(event.clone())]
    });
    let gateway =
        scenes::open_with(&upstream.url(), "  limits: { response_bytes_max: 1048576 }\n", "").start();
    let mut connection = RawHttp::connect(gateway.address());
    let request = Request::modern_call("/mcp", "echo", json!({ "text": "x" }));
    connection.send(&request.bytes(gateway.address()));
    assert_eq!(connection.head().map(|head| head.status), Some(200));
    let mut read = 0;
    while read < 8 << 20 {
        let more = connection.read_more().len();
        assert!(more > 0, "the stream ended after {read} bytes");
        read += more;
    }
}

#[test]
fn a_reader_that_stops_does_not_fill_the_memory() {
    let event = b"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\n".repeat(1000);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let upstream = RawUpstream::start(move |_| {
        vec![Step::Send(head.as_bytes().to_vec()), Step::SendForever(event.clone())]
    });
    let limits = "  limits: { write_timeout_ms: 1000 }\n";
    let gateway = scenes::open_with(&upstream.url(), limits, "").start();
    let before = gateway.resident_kib();
    let mut connection = RawHttp::connect(gateway.address());
    let request = Request::modern_call("/mcp", "echo", json!({ "text": "x" }));
    connection.send(&request.bytes(gateway.address()));
    assert_eq!(connection.head().map(|head| head.status), Some(200));
    // Nothing more is read: the gateway gives up on the client, and so on the upstream.
    until("the slow reader should be reaped", || (upstream.open_connections() == 0).then_some(()));
    assert!(gateway.resident_kib() < before + 64 * 1024, "{} -> {} KiB", before, gateway.resident_kib());
}

fn call(gateway: &Gateway) -> Response {
    Request::modern_call("/mcp", "echo", json!({ "text": "x" })).send(gateway.address())
}

/// Sends these bytes in answer to anything, and nothing more.
fn raw(answer: Vec<u8>) -> RawUpstream {
    RawUpstream::start(move |_| vec![Step::Send(answer.clone()), Step::Close])
}
