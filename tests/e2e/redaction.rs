//! What policy obliges to redact is gone from every form of answer, or the answer is withheld.

use mcpg_tests::key::key;
use mcpg_tests::mcp::Request;
use mcpg_tests::{Fixture, Gateway, RawUpstream, Response, Step, scenes};
use serde_json::{Value, json};

/// Policy redacts members called `email`.
const SECRET: &str = "canary@example.com";

#[test]
fn a_member_is_gone_wherever_it_is() {
    let record = json!({ "name": "Ada", "email": SECRET });
    let rows = [
        ("structured content", json!({ "content": [], "structuredContent": record })),
        ("nested", json!({ "content": [], "structuredContent": { "a": [{ "b": record }] } })),
        ("JSON in text", json!({ "content": [{ "type": "text", "text": record.to_string() }] })),
        ("pretty JSON in text", json!({ "content": [{ "type": "text", "text": format!("{record:#}") }] })),
        (
            "JSON in JSON in text",
            json!({ "content": [{ "type": "text", "text": json!({ "r": record.to_string() }).to_string() }] }),
        ),
        (
            "JSON in prose",
            json!({ "content": [{ "type": "text", "text": format!("The record: {record}.") }] }),
        ),
        (
            "an embedded resource",
            json!({ "content": [{ "type": "resource", "resource": { "uri": "x:y", "text": record.to_string() } }] }),
        ),
        (
            "the whole value",
            json!({ "content": [], "structuredContent": { "email": { "address": SECRET, "all": [SECRET] } } }),
        ),
        ("metadata", json!({ "content": [], "_meta": { "email": SECRET } })),
    ];
    for (case, result) in rows {
        let upstream = RawUpstream::result(result);
        let response = call(&scenes::governed(&upstream.url()).start());
        assert_eq!(response.status, 200, "{case}: {}", response.text());
        assert!(!response.text().contains(SECRET), "{case}: {}", response.text());
        assert!(response.text().contains("[redacted]"), "{case}: {}", response.text());
        assert_eq!(response.json()["id"], 1, "{case}");
    }
}

#[test]
fn other_spellings_of_the_name_are_the_name() {
    for (case, result) in [
        ("escaped", format!(r#"{{"content":[],"structuredContent":{{"em\u0061il":"{SECRET}"}}}}"#)),
        (
            "twice",
            format!(r#"{{"content":[],"structuredContent":{{"email":"{SECRET}","email":"{SECRET}"}}}}"#),
        ),
        (
            "escaped in text",
            format!(r#"{{"content":[{{"type":"text","text":"{{\"em\\u0061il\":\"{SECRET}\"}}"}}]}}"#),
        ),
    ] {
        let upstream = RawUpstream::json(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#));
        let response = call(&scenes::governed(&upstream.url()).start());
        assert!(!response.text().contains(SECRET), "{case}: {}", response.text());
    }
}

#[test]
fn each_event_is_redacted() {
    let record = json!({ "email": SECRET });
    let events = [
        json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "level": "info", "data": record } }),
        json!({ "jsonrpc": "2.0", "id": 1, "result": { "content": [], "structuredContent": record } }),
    ];
    let body = format!("id: 1\nevent: message\ndata: {}\n\n: keep\n\ndata: {}\n\n", events[0], events[1]);
    for cut in [1, 7, 40, body.len()] {
        let response = call(&scenes::governed(&streaming(body.as_bytes(), cut).url()).start());
        assert_eq!(response.status, 200, "{}", response.text());
        assert!(!response.text().contains(SECRET), "pieces of {cut}: {}", response.text());
        let data: Vec<Value> =
            response.events().iter().map(|event| serde_json::from_str(&event.data).unwrap()).collect();
        assert_eq!(data.len(), 2, "{}", response.text());
        assert_eq!(data[0]["params"]["data"]["email"], "[redacted]");
        assert_eq!(data[1]["result"]["structuredContent"]["email"], "[redacted]");
        assert_eq!(response.events()[0].id.as_deref(), Some("1"));
    }
}

#[test]
fn lines_in_data_are_no_new_events() {
    let message = json!({
        "jsonrpc": "2.0",
        "id": 1,
        "result": { "content": [{ "type": "text", "text": "a\n\nevent: evil\ndata: {}\n\n" }], "email": SECRET },
    });
    // One event over several `data:` lines, as a pretty printer would send it.
    let lines: String = format!("{message:#}").lines().map(|line| format!("data: {line}\n")).collect();
    let response = call(&scenes::governed(&streaming(format!("{lines}\n").as_bytes(), 11).url()).start());
    let events = response.events();
    assert_eq!(events.len(), 1, "{}", response.text());
    assert_eq!(events[0].kind, None, "{}", response.text());
    assert_eq!(response.json()["result"]["content"], message["result"]["content"]);
    assert_eq!(response.json()["result"]["email"], "[redacted]");
}

#[test]
fn what_cannot_be_redacted_is_withheld() {
    let json = "Content-Type: application/json\r\n";
    let rows: &[(&str, String, Vec<u8>)] = &[
        ("no JSON", json.into(), format!("<email>{SECRET}</email>").into_bytes()),
        ("the half of it", json.into(), format!(r#"{{"email":"{SECRET}""#).into_bytes()),
        ("compressed", format!("{json}Content-Encoding: gzip\r\n"), b"\x1f\x8b\x08canary".to_vec()),
        ("no UTF-8", json.into(), [br#"{"a":""#.as_slice(), b"\xff", br#""}"#].concat()),
    ];
    for (case, headers, body) in rows {
        let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        let answer = [head.as_bytes(), body].concat();
        let upstream = RawUpstream::start(move |_| vec![Step::Send(answer.clone())]);
        let response = call(&scenes::governed(&upstream.url()).start());
        assert!(!response.text().contains("canary"), "{case}: {}", response.text());
        assert_eq!(response.json()["error"]["code"], 50001, "{case}: {}", response.text());
        assert_eq!(response.header("content-encoding"), None, "{case}");
    }
    let upstream = streaming(format!("data: {{\"email\":\"{SECRET}\"\n\n").as_bytes(), 5);
    let response = call(&scenes::governed(&upstream.url()).start());
    assert!(!response.text().contains("canary"), "a broken event: {}", response.text());
    assert_eq!(response.json()["error"]["code"], 50001, "{}", response.text());
}

#[test]
fn the_real_server_is_redacted_in_both_of_its_forms() {
    for arguments in [&[][..], &["--json"]] {
        let fixture = Fixture::start_with(arguments);
        let gateway = scenes::governed(&fixture.url()).start();
        let request = Request::modern_call("/mcp", "lookup_customer", json!({ "id": "c1" }));
        let response = request.bearer(&key("alice")).send(gateway.address());
        let result = &response.json()["result"];
        assert_eq!(result["structuredContent"]["email"], "[redacted]", "{}", response.text());
        assert_eq!(result["structuredContent"]["contacts"][0]["email"], "[redacted]");
        assert_eq!(result["structuredContent"]["phone"], "+44 20 7946 0018");
        assert!(!response.text().contains("@example.com"), "{}", response.text());
    }
}

#[test]
fn the_client_is_not_told_a_length_that_no_longer_holds() {
    let fixture = Fixture::start_with(&["--json"]);
    let gateway = scenes::governed(&fixture.url()).start();
    let request = Request::modern_call("/mcp", "lookup_customer", json!({ "id": "c1" }));
    let response = request.bearer(&key("alice")).send(gateway.address());
    assert!(response.complete);
    let length = response.header("content-length").map(|length| length.parse::<usize>().unwrap());
    assert!(length.is_none_or(|length| length == response.body.len()), "{:?}", response.headers);
}

fn call(gateway: &Gateway) -> Response {
    Request::modern_call("/mcp", "lookup", json!({})).bearer(&key("alice")).send(gateway.address())
}

/// An event stream that is sent in pieces of so many bytes.
fn streaming(body: &[u8], piece: usize) -> RawUpstream {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = body
        .chunks(piece.max(1))
        .map(|piece| Step::Send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()));
    let steps: Vec<Step> = std::iter::once(Step::Send(head.to_vec()))
        .chain(chunks)
        .chain([Step::Send(b"0\r\n\r\n".to_vec())])
        .collect();
    RawUpstream::start(move |_| steps.clone())
}
