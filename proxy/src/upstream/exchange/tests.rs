use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::upstream::testing::{
    Act, Upstream, answer, caller, chunk, empty, endless_head, events, json, on_behalf, revision, route,
};
use crate::upstream::{Message, Outgoing, Reply, UpstreamError, Verb};

const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

fn request() -> Outgoing {
    Outgoing::post(Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#), false)
}

/// What comes of an answer: the status and the messages, or the error.
async fn told(bytes: Vec<u8>, more: &str) -> Result<(u16, Vec<String>), UpstreamError> {
    let upstream = Upstream::serve(move |_| Act::SendAndClose(bytes.clone())).await;
    let route = upstream.route(more).await;
    let caller = caller("user:a");
    let reply = route.exchange(&on_behalf(&caller), request()).await?;
    let status = reply.status.as_u16();
    Ok((status, all(reply).await?))
}

async fn all(mut reply: Reply) -> Result<Vec<String>, UpstreamError> {
    let mut messages = Vec::new();
    while let Some(message) = reply.next().await? {
        let id = message.event_id.map(|id| format!("{id}:")).unwrap_or_default();
        messages.push(format!("{id}{}", String::from_utf8(message.json.to_vec()).unwrap()));
    }
    Ok(messages)
}

#[tokio::test]
async fn answers_are_read_as_messages() {
    let html = [("content-type", "text/html")];
    for (bytes, expected) in [
        (json(200, RESULT), (200, vec![RESULT])),
        (json(200, &format!(" {RESULT}\r\n")), (200, vec![&*format!(" {RESULT}\r\n")])),
        (json(404, RESULT), (404, vec![RESULT])),
        (json(200, ""), (200, vec![])),
        (json(500, "nonsense"), (500, vec![])),
        (empty(202), (202, vec![])),
        (empty(204), (204, vec![])),
        (answer(202, &html, "Accepted"), (202, vec![])),
        (answer(502, &html, "<h1>Bad Gateway</h1>"), (502, vec![])),
        (events("data: {\"a\":1}\n\n"), (200, vec![r#"{"a":1}"#])),
        (events(": hello\n\nevent: message\nid: 7\ndata: {}\n\n"), (200, vec!["7:{}"])),
        (events("id: 0\ndata:\n\ndata: {\"a\":\ndata: 1}\n\n"), (200, vec!["0:", "{\"a\":\n1}"])),
        (events("event: ping\ndata: x\n\n"), (200, vec![])),
        (events("data: {}\n\ndata: {\"cut\":"), (200, vec!["{}"])),
    ] {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let (status, messages) = told(bytes, "").await.unwrap_or_else(|error| panic!("{shown}: {error}"));
        let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
        assert_eq!((status, messages), expected, "{shown}");
    }
}

#[tokio::test]
async fn what_is_no_answer_is_an_error() {
    let broken =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{}".to_vec();
    let gzip = [("content-type", "application/json"), ("content-encoding", "gzip")];
    for (bytes, more, expected) in [
        (json(200, &format!("{RESULT}{RESULT}")), "", "invalid"),
        (json(200, &format!("[{RESULT}]")), "", "invalid"),
        (json(200, "nonsense"), "", "invalid"),
        (json(200, "{\"a\":\"\u{0}\"}"), "", "invalid"),
        (answer(200, &[("content-type", "text/plain")], RESULT), "", "invalid"),
        (answer(200, &[], RESULT), "", "invalid"),
        (answer(200, &gzip, RESULT), "", "invalid"),
        (events("data: {}{}\n\n"), "", "invalid"),
        (events("data: nonsense\n\n"), "", "invalid"),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n".to_vec(), "", "invalid"),
        (broken, "", "unavailable"),
        (b"SSH-2.0-OpenSSH\r\n\r\n".to_vec(), "", "invalid"),
        (Vec::new(), "", "unavailable"),
    ] {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let error = told(bytes, more).await.expect_err(&shown).to_string();
        assert!(error.starts_with(expected), "{shown}: {error}");
    }
}

#[tokio::test]
async fn an_answer_has_a_size() {
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(3000));
    let whole = json(200, &large);
    let chunked = [
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
        chunk(&large),
        b"0\r\n\r\n".to_vec(),
    ]
    .concat();
    let event = events(&format!("data: {large}\n\n"));
    for bytes in [whole, chunked, event] {
        let upstream = Upstream::serve(move |_| Act::Send(bytes.clone())).await;
        let mut route = Arc::into_inner(upstream.route("").await).unwrap();
        route.replies = crate::upstream::ReplyLimits { body_bytes_max: 2048, event_bytes_max: 2048 };
        let caller = caller("user:a");
        let outcome = match route.exchange(&on_behalf(&caller), request()).await {
            Ok(reply) => all(reply).await.map(drop),
            Err(error) => Err(error),
        };
        assert_eq!(outcome, Err(UpstreamError::TooLarge));
    }
}

#[tokio::test]
async fn nothing_of_a_client_goes_out_but_the_message() {
    let upstream = Upstream::serve(|_| Act::Send(json(200, RESULT))).await;
    let route = upstream.route("headers: {x-tenant: acme, user-agent: ours}").await;
    let caller = caller("user:a");
    let mut on_behalf = on_behalf(&caller);
    on_behalf.bearer = Some(b"secret");
    on_behalf.traceparent = Some(b"00-4bf92f3577b34da6a3ce929d0e0e4736-0707070707070707-01");
    all(route.exchange(&on_behalf, request()).await.unwrap()).await.unwrap();
    let seen = &upstream.seen()[0];
    let mut names: Vec<&str> = seen.headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "accept-encoding",
            "content-length",
            "content-type",
            "host",
            "traceparent",
            "user-agent",
            "x-tenant"
        ]
    );
    assert_eq!(seen.header("accept"), "application/json, text/event-stream");
    assert_eq!((seen.header("user-agent"), seen.header("x-tenant")), ("ours", "acme"));
    assert_eq!(seen.header("host"), upstream.address.to_string());
}

#[tokio::test]
async fn a_connection_serves_again_once_its_answer_was_read() {
    let answers = [json(200, RESULT), events(&format!("data: {RESULT}\n\n")), empty(202), json(404, RESULT)];
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let upstream = Upstream::serve(move |_| {
        let turn = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Act::Send(answers[turn % answers.len()].clone())
    })
    .await;
    let route = upstream.route("").await;
    let caller = caller("user:a");
    for _ in 0..8 {
        all(route.exchange(&on_behalf(&caller), request()).await.unwrap()).await.unwrap();
    }
    assert!(upstream.seen().iter().all(|seen| seen.connection == 0));
    assert_eq!(route.gate.metrics().in_flight.get(), 0);

    drop(route.exchange(&on_behalf(&caller), request()).await.unwrap());
    drop(route.exchange(&on_behalf(&caller), request()).await.unwrap());
    assert_eq!(upstream.seen().last().unwrap().connection, 1, "one that was not read to its end is closed");
}

#[tokio::test]
async fn dropping_a_reply_closes_the_connection() {
    let upstream = Upstream::serve(|_| Act::Stream(vec![endless_head(), chunk("data: {}\n\n")])).await;
    let route = upstream.route("").await;
    let caller = caller("user:a");
    let mut reply = route.exchange(&on_behalf(&caller), request()).await.unwrap();
    assert!(reply.is_stream);
    assert_eq!(
        reply.next().await.unwrap(),
        Some(Message { json: Bytes::from_static(b"{}"), ..Message::default() })
    );
    assert_eq!(route.gate.metrics().in_flight.get(), 1, "it takes its place as long as it is read");
    drop(reply);
    assert_eq!(route.gate.metrics().in_flight.get(), 0);
}

#[tokio::test]
async fn a_dead_pooled_connection_is_replaced_where_that_is_safe() {
    for (repeatable, expected) in [(true, true), (false, false)] {
        // The first request on a connection is answered; the second is read and the connection closed.
        let served = parking_lot::Mutex::new(std::collections::HashSet::new());
        let upstream = Upstream::serve(move |seen| {
            if served.lock().insert(seen.connection) {
                Act::Send(json(200, RESULT))
            } else {
                Act::SendAndClose(vec![])
            }
        })
        .await;
        let route = upstream.route("calls: {retries_max: 0}").await;
        let caller = caller("user:a");
        let exchange = || async {
            let outgoing = Outgoing { repeatable, ..request() };
            all(route.exchange(&on_behalf(&caller), outgoing).await?).await
        };
        exchange().await.unwrap();
        let second = exchange().await;
        assert_eq!(second.is_ok(), expected, "repeatable: {repeatable}, {second:?}");
        if !expected {
            let unavailable = matches!(second, Err(UpstreamError::Unavailable { sent: true, .. }));
            assert!(unavailable, "{second:?}");
            assert_eq!(upstream.seen().len(), 2, "it was not sent again");
        }
    }
}

#[tokio::test]
async fn what_did_not_go_out_or_does_no_harm_is_sent_again() {
    async fn tries(repeatable: bool, retries_max: u32) -> usize {
        let upstream = Upstream::serve(|_| Act::SendAndClose(vec![])).await;
        let route = upstream.route(&format!("calls: {{retries_max: {retries_max}}}")).await;
        let caller = caller("user:a");
        let outcome = route.exchange(&on_behalf(&caller), Outgoing { repeatable, ..request() }).await;
        assert!(matches!(outcome, Err(UpstreamError::Unavailable { sent: true, .. })));
        assert_eq!(route.gate.metrics().retries.get(), upstream.seen().len() as u64 - 1);
        upstream.seen().len()
    }
    assert_eq!(tries(true, 2).await, 3);
    assert_eq!(tries(true, 0).await, 1);
    assert_eq!(tries(false, 2).await, 1);
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_asked_again_and_then_left_alone() {
    let address: SocketAddr = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let route = route(address, "calls: {retries_max: 1, breaker: {failures: 2, open_ms: 60000}}").await;
    let caller = caller("user:a");
    for _ in 0..2 {
        let error = route.exchange(&on_behalf(&caller), request()).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Unavailable { sent: false, .. }), "{error}");
    }
    assert_eq!(route.gate.metrics().retries.get(), 2);
    let error = route.exchange(&on_behalf(&caller), request()).await.unwrap_err();
    assert_eq!(error, UpstreamError::BreakerOpen);
}

#[tokio::test]
async fn statuses_of_a_proxy_count_against_its_upstream_and_others_do_not() {
    for (status, open) in [(500, false), (404, false), (429, false), (502, true), (503, true), (504, true)] {
        let upstream = Upstream::serve(move |_| Act::Send(empty(status))).await;
        let route = upstream.route("calls: {breaker: {failures: 1, open_ms: 60000}}").await;
        let caller = caller("user:a");
        assert!(route.exchange(&on_behalf(&caller), request()).await.is_ok());
        let next = route.exchange(&on_behalf(&caller), request()).await;
        assert_eq!(next.err() == Some(UpstreamError::BreakerOpen), open, "{status}");
    }
}

#[tokio::test]
async fn a_call_has_a_deadline_and_a_stream_that_lasts_has_none() {
    let upstream = Upstream::serve(|seen| match &*seen.method {
        "GET" => Act::Stream(vec![endless_head(), chunk("data: {}\n\n")]),
        _ => Act::Hang,
    })
    .await;
    let route = upstream.route("calls: {deadline_ms: 50}").await;
    let caller = caller("user:a");
    let error = route.exchange(&on_behalf(&caller), request()).await.unwrap_err();
    assert_eq!(error, UpstreamError::Timeout { sent: true });

    let stream = Outgoing::bare(Verb::Get);
    let mut reply = route.exchange(&on_behalf(&caller), stream).await.unwrap();
    assert!(reply.next().await.unwrap().is_some());
    assert!(timeout(Duration::from_millis(120), reply.next()).await.is_err(), "it goes on past the deadline");
    assert_eq!(route.gate.metrics().in_flight.get(), 0, "and takes no place");
}

#[tokio::test]
async fn an_endless_answer_ends_with_the_deadline() {
    let upstream = Upstream::serve(|_| Act::Stream(vec![endless_head(), chunk("data: {}\n\n")])).await;
    let route = upstream.route("calls: {deadline_ms: 50}").await;
    let caller = caller("user:a");
    let mut reply = route.exchange(&on_behalf(&caller), request()).await.unwrap();
    assert!(reply.next().await.unwrap().is_some());
    assert_eq!(reply.next().await, Err(UpstreamError::Timeout { sent: true }));
    assert_eq!(reply.next().await, Err(UpstreamError::Timeout { sent: true }), "and stays ended");
    assert_eq!(route.gate.metrics().in_flight.get(), 0);
}

#[tokio::test]
async fn a_reload_keeps_what_an_unchanged_binding_knows() {
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    let first = revision(address, "calls: {concurrency_max: 3}", None).await;
    let route =
        |revision: &crate::revision::Revision| Arc::clone(revision.scope.routes.iter().next().unwrap());
    let same = revision(address, "calls: {concurrency_max: 3}", Some(&first)).await;
    assert!(Arc::ptr_eq(&route(&first), &route(&same)));
    let other = revision(address, "calls: {concurrency_max: 4}", Some(&first)).await;
    assert!(!Arc::ptr_eq(&route(&first), &route(&other)));
}

/// The chunks of a stream that is cut in these places.
fn cut(stream: &str, cuts: &[usize]) -> Vec<Vec<u8>> {
    let mut pieces = vec![endless_head()];
    let mut rest = stream.as_bytes();
    for cut in cuts.iter().copied().chain([rest.len()]) {
        let (piece, tail) = rest.split_at(cut.min(rest.len()));
        if !piece.is_empty() {
            pieces.push([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
        }
        rest = tail;
    }
    pieces.push(b"0\r\n\r\n".to_vec());
    pieces
}

#[test]
fn however_a_stream_is_cut_its_messages_are_the_same() {
    const STREAM: &str = "\u{feff}: hi\r\n\r\nid: 1\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\nevent: message\ndata: {}\n\nretry: 7\rdata: {\"b\":2}\r\r";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let script = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let told = Arc::clone(&script);
    let (_upstream, route) = runtime.block_on(async {
        let upstream = Upstream::serve(move |_| Act::Pieces(told.lock().clone())).await;
        let route = upstream.route("").await;
        (upstream, route)
    });
    let cuts = proptest::collection::vec(0_usize..STREAM.len(), 0..6);
    let config = proptest::test_runner::Config { failure_persistence: None, ..Default::default() };
    let outcome = proptest::test_runner::TestRunner::new(config).run(&cuts, |cuts| {
        *script.lock() = cut(STREAM, &cuts);
        let caller = caller("user:a");
        let messages = runtime.block_on(async {
            all(route.exchange(&on_behalf(&caller), request()).await.unwrap()).await.unwrap()
        });
        proptest::prop_assert_eq!(messages, vec!["1:{\"a\":\n1}", "{}", "{\"b\":2}"]);
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test]
async fn a_stream_may_be_silent_before_it_begins_as_well() {
    // Some servers send the head of a stream with its first event.
    let (say, said) = tokio::sync::mpsc::unbounded_channel();
    let said = parking_lot::Mutex::new(Some(said));
    let upstream = Upstream::serve(move |seen| match (seen.method.as_str(), said.lock().take()) {
        ("GET", Some(said)) => Act::Follow(said),
        _ => Act::Hang,
    })
    .await;
    let route = upstream.route("timeouts: {read_ms: 100}, calls: {deadline_ms: 200, retries_max: 0}").await;
    let (caller, other) = (caller("user:a"), caller("user:b"));
    let on_behalf = on_behalf(&caller);
    let stream = route.exchange(&on_behalf, Outgoing::bare(Verb::Get));
    // What is no stream is over by its deadline, which is when the stream begins.
    let call = async {
        while upstream.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        let on_behalf = crate::upstream::testing::on_behalf(&other);
        let late = route.exchange(&on_behalf, request()).await;
        assert_eq!(late.unwrap_err(), UpstreamError::Timeout { sent: true });
        say.send(endless_head()).unwrap();
        say.send(chunk("data: {\"late\":true}\n\n")).unwrap();
    };
    let (stream, ()) = tokio::join!(stream, call);
    let message = stream.unwrap().next().await.unwrap().unwrap();
    assert_eq!(&*message.json, br#"{"late":true}"#);
}
