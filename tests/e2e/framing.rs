//! What two parsers could read differently goes no further (HAZARDS: HTTP framing; RFC 9112, sections 2 to 7).
//!
//! Every row is sent as it stands on a connection of its own. The upstream must not see a byte of it, and the
//! connection must be closed: what follows on it can no longer be told apart.

use std::net::SocketAddr;

use mcpg_tests::mcp::Request;
use mcpg_tests::{Gateway, RawHttp, RawUpstream, exchange, scenes};
use serde_json::json;

use crate::expect::{Refused, refused};

#[test]
fn heads_with_two_meanings_are_refused() {
    let bench = Bench::start();
    let check =
        |case: &str, head: &str, word: &'static str| bench.check(case, head, refused(400, -32600, word));

    check(
        "length and chunks",
        "{post}{host}Content-Length: {n}\r\nTransfer-Encoding: chunked\r\n",
        "two_framings",
    );
    check(
        "chunks and length",
        "{post}{host}Transfer-Encoding: chunked\r\nContent-Length: {n}\r\n",
        "two_framings",
    );
    check(
        "chunks in HTTP/1.0",
        "POST /mcp HTTP/1.0\r\n{host}Transfer-Encoding: chunked\r\n",
        "transfer_encoding",
    );
    check(
        "lengths that differ",
        "{post}{host}Content-Length: {n}\r\nContent-Length: 1\r\n",
        "content_length",
    );
    check(
        "the same length twice",
        "{post}{host}Content-Length: {n}\r\nContent-Length: {n}\r\n",
        "content_length",
    );
    for length in
        ["+5", "-1", "18446744073709551616", "9223372036854775808", "5,5", "5 5", "0x5", "5.0", "", "５"]
    {
        check(
            &format!("length `{length}`"),
            &format!("{{post}}{{host}}Content-Length: {length}\r\n"),
            "content_length",
        );
    }
    for coding in ["chunked, chunked", "gzip, chunked", "identity", "xchunked", "chunked;q=1", "chunked,", ""]
    {
        check(
            &format!("coding `{coding}`"),
            &format!("{{post}}{{host}}Transfer-Encoding: {coding}\r\n"),
            "transfer_encoding",
        );
    }
    check(
        "coding on two lines",
        "{post}{host}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "transfer_encoding",
    );
    check("bare line feed in the request line", "POST /mcp HTTP/1.1\n{host}{length}", "bare_line_feed");
    check("bare line feed in a header", "{post}{host}X-A: b\n{length}", "bare_line_feed");
    check("folded header", "{post}{host}X-A: b\r\n c\r\n{length}", "folded_header");
    check("folded length", "{post}{host}Content-Length: {n}\r\n 0\r\n", "folded_header");
    check("space before the colon", "{post}{host}Content-Length : {n}\r\n", "malformed_field_name");
    check(
        "space before the coding's colon",
        "{post}{host}Transfer-Encoding : chunked\r\n",
        "malformed_field_name",
    );
    check("no colon", "{post}{host}X-A\r\n{length}", "malformed_field_name");
    check("no name", "{post}{host}: b\r\n{length}", "malformed_field_name");
    check("NUL in a name", "{post}{host}X-\0A: b\r\n{length}", "malformed_field_name");
    check("NUL in a value", "{post}{host}X-A: b\0c\r\n{length}", "malformed_field_value");
    check("carriage return in a value", "{post}{host}X-A: b\rX-B: c\r\n{length}", "malformed_field_value");
    check(
        "vertical tab before the coding",
        "{post}{host}Transfer-Encoding: \x0bchunked\r\n",
        "malformed_field_value",
    );
}

#[test]
fn requests_that_name_no_one_host_are_refused() {
    let bench = Bench::start();
    let check = |case: &str, head: &str| bench.check(case, head, refused(400, -32600, "host"));
    check("no host", "{post}{length}");
    check("no host in HTTP/1.0", "POST /mcp HTTP/1.0\r\n{length}");
    check("two hosts", "{post}{host}{host}{length}");
    check("two hosts that differ", "{post}{host}Host: evil.example\r\n{length}");
    check("an empty host", "{post}Host:\r\n{length}");
    check("user information", "{post}Host: a@{address}\r\n{length}");
    check("a path", "{post}Host: {address}/x\r\n{length}");
    check("absolute form of another host", "POST http://evil.example/mcp HTTP/1.1\r\n{host}{length}");
    check("absolute form of another port", "POST http://127.0.0.1:1/mcp HTTP/1.1\r\n{host}{length}");
}

#[test]
fn request_lines_are_exact() {
    let bench = Bench::start();
    let check = |case: &str, line: &str, status: u16, word: &'static str| {
        bench.check(case, &format!("{line}\r\n{{host}}{{length}}"), refused(status, -32600, word));
    };
    check("two spaces", "POST  /mcp HTTP/1.1", 400, "malformed_request_line");
    check("a tab", "POST\t/mcp\tHTTP/1.1", 400, "malformed_request_line");
    check("no version", "POST /mcp", 400, "malformed_request_line");
    check("something after the version", "POST /mcp HTTP/1.1 x", 400, "malformed_request_line");
    check("a fragment", "POST /mcp#x HTTP/1.1", 400, "malformed_request_line");
    check("no slash", "POST mcp HTTP/1.1", 400, "malformed_request_line");
    check("a control character", "POST /mcp\x01 HTTP/1.1", 400, "malformed_request_line");
    check("a method that is no token", "PO(ST /mcp HTTP/1.1", 400, "malformed_request_line");
    check("HTTP/1.2", "POST /mcp HTTP/1.2", 505, "http_version");
    check("HTTP/2.0", "POST /mcp HTTP/2.0", 505, "http_version");
    check("HTTP/0.9", "POST /mcp HTTP/0.9", 505, "http_version");
    check("CONNECT", "CONNECT 127.0.0.1:80 HTTP/1.1", 405, "method_not_served");
}

#[test]
fn heads_are_bounded() {
    let bench = Bench::start();
    let long = format!("{{post}}{{host}}X-A: {}\r\n{{length}}", "a".repeat(20_000));
    bench.check("a long header", &long, refused(431, -32600, "header_too_large"));
    let many = format!("{{post}}{{host}}{}{{length}}", "X-A: b\r\n".repeat(101));
    bench.check("many headers", &many, refused(431, -32600, "too_many_header_fields"));
    // Refused on what has arrived: the end of the head never comes.
    let mut connection = RawHttp::connect(bench.gateway.address());
    connection.send(format!("POST /{} HTTP/1.1\r\n", "a".repeat(20_000)).as_bytes());
    let response = connection.response().expect("the gateway should not wait for the end");
    refused(431, -32600, "header_too_large").check("a long target without an end", &response);
    bench.upstream_saw_nothing("a long target");
}

#[test]
fn chunks_are_exact() {
    let bench = Bench::start_with("  limits: { body_timeout_ms: 1000 }\n");
    let extension = "a".repeat(100_000);
    let trailers = "X-A: b\r\n".repeat(20_000);
    let rows: &[(&str, String)] = &[
        ("no size", "zz\r\n{}\r\n0\r\n\r\n".into()),
        ("a negative size", "-2\r\n{}\r\n0\r\n\r\n".into()),
        ("a size of 2^64 and more", "10000000000000002\r\n{}\r\n0\r\n\r\n".into()),
        ("a size in two words", "2 2\r\n{}\r\n0\r\n\r\n".into()),
        ("a hexadecimal prefix", "0x2\r\n{}\r\n0\r\n\r\n".into()),
        ("no end after the data", "2\r\n{}X0\r\n\r\n".into()),
        ("data longer than the size", "1\r\n{}\r\n0\r\n\r\n".into()),
        ("a huge extension", format!("2;{extension}\r\n{{}}\r\n0\r\n\r\n")),
        ("huge trailers", format!("2\r\n{{}}\r\n0\r\n{trailers}\r\n")),
        ("no last chunk", "2\r\n{}\r\n".into()),
    ];
    for (case, body) in rows {
        let head = bench.fill("{post}{host}Transfer-Encoding: chunked\r\n");
        let mut connection = RawHttp::connect(bench.gateway.address());
        connection.send(format!("{head}\r\n{body}").as_bytes());
        if let Some(response) = connection.response() {
            assert!((400..500).contains(&response.status), "{case}: {} {}", response.status, response.text());
        }
        assert!(connection.is_closed_silently(), "{case}: the connection should be closed");
        bench.upstream_saw_nothing(case);
    }
    bench.still_serves();
}

#[test]
fn chunked_bodies_are_served() {
    let bench = Bench::start();
    let (first, second) = bench.body.split_at(40);
    let head = bench.fill("{post}{host}Transfer-Encoding: Chunked\r\n");
    let body =
        format!("{:x};ext=\"v\"\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len());
    let response = exchange(bench.gateway.address(), format!("{head}\r\n{body}").as_bytes());
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(bench.upstream.requests()[0].body, bench.body.as_bytes());
}

#[test]
fn a_request_within_a_request_is_none() {
    let bench = Bench::start();
    let inner = bench.fill("{post}{host}{length}") + "\r\n" + &bench.body;
    // The outer request is denied for its framing; what it carries must not be read as a second one.
    let outer = bench.fill("{post}{host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n");
    let mut connection = RawHttp::connect(bench.gateway.address());
    connection.send(format!("{outer}\r\n0\r\n\r\n{inner}").as_bytes());
    assert_eq!(connection.response().map(|response| response.status), Some(400));
    assert!(connection.is_closed_silently(), "there is no second answer");
    bench.upstream_saw_nothing("a smuggled request");
    bench.still_serves();
}

#[test]
fn a_request_that_comes_too_early_is_served_whole_or_not_at_all() {
    let bench = Bench::start();
    let request = |id: u8| {
        let body = bench.body.replace("\"id\":1", &format!("\"id\":{id}"));
        bench.fill("{post}{host}{length}") + "\r\n" + &body
    };
    let mut connection = RawHttp::connect(bench.gateway.address());
    connection.send(format!("{}{}", request(7), request(8)).as_bytes());
    let mut next = || connection.response().map(|response| response.json()["id"].clone());
    assert_eq!(next(), Some(json!(7)));
    // A server may close in place of answering what was pipelined (RFC 9112, section 9.3.2); the client repeats it.
    let second = next();
    assert!(second.is_none() || second == Some(json!(8)), "{second:?}");
    assert_eq!(bench.upstream.requests().len(), if second.is_some() { 2 } else { 1 });
}

#[test]
fn the_absolute_form_of_the_same_host_is_served() {
    let bench = Bench::start();
    let head = bench.fill("POST http://{address}/mcp HTTP/1.1\r\n{host}{length}");
    let response = exchange(bench.gateway.address(), format!("{head}\r\n{}", bench.body).as_bytes());
    assert_eq!(response.status, 200, "{}", response.text());
}

#[test]
fn a_client_that_waits_to_be_asked_is_asked() {
    let bench = Bench::start();
    let mut connection = RawHttp::connect(bench.gateway.address());
    connection.send(format!("{}Expect: 100-continue\r\n\r\n", bench.fill("{post}{host}{length}")).as_bytes());
    assert_eq!(connection.head().map(|head| head.status), Some(100));
    connection.send(bench.body.as_bytes());
    assert_eq!(connection.response().map(|response| response.status), Some(200));
}

/// A gateway in front of an upstream that answers anything, and a valid call to make rows from.
struct Bench {
    upstream: RawUpstream,
    gateway: Gateway,
    body: String,
}

impl Bench {
    fn start() -> Self {
        Self::start_with("")
    }

    fn start_with(server: &str) -> Self {
        let upstream = RawUpstream::result(json!({ "content": [] }));
        let gateway = scenes::open_with(&upstream.url(), server, "").start();
        let bytes = Request::modern_call("/mcp", "echo", json!({ "text": "x" })).bytes(gateway.address());
        let (_, body) = String::from_utf8(bytes).unwrap().split_once("\r\n\r\n").map(own).unwrap();
        Self { upstream, gateway, body }
    }

    /// Sends a head and the valid body; expects this refusal, an end of the connection, and an idle upstream.
    fn check(&self, case: &str, head: &str, expected: Refused) {
        let mut connection = RawHttp::connect(self.gateway.address());
        connection.send(format!("{}\r\n{}", self.fill(head), self.body).as_bytes());
        let response = connection.response().unwrap_or_else(|| panic!("{case}: no answer"));
        expected.check(case, &response);
        assert!(connection.is_closed_silently(), "{case}: the connection should be closed");
        self.upstream_saw_nothing(case);
    }

    fn fill(&self, head: &str) -> String {
        let address: SocketAddr = self.gateway.address();
        let host = "Host: {address}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
                    MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n";
        // A second `{host}` in a row is only about the host.
        let head = head.replacen("{host}", host, 1).replace("{host}", "Host: {address}\r\n");
        head.replace("{post}", "POST /mcp HTTP/1.1\r\n")
            .replace("{length}", "Content-Length: {n}\r\n")
            .replace("{address}", &address.to_string())
            .replace("{n}", &self.body.len().to_string())
    }

    fn upstream_saw_nothing(&self, case: &str) {
        assert_eq!(self.upstream.bytes_in(), 0, "{case}: the upstream saw {:?}", self.upstream.requests());
    }

    /// The rows prove nothing unless the same bench serves what is right.
    fn still_serves(&self) {
        let head = self.fill("{post}{host}{length}");
        let response = exchange(self.gateway.address(), format!("{head}\r\n{}", self.body).as_bytes());
        assert_eq!(response.status, 200, "{}", response.text());
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.still_serves();
        }
    }
}

fn own((head, body): (&str, &str)) -> (String, String) {
    (head.to_owned(), body.to_owned())
}
