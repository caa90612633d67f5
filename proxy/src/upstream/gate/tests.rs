use std::time::Duration;

use tokio::time::advance;

use super::*;
use crate::metrics::Metrics;

fn gate(concurrency_max: usize, queue_max: usize, breaker: Option<u32>) -> Arc<Gate> {
    let calls = Calls {
        concurrency_max,
        queue_max,
        queue_timeout: Duration::from_secs(1),
        deadline: Duration::from_secs(30),
        retries_max: 1,
        breaker: breaker.map(|failures| mcpg_config::Breaker {
            failures,
            window: Duration::from_secs(10),
            open: Duration::from_secs(5),
        }),
    };
    Gate::new(calls, Metrics::new().unwrap().upstream("files"))
}

async fn outcome(gate: &Arc<Gate>, outcome: Outcome) -> Result<(), UpstreamError> {
    gate.permit().await?.outcome(outcome);
    Ok(())
}

async fn fails(gate: &Arc<Gate>, times: usize) {
    for _ in 0..times {
        outcome(gate, Outcome::Failed).await.unwrap();
    }
}

fn is_open(gate: &Gate) -> bool {
    gate.metrics.breaker_open.get() == 1
}

#[tokio::test(start_paused = true)]
async fn a_place_is_given_back_whatever_became_of_the_call() {
    let gate = gate(2, 0, None);
    let first = gate.permit().await.unwrap();
    let second = gate.permit().await.unwrap();
    assert_eq!(gate.metrics.in_flight.get(), 2);
    assert_eq!(gate.permit().await.err(), Some(UpstreamError::Busy));
    drop(first);
    second.outcome(Outcome::Failed);
    assert_eq!(gate.metrics.in_flight.get(), 0);
    assert!(gate.permit().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_in_length_and_time() {
    let gate = gate(1, 1, None);
    let held = gate.permit().await.unwrap();
    let waiting = tokio::spawn({
        let gate = Arc::clone(&gate);
        async move { gate.permit().await.map(drop) }
    });
    tokio::task::yield_now().await;
    assert_eq!(gate.metrics.queued.get(), 1);
    assert_eq!(gate.permit().await.err(), Some(UpstreamError::Busy), "the queue is full");
    assert_eq!(gate.metrics.rejected_queue_full.get(), 1);
    drop(held);
    assert_eq!(waiting.await.unwrap(), Ok(()));

    let held = gate.permit().await.unwrap();
    assert_eq!(gate.permit().await.err(), Some(UpstreamError::Busy), "waited too long");
    assert_eq!(gate.metrics.rejected_queue_timeout.get(), 1);
    assert_eq!(gate.metrics.queued.get(), 0);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn what_calls_wait_for_takes_no_place() {
    let gate = gate(1, 0, Some(1));
    let held = gate.permit().await.unwrap();
    let (one, other) = (gate.aside().unwrap(), gate.aside().unwrap());
    assert_eq!(gate.metrics.in_flight.get(), 1);
    drop(one);
    assert_eq!(gate.permit().await.err(), Some(UpstreamError::Busy), "and gives none back");
    other.outcome(Outcome::Failed);
    assert_eq!(gate.aside().err(), Some(UpstreamError::BreakerOpen));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_leaves_the_queue() {
    let gate = gate(1, 1, None);
    let held = gate.permit().await.unwrap();
    assert!(timeout(Duration::from_millis(10), gate.permit()).await.is_err());
    assert_eq!(gate.metrics.queued.get(), 0);
    drop(held);
    assert!(gate.permit().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_breaker_opens_after_failures_in_a_row() {
    let gate = gate(8, 8, Some(3));
    fails(&gate, 2).await;
    outcome(&gate, Outcome::Answered).await.unwrap();
    fails(&gate, 2).await;
    assert!(!is_open(&gate), "an answer begins the count anew");
    fails(&gate, 1).await;
    assert!(is_open(&gate));
    assert_eq!(gate.permit().await.err(), Some(UpstreamError::BreakerOpen));
    assert_eq!((gate.metrics.rejected_breaker.get(), gate.metrics.breaker_opened.get()), (1, 1));
    assert_eq!(gate.metrics.in_flight.get(), 0, "a refusal takes no place");
}

#[tokio::test(start_paused = true)]
async fn failures_far_apart_do_not_open_it() {
    let gate = gate(8, 8, Some(2));
    for _ in 0..4 {
        fails(&gate, 1).await;
        advance(Duration::from_secs(11)).await;
    }
    assert!(!is_open(&gate));
}

#[tokio::test(start_paused = true)]
async fn one_call_tries_an_upstream_that_failed() {
    let gate = gate(8, 8, Some(1));
    fails(&gate, 1).await;
    advance(Duration::from_secs(5)).await;
    let probe = gate.permit().await.unwrap();
    assert_eq!(gate.permit().await.err(), Some(UpstreamError::BreakerOpen), "one at a time");
    probe.outcome(Outcome::Failed);
    assert_eq!(gate.permit().await.err(), Some(UpstreamError::BreakerOpen), "open again");
    advance(Duration::from_secs(5)).await;
    drop(gate.permit().await.unwrap());
    let probe = gate.permit().await.unwrap();
    assert!(is_open(&gate), "a probe without an outcome leaves its turn to the next");
    probe.outcome(Outcome::Answered);
    assert!(!is_open(&gate));
    assert!(gate.permit().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_of_a_call_from_before_closes_nothing() {
    let gate = gate(8, 8, Some(1));
    let (early, late) = (gate.permit().await.unwrap(), gate.permit().await.unwrap());
    fails(&gate, 1).await;
    early.outcome(Outcome::Answered);
    assert!(is_open(&gate));
    late.outcome(Outcome::Failed);
    advance(Duration::from_secs(5)).await;
    assert!(gate.permit().await.is_ok(), "and a late failure does not keep it open");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_an_upstream_that_is_left_alone() {
    let gate = gate(1, 1, Some(1));
    let held = gate.permit().await.unwrap();
    let other = Arc::clone(&gate);
    let waiting = tokio::spawn(async move { other.permit().await.map(drop) });
    tokio::task::yield_now().await;
    held.outcome(Outcome::Failed);
    assert_eq!(waiting.await.unwrap(), Err(UpstreamError::BreakerOpen));
}
