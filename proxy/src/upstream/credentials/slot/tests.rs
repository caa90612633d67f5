use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn granted(token: &'static str, seconds: u64) -> Fetched {
    Ok(Granted { authorization: HeaderValue::from_static(token), lifetime: Duration::from_secs(seconds) })
}

fn token(token: &'static str) -> HeaderValue {
    HeaderValue::from_static(token)
}

fn failed() -> Fetched {
    Err(FetchError::Status(503))
}

/// A state that asked at the start, with what came of it half a second later.
fn settled(fetched: Fetched, start: Instant) -> State {
    let mut state = State::default();
    assert_eq!(state.step(start), Step::Fetch);
    assert_eq!(state.step(start), Step::Wait);
    state.settle(fetched, start, start + Duration::from_millis(500), 0.5);
    state
}

#[test]
fn a_token_is_used_refreshed_and_given_up_in_time() {
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let mut state = settled(granted("a", 1000), start);
    // It ends 30 s early; refreshing begins at 80% of that.
    assert_eq!(state.step(at(1)), Step::Use(token("a")));
    assert_eq!(state.step(at(775)), Step::Use(token("a")));
    assert_eq!(state.step(at(777)), Step::UseAndRefresh(token("a")));
    assert_eq!(state.step(at(778)), Step::Use(token("a")), "one refresh at a time");
    assert_eq!(state.step(at(969)), Step::Use(token("a")));
    assert_eq!(state.step(at(970)), Step::Wait);
    state.settle(granted("b", 10), at(970), at(971), 0.0);
    assert_eq!(state.step(at(972)), Step::Use(token("b")));
    assert_eq!(state.step(at(979)), Step::Fetch, "the margin is a tenth of a short life");
}

#[test]
fn a_refresh_that_fails_leaves_the_token_in_force() {
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let mut state = settled(granted("a", 1000), start);
    assert_eq!(state.step(at(800)), Step::UseAndRefresh(token("a")));
    state.settle(failed(), at(800), at(801), 1.0);
    assert_eq!(state.step(at(801)), Step::Use(token("a")), "not at once again");
    assert_eq!(state.step(at(803)), Step::UseAndRefresh(token("a")));
    state.settle(failed(), at(803), at(969), 1.0);
    assert_eq!(state.step(at(970)), Step::Fail(FetchError::Status(503)));
    assert_eq!(state.step(at(972)), Step::Fetch);
}

#[test]
fn failures_are_remembered_for_longer_and_longer() {
    let mut now = Instant::now();
    let mut state = settled(failed(), now);
    now += Duration::from_millis(500);
    let mut waits = Vec::new();
    for _ in 0..9 {
        let until = state.failure.as_ref().unwrap().until;
        waits.push((until - now).as_millis());
        assert_eq!(state.step(until - Duration::from_millis(1)), Step::Fail(FetchError::Status(503)));
        now = until;
        assert_eq!(state.step(now), Step::Fetch);
        state.settle(failed(), now, now, 1.0);
    }
    assert_eq!(waits, [750, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    now += BACKOFF_MAX;
    assert_eq!(state.step(now), Step::Fetch);
    state.settle(granted("a", 100), now, now, 0.0);
    assert!(state.failure.is_none());
}

#[test]
fn a_token_that_comes_too_late_is_a_failure() {
    let start = Instant::now();
    let mut state = State::default();
    state.settle(granted("a", 2), start, start + Duration::from_secs(3), 1.0);
    let step = state.step(start + Duration::from_secs(3));
    assert_eq!(step, Step::Fail(FetchError::Invalid("came later than the token's end")));
}

#[test]
fn waits_differ_between_instances() {
    let start = Instant::now();
    let refresh = |jitter| {
        let mut state = State::default();
        state.settle(granted("a", 1000), start, start, jitter);
        let token = state.token.unwrap();
        (token.refresh - start).as_secs()
    };
    assert_eq!([refresh(0.0), refresh(0.5), refresh(1.0)], [679, 776, 873]);
}

#[test]
fn a_refused_token_is_replaced_unless_it_is_new() {
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let mut state = settled(granted("a", 1000), start);
    assert!(!state.refused(&token("a"), at(1)), "the next would be refused too");
    assert_eq!(state.step(at(1)), Step::Use(token("a")));
    assert!(state.refused(&token("a"), at(10)));
    assert_eq!(state.step(at(10)), Step::Fetch);
    assert!(state.refused(&token("a"), at(10)), "another is on its way");
    state.settle(granted("b", 1000), at(10), at(11), 0.5);
    assert!(state.refused(&token("a"), at(12)), "another is in force");
    assert_eq!(state.step(at(12)), Step::Use(token("b")));
    assert!(!state.refused(&token("b"), at(12)));
}

#[test]
fn what_says_nothing_any_more_is_not_kept() {
    let start = Instant::now();
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    assert!(!State::default().is_worth_keeping(start));
    let state = settled(granted("a", 100), start);
    assert!(state.is_worth_keeping(at(89)) && !state.is_worth_keeping(at(90)));
    let mut state = settled(failed(), start);
    assert!(state.is_worth_keeping(at(1)) && !state.is_worth_keeping(at(2)));
    assert_eq!(state.step(at(2)), Step::Fetch);
    assert!(state.is_worth_keeping(at(100)), "it is being fetched");
}

#[tokio::test(start_paused = true)]
async fn many_requests_make_one_fetch() {
    let slot = Arc::<Slot>::default();
    let fetches = Arc::<AtomicUsize>::default();
    let fetch = || {
        let fetches = Arc::clone(&fetches);
        async move {
            fetches.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(2)).await;
            granted("a", 100)
        }
    };
    let (first, second, third) = tokio::join!(slot.obtain(fetch), slot.obtain(fetch), slot.obtain(fetch));
    assert_eq!([first, second, third], [Ok(token("a")), Ok(token("a")), Ok(token("a"))]);
    assert_eq!(fetches.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_leaves_takes_no_fetch_with_it() {
    let slot = Arc::<Slot>::default();
    let fetch = || async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        granted("a", 100)
    };
    let left = tokio::time::timeout(Duration::from_secs(1), slot.obtain(fetch)).await;
    assert!(left.is_err());
    let never = || async { unreachable!("it is being fetched already") };
    assert_eq!(slot.obtain(never).await, Ok(token("a")));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_panics_is_a_failure() {
    let slot = Arc::<Slot>::default();
    let fetch = || async { panic!("a defect") };
    assert!(matches!(slot.obtain(fetch).await, Err(FetchError::Unavailable(_))));
}

#[tokio::test(start_paused = true)]
async fn everyone_who_waits_is_told_of_the_failure() {
    let slot = Arc::<Slot>::default();
    let fetch = || async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        failed()
    };
    let (first, second) = tokio::join!(slot.obtain(fetch), slot.obtain(fetch));
    assert_eq!([first, second], [Err(FetchError::Status(503)), Err(FetchError::Status(503))]);
}
