use bytes::Bytes;
use mcpg_protocol::Revision;

use crate::upstream::testing::{
    Act, Seen, Upstream, answer, caller, chunk, empty, endless_head, events, json, on_behalf,
};
use crate::upstream::{ClientProfile, UpstreamError, UpstreamSession};

const SESSION: &str = "0123-abc";

/// What an upstream of the legacy era answers to `initialize`.
fn initialized(seen: &Seen, protocol: &str) -> Vec<u8> {
    let id = seen.id();
    let result = format!(r#"{{"protocolVersion":"{protocol}","capabilities":{{}},"serverInfo":{{}}}}"#);
    let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    answer(200, &[("content-type", "application/json"), ("mcp-session-id", SESSION)], &body)
}

fn profile() -> ClientProfile {
    ClientProfile {
        protocol: Revision::V2025_11_25,
        capabilities: r#"{"sampling":{}}"#.into(),
        info: r#"{"name":"agent","version":"1"}"#.into(),
    }
}

#[tokio::test]
async fn a_session_begins_goes_on_and_ends() {
    let upstream = Upstream::serve(|seen| match &*seen.rpc_method() {
        "initialize" => Act::Send(initialized(seen, "2025-06-18")),
        "tools/list" => {
            let note = r#"data: {"jsonrpc":"2.0","method":"notifications/message"}"#;
            let last = format!(r#"data: {{"jsonrpc":"2.0","id":{},"result":{{"tools":[]}}}}"#, seen.id());
            Act::Send(events(&format!("{note}\n\n{last}\n\n")))
        }
        "GET" => Act::Stream(vec![endless_head(), chunk("id: 5\ndata: {}\n\n")]),
        _ => Act::Send(empty(202)),
    })
    .await;
    let route = upstream.route("").await;
    let caller = caller("user:a");
    let behalf = on_behalf(&caller);
    let (session, said) = UpstreamSession::open(&route, &behalf, &profile()).await.unwrap();
    assert_eq!(said.protocol, Revision::V2025_06_18);
    assert!(said.result.contains("serverInfo"));
    assert_eq!((session.id(), session.protocol()), (SESSION, Revision::V2025_06_18));

    let list = Bytes::from_static(br#"{"jsonrpc":"2.0","id":"x","method":"tools/list"}"#);
    let mut reply = session.request(&behalf, list, true).await.unwrap();
    let answer = reply.answer(r#""x""#).await.unwrap().unwrap();
    assert!(answer.incoming().unwrap().result.is_some());
    let mut stream = session.stream(&behalf, Some("4")).await.unwrap().unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().event_id.as_deref(), Some("5"));
    session.close(&behalf).await.unwrap();

    assert_eq!(upstream.asked(), ["initialize", "notifications/initialized", "tools/list", "GET", "DELETE"]);
    let seen = upstream.seen();
    let first: serde_json::Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(first["params"]["protocolVersion"], "2025-11-25");
    assert_eq!(first["params"]["capabilities"], serde_json::json!({"sampling": {}}));
    assert_eq!(first["params"]["clientInfo"]["name"], "agent");
    assert_eq!((seen[0].header("mcp-session-id"), seen[0].header("mcp-protocol-version")), ("", ""));
    for seen in &seen[1..] {
        let headers = (seen.header("mcp-session-id"), seen.header("mcp-protocol-version"));
        assert_eq!(headers, (SESSION, "2025-06-18"), "{}", seen.method);
    }
    assert_eq!(seen[3].header("last-event-id"), "4");
    assert_eq!(seen[3].header("accept"), "text/event-stream");
}

#[tokio::test]
async fn the_first_revision_had_no_version_header() {
    let upstream = Upstream::serve(|seen| match &*seen.rpc_method() {
        "initialize" => Act::Send(initialized(seen, "2025-03-26")),
        _ => Act::Send(empty(202)),
    })
    .await;
    let route = upstream.route("").await;
    let caller = caller("user:a");
    UpstreamSession::open(&route, &on_behalf(&caller), &profile()).await.unwrap();
    assert_eq!(upstream.seen()[1].header("mcp-protocol-version"), "");
}

#[tokio::test]
async fn what_opens_no_session_is_an_error() {
    let reply =
        |status: u16, body: &'static str| move |seen: &Seen| json(status, &body.replace("$id", &seen.id()));
    type Told = Box<dyn Fn(&Seen) -> Vec<u8> + Send + Sync>;
    let cases: Vec<(Told, &str)> = vec![
        (Box::new(|seen| initialized(seen, "2024-11-05")), "invalid"),
        (Box::new(|seen| initialized(seen, "2026-07-28")), "invalid"),
        (Box::new(reply(200, r#"{"jsonrpc":"2.0","id":$id,"result":{}}"#)), "invalid"),
        (Box::new(reply(200, r#"{"jsonrpc":"2.0","id":99,"result":{}}"#)), "invalid"),
        (
            Box::new(reply(400, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}"#)),
            "refused: -32600 no",
        ),
        (
            Box::new(reply(200, r#"{"jsonrpc":"2.0","id":$id,"error":{"code":-32601,"message":"no"}}"#)),
            "refused: -32601 no",
        ),
        (Box::new(|_| empty(401)), "no credentials"),
        (Box::new(|_| empty(404)), "invalid"),
        (Box::new(|_| empty(503)), "unavailable"),
        (Box::new(|_| empty(202)), "invalid"),
        (
            Box::new(|seen| {
                let told = String::from_utf8(initialized(seen, "2025-11-25")).unwrap();
                told.replace(SESSION, "with blank").into_bytes()
            }),
            "invalid",
        ),
    ];
    for (index, (act, expected)) in cases.into_iter().enumerate() {
        let upstream = Upstream::serve(move |seen| Act::Send(act(seen))).await;
        let route = upstream.route("").await;
        let caller = caller("user:a");
        let outcome = UpstreamSession::open(&route, &on_behalf(&caller), &profile()).await;
        let error = outcome.err().unwrap_or_else(|| panic!("case {index}")).to_string();
        assert!(error.starts_with(expected), "case {index}: {error}");
    }
}

#[tokio::test]
async fn a_session_that_the_upstream_does_not_know_is_lost() {
    let upstream = Upstream::serve(|_| Act::Send(json(404, r#"{"error":"session not found"}"#))).await;
    let route = upstream.route("").await;
    let caller = caller("user:a");
    let behalf = on_behalf(&caller);
    let lost = UpstreamSession::attach(&route, SESSION, Revision::V2025_11_25).unwrap();
    let ping = || Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    assert_eq!(lost.request(&behalf, ping(), true).await.err(), Some(UpstreamError::SessionLost));
    assert_eq!(lost.send(&behalf, ping()).await, Err(UpstreamError::SessionLost));
    assert_eq!(lost.stream(&behalf, None).await.err(), Some(UpstreamError::SessionLost));
    assert_eq!(lost.close(&behalf).await, Ok(()));

    let nameless = UpstreamSession::attach(&route, "", Revision::V2025_11_25).unwrap();
    assert_eq!(nameless.request(&behalf, ping(), true).await.unwrap().status, 404, "there is none to lose");
    for id in ["with blank", "new\nline", "\u{e9}", &"x".repeat(2000)] {
        assert!(UpstreamSession::attach(&route, id, Revision::V2025_11_25).is_err(), "{id:?}");
    }
}

#[tokio::test]
async fn some_upstreams_say_400_for_a_session_that_they_do_not_know() {
    let error = |code: i32, message: &str| {
        format!(r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":"{message}"}}}}"#)
    };
    for (body, lost) in [
        (error(-32000, "Bad Request: No valid session ID provided"), true),
        (error(-32000, "Bad Request: Mcp-Session-Id header is required"), true),
        (error(-32000, "Bad Request: too many"), false),
        (error(-32602, "no such session type"), false),
        (String::new(), false),
    ] {
        let told = body.clone();
        let upstream = Upstream::serve(move |_| Act::Send(json(400, &told))).await;
        let route = upstream.route("").await;
        let caller = caller("user:a");
        let session = UpstreamSession::attach(&route, SESSION, Revision::V2025_11_25).unwrap();
        let ping = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        match session.request(&on_behalf(&caller), ping, true).await {
            Err(error) => assert_eq!((error, lost), (UpstreamError::SessionLost, true), "{body}"),
            Ok(mut reply) => {
                assert!(!lost, "{body}");
                let said = reply.next().await.unwrap().map(|message| message.json);
                assert_eq!(said.unwrap_or_default(), body, "what it says is still there");
            }
        }
    }
}

#[tokio::test]
async fn whatever_an_upstream_says_to_what_asks_nothing_is_fine() {
    let html = |status| answer(status, &[("content-type", "text/html")], "<p>done");
    for told in [html(200), html(202), json(200, "nonsense"), empty(204)] {
        let upstream = Upstream::serve(move |_| Act::Send(told.clone())).await;
        let route = upstream.route("").await;
        let caller = caller("user:a");
        let session = UpstreamSession::attach(&route, SESSION, Revision::V2025_11_25).unwrap();
        let note = || Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#);
        assert_eq!(session.send(&on_behalf(&caller), note()).await, Ok(()));
        assert_eq!(session.close(&on_behalf(&caller)).await, Ok(()));
        assert!(upstream.seen().iter().all(|seen| seen.connection == 0), "and its connection serves again");
    }
}

#[tokio::test]
async fn an_upstream_may_have_no_stream_and_no_end() {
    let upstream = Upstream::serve(|_| Act::Send(empty(405))).await;
    let route = upstream.route("").await;
    let caller = caller("user:a");
    let session = UpstreamSession::attach(&route, SESSION, Revision::V2025_11_25).unwrap();
    assert!(session.stream(&on_behalf(&caller), None).await.unwrap().is_none());
    assert_eq!(session.close(&on_behalf(&caller)).await, Ok(()));
}

#[tokio::test]
async fn an_answer_goes_on_in_the_next_stream() {
    const RESPONSE: &str = "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n";
    const NOTE: &str = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n";
    let broken = || [endless_head(), chunk(&format!("retry: 1\nid: 1\n{NOTE}"))].concat();
    for breaks in [false, true] {
        let upstream = Upstream::serve(move |seen| match (&*seen.method, seen.header("last-event-id")) {
            ("POST", _) if breaks => Act::SendAndClose(broken()),
            ("POST", _) => Act::Send(events("retry: 1\nid: 1\ndata:\n\n")),
            (_, "1") => Act::Send(events(&format!("id: 2\n{NOTE}"))),
            (_, "2") => Act::Send(events(&format!("id: 3\n{RESPONSE}"))),
            _ => Act::Send(empty(400)),
        })
        .await;
        let route = upstream.route("").await;
        let caller = caller("user:a");
        let session = UpstreamSession::attach(&route, SESSION, Revision::V2025_11_25).unwrap();
        let ping = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
        let mut reply = session.request(&on_behalf(&caller), ping, false).await.unwrap();
        let answer = reply.answer("1").await.unwrap().unwrap();
        assert_eq!(answer.event_id.as_deref(), Some("3"));
        assert_eq!(reply.next().await.unwrap(), None);
        assert_eq!(upstream.asked(), ["ping", "GET", "GET"], "breaks: {breaks}");
    }
}

#[tokio::test]
async fn an_answer_without_an_event_id_ends_with_its_stream() {
    let upstream = Upstream::serve(|_| Act::Send(events("data: {\"method\":\"x\"}\n\n"))).await;
    let route = upstream.route("").await;
    let caller = caller("user:a");
    let session = UpstreamSession::attach(&route, SESSION, Revision::V2025_11_25).unwrap();
    let ping = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let mut reply = session.request(&on_behalf(&caller), ping, false).await.unwrap();
    assert_eq!(reply.answer("1").await, Ok(None));
    assert_eq!(upstream.asked(), ["ping"]);
}

#[tokio::test]
async fn a_response_to_another_request_is_no_answer() {
    let upstream = Upstream::serve(|_| Act::Send(events("data: {\"id\":2,\"result\":{}}\n\n"))).await;
    let route = upstream.route("").await;
    let caller = caller("user:a");
    let session = UpstreamSession::attach(&route, SESSION, Revision::V2025_11_25).unwrap();
    let ping = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let mut reply = session.request(&on_behalf(&caller), ping, true).await.unwrap();
    assert!(matches!(reply.answer("1").await, Err(UpstreamError::Invalid(_))));
}
