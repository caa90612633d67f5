use std::time::Duration;

use mcpg_protocol::streams::{Change, acknowledged};
use parking_lot::Mutex;
use tokio::time::sleep;

use super::super::mailbox::News;
use super::super::part::SourceError;
use super::super::script::{Script, message};
use super::*;
use crate::upstream::UpstreamError;

#[derive(Default)]
struct Learned(Mutex<Vec<Changes>>);

impl OnChange for Learned {
    fn changed(&self, changes: Changes) {
        self.0.lock().push(changes);
    }
}

struct Bench {
    script: Script,
    learned: Arc<Learned>,
    feed: Arc<Feed>,
}

fn bench(prepare: impl FnOnce(&Script)) -> Bench {
    let (script, learned) = (Script::default(), Arc::<Learned>::default());
    prepare(&script);
    let feed = Feed::start(script.clone(), Arc::clone(&learned) as Arc<dyn OnChange>, Limits::default());
    Bench { script, learned, feed }
}

fn changed(change: Change) -> Result<Message, UpstreamError> {
    Ok(message(&change.message(Some("1")), None))
}

/// Lets every task run until it waits.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn everybody_is_told_once() {
    let mut speaker = None;
    let bench = bench(|script| speaker = Some(script.opens()));
    let mailboxes: Vec<_> = (0..3).map(|_| Arc::<Mailbox>::default()).collect();
    let subscriptions: Vec<_> = mailboxes.iter().map(|mailbox| bench.feed.subscribe(mailbox, 0)).collect();
    speaker.as_ref().unwrap().send(changed(Change::Tools)).unwrap();
    settle().await;
    for mailbox in &mailboxes {
        assert_eq!(mailbox.take(Changes::ALL).changes.iter().collect::<Vec<_>>(), [Change::Tools]);
    }
    assert_eq!(bench.learned.0.lock().len(), 1);
    assert_eq!(bench.script.attempts().len(), 1);
    drop(subscriptions);
    assert_eq!(bench.feed.subscribers.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_storm_is_told_once_a_second() {
    let mut speaker = None;
    let bench = bench(|script| speaker = Some(script.opens()));
    let mailbox = Arc::<Mailbox>::default();
    let _subscription = bench.feed.subscribe(&mailbox, 0);
    let speaker = speaker.unwrap();
    (0..1000).for_each(|_| speaker.send(changed(Change::Tools)).unwrap());
    let mut told = 0;
    for _ in 0..100 {
        sleep(Duration::from_millis(100)).await;
        told += usize::from(mailbox.take(Changes::ALL) != News::default());
    }
    // One at once, then one for each of the four seconds in which 256 at most are read, and the last.
    assert!((4..=6).contains(&told), "{told}");
    assert_eq!(bench.learned.0.lock().len(), told);
    speaker.send(changed(Change::Tools)).unwrap();
    settle().await;
    assert!(mailbox.take(Changes::ALL) != News::default());
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_it_was_broken_is_told_as_everything() {
    let mut first = None;
    let bench = bench(|script| {
        first = Some(script.opens());
        script.fails(UpstreamError::Busy.into());
    });
    let _second = bench.script.opens();
    let mailbox = Arc::<Mailbox>::default();
    let _subscription = bench.feed.subscribe(&mailbox, 3);
    settle().await;
    assert_eq!(mailbox.take(Changes::ALL), News::default());
    drop(first);
    sleep(Duration::from_secs(9)).await;
    let news = mailbox.take(Changes::ALL);
    assert_eq!(news.changes, Changes::ALL);
    assert_eq!(news.all_of.into_iter().collect::<Vec<_>>(), [3]);
    assert_eq!(bench.script.attempts().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn resources_are_told_by_part() {
    let mut speaker = None;
    let bench = bench(|script| speaker = Some(script.opens()));
    let (here, there) = (Arc::<Mailbox>::default(), Arc::<Mailbox>::default());
    let _here = bench.feed.subscribe(&here, 1);
    let _there = bench.feed.subscribe(&there, 2);
    let updated = r#"{"method":"notifications/resources/updated","params":{"uri":"a:b"}}"#;
    speaker.as_ref().unwrap().send(Ok(message(updated, None))).unwrap();
    settle().await;
    for (mailbox, part) in [(here, 1), (there, 2)] {
        let news = mailbox.take(Changes::ALL);
        assert_eq!(news.updated.into_iter().collect::<Vec<_>>(), [(part, Arc::from("a:b"))]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_honoured_is_what_the_upstream_says() {
    let filter = Filter { resources: vec!["a:b".into()], ..Filter::of_changes(Changes::ALL) };
    let mut speaker = None;
    let acknowledging = bench(|script| speaker = Some(script.opens()));
    let mailbox = Arc::<Mailbox>::default();
    speaker.as_ref().unwrap().send(Ok(message(&acknowledged("1", &filter), None))).unwrap();
    assert_eq!(acknowledging.feed.subscribe(&mailbox, 0).honoured().await, Honoured::Agreed(filter));

    let failing = bench(|script| script.fails(UpstreamError::Busy.into()));
    assert_eq!(failing.feed.subscribe(&mailbox, 0).honoured().await, Honoured::Unreachable);

    let silent = bench(|script| script.fails(SourceError::Silent));
    assert_eq!(silent.feed.subscribe(&mailbox, 0).honoured().await, Honoured::Nothing);
    assert_eq!(mailbox.take(Changes::ALL), News::default());

    let lost = bench(|script| script.fails(SourceError::Lost(UpstreamError::Busy)));
    assert_eq!(lost.feed.subscribe(&mailbox, 4).honoured().await, Honoured::Nothing);
    assert_eq!(mailbox.take(Changes::ALL).lost.into_iter().collect::<Vec<_>>(), [4]);
}

#[tokio::test(start_paused = true)]
async fn a_feed_ends_with_its_last_client() {
    let mut speaker = None;
    let bench = bench(|script| speaker = Some(script.opens()));
    let mailbox = Arc::<Mailbox>::default();
    let subscription = bench.feed.subscribe(&mailbox, 0);
    settle().await;
    drop(bench.feed);
    settle().await;
    assert!(!speaker.as_ref().unwrap().is_closed());
    drop(subscription);
    settle().await;
    assert!(speaker.unwrap().is_closed());
}
