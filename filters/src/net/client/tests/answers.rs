//! What comes back, in full or not at all.

use super::server::{Script, Server, answer};
use super::*;
use crate::net::Phase;

async fn fetch(script: Script, bounds: Bounds) -> (Result<Response, FetchError>, Server) {
    let server = Server::plain(script).await;
    let fetched = get(&target(&format!("http://{}/keys?a=b", server.address)), &bounds).await;
    (fetched, server)
}

async fn fetched(head_and_body: &str) -> Response {
    let (fetched, _server) = fetch(Script::Send(head_and_body.into()), bounds()).await;
    fetched.unwrap_or_else(|error| panic!("{head_and_body}: {error}"))
}

async fn refused(script: Script, expected: &str) {
    let (fetched, _server) = fetch(script, bounds()).await;
    let shown = problem(fetched).to_string();
    assert!(shown.contains(expected), "{shown}");
}

#[tokio::test]
async fn a_request_says_what_it_is_told_and_no_more() {
    let server = Server::plain(answer("{}")).await;
    let target = target(&format!("http://{}/introspect?a=b", server.address));
    let mut request = Request::post("application/x-www-form-urlencoded", "token=hunter2");
    for (name, value) in [("authorization", "Basic x"), ("host", "evil"), ("transfer-encoding", "chunked")] {
        request = request.with(name.parse().unwrap(), value.parse().unwrap());
    }
    for name in ["content-length", "connection", "accept-encoding", "expect", "upgrade", "te"] {
        request = request.with(name.parse().unwrap(), "9".parse().unwrap());
    }
    assert!(!format!("{request:?}").contains("hunter2") && !format!("{request:?}").contains("Basic"));
    let response = HttpClient::default().fetch(&target, request, &bounds()).await.unwrap();
    assert_eq!((response.status.as_u16(), &*response.body), (200, &b"{}"[..]));
    assert_eq!(response.media_type(), "application/json");
    let head = server.head();
    let mut lines: Vec<&str> = head.trim_end().lines().collect();
    assert_eq!(lines.remove(0), "POST /introspect?a=b HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", server.address);
    assert_eq!(
        lines,
        [
            "accept-encoding: identity",
            "authorization: Basic x",
            "connection: close",
            "content-length: 13",
            "content-type: application/x-www-form-urlencoded",
            &host,
            concat!("user-agent: mcpg/", env!("CARGO_PKG_VERSION")),
        ]
    );
}

#[tokio::test]
async fn every_framing_and_status_is_an_answer() {
    for (answer, status, body) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, "ok"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\nx: y\r\n\r\n",
            200,
            "ok",
        ),
        ("HTTP/1.0 200 OK\r\n\r\nok", 200, "ok"),
        (
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            404,
            "",
        ),
        ("HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n", 304, ""),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", 503, ""),
    ] {
        let response = fetched(answer).await;
        assert_eq!((response.status.as_u16(), &*response.body), (status, body.as_bytes()), "{answer}");
    }
}

#[tokio::test]
async fn a_body_is_never_longer_than_was_asked_for() {
    let gigabyte = "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n";
    refused(Script::Endless(gigabyte.as_bytes(), &[b'a'; 4096]), "longer than 1024 bytes").await;
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    refused(Script::Endless(chunked, b"10\r\n0123456789abcdef\r\n"), "longer than 1024 bytes").await;
    // One chunk that never ends.
    let chunk = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7fffffffffffffff\r\n";
    refused(Script::Endless(chunk, &[b'a'; 512]), "longer than 1024 bytes").await;
    refused(Script::Endless(b"HTTP/1.0 200 OK\r\n\r\n", &[b'a'; 512]), "longer than 1024 bytes").await;
    let (exact, one_more) = ("a".repeat(1024), "a".repeat(1025));
    assert_eq!(fetch(answer(&exact), bounds()).await.0.unwrap().body.len(), 1024);
    refused(answer(&one_more), "longer than 1024 bytes").await;
}

#[tokio::test]
async fn what_ends_too_early_or_is_no_http_is_no_answer() {
    for bytes in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "ok\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    ] {
        refused(Script::Send(bytes.into()), "no complete HTTP answer").await;
    }
    let headers = "a: b\r\n".repeat(200);
    refused(Script::Send(format!("HTTP/1.1 200 OK\r\n{headers}\r\n").into()), "no complete HTTP answer")
        .await;
    refused(Script::Endless(b"HTTP/1.1 200 OK\r\na: ", &[b'a'; 4096]), "no complete HTTP answer").await;
}

#[tokio::test]
async fn a_compressed_body_is_not_opened() {
    for encoding in ["gzip", "br", "zstd", "identity, gzip"] {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: 0\r\n\r\n");
        refused(Script::Send(head.into()), "compressed").await;
    }
    let plain = "HTTP/1.1 200 OK\r\ncontent-encoding: identity\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(fetched(plain).await.body, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_slow_server_costs_the_total_deadline_and_no_more() {
    for (script, phase) in [
        (Script::Stall(b""), Phase::Head),
        (Script::Stall(b"HTTP/1.1 200 OK\r\nx"), Phase::Head),
        (Script::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1"), Phase::Body),
    ] {
        let bounds = Bounds { total: Duration::from_millis(200), ..bounds() };
        let (fetched, _server) = fetch(script, bounds).await;
        match problem(fetched) {
            FetchProblem::Timeout { phase: found, after } => {
                assert_eq!((found, after), (phase, bounds.total));
            }
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_server_that_never_comes_to_the_point_costs_the_deadline_too() {
    for (script, phase) in [
        (Script::Endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), Phase::Head),
        (Script::Endless(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"00"), Phase::Body),
    ] {
        let bounds = Bounds { total: Duration::from_millis(200), ..bounds() };
        let (fetched, _server) = fetch(script, bounds).await;
        match problem(fetched) {
            FetchProblem::Timeout { phase: found, .. } => assert_eq!(found, phase),
            // Leading zeros without an end are no size of a chunk.
            FetchProblem::Http { .. } if phase == Phase::Body => {}
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn an_error_names_the_place_and_no_secret() {
    let server = Server::plain(Script::Send(b"hunter2".to_vec())).await;
    let target = target(&format!("http://{}/keys?key=hunter2", server.address));
    let request = Request::get().with(http::header::AUTHORIZATION, "Bearer hunter2".parse().unwrap());
    let error = HttpClient::default().fetch(&target, request, &bounds()).await.unwrap_err();
    let shown = format!("{error} {error:?} {target:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(
        error.to_string().starts_with(&format!("cannot fetch `http://{}/keys`: ", server.address)),
        "{error}"
    );
}
