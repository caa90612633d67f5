use std::time::Duration;

use super::super::script::{Script, message};
use super::*;

type Scripted = Part<Script>;

async fn next(part: Scripted) -> (Event, Scripted) {
    part.next().await
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_goes_on_after_its_last_event() {
    let script = Script::default();
    let first = script.opens();
    let _second = script.opens();
    first.send(Ok(message("1", Some("e1")))).unwrap();
    first.send(Ok(message("2", Some("e2")))).unwrap();
    first.send(Ok(message("3", None))).unwrap();
    first.send(Err(UpstreamError::TooLarge)).unwrap();
    let (event, mut part) = next(Part::new(script.clone(), None)).await;
    assert!(matches!(event, Event::Opened { missed: false, .. }));
    for expected in ["1", "2", "3"] {
        let (event, rest) = next(part).await;
        part = rest;
        assert!(matches!(event, Event::Message(message) if message.json == expected));
    }
    let before = Instant::now();
    let (event, _part) = next(part).await;
    assert!(matches!(event, Event::Opened { missed: false, .. }));
    assert!(before.elapsed() >= Duration::from_millis(700));
    assert_eq!(script.attempts(), [None, Some("e2".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn without_events_to_go_on_after_something_may_be_missed() {
    let script = Script::default();
    drop(script.opens());
    let _second = script.opens();
    let (_, part) = next(Part::new(script.clone(), None)).await;
    let (event, _part) = next(part).await;
    assert!(matches!(event, Event::Opened { missed: true, .. }));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_says_when_to_come_back_is_obeyed() {
    let script = Script::default();
    let first = script.opens();
    let _second = script.opens();
    first.send(Ok(Message { retry_ms: Some(5000), ..message("", Some("e1")) })).unwrap();
    drop(first);
    let (_, part) = next(Part::new(script.clone(), None)).await;
    let (_, part) = next(part).await;
    let before = Instant::now();
    next(part).await;
    assert_eq!(before.elapsed(), Duration::from_secs(5));
    assert_eq!(script.attempts(), [None, Some("e1".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_refused_is_not_asked_for_twice() {
    let script = Script::default();
    script.fails(UpstreamError::SessionLost.into());
    let _second = script.opens();
    let (event, part) = next(Part::new(script.clone(), Some("e7"))).await;
    assert!(matches!(event, Event::Failed));
    let (event, _part) = next(part).await;
    assert!(matches!(event, Event::Opened { missed: true, .. }));
    assert_eq!(script.attempts(), [Some("e7".to_owned()), None]);
}

#[tokio::test(start_paused = true)]
async fn who_offers_no_stream_is_asked_again_much_later() {
    let script = Script::default();
    script.fails(SourceError::Silent);
    script.fails(SourceError::Lost(UpstreamError::Busy));
    let (event, part) = next(Part::new(script, None)).await;
    assert!(matches!(event, Event::Silent));
    let before = Instant::now();
    assert!(matches!(next(part).await.0, Event::Lost));
    assert_eq!(before.elapsed(), Duration::from_secs(600));
}
