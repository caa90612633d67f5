//! Time is paused: it goes on only when everything waits for it.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{advance, sleep};

use super::*;

const TERMS: Terms =
    Terms { fetch_timeout: Duration::from_secs(5), stale: Duration::from_secs(300), bytes_max: 1_000 };
const TTL: Duration = Duration::from_secs(60);

impl Weight for String {
    fn weight(&self) -> usize {
        self.len()
    }
}

/// Notes what it is told.
#[derive(Default)]
struct Log(Mutex<Vec<(String, bool)>>);

impl Watcher<&'static str> for Log {
    fn fetched(&self, _key: &&'static str, outcome: Result<(), &FetchError>, changed: bool) {
        let word = outcome.err().map_or("ok", FetchError::reason);
        self.0.lock().push((word.to_owned(), changed));
    }
}

/// An upstream that counts how often it is asked, and answers as it is told.
struct Upstream {
    shelf: Shelf<&'static str, String>,
    log: Arc<Log>,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<Answer>>,
}

#[derive(Clone)]
enum Answer {
    /// After so long, the number of the request.
    After(Duration),
    /// After so long, an error.
    Fails(Duration),
    /// Never.
    Hangs,
}

impl Upstream {
    fn new(answer: Answer) -> Self {
        Self::with_slots(answer, 100)
    }

    fn with_slots(answer: Answer, slots: usize) -> Self {
        let log = Arc::new(Log::default());
        let shelf = Shelf::new(slots, Arc::clone(&log) as Arc<dyn Watcher<_>>);
        Self { shelf, log, asked: Arc::default(), answer: Arc::new(Mutex::new(answer)) }
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    async fn take(&self) -> String {
        self.take_of("key").await
    }

    /// `value` with `+` if it is fresh, `~` if it is not, `!` if the upstream fails; or the reason why there is none.
    async fn take_of(&self, key: &'static str) -> String {
        let fetch = || -> Fetch<String> {
            let (asked, answer) = (Arc::clone(&self.asked), self.answer.lock().clone());
            Box::pin(async move {
                let number = asked.fetch_add(1, Ordering::Relaxed) + 1;
                match answer {
                    Answer::After(time) => {
                        sleep(time).await;
                        Ok(Fetched { value: Arc::new(number.to_string()), ttl: TTL })
                    }
                    Answer::Fails(time) => {
                        sleep(time).await;
                        Err(FetchError::NoResponse)
                    }
                    Answer::Hangs => std::future::pending().await,
                }
            })
        };
        match self.shelf.take(&key, &TERMS, fetch).await {
            Supply::Held { value, is_stale: true, .. } => format!("{value}!"),
            Supply::Held { value, left, .. } if left.is_zero() => format!("{value}~"),
            Supply::Held { value, .. } => format!("{value}+"),
            Supply::Missing { error, last } => {
                format!("{} {}", error.reason(), last.map_or_else(String::new, |last| last.to_string()))
            }
        }
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Lets what was spawned run.
async fn settle() {
    sleep(Duration::from_millis(10)).await;
}

#[tokio::test(start_paused = true)]
async fn everyone_who_asks_at_once_shares_one_fetch() {
    let upstream = Upstream::new(Answer::After(seconds(1)));
    let (one, two, three) = tokio::join!(upstream.take(), upstream.take(), upstream.take());
    assert_eq!([one, two, three], ["1+", "1+", "1+"]);
    assert_eq!(upstream.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_value_is_fetched_again_before_it_is_old_and_nobody_waits() {
    let upstream = Upstream::new(Answer::After(seconds(1)));
    upstream.take().await;
    advance(seconds(47)).await;
    assert_eq!(upstream.take().await, "1+");
    assert_eq!(upstream.asked(), 1);
    advance(seconds(2)).await;
    assert_eq!(upstream.take().await, "1+");
    sleep(seconds(2)).await;
    assert_eq!((upstream.take().await.as_str(), upstream.asked()), ("2+", 2));
    // Past its time: the old one is handed out while the new one is on its way.
    advance(seconds(70)).await;
    assert_eq!(upstream.take().await, "2~");
    sleep(seconds(2)).await;
    assert_eq!(upstream.take().await, "3+");
    // Long past its time: it is waited for.
    advance(seconds(1_000)).await;
    assert_eq!(upstream.take().await, "4+");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_fails_is_served_from_what_it_said_until_that_is_too_old() {
    let upstream = Upstream::new(Answer::After(Duration::ZERO));
    upstream.take().await;
    upstream.answers(Answer::Fails(Duration::ZERO));
    advance(TTL + TTL + seconds(1)).await;
    assert_eq!(upstream.take().await, "1!");
    advance(seconds(200)).await;
    assert_eq!(upstream.take().await, "1!");
    advance(seconds(100)).await;
    assert_eq!(upstream.take().await, "upstream_invalid 1");
    upstream.answers(Answer::After(Duration::ZERO));
    advance(seconds(60)).await;
    let number = upstream.asked() + 1;
    assert_eq!(upstream.take().await, format!("{number}+"));
    let log = upstream.log.0.lock();
    let told: Vec<_> = log.iter().filter(|(_, changed)| *changed).map(|(word, _)| word.as_str()).collect();
    assert_eq!(told, ["upstream_invalid", "ok"], "a change is told once");
}

#[tokio::test(start_paused = true)]
async fn a_dead_upstream_is_waited_for_once_and_then_hardly() {
    let upstream = Upstream::new(Answer::Hangs);
    let began = Instant::now();
    assert_eq!(upstream.take().await, "upstream_timeout ");
    assert_eq!(began.elapsed().as_secs(), 5);
    for _ in 0..100 {
        let began = Instant::now();
        assert_eq!(upstream.take().await, "upstream_timeout ");
        assert!(began.elapsed() <= RETRY_WAIT_MAX);
        sleep(seconds(1)).await;
    }
    let asked = upstream.asked();
    assert!(asked <= 16, "asked {asked} times in 100 s");
}

#[tokio::test(start_paused = true)]
async fn who_asks_after_a_change_gets_what_was_fetched_after_it() {
    let upstream = Upstream::new(Answer::After(seconds(1)));
    upstream.take().await;
    advance(seconds(5)).await;
    upstream.shelf.change(|_| true);
    assert_eq!(upstream.take().await, "2+");
    // A change while it is fetched: what was asked before is good enough for who asked before, but not fresh.
    upstream.shelf.change(|_| true);
    advance(seconds(5)).await;
    let (before, after) = tokio::join!(upstream.take(), async {
        sleep(Duration::from_millis(500)).await;
        upstream.shelf.change(|_| true);
        upstream.take().await
    });
    assert_eq!((before.as_str(), after.as_str()), ("3~", "4+"));
    assert_eq!(upstream.asked(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_not_waited_for_without_end() {
    let upstream = Upstream::new(Answer::After(Duration::ZERO));
    upstream.take().await;
    advance(seconds(5)).await;
    upstream.answers(Answer::Hangs);
    upstream.shelf.change(|_| true);
    let began = Instant::now();
    assert_eq!(upstream.take().await, "1~");
    assert_eq!(began.elapsed(), CHANGE_WAIT_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_changes_costs_a_fetch_a_second() {
    let upstream = Upstream::new(Answer::After(Duration::from_millis(10)));
    upstream.take().await;
    let began = Instant::now();
    while began.elapsed() < seconds(20) {
        upstream.shelf.change(|_| true);
        let answer = upstream.take().await;
        assert!(answer.ends_with(['+', '~']), "{answer}");
    }
    let asked = upstream.asked();
    assert!((15..=22).contains(&asked), "asked {asked} times in 20 s");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_one_key_is_no_change_of_another() {
    let upstream = Upstream::new(Answer::After(Duration::ZERO));
    upstream.take_of("a").await;
    upstream.take_of("b").await;
    advance(seconds(5)).await;
    upstream.shelf.change(|key| *key == "a");
    assert_eq!(upstream.take_of("b").await, "2+");
    assert_eq!(upstream.take_of("a").await, "3+");
}

#[tokio::test(start_paused = true)]
async fn what_was_put_is_taken_and_peeked_at() {
    let upstream = Upstream::new(Answer::Hangs);
    assert_eq!(upstream.shelf.peek(&"key", &TERMS), None);
    upstream.shelf.put(&"key", Fetched { value: Arc::new("put".to_owned()), ttl: TTL }, &TERMS);
    assert_eq!(upstream.take().await, "put+");
    assert_eq!(upstream.shelf.peek(&"key", &TERMS).as_deref().map(String::as_str), Some("put"));
    advance(TTL + TERMS.stale).await;
    assert_eq!(upstream.shelf.peek(&"key", &TERMS), None);
    assert_eq!(upstream.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn keys_are_bounded_by_number_and_by_bytes() {
    let upstream = Upstream::with_slots(Answer::After(Duration::ZERO), 2);
    for key in ["a", "b", "a", "c", "a"] {
        upstream.take_of(key).await;
        settle().await;
    }
    assert_eq!(upstream.asked(), 3);
    assert!(upstream.shelf.peek(&"a", &TERMS).is_some());
    assert!(upstream.shelf.peek(&"b", &TERMS).is_none(), "the least recently used is gone");
    let large = || Fetched { value: Arc::new("x".repeat(600)), ttl: TTL };
    upstream.shelf.put(&"a", large(), &TERMS);
    upstream.shelf.put(&"c", large(), &TERMS);
    assert!(upstream.shelf.peek(&"a", &TERMS).is_none(), "both would be too large");
    assert!(upstream.shelf.peek(&"c", &TERMS).is_some());
}

#[tokio::test(start_paused = true)]
async fn an_asker_that_leaves_stops_nothing_and_a_key_that_goes_takes_its_fetch_along() {
    let upstream = Upstream::with_slots(Answer::After(seconds(1)), 1);
    assert!(timeout(Duration::from_millis(100), upstream.take()).await.is_err());
    sleep(seconds(2)).await;
    assert_eq!((upstream.take().await.as_str(), upstream.asked()), ("1+", 1));
    // The fetch of `a` is given up with its slot.
    assert!(timeout(Duration::from_millis(100), upstream.take_of("a")).await.is_err());
    assert_eq!(upstream.take_of("b").await, "3+");
    assert_eq!(upstream.log.0.lock().len(), 2);
}
