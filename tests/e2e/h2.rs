//! HTTP/2 with prior knowledge: the same calls, and frames that attack.
//!
//! After each attack another client, on a connection of its own, is served.

use mcpg_tests::h2::{Connection, END_HEADERS, END_STREAM, Frame, PREFACE, block, frame, kind, status};
use mcpg_tests::mcp::{Request, modern_body};
use mcpg_tests::{Gateway, RawHttp, RawUpstream, scenes};
use serde_json::{Value, json};

#[test]
fn calls_are_served_over_h2c() {
    let bench = Bench::start();
    let mut connection = Connection::open(bench.gateway.address());
    for stream in [1, 3, 5] {
        connection.request(stream, &bench.headers(&[]), Some(bench.body.as_bytes()));
        let frames = connection.stream(stream);
        assert_eq!(status(&frames[0]), Some(200), "{frames:?}");
        let body: Vec<u8> =
            frames.iter().filter(|f| f.kind == kind::DATA).flat_map(|f| f.payload.clone()).collect();
        let message: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(message["id"], 1, "{message}");
    }
    assert_eq!(bench.upstream.requests().len(), 3);
    assert_eq!(bench.upstream.requests()[0].body, bench.body.as_bytes());
}

#[test]
fn malformed_requests_are_stream_errors() {
    let bench = Bench::start();
    let long = format!("{}", bench.body.len() + 1);
    let rows: &[(&str, Vec<(&str, &str)>)] = &[
        ("a length that the data has not", bench.headers(&[("content-length", &long)])),
        ("a shorter length", bench.headers(&[("content-length", "1")])),
        ("two lengths", bench.headers(&[("content-length", "1"), ("content-length", "2")])),
        ("a line end in a value", bench.headers(&[("x-a", "b\r\ntransfer-encoding: chunked")])),
        ("a line feed in a value", bench.headers(&[("x-a", "b\nc")])),
        ("NUL in a value", bench.headers(&[("x-a", "b\0c")])),
        ("a line end in a name", bench.headers(&[("x-a\r\nx-b", "c")])),
        ("a capital in a name", bench.headers(&[("X-A", "b")])),
        ("a space in a name", bench.headers(&[("x a", "b")])),
        ("a connection header", bench.headers(&[("connection", "close")])),
        ("a coding", bench.headers(&[("transfer-encoding", "chunked")])),
        ("an upgrade", bench.headers(&[("upgrade", "h2c")])),
        ("a pseudo header after the others", bench.headers(&[(":path", "/other")])),
        ("an unknown pseudo header", bench.headers(&[(":evil", "x")])),
        ("a host that is another", bench.headers(&[("host", "evil.example")])),
        ("te that is not trailers", bench.headers(&[("te", "gzip")])),
    ];
    for (case, headers) in rows {
        let mut connection = Connection::open(bench.gateway.address());
        connection.request(1, headers, Some(bench.body.as_bytes()));
        let frames = connection.stream(1);
        assert!(is_refused(&frames), "{case}: {frames:?}");
        assert!(bench.upstream.requests().is_empty(), "{case}: {:?}", bench.upstream.requests());
    }
    bench.still_serves();
}

#[test]
fn connect_is_not_served() {
    let bench = Bench::start();
    for authority in ["127.0.0.1:80", bench.gateway.address().to_string().as_str()] {
        let mut connection = Connection::open(bench.gateway.address());
        connection.request(1, &[(":method", "CONNECT"), (":authority", authority)], None);
        let frames = connection.stream(1);
        let answered = frames.first().and_then(status).is_some_and(|status| (400..500).contains(&status));
        assert!(answered || is_refused(&frames), "{authority}: {frames:?}");
        connection.request(3, &bench.headers(&[]), Some(bench.body.as_bytes()));
        assert_eq!(status(&connection.stream(3)[0]), Some(200), "{authority}");
    }
    assert_eq!(bench.upstream.requests().len(), 2);
}

#[test]
fn floods_close_only_their_own_connection() {
    let bench = Bench::start();
    let headers = block(&bench.headers(&[]));
    let reset = |stream: u32| {
        let open = frame(kind::HEADERS, END_HEADERS, stream, &headers);
        [open, frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    };
    let floods: &[(&str, Vec<u8>)] = &[
        ("rapid reset", (0..20_000).flat_map(|n| reset(2 * n + 1)).collect()),
        ("settings", frame(kind::SETTINGS, 0, 0, &[]).repeat(50_000)),
        ("pings", frame(kind::PING, 0, 0, &[0; 8]).repeat(50_000)),
        (
            "empty data",
            [frame(kind::HEADERS, END_HEADERS, 1, &headers), frame(kind::DATA, 0, 1, &[]).repeat(100_000)]
                .concat(),
        ),
        (
            "continuation",
            [
                frame(kind::HEADERS, 0, 1, &headers),
                frame(kind::CONTINUATION, 0, 1, &block(&[("x-a", &"b".repeat(8000))])).repeat(2000),
            ]
            .concat(),
        ),
        ("window updates", frame(kind::WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()).repeat(10)),
    ];
    for (case, flood) in floods {
        let before = bench.gateway.resident_kib();
        let mut connection = Connection::open(bench.gateway.address());
        connection.send(flood);
        bench.still_serves();
        drop(connection);
        let after = bench.gateway.resident_kib();
        assert!(after < before + 128 * 1024, "{case}: {before} -> {after} KiB");
    }
}

#[test]
fn a_broken_preface_is_no_http_2() {
    let bench = Bench::start();
    let mut connection = RawHttp::connect(bench.gateway.address());
    connection.send(&PREFACE[..14]);
    connection.send(b"\r\n\r\n\r\n\r\n\r\n\r\n");
    while !connection.read_more().is_empty() {}
    bench.still_serves();
}

struct Bench {
    upstream: RawUpstream,
    gateway: Gateway,
    body: String,
    authority: String,
}

impl Bench {
    fn start() -> Self {
        let upstream = RawUpstream::result(json!({ "content": [] }));
        let gateway = scenes::open(&upstream.url()).start();
        let body = modern_body("tools/call", json!({ "name": "echo", "arguments": {} })).to_string();
        let authority = gateway.address().to_string();
        Self { upstream, gateway, body, authority }
    }

    fn headers<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let usual = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", self.authority.as_str()),
            (":path", "/mcp"),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "echo"),
        ];
        usual.into_iter().chain(more.iter().copied()).collect()
    }

    fn still_serves(&self) {
        let response = Request::modern_call("/mcp", "echo", json!({})).send(self.gateway.address());
        assert_eq!(response.status, 200, "{}", response.text());
    }
}

/// The stream was reset, the connection closed, or the request answered with 400.
fn is_refused(frames: &[Frame]) -> bool {
    match frames.first() {
        None => true,
        Some(first) if first.kind == kind::HEADERS => status(first) == Some(400),
        Some(first) => {
            let ended = first.flags & END_STREAM != 0;
            matches!(first.kind, kind::RST_STREAM | kind::GOAWAY) || ended
        }
    }
}
