//! The streams of legacy sessions: merged, resumed anywhere, ended.

use mcpg_protocol::streams::Positions;
use serde_json::json;

use super::bench::{ALL, Bench, Caller, Got, Server, header, notification};
use crate::serve::Admitted;
use crate::streams::{end, get, subscribe};

fn getting(admitted: Admitted) -> Caller {
    Caller::of(|mut client| async move { get(admitted, &mut client).await })
}

fn after(admitted: Admitted, id: &str) -> Admitted {
    Admitted { last_event_id: Some(id.into()), ..admitted }
}

fn log(text: &str) -> String {
    notification("notifications/message", &json!({"level": "info", "data": text}))
}

#[tokio::test]
async fn the_streams_of_several_upstreams_are_one_and_go_on_at_another_instance() {
    let (first, second) = (Server::legacy().await, Server::legacy().await);
    let servers = [("one", &first), ("two", &second)];
    let here = Bench::new(&servers, ALL).await;
    let session = [("one", "s1"), ("two", "s2")];
    let mut caller = getting(here.session(&session));
    assert_eq!(caller.next().await, Got::Opened);
    let (one, two) = (first.stream().await, second.stream().await);
    one.say_with_id("e1", &log("a"));
    assert_eq!(caller.event().await.0["params"]["data"], "a");
    two.say_with_id("f1", r#"{"jsonrpc":"2.0","id":7,"method":"roots/list"}"#);
    let (asked, last) = caller.event().await;
    assert_eq!(asked["id"], "two:7");
    let last = last.unwrap();
    let positions = Positions::parse(&last).unwrap();
    assert_eq!((positions.last("one"), positions.last("two")), (Some("e1"), Some("f1")));
    caller.leave().await;
    one.closed().await;

    let there = Bench::new(&servers, ALL).await;
    let mut caller = getting(after(there.session(&session), &last));
    assert_eq!(caller.next().await, Got::Opened);
    let (one, _two) = (first.stream().await, second.stream().await);
    assert_eq!(header(&first.asked("GET"), "last-event-id"), ["", "e1"]);
    assert_eq!(header(&second.asked("GET"), "last-event-id"), ["", "f1"]);
    assert_eq!(header(&second.asked("GET"), "mcp-session-id"), ["s2", "s2"]);
    one.say_with_id("e2", &log("b"));
    caller.told("notifications/message").await;
    caller.leave().await;
}

#[tokio::test]
async fn an_upstream_cannot_answer_for_another() {
    let (first, second) = (Server::legacy().await, Server::legacy().await);
    let bench = Bench::new(&[("one", &first), ("two", &second)], ALL).await;
    let mut caller = getting(bench.session(&[("one", "s1"), ("two", "s2")]));
    assert_eq!(caller.next().await, Got::Opened);
    let one = first.stream().await;
    one.say(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#);
    one.say(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}"#);
    one.say(r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#);
    one.say(&log("after"));
    assert_eq!(caller.event().await.0["params"]["data"], "after");
    caller.leave().await;
}

#[tokio::test]
async fn changes_and_updates_come_from_whatever_era() {
    let (modern, legacy) = (Server::modern().await, Server::legacy().await);
    let bench = Bench::new(&[("new", &modern), ("old", &legacy)], ALL).await;
    let session = [("old", "s1")];
    let mut caller = getting(bench.session(&session));
    assert_eq!(caller.next().await, Got::Opened);
    let (new, old) = (modern.stream().await, legacy.stream().await);
    old.say(&notification("notifications/resources/updated", &json!({"uri": "a:1"})));
    assert_eq!(caller.event().await.0["params"], json!({"uri": "old+a:1"}));
    new.say(&notification("notifications/tools/list_changed", &json!({"_meta": {"x": 1}})));
    assert_eq!(
        caller.event().await.0,
        json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    );
    old.say(&notification("notifications/prompts/list_changed", &json!({})));
    assert_eq!(caller.event().await.0["method"], "notifications/prompts/list_changed");

    // A subscription with a modern upstream is listened to at once.
    let mut request = bench.session(&session);
    request.routes.truncate(1);
    request.body =
        r#"{"jsonrpc":"2.0","id":5,"method":"resources/subscribe","params":{"uri":"new+a:2"}}"#.into();
    let mut subscriber = Caller::of(|mut client| async move { subscribe(request, "a:2", &mut client).await });
    assert_eq!(subscriber.next().await, Got::Json(200, json!({"jsonrpc": "2.0", "id": 5, "result": {}})));
    let watching = modern.stream().await;
    watching.say(&notification("notifications/resources/updated", &json!({"uri": "a:2"})));
    assert_eq!(caller.event().await.0["params"], json!({"uri": "new+a:2"}));
    caller.leave().await;
}

#[tokio::test]
async fn a_subscription_with_a_legacy_upstream_is_the_upstreams() {
    let server = Server::legacy().await;
    let bench = Bench::new(&[("old", &server), ("other", &server)], ALL).await;
    let mut request = bench.session(&[("old", "s1")]);
    request.routes.truncate(1);
    request.body =
        r#"{"jsonrpc":"2.0","id":5,"method":"resources/subscribe","params":{"uri":"old+a:2"}}"#.into();
    let mut caller = Caller::of(|mut client| async move { subscribe(request, "a:2", &mut client).await });
    assert_eq!(caller.next().await, Got::Json(200, json!({"jsonrpc": "2.0", "id": 5, "result": {}})));
    let asked = server.asked("resources/subscribe");
    assert_eq!((asked[0].params(), asked[0].header("mcp-session-id")), (json!({"uri": "a:2"}), "s1"));
}

#[tokio::test]
async fn a_stream_that_answered_a_request_is_resumed_for_that_request() {
    let (first, second) = (Server::legacy().await, Server::legacy().await);
    let bench = Bench::new(&[("one", &first), ("two", &second)], ALL).await;
    // `Mw` is the raw id 3.
    let mut caller = getting(after(bench.session(&[("one", "s1"), ("two", "s2")]), "two/Mw:f7"));
    assert_eq!(caller.next().await, Got::Opened);
    let two = second.stream().await;
    assert_eq!(header(&second.asked("GET"), "last-event-id"), ["f7"]);
    assert!(first.asked("GET").is_empty());
    two.say_with_id("f8", r#"{"jsonrpc":"2.0","id":4,"result":{"stolen":true}}"#);
    two.say_with_id("f9", r#"{"jsonrpc":"2.0","id":9,"method":"roots/list"}"#);
    let (asked, id) = caller.event().await;
    assert_eq!((&asked["id"], id.as_deref()), (&json!("two:9"), Some("two/Mw:f9")));
    two.say_with_id(
        "g1",
        r#"{"jsonrpc":"2.0","id":3,"result":{"content":[{"type":"resource_link","uri":"a:1","name":"x"}]}}"#,
    );
    let (answer, _) = caller.event().await;
    assert_eq!(answer["result"]["content"][0]["uri"], "two+a:1");
    drop(two);
    assert_eq!(caller.next().await, Got::Finished);
}

#[tokio::test]
async fn forged_event_ids_reach_nothing() {
    let (first, second) = (Server::legacy().await, Server::legacy().await);
    let bench = Bench::new(&[("one", &first), ("two", &second)], ALL).await;
    let mut foreign = Positions::default();
    foreign.note("two", Some("f1"));
    foreign.note("three", Some("g1"));
    // The session has nothing with `two`, and policy leaves only `one`.
    let request = |id: &str| {
        let mut admitted = after(bench.session(&[("one", "s1")]), id);
        admitted.routes.truncate(1);
        admitted
    };
    for (id, status) in
        [("two:f1", 404), ("two/Mw:f1", 404), ("three:f1", 404), ("not ours", 400), ("AAAA", 400)]
    {
        let mut caller = getting(request(id));
        let got = caller.next().await;
        assert!(matches!(got, Got::Json(refused, _) if refused == status), "{id}: {got:?}");
    }
    let mut caller = getting(request(&foreign.encode().unwrap()));
    assert_eq!(caller.next().await, Got::Opened);
    first.stream().await;
    assert_eq!(header(&first.asked("GET"), "last-event-id"), [""]);
    assert!(second.upstream.seen().is_empty());
    caller.leave().await;
}

#[tokio::test]
async fn the_latest_stream_of_a_session_is_the_one() {
    let server = Server::legacy().await;
    let bench = Bench::new(&[("one", &server), ("two", &server)], ALL).await;
    let mut before = getting(bench.session(&[("one", "s1"), ("two", "s2")]));
    assert_eq!(before.next().await, Got::Opened);
    let mut after = getting(bench.session(&[("one", "s1"), ("two", "s2")]));
    assert_eq!(after.next().await, Got::Opened);
    assert_eq!(before.next().await, Got::Finished);
    after.leave().await;
}

#[tokio::test]
async fn the_end_of_a_session_ends_all_that_is_behind_it() {
    let (first, second) = (Server::legacy().await, Server::legacy().await);
    let bench = Bench::new(&[("one", &first), ("two", &second)], ALL).await;
    let session = || bench.session(&[("one", "s1"), ("two", "s2")]);
    let mut stream = getting(session());
    assert_eq!(stream.next().await, Got::Opened);
    let request = session();
    let token = request.session.clone().unwrap();
    let mut caller = Caller::of(|mut client| async move { end(request, &mut client).await });
    assert_eq!(caller.next().await, Got::Empty(204));
    assert_eq!(header(&first.asked("DELETE"), "mcp-session-id"), ["s1"]);
    assert_eq!(header(&second.asked("DELETE"), "mcp-session-id"), ["s2"]);
    assert!(bench.gateway.shared.sessions.has_ended(&token.nonce));
    assert_eq!(stream.next().await, Got::Finished);
}

#[tokio::test]
async fn a_request_without_a_session_is_refused() {
    let server = Server::legacy().await;
    let bench = Bench::new(&[("one", &server), ("two", &server)], ALL).await;
    let nowhere = || Admitted { session: None, ..bench.session(&[]) };
    assert!(matches!(getting(nowhere()).next().await, Got::Json(400, _)));
    let mut caller = Caller::of(|mut client| {
        let admitted = nowhere();
        async move { end(admitted, &mut client).await }
    });
    assert!(matches!(caller.next().await, Got::Json(400, _)));
    assert!(server.upstream.seen().is_empty());
}
