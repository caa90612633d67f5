//! A value that is asked for once and remembered.
//!
//! INVARIANT: at most one question is under way. It goes on if those who wait for it leave.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{DOUBT_INTERVAL, FRESH};
use crate::upstream::UpstreamError;

/// How long an old answer serves when asking again failed.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

type Outcome<T> = Result<Arc<T>, UpstreamError>;
type Flight<T> = watch::Receiver<Option<Outcome<T>>>;

/// A value that is asked for once and remembered.
pub(super) struct Remembered<T> {
    known: ArcSwapOption<Known<T>>,
    flight: Mutex<Option<Flight<T>>>,
}

struct Known<T> {
    value: Arc<T>,
    asked: Instant,
    /// When it is asked for again.
    renew: Instant,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self { known: ArcSwapOption::empty(), flight: Mutex::new(None) }
    }
}

impl<T: Send + Sync + 'static> Remembered<T> {
    /// The value, if it is known and need not be asked for again.
    pub(super) fn fresh(&self) -> Option<Arc<T>> {
        let known = self.known.load();
        let known = known.as_ref()?;
        (Instant::now() < known.renew).then(|| Arc::clone(&known.value))
    }

    /// The value. Asks for it if it is not known; asks again in the background if it is old.
    pub(super) async fn known_or<F, Q>(self: &Arc<Self>, ask: F) -> Outcome<T>
    where
        F: FnOnce() -> Q,
        Q: Future<Output = Result<T, UpstreamError>> + Send + 'static,
    {
        if let Some(known) = self.known.load_full() {
            if Instant::now() >= known.renew {
                self.ask(ask);
            }
            return Ok(Arc::clone(&known.value));
        }
        let mut flight = self.ask(ask);
        let outcome = flight.wait_for(Option::is_some).await;
        match outcome.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            Ok(None) | Err(_) => {
                let reason = "asking what it speaks was broken off".into();
                Err(UpstreamError::Unavailable { reason, sent: true })
            }
        }
    }

    /// Makes it old, unless it has just been asked for.
    pub(super) fn doubt(&self) {
        let Some(known) = self.known.load_full() else { return };
        let now = Instant::now();
        if now < known.renew && now.duration_since(known.asked) >= DOUBT_INTERVAL {
            self.store(Arc::clone(&known.value), known.asked, now);
        }
    }

    fn ask<F, Q>(self: &Arc<Self>, ask: F) -> Flight<T>
    where
        F: FnOnce() -> Q,
        Q: Future<Output = Result<T, UpstreamError>> + Send + 'static,
    {
        let mut flight = self.flight.lock();
        // One whose sender is gone without a word was aborted.
        if let Some(under_way) = flight.as_ref().filter(|flight| flight.has_changed().is_ok()) {
            return under_way.clone();
        }
        let (sender, receiver) = watch::channel(None);
        *flight = Some(receiver.clone());
        let (this, question) = (Arc::clone(self), ask());
        tokio::spawn(async move {
            let outcome = question.await.map(Arc::new);
            this.note(&outcome);
            *this.flight.lock() = None;
            let _ = sender.send(Some(outcome));
        });
        receiver
    }

    fn note(&self, outcome: &Outcome<T>) {
        let now = Instant::now();
        match (outcome, self.known.load_full()) {
            (Ok(value), _) => self.store(Arc::clone(value), now, now + FRESH),
            (Err(_), Some(known)) => self.store(Arc::clone(&known.value), now, now + AFTER_FAILURE),
            (Err(_), None) => {}
        }
    }

    fn store(&self, value: Arc<T>, asked: Instant, renew: Instant) {
        self.known.store(Some(Arc::new(Known { value, asked, renew })));
    }
}
