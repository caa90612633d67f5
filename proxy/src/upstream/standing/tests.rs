use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mcpg_protocol::{Era, Revision};

use crate::upstream::UpstreamError;
use crate::upstream::testing::{Act, Seen, Upstream, caller, empty, events, json, on_behalf};

const DISCOVERED: &str = r#"{"jsonrpc":"2.0","id":$id,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","id":$id,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s"}}}"#;

/// An answer of a scripted upstream.
#[derive(Clone, Copy)]
enum Told {
    Json(u16, &'static str),
    Event(&'static str),
    Empty(u16),
    Hang,
}

use Told::{Empty, Event, Hang, Json};

impl Told {
    fn act(self, seen: &Seen) -> Act {
        let text = |body: &str| body.replace("$id", &seen.id());
        match self {
            Self::Json(status, body) => Act::Send(json(status, &text(body))),
            Self::Event(body) => Act::Send(events(&format!("data: {}\n\n", text(body)))),
            Self::Empty(status) => Act::Send(empty(status)),
            Self::Hang => Act::Hang,
        }
    }
}

async fn upstream(discover: Told, initialize: Told) -> Upstream {
    Upstream::serve(move |seen| match &*seen.rpc_method() {
        "server/discover" => discover.act(seen),
        "initialize" => initialize.act(seen),
        _ => Act::Send(empty(202)),
    })
    .await
}

/// Which era an upstream that answers so is found to speak, or the beginning of the error.
async fn check(discover: Told, initialize: Told, expected: Result<Era, &str>, what: &str) {
    let upstream = upstream(discover, initialize).await;
    let route = upstream.route("calls: {retries_max: 0}").await;
    let caller = caller("user:a");
    let standing = route.standing(&on_behalf(&caller)).await;
    match (standing, expected) {
        (Ok(standing), Ok(era)) => {
            let found = if standing.modern { Era::Modern } else { Era::Legacy };
            assert_eq!(found, era, "{what}");
            assert_eq!(standing.legacy.is_some(), era == Era::Legacy, "{what}");
            assert_eq!(route.known_era_for(Era::Modern), Some(era), "{what}");
        }
        (Err(error), Err(beginning)) => {
            let error = error.to_string();
            assert!(error.starts_with(beginning), "{what}: {error}");
            assert_eq!(route.known_era_for(Era::Modern), None, "{what}: an error is not remembered");
        }
        (found, expected) => panic!("{what}: {found:?}, not {expected:?}"),
    }
}

#[tokio::test]
async fn the_era_is_told_from_answers() {
    let legacy = Json(200, INITIALIZED);
    let error = |code: i32| -> &'static str {
        format!(r#"{{"jsonrpc":"2.0","id":$id,"error":{{"code":{code},"message":"no"}}}}"#).leak()
    };
    let versions = |list: &str| -> &'static str {
        let data = format!(r#"{{"supported":[{list}],"requested":"2026-07-28"}}"#);
        format!(r#"{{"jsonrpc":"2.0","id":$id,"error":{{"code":-32022,"message":"no","data":{data}}}}}"#)
            .leak()
    };
    let only_legacy = DISCOVERED.replace("2026-07-28", "2025-11-25").leak();
    let modern = Ok(Era::Modern);
    check(Json(200, DISCOVERED), Empty(500), modern, "a result").await;
    check(Event(DISCOVERED), Empty(500), modern, "a result as an event").await;
    check(Json(400, error(-32020)), Empty(500), modern, "headers refused").await;
    check(Json(400, error(-32021)), Empty(500), modern, "capability missing").await;
    check(Json(400, versions(r#""2026-07-28""#)), Empty(500), modern, "versions with ours").await;
    check(
        Json(404, error(-32601)),
        Json(400, versions(r#""2026-07-28""#)),
        modern,
        "no discover, modern error",
    )
    .await;

    for (told, what) in [
        (Json(200, error(-32601)), "method not found"),
        (Json(404, error(-32601)), "method not found, 404"),
        (Json(400, error(-32600)), "invalid request"),
        (Json(400, error(-32602)), "invalid params"),
        (Json(400, error(-32000)), "no session"),
        (Json(400, versions(r#""2025-11-25""#)), "only legacy versions"),
        (Json(200, only_legacy), "a result with only legacy versions"),
        (Json(200, r#"{"jsonrpc":"2.0","id":$id,"result":{}}"#), "an empty result"),
        (
            Json(200, r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"no"}}"#),
            "an id of its own",
        ),
        (Json(400, r#"{"detail":"missing session"}"#), "no JSON-RPC"),
        (Json(200, "{}{}"), "nonsense"),
        (Empty(400), "400"),
        (Empty(404), "404"),
        (Empty(405), "405"),
        (Empty(406), "406"),
        (Empty(202), "202"),
        (Empty(500), "500"),
    ] {
        check(told, legacy, Ok(Era::Legacy), what).await;
    }
    for (told, expected) in [
        (Empty(401), "no credentials"),
        (Empty(403), "no credentials"),
        (Empty(429), "unavailable"),
        (Empty(502), "unavailable"),
        (Empty(503), "unavailable"),
    ] {
        check(told, legacy, Err(expected), expected).await;
    }
    check(Empty(404), Empty(404), Err("invalid"), "no MCP server at all").await;
    check(Empty(404), Json(200, "{}{}"), Err("invalid"), "nonsense twice").await;
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_leaves_the_question_open_is_asked_the_other() {
    let upstream = upstream(Hang, Json(200, INITIALIZED)).await;
    let route = upstream.route("").await;
    let caller = caller("user:a");
    let standing = route.standing(&on_behalf(&caller)).await.unwrap();
    assert!(!standing.modern && standing.legacy.is_some());
}

#[tokio::test]
async fn an_upstream_may_speak_both() {
    for (initialize, legacy) in [(Json(200, INITIALIZED), true), (Empty(400), false)] {
        let upstream = upstream(Json(200, DISCOVERED), initialize).await;
        let route = upstream.route("").await;
        let caller = caller("user:a");
        let behalf = on_behalf(&caller);
        assert_eq!(route.era_for(&behalf, Era::Modern).await, Ok(Era::Modern));
        assert_eq!(
            upstream.asked(),
            ["server/discover"],
            "the legacy side is asked when a legacy client comes"
        );
        assert_eq!(route.known_era_for(Era::Legacy), None);
        let expected = if legacy { Era::Legacy } else { Era::Modern };
        assert_eq!(route.era_for(&behalf, Era::Legacy).await, Ok(expected));
        assert_eq!(route.known_era_for(Era::Legacy), Some(expected));
        assert_eq!(route.legacy_standing(&behalf).await.unwrap().is_some(), legacy);
    }
}

#[tokio::test]
async fn the_operator_has_the_last_word() {
    let legacy = upstream(Json(200, DISCOVERED), Json(200, INITIALIZED)).await;
    let route = legacy.route("protocol: 2025-11-25").await;
    let caller = caller("user:a");
    assert_eq!(route.known_era_for(Era::Modern), Some(Era::Legacy));
    let standing = route.standing(&on_behalf(&caller)).await.unwrap();
    assert_eq!(standing.legacy.unwrap().protocol, Revision::V2025_11_25);
    assert!(!legacy.asked().contains(&"server/discover".to_owned()));

    let route = legacy.route("protocol: 2025-06-18").await;
    let error = route.standing(&on_behalf(&caller)).await.unwrap_err().to_string();
    assert_eq!(error, "invalid answer: `protocol` says 2025-06-18, the upstream 2025-11-25");

    let silent = upstream(Empty(404), Json(200, INITIALIZED)).await;
    let route = silent.route("protocol: 2026-07-28").await;
    assert_eq!(route.known_era_for(Era::Legacy), Some(Era::Modern));
    assert!(route.standing(&on_behalf(&caller)).await.unwrap().modern);
    assert_eq!(silent.asked(), ["server/discover"]);
}

#[tokio::test]
async fn however_many_want_to_know_one_asks() {
    let upstream = upstream(Empty(404), Json(200, INITIALIZED)).await;
    let route = upstream.route("").await;
    let caller = caller("user:a");
    let behalf = on_behalf(&caller);
    let (one, other, third) =
        tokio::join!(route.standing(&behalf), route.standing(&behalf), route.standing(&behalf));
    assert!(one.is_ok() && other.is_ok() && third.is_ok());
    route.standing(&behalf).await.unwrap();
    assert_eq!(upstream.asked(), ["server/discover", "initialize", "notifications/initialized"]);
}

#[tokio::test]
async fn who_leaves_does_not_take_the_question_along() {
    let upstream = upstream(Empty(404), Json(200, INITIALIZED)).await;
    let route = upstream.route("").await;
    let caller = caller("user:a");
    let impatient = tokio::time::timeout(Duration::ZERO, route.standing(&on_behalf(&caller))).await;
    assert!(impatient.is_err());
    route.standing(&on_behalf(&caller)).await.unwrap();
    assert_eq!(upstream.asked().iter().filter(|asked| *asked == "initialize").count(), 1);
}

#[tokio::test]
async fn a_failure_is_told_to_all_who_wait_and_not_remembered() {
    let up = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&up);
    let upstream = Upstream::serve(move |seen| {
        if switch.load(Ordering::Relaxed) { Json(200, DISCOVERED).act(seen) } else { Act::Send(empty(503)) }
    })
    .await;
    let route = upstream.route("calls: {breaker: off}").await;
    let caller = caller("user:a");
    let behalf = on_behalf(&caller);
    let (one, other) = tokio::join!(route.standing(&behalf), route.standing(&behalf));
    assert!(matches!(one, Err(UpstreamError::Unavailable { .. })) && one.is_err() == other.is_err());
    assert_eq!(upstream.asked().len(), 1);
    up.store(true, Ordering::Relaxed);
    assert!(route.standing(&behalf).await.is_ok());
}

#[tokio::test]
async fn a_changed_upstream_is_found_out() {
    let legacy = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&legacy);
    let upstream = Upstream::serve(move |seen| match (switch.load(Ordering::Relaxed), &*seen.rpc_method()) {
        (false, _) => Json(200, DISCOVERED).act(seen),
        (true, "initialize") => Json(200, INITIALIZED).act(seen),
        (true, "server/discover") => Act::Send(empty(400)),
        (true, _) => Act::Send(empty(202)),
    })
    .await;
    let route = upstream.route("").await;
    let caller = caller("user:a");
    let behalf = on_behalf(&caller);
    assert_eq!(route.era_for(&behalf, Era::Modern).await, Ok(Era::Modern));
    legacy.store(true, Ordering::Relaxed);
    route.doubt_standing();
    assert_eq!(route.known_era_for(Era::Modern), Some(Era::Modern), "it was asked just now");

    tokio::time::pause();
    tokio::time::advance(super::DOUBT_INTERVAL).await;
    tokio::time::resume();
    route.doubt_standing();
    assert_eq!(route.era_for(&behalf, Era::Modern).await, Ok(Era::Modern), "the old answer serves meanwhile");
    while route.known_era_for(Era::Modern).is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(route.known_era_for(Era::Modern), Some(Era::Legacy));
}
