use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use mcpg_protocol::Revision;
use mcpg_sdk::{AuthMethod, Caller};

use super::pool::PER_KEY_MAX;
use super::*;
use crate::upstream::testing::{Act, Upstream, answer, caller, empty, json, on_behalf};

/// An upstream that numbers its sessions.
async fn upstream() -> Upstream {
    let sessions = AtomicUsize::new(0);
    Upstream::serve(move |seen| match &*seen.rpc_method() {
        "initialize" => {
            let id = format!("s{}", sessions.fetch_add(1, Ordering::Relaxed));
            let result = r#"{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{}}"#;
            let body = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, seen.id());
            Act::Send(answer(200, &[("content-type", "application/json"), ("mcp-session-id", &id)], &body))
        }
        "lost" => Act::Send(empty(404)),
        "DELETE" => Act::Send(empty(200)),
        _ => Act::Send(json(200, &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{}}}}"#, seen.id()))),
    })
    .await
}

fn profile(info: &str) -> ClientProfile {
    ClientProfile {
        protocol: Revision::V2025_11_25,
        capabilities: "{}".into(),
        info: format!(r#"{{"name":"{info}","version":"1"}}"#).into(),
    }
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::task::yield_now().await;
    }
}

fn ended(upstream: &Upstream) -> Vec<String> {
    let seen = upstream.seen();
    let ended = seen.iter().filter(|seen| seen.method == "DELETE");
    ended.map(|seen| seen.header("mcp-session-id").to_owned()).collect()
}

#[tokio::test]
async fn a_kept_session_serves_the_same_caller_and_client_again() {
    let upstream = upstream().await;
    let route = upstream.route("").await;
    let alice = caller("user:alice");
    let lease = route.lease(&on_behalf(&alice), &profile("agent")).await.unwrap();
    assert_eq!(lease.id(), "s0");
    assert_eq!(lease.initialized().protocol, Revision::V2025_11_25);
    lease.keep();
    let again = route.lease(&on_behalf(&alice), &profile("agent")).await.unwrap();
    assert_eq!(again.id(), "s0");
}

#[tokio::test]
async fn a_session_never_serves_another() {
    let upstream = upstream().await;
    let route = upstream.route("").await;
    let alice = caller("user:alice");
    let same_name = Arc::new(Caller { auth_method: AuthMethod::Basic, ..(*alice).clone() });
    let capable = ClientProfile { capabilities: r#"{"sampling":{}}"#.into(), ..profile("agent") };
    let older = ClientProfile { protocol: Revision::V2025_06_18, ..profile("agent") };
    let others = [
        (caller("user:bob"), profile("agent")),
        (same_name, profile("agent")),
        (Arc::clone(&alice), profile("other")),
        (Arc::clone(&alice), capable),
        (Arc::clone(&alice), older),
    ];
    route.lease(&on_behalf(&alice), &profile("agent")).await.unwrap().keep();
    let mut ids = HashSet::from(["s0".to_owned()]);
    for (caller, profile) in others {
        let lease = route.lease(&on_behalf(&caller), &profile).await.unwrap();
        assert!(ids.insert(lease.id().to_owned()), "{} got another's session", caller.subject);
        lease.keep();
    }
}

#[tokio::test]
async fn a_session_is_in_the_hands_of_one_call_at_a_time() {
    let upstream = upstream().await;
    let route = upstream.route("").await;
    let alice = caller("user:alice");
    let held = Arc::new(parking_lot::Mutex::new(HashSet::new()));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (route, alice, held) = (Arc::clone(&route), Arc::clone(&alice), Arc::clone(&held));
        calls.spawn(async move {
            for _ in 0..8 {
                let lease = route.lease(&on_behalf(&alice), &profile("agent")).await.unwrap();
                assert!(held.lock().insert(lease.id().to_owned()), "two calls hold {}", lease.id());
                let ping = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
                let mut reply = lease.request(&on_behalf(&alice), ping, true).await.unwrap();
                reply.answer("1").await.unwrap().unwrap();
                held.lock().remove(lease.id());
                lease.keep();
            }
        });
    }
    calls.join_all().await;
    let begun = upstream.asked().iter().filter(|asked| *asked == "initialize").count();
    assert!(begun <= 16, "{begun} sessions for 16 calls at a time");
}

#[tokio::test]
async fn a_session_that_was_not_kept_is_ended() {
    let upstream = upstream().await;
    let route = upstream.route("").await;
    let alice = caller("user:alice");
    drop(route.lease(&on_behalf(&alice), &profile("agent")).await.unwrap());
    until(|| ended(&upstream) == ["s0"]).await;
    let next = route.lease(&on_behalf(&alice), &profile("agent")).await.unwrap();
    assert_eq!(next.id(), "s1");
}

#[tokio::test]
async fn a_lost_session_is_replaced() {
    let upstream = upstream().await;
    let route = upstream.route("").await;
    let alice = caller("user:alice");
    let mut lease = route.lease(&on_behalf(&alice), &profile("agent")).await.unwrap();
    let lost = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"lost"}"#);
    assert_eq!(lease.request(&on_behalf(&alice), lost, true).await.err(), Some(UpstreamError::SessionLost));
    lease.replace().await.unwrap();
    assert_eq!(lease.id(), "s1");
    lease.keep();
    assert_eq!(route.lease(&on_behalf(&alice), &profile("agent")).await.unwrap().id(), "s1");
}

#[tokio::test]
async fn a_session_that_waits_too_long_is_ended() {
    let upstream = upstream().await;
    let route = upstream.route("").await;
    let alice = caller("user:alice");
    route.lease(&on_behalf(&alice), &profile("agent")).await.unwrap().keep();
    route.sweep();
    tokio::time::pause();
    tokio::time::advance(IDLE_TIME_MAX).await;
    tokio::time::resume();
    assert_eq!(ended(&upstream), Vec::<String>::new());
    route.sweep();
    until(|| ended(&upstream) == ["s0"]).await;
}

#[tokio::test]
async fn a_route_that_is_gone_keeps_no_session() {
    let upstream = upstream().await;
    let route = upstream.route("").await;
    let alice = caller("user:alice");
    let in_use = route.lease(&on_behalf(&alice), &profile("agent")).await.unwrap();
    route.lease(&on_behalf(&alice), &profile("agent")).await.unwrap().keep();
    route.retire();
    until(|| ended(&upstream) == ["s1"]).await;
    in_use.keep();
    until(|| ended(&upstream) == ["s1", "s0"]).await;
}

#[tokio::test]
async fn one_caller_has_so_many_and_no_more() {
    let upstream = upstream().await;
    let route = upstream.route("").await;
    let (alice, bob) = (caller("user:alice"), caller("user:bob"));
    let mut leases = Vec::new();
    for _ in 0..PER_KEY_MAX {
        leases.push(route.lease(&on_behalf(&alice), &profile("agent")).await.unwrap());
    }
    let refused = route.lease(&on_behalf(&alice), &profile("agent")).await;
    assert_eq!(refused.err(), Some(UpstreamError::Busy));
    assert!(route.lease(&on_behalf(&bob), &profile("agent")).await.is_ok());
    leases.pop().unwrap().keep();
    assert!(route.lease(&on_behalf(&alice), &profile("agent")).await.is_ok());
}
