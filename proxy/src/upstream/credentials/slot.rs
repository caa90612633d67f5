//! One token: in force, being fetched, or not to be had for now.
//!
//! [`State`] decides and knows no clock; [`Slot`] fetches. A fetch is a task of its own, so that it does not end with the
//! request that began it: whoever needs the token waits for the same one.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::answer::{FetchError, Fetched, Granted};

/// A token is not used in the last of its life: the request takes its time too. At most so much is given away.
const MARGIN_MAX: Duration = Duration::from_secs(30);
/// After a failure, nothing is asked for so long; doubled with each further one.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// An upstream that refuses a token so new would refuse the next.
const AGE_MIN: Duration = Duration::from_secs(5);

/// One token.
#[derive(Default)]
pub(super) struct Slot {
    state: Mutex<State>,
    settled: Notify,
}

impl Slot {
    /// The token, which is fetched if there is none.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn obtain<F>(self: &Arc<Self>, fetch: impl Fn() -> F) -> Result<HeaderValue, FetchError>
    where
        F: Future<Output = Fetched> + Send + 'static,
    {
        loop {
            // Before the look at the state: what settles after it wakes this.
            let settled = self.settled.notified();
            let step = self.state.lock().step(Instant::now());
            match step {
                Step::Use(token) => return Ok(token),
                Step::UseAndRefresh(token) => {
                    self.spawn(fetch());
                    return Ok(token);
                }
                Step::Fail(error) => return Err(error),
                Step::Fetch => self.spawn(fetch()),
                Step::Wait => {}
            }
            settled.await;
        }
    }

    /// Notes that a token was refused. True if there is, or will be, another.
    pub(super) fn refused(&self, token: &HeaderValue, now: Instant) -> bool {
        self.state.lock().refused(token, now)
    }

    /// Whether it holds a token, or a failure that keeps from asking again.
    pub(super) fn is_worth_keeping(&self, now: Instant) -> bool {
        self.state.lock().is_worth_keeping(now)
    }

    fn spawn(self: &Arc<Self>, fetch: impl Future<Output = Fetched> + Send + 'static) {
        let settle = Settle { slot: Arc::clone(self), asked: Instant::now(), fetched: None };
        tokio::spawn(async move {
            let mut settle = settle;
            settle.fetched = Some(fetch.await);
        });
    }
}

/// Settles a fetch when it ends, however it ends: a runtime that stops must not leave others waiting.
struct Settle {
    slot: Arc<Slot>,
    asked: Instant,
    fetched: Option<Fetched>,
}

impl Drop for Settle {
    fn drop(&mut self) {
        let given_up = || Err(FetchError::Unavailable("the fetch was given up".into()));
        let fetched = self.fetched.take().unwrap_or_else(given_up);
        self.slot.state.lock().settle(fetched, self.asked, Instant::now(), fastrand::f64());
        self.slot.settled.notify_waiters();
    }
}

/// What is known of one token.
#[derive(Default)]
struct State {
    token: Option<Token>,
    fetching: bool,
    failure: Option<Backoff>,
}

struct Token {
    authorization: HeaderValue,
    since: Instant,
    refresh: Instant,
    end: Instant,
}

impl Token {
    fn new(granted: Granted, asked: Instant, now: Instant, jitter: f64) -> Self {
        let Granted { authorization, lifetime } = granted;
        let end = lifetime - MARGIN_MAX.min(lifetime / 10);
        let refresh = end.mul_f64(0.7 + 0.2 * jitter);
        Self { authorization, since: now, refresh: asked + refresh, end: asked + end }
    }
}

struct Backoff {
    error: FetchError,
    failures: u32,
    until: Instant,
}

/// What to do for a request.
#[derive(Debug, PartialEq)]
enum Step {
    Use(HeaderValue),
    UseAndRefresh(HeaderValue),
    Fetch,
    Wait,
    Fail(FetchError),
}

impl State {
    /// What to do for a request. With `Fetch` and `UseAndRefresh` a fetch counts as begun.
    fn step(&mut self, now: Instant) -> Step {
        let failed = self.failure.as_ref().filter(|failure| now < failure.until);
        let may_fetch = !self.fetching && failed.is_none();
        let token = self.token.as_ref().filter(|token| now < token.end);
        let step = match (token, failed) {
            (Some(token), _) if may_fetch && now >= token.refresh => {
                Step::UseAndRefresh(token.authorization.clone())
            }
            (Some(token), _) => Step::Use(token.authorization.clone()),
            (None, _) if self.fetching => Step::Wait,
            (None, Some(failure)) => Step::Fail(failure.error.clone()),
            (None, None) => Step::Fetch,
        };
        self.fetching |= matches!(step, Step::Fetch | Step::UseAndRefresh(_));
        step
    }

    /// Takes in what came of a fetch. `jitter` is from 0 to 1: instances must not ask in step.
    fn settle(&mut self, fetched: Fetched, asked: Instant, now: Instant, jitter: f64) {
        self.fetching = false;
        let token = fetched.map(|granted| Token::new(granted, asked, now, jitter));
        let late = || FetchError::Invalid("came later than the token's end");
        match token.and_then(|token| if now < token.end { Ok(token) } else { Err(late()) }) {
            Ok(token) => {
                self.token = Some(token);
                self.failure = None;
            }
            Err(error) => {
                let failures = self.failure.as_ref().map_or(0, |failure| failure.failures).saturating_add(1);
                let wait = BACKOFF_MIN.saturating_mul(1 << (failures - 1).min(16)).min(BACKOFF_MAX);
                let until = now + wait.mul_f64(0.5 + 0.5 * jitter);
                self.failure = Some(Backoff { error, failures, until });
            }
        }
    }

    fn refused(&mut self, refused: &HeaderValue, now: Instant) -> bool {
        match &self.token {
            Some(token) if token.authorization != *refused => true,
            Some(token) if now.duration_since(token.since) < AGE_MIN => false,
            Some(_) => {
                self.token = None;
                true
            }
            None => true,
        }
    }

    fn is_worth_keeping(&self, now: Instant) -> bool {
        self.fetching
            || self.token.as_ref().is_some_and(|token| now < token.end)
            || self.failure.as_ref().is_some_and(|failure| now < failure.until)
    }
}

#[cfg(test)]
mod tests;
