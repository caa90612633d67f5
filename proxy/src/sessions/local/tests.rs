use bytes::Bytes;
use mcpg_protocol::Revision;
use mcpg_protocol::bridge::LogLevel;

use super::*;
use crate::sessions::UpstreamRef;
use crate::upstream::ClientProfile;

const NOW: u64 = 1_790_000_000;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW + seconds)
}

fn token(nonce: u32) -> SessionToken {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&nonce.to_le_bytes());
    SessionToken {
        nonce: bytes,
        caller: [0; 32],
        endpoint: "/mcp".into(),
        expires: NOW + 3600,
        client: ClientProfile {
            protocol: Revision::V2025_11_25,
            capabilities: "{}".into(),
            info: "{}".into(),
        },
        upstreams: vec![],
    }
}

fn upstream(binding: &str, id: &str) -> UpstreamRef {
    UpstreamRef { binding: binding.into(), id: id.into(), protocol: Revision::V2025_11_25 }
}

#[test]
fn a_session_is_remembered_apart_from_others() {
    let sessions = LocalSessions::new(10);
    sessions.session(&token(1), at(0)).set_log_level(LogLevel::Error);
    sessions.session(&token(2), at(0)).set_log_level(LogLevel::Debug);
    let level = |nonce| sessions.session(&token(nonce), at(1)).log_level();
    assert_eq!((level(1), level(2), level(3)), (Some(LogLevel::Error), Some(LogLevel::Debug), None));
    assert!(sessions.find(&token(4).nonce).is_none());
    assert_eq!(sessions.len(), 3);
}

#[test]
fn the_least_recently_used_makes_room_but_not_while_it_is_waited_for() {
    let sessions = LocalSessions::new(2);
    let busy = sessions.session(&token(1), at(0));
    let _running = busy.begin("1", None).unwrap();
    drop(busy);
    sessions.session(&token(2), at(1));
    sessions.session(&token(3), at(2));
    assert!(sessions.find(&token(1).nonce).is_some(), "a request runs in it");
    assert!(sessions.find(&token(2).nonce).is_none());
    assert_eq!(sessions.len(), 2);
}

#[test]
fn many_sessions_stay_within_the_bound() {
    let sessions = LocalSessions::new(2000);
    for nonce in 0..10_000 {
        sessions.session(&token(nonce), at(0)).set_log_level(LogLevel::Info);
    }
    assert!((1000..=2000).contains(&sessions.len()), "{}", sessions.len());
}

#[test]
fn what_has_expired_or_says_nothing_is_swept() {
    let sessions = LocalSessions::new(10);
    sessions.session(&token(1), at(0));
    sessions.session(&token(2), at(0)).set_log_level(LogLevel::Info);
    let held = sessions.session(&token(3), at(0));
    sessions.sweep(at(59));
    assert_eq!(sessions.len(), 3);
    sessions.sweep(at(60));
    assert_eq!(sessions.len(), 2, "the first said nothing");
    sessions.sweep(at(3599));
    assert_eq!(sessions.len(), 2);
    sessions.sweep(at(3600));
    assert_eq!(sessions.len(), 0);
    assert!(held.has_ended(), "whoever streams it is told");
}

#[tokio::test]
async fn an_ended_session_stays_ended() {
    let sessions = LocalSessions::new(10);
    let session = sessions.session(&token(1), at(0));
    let running = session.begin("1", Some("files")).unwrap();
    let mut asked = session.ask().unwrap();
    assert!(!sessions.has_ended(&token(1).nonce));
    assert!(sessions.end(&token(1)).is_some());
    assert!(sessions.has_ended(&token(1).nonce) && !sessions.has_ended(&token(2).nonce));
    session.ended().await;
    running.cancelled().await;
    assert_eq!(asked.answer().await, None);
    // A request that was admitted just before.
    let late = sessions.session(&token(1), at(1));
    assert!(late.has_ended() && late.begin("2", None).unwrap().is_cancelled());
    assert_eq!(late.ask().unwrap().answer().await, None);
    assert!(sessions.find(&token(1).nonce).is_none());
    assert!(sessions.end(&token(1)).is_none());
    sessions.sweep(at(3599));
    assert!(sessions.has_ended(&token(1).nonce));
    sessions.sweep(at(3600));
    assert!(!sessions.has_ended(&token(1).nonce), "its id has expired");
}

#[tokio::test]
async fn a_request_is_cancelled_by_its_id() {
    let session = LocalSessions::new(1).session(&token(1), at(0));
    let first = session.begin("1", Some("files")).unwrap();
    let second = session.begin("\"1\"", None).unwrap();
    assert_eq!(session.begin("1", Some("other")).err(), Some(NotBegun::InUse));
    assert_eq!(session.cancel("1"), Some(Some("files".into())));
    first.cancelled().await;
    assert!(!second.is_cancelled());
    assert_eq!(session.cancel("2"), None);
    drop(first);
    assert_eq!(session.cancel("1"), None, "it runs no more");
    assert!(session.begin("1", None).is_ok());
}

#[tokio::test]
async fn who_waits_for_a_cancellation_is_woken() {
    let session = LocalSessions::new(1).session(&token(1), at(0));
    let running = session.begin("1", None).unwrap();
    let (cancelled, ()) = tokio::join!(running.cancelled(), async {
        tokio::task::yield_now().await;
        session.cancel("1");
    });
    assert_eq!(cancelled, ());
}

#[tokio::test]
async fn an_answer_reaches_who_asked_once() {
    let session = LocalSessions::new(1).session(&token(1), at(0));
    let (mut first, mut second) = (session.ask().unwrap(), session.ask().unwrap());
    let (first_id, second_id) = (first.id().to_owned(), second.id().to_owned());
    assert!(first_id.starts_with('~') && first_id != second_id, "{first_id} {second_id}");
    assert!(session.answer(&second_id, Bytes::from_static(b"2")));
    assert!(!session.answer(&second_id, Bytes::from_static(b"3")), "answered already");
    assert!(!session.answer("~0", Bytes::from_static(b"4")));
    assert!(session.answer(&first_id, Bytes::from_static(b"1")));
    assert_eq!(first.answer().await.as_deref(), Some(&b"1"[..]));
    assert_eq!(first.answer().await, None);
    assert_eq!(second.answer().await.as_deref(), Some(&b"2"[..]));
    let given_up = session.ask().unwrap();
    let id = given_up.id().to_owned();
    drop(given_up);
    assert!(!session.answer(&id, Bytes::new()), "nobody waits");
}

#[test]
fn subscriptions_are_kept_by_binding() {
    let session = LocalSessions::new(1).session(&token(1), at(0));
    assert_eq!(session.subscribe("files", "file:///b"), Ok(true));
    assert_eq!(session.subscribe("files", "file:///a"), Ok(true));
    assert_eq!(session.subscribe("files", "file:///a"), Ok(false));
    assert_eq!(session.subscribe("git", "file:///a"), Ok(true));
    assert_eq!(*session.subscriptions("files"), ["file:///a".into(), "file:///b".into()]);
    assert!(session.unsubscribe("files", "file:///a") && !session.unsubscribe("files", "file:///a"));
    assert_eq!(*session.subscriptions("files"), ["file:///b".into()]);
    assert_eq!(*session.subscriptions("git"), ["file:///a".into()]);
}

#[test]
fn whatever_a_client_does_a_session_stays_small() {
    let session = LocalSessions::new(1).session(&token(1), at(0));
    let subscribed = (0..2000).filter(|index| session.subscribe("b", &format!("f:{index}")).is_ok()).count();
    assert_eq!(subscribed, 1000);
    assert!(session.unsubscribe("b", "f:0"));
    assert_eq!(session.subscribe("b", &"x".repeat(70_000)), Err(TooMany));
    assert_eq!(session.subscribe("b", "f:new"), Ok(true));
    let running: Vec<_> = (0..2000).filter_map(|id| session.begin(&id.to_string(), None).ok()).collect();
    assert_eq!(running.len(), 1024);
    let asked: Vec<_> = (0..100).filter_map(|_| session.ask().ok()).collect();
    assert_eq!(asked.len(), 64);
    drop((running, asked));
    assert!(session.begin("1", None).is_ok() && session.ask().is_ok());
}

#[test]
fn of_two_that_replace_a_lost_session_one_wins() {
    let session = LocalSessions::new(1).session(&token(1), at(0));
    // Both found the token's session `old` lost.
    assert_eq!(session.replace_upstream(Some("old"), upstream("git", "new-1")).id, "new-1".into());
    assert_eq!(session.replace_upstream(Some("old"), upstream("git", "new-2")).id, "new-1".into());
    // The winner's is lost in turn.
    assert_eq!(session.replace_upstream(Some("new-1"), upstream("git", "new-3")).id, "new-3".into());
    assert_eq!(session.upstream("git"), Some(upstream("git", "new-3")));
    assert_eq!(session.upstream("files"), None);
    assert_eq!(session.upstreams(), [upstream("git", "new-3")]);
}

#[tokio::test]
async fn a_session_has_one_stream_that_follows_what_changes() {
    let sessions = LocalSessions::new(10);
    let session = sessions.session(&token(1), at(0));
    let first = session.begin_stream();
    let mut second = session.begin_stream();
    assert!(first.await.is_err());
    assert!(second.try_recv().is_err_and(|error| error == tokio::sync::oneshot::error::TryRecvError::Empty));
    session.subscribe("a", "x:1").unwrap();
    session.changed().await;
    session.unsubscribe("a", "x:1");
    session.changed().await;
    session.replace_upstream(None, upstream("a", "s"));
    session.changed().await;
}
