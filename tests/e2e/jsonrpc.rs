//! A body that an upstream could read differently goes no further (HAZARDS: JSON-RPC; ARCHITECTURE: parser
//! agreement).

use std::cell::Cell;

use mcpg_tests::mcp::Request;
use mcpg_tests::{Gateway, RawUpstream, scenes};
use serde_json::{Value, json};

use crate::expect::{Refused, refused};

/// `_meta` of a stateless request, to write bodies by hand with.
const META: &str = concat!(
    r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"#,
    r#""io.modelcontextprotocol/clientCapabilities":{}}"#
);

#[test]
fn bodies_with_two_meanings_are_refused() {
    let bench = Bench::start();
    let check = |case: &str, body: &str, code: i64, word: &'static str| {
        bench.refuses(case, body.replace("{meta}", META).as_bytes(), refused(400, code, word));
    };
    let call = |members: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call",{members}}}"#);
    let params = r#""params":{"name":"echo","arguments":{"text":"x"},{meta}}"#;

    check(
        "`Method` besides `method`",
        &call(&format!(r#"{params},"Method":"tools/list""#)),
        -32600,
        "key_variant",
    );
    check("`METHOD` alone", r#"{"jsonrpc":"2.0","id":1,"METHOD":"tools/call"}"#, -32600, "key_variant");
    check("a long s in `params`", &call(&format!("{params},\"param\u{17f}\":{{}}")), -32600, "key_variant");
    check("an escaped long s", &call(&format!(r#"{params},"param\u017f":{{}}"#)), -32600, "key_variant");
    check("`Id`", &call(&format!(r#"{params},"Id":2"#)), -32600, "key_variant");
    check(
        "`Name` in params",
        &call(r#""params":{"name":"echo","Name":"delete_repo",{meta}}"#),
        -32600,
        "key_variant",
    );
    check("two methods", &call(&format!(r#"{params},"method":"tools/list""#)), -32600, "duplicate_key");
    check(
        "an escaped second method",
        &call(&format!(r#"{params},"m\u0065thod":"x""#)),
        -32600,
        "duplicate_key",
    );
    check("two params", &call(&format!("{params},{params}")), -32600, "duplicate_key");
    check(
        "two names",
        &call(r#""params":{"name":"echo","name":"delete_repo",{meta}}"#),
        -32600,
        "duplicate_key",
    );
    check(
        "two of one argument",
        &call(r#""params":{"name":"echo","arguments":{"text":"a","text":"b"},{meta}}"#),
        -32600,
        "duplicate_key",
    );
    check("NUL in a key", &call(&format!(r#"{params},"me\u0000thod":1"#)), -32600, "nul_in_key");
    check("a lone surrogate", &call(r#""params":{"name":"\ud800",{meta}}"#), -32700, "lone_surrogate");
    check(
        "a lone surrogate in the arguments",
        &call(r#""params":{"name":"echo","arguments":{"text":"\udc00x"},{meta}}"#),
        -32700,
        "lone_surrogate",
    );
    check("trailing bytes", &format!("{} {{}}", call(params)), -32700, "trailing_bytes");
    check("a trailing NUL", &format!("{}\0", call(params)), -32700, "trailing_bytes");
    check("a comment", &call(&format!("/* */{params}")), -32700, "unexpected_byte");
    check("a trailing comma", &call(&format!("{params},")), -32700, "unexpected_byte");
    check("single quotes", "{'jsonrpc':'2.0'}", -32700, "unexpected_byte");
    check("a line feed in a string", &call("\"params\":{\"name\":\"ec\nho\"}"), -32700, "control_character");
    check(
        "a leading zero",
        &call(r#""params":{"name":"echo","arguments":{"n":01},{meta}}"#),
        -32700,
        "malformed_number",
    );
    check(
        "NaN",
        &call(r#""params":{"name":"echo","arguments":{"n":NaN},{meta}}"#),
        -32700,
        "unexpected_byte",
    );
    check("the half of a body", &call(params)[..40], -32700, "unexpected_end");
    check("a batch", &format!("[{}]", call(params)), -32600, "batch");
    check("an empty batch", "[]", -32600, "batch");
    check("a string", "\"tools/call\"", -32600, "not_an_object");
    check("another version", r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600, "jsonrpc_version");
    check("no version", r#"{"id":1,"method":"ping"}"#, -32600, "jsonrpc_version");
    check("no shape", r#"{"jsonrpc":"2.0","id":1}"#, -32600, "shapeless");
    check("request and response", &call(&format!(r#"{params},"result":{{}}"#)), -32600, "mixed");
}

#[test]
fn bodies_that_are_no_utf_8_are_refused() {
    let bench = Bench::start();
    let valid = bench.body(r#""id":1"#);
    let utf_16: Vec<u8> = valid.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let rows: &[(&str, Vec<u8>, &'static str)] = &[
        ("a byte order mark", [b"\xef\xbb\xbf", valid.as_bytes()].concat(), "byte_order_mark"),
        (
            "invalid UTF-8",
            valid.replace("text", "te?xt").bytes().map(|b| if b == b'?' { 0xff } else { b }).collect(),
            "not_utf8",
        ),
        (
            "an overlong slash",
            [&valid.as_bytes()[..20], b"\xc0\xaf", &valid.as_bytes()[20..]].concat(),
            "not_utf8",
        ),
        (
            "a coded surrogate",
            [&valid.as_bytes()[..20], b"\xed\xa0\x80", &valid.as_bytes()[20..]].concat(),
            "not_utf8",
        ),
        ("UTF-16 with its mark", [b"\xff\xfe", utf_16.as_slice()].concat(), "not_utf8"),
    ];
    for (case, body, word) in rows {
        bench.refuses(case, body, refused(400, -32700, word));
    }
    // UTF-16 without a mark is valid UTF-8 full of NUL: no JSON.
    bench.refuses("UTF-16", &utf_16, refused(400, -32700, "unexpected_byte"));
}

#[test]
fn depth_is_bounded() {
    let bench = Bench::start();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let body = |depth: usize| {
            let arguments = format!(r#""arguments":{{"n":{}}}"#, nested(depth));
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo",{arguments},{META}}}}}"#
            )
        };
        bench.refuses("deep", body(10_000).as_bytes(), refused(400, -32600, "too_deep"));
        bench.refuses("very deep", body(200_000).as_bytes(), refused(400, -32600, "too_deep"));
        bench.accepts("within the limit", &body(50));
    }
}

#[test]
fn ids_are_echoed_exactly_or_refused() {
    let bench = Bench::start();
    for id in
        ["9007199254740993", "-9007199254740993", "1e400", "1.5", "1e0", "-0", "null", "true", "[1]", "{}"]
    {
        let body = bench.body(&format!(r#""id":{id}"#));
        let response = bench.send(body.as_bytes());
        assert_eq!(response.status, 400, "{id}: {}", response.text());
        assert_eq!(response.json()["id"], Value::Null, "{id}: {}", response.text());
        bench.upstream_saw_nothing(id);
    }
    let long = "x".repeat(1 << 20);
    let response = bench.send(bench.body(&format!(r#""id":"{long}""#)).as_bytes());
    assert_eq!(response.status, 400, "a long id");
    bench.upstream_saw_nothing("a long id");

    for id in
        ["0", "-1", "9007199254740991", "-9007199254740991", "\"\"", "\"a-1\"", r#""a\u0062\/""#, "\"ü\""]
    {
        let body = bench.body(&format!(r#""id":{id}"#));
        bench.accepts(id, &body);
        // A refusal has the id as it was written, escapes and all.
        let denied =
            bench.request(body.as_bytes()).set("Mcp-Name", Some("other")).send(bench.gateway.address());
        refused(400, -32020, "header_mismatch").check(id, &denied);
        assert!(denied.text().contains(&format!(r#""id":{id},"#)), "{id}: {}", denied.text());
    }
}

#[test]
fn headers_agree_with_the_body() {
    let bench = Bench::start();
    let valid = bench.body(r#""id":1"#);
    let check = |case: &str, name: &str, value: Option<&str>, expected: Refused| {
        let response = bench.request(valid.as_bytes()).set(name, value).send(bench.gateway.address());
        expected.check_id(case, &response, json!(1));
        bench.upstream_saw_nothing(case);
    };
    let mismatch = refused(400, -32020, "header_mismatch");
    check("another method", "Mcp-Method", Some("tools/list"), mismatch);
    check("the method in capitals", "Mcp-Method", Some("TOOLS/CALL"), mismatch);
    check("no method", "Mcp-Method", None, mismatch);
    check("another name", "Mcp-Name", Some("delete_repo"), mismatch);
    check("no name", "Mcp-Name", None, mismatch);
    check("an empty name", "Mcp-Name", Some(""), mismatch);
    check("a coded other name", "Mcp-Name", Some("=?base64?ZGVsZXRlX3JlcG8=?="), mismatch);
    check("broken base64", "Mcp-Name", Some("=?base64?ZWNo*?="), mismatch);
    check("no revision", "MCP-Protocol-Version", None, mismatch);
    check("another revision", "MCP-Protocol-Version", Some("2025-11-25"), mismatch);
    check("text", "Content-Type", Some("text/plain"), refused(415, 41501, "unsupported_media_type"));
    check("no type", "Content-Type", None, refused(415, 41501, "unsupported_media_type"));
    check("only HTML is read", "Accept", Some("text/html"), refused(406, 40601, "not_acceptable"));

    let twice =
        bench.request(valid.as_bytes()).header("Mcp-Name", "delete_repo").send(bench.gateway.address());
    mismatch.check_id("two names", &twice, json!(1));
    bench.upstream_saw_nothing("two names");

    let coded = bench.request(valid.as_bytes()).set("Mcp-Name", Some("=?base64?ZWNobw==?="));
    assert_eq!(coded.send(bench.gateway.address()).status, 200, "a coded name that agrees");
}

#[test]
fn revisions_are_known_or_named() {
    let bench = Bench::start();
    let unknown = bench.body(r#""id":1"#).replace("2026-07-28", "2031-01-01");
    let request = bench.request(unknown.as_bytes()).set("MCP-Protocol-Version", Some("2031-01-01"));
    let response = request.send(bench.gateway.address());
    refused(400, -32022, "unsupported_version").check_id("an unknown revision", &response, json!(1));
    let data = &response.json()["error"]["data"];
    assert!(data["supported"].as_array().is_some_and(|known| known.contains(&json!("2026-07-28"))), "{data}");
    assert_eq!(data["requested"], "2031-01-01");
    bench.upstream_saw_nothing("an unknown revision");
}

#[test]
fn stateless_requests_bring_their_metadata() {
    let bench = Bench::start();
    let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","_meta":{{{version}}}}}}}"#
    );
    let response = bench.send(body.as_bytes());
    refused(400, -32602, "invalid_params").check_id("no capabilities", &response, json!(1));
    bench.upstream_saw_nothing("no capabilities");
}

#[test]
fn stateless_requests_are_posts() {
    let bench = Bench::start();
    for method in ["GET", "DELETE", "PUT", "PATCH", "HEAD"] {
        let request = Request::new(method, "/mcp").header("MCP-Protocol-Version", "2026-07-28");
        let mut connection = mcpg_tests::RawHttp::connect(bench.gateway.address());
        connection.send(&request.bytes(bench.gateway.address()));
        let status = connection.head().map(|head| head.status);
        assert_eq!(status, Some(405), "{method}");
        bench.upstream_saw_nothing(method);
    }
}

#[test]
fn what_is_accepted_reaches_the_upstream_byte_for_byte() {
    let bench = Bench::start();
    let rows = [
        r#"{ "id" : 1 ,	"jsonrpc":"2.0", "params" : {"arguments":{"text":"\u00fc\ud83d\ude00\/"},"name":"echo",{meta}} , "method":"tools/call" }"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ec\u0068o","arguments":{"n":1.0e+3,"big":123456789012345678901234567890},{meta}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools\/call","x-unknown":[null],"params":{"name":"echo","arguments":{"__proto__":{"a":1},"Text":"A","text":"a"},{meta}}}"#,
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":{\"text\":\"\u{2028}\u{ffff}\"},{meta}}}\r\n",
    ];
    for row in rows {
        bench.accepts(row, &row.replace("{meta}", META));
    }
}

/// A gateway in front of an upstream that answers anything.
struct Bench {
    upstream: RawUpstream,
    gateway: Gateway,
    /// Bytes that accepted calls have brought to the upstream.
    accounted: Cell<u64>,
}

impl Bench {
    fn start() -> Self {
        let upstream = RawUpstream::result(json!({ "content": [] }));
        let gateway = scenes::open(&upstream.url()).start();
        Self { upstream, gateway, accounted: Cell::new(0) }
    }

    /// A valid call with this member for its id.
    fn body(&self, id: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0",{id},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"x"}},{META}}}}}"#
        )
    }

    fn request(&self, body: &[u8]) -> Request {
        Request::modern_call("/mcp", "echo", json!({})).body(body)
    }

    fn send(&self, body: &[u8]) -> mcpg_tests::Response {
        self.request(body).send(self.gateway.address())
    }

    fn refuses(&self, case: &str, body: &[u8], expected: Refused) {
        expected.check(case, &self.send(body));
        self.upstream_saw_nothing(case);
    }

    /// The upstream sees exactly these bytes, and the gateway's answer is the upstream's.
    fn accepts(&self, case: &str, body: &str) {
        let before = self.upstream.requests().len();
        let response = self.send(body.as_bytes());
        assert_eq!(response.status, 200, "{case}: {}", response.text());
        let seen = self.upstream.requests();
        assert_eq!(seen.len(), before + 1, "{case}");
        assert_eq!(String::from_utf8_lossy(&seen[before].body), body, "{case}");
        let sent: Value = serde_json::from_str(body).unwrap();
        assert_eq!(response.json()["id"], sent["id"], "{case}");
        self.accounted.set(self.upstream.bytes_in());
    }

    /// Nothing since the last call that was accepted.
    fn upstream_saw_nothing(&self, case: &str) {
        assert_eq!(
            self.upstream.bytes_in(),
            self.accounted.get(),
            "{case}: {:?}",
            self.upstream.requests().last()
        );
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // The rows prove nothing unless the same bench serves what is right.
        if !std::thread::panicking() {
            self.accepts("a valid call", &self.body(r#""id":1"#));
        }
    }
}
