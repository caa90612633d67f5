//! A revision that was refused for something that may pass, such as a registry that does not answer: it is tried again, ever less often, until it is in force,
//! is refused for something that does not pass, or a newer one has come.

use std::time::Duration;

use mcpg_cp_api::SignedRevision;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The pause before the next try: doubled each time, within these.
const PAUSE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));
/// How long it goes on. What has not passed by then does not pass by itself.
const TRIED_FOR: Duration = Duration::from_secs(24 * 3600);

/// The revision that is to be tried again, if there is one.
#[derive(Debug, Default)]
pub(super) struct Again {
    waiting: Mutex<Option<Waiting>>,
    changed: Notify,
}

#[derive(Debug, Clone)]
struct Waiting {
    signed: SignedRevision,
    first: Instant,
    pause: Duration,
    at: Instant,
}

impl Again {
    /// It was refused. False where it was tried for long enough.
    pub(super) fn later(&self, signed: &SignedRevision, now: Instant) -> bool {
        let mut waiting = self.waiting.lock();
        let before = waiting.take().filter(|before| before.signed.number == signed.number);
        let (first, pause) = match before {
            Some(before) => (before.first, (before.pause * 2).min(PAUSE.1)),
            None => (now, PAUSE.0),
        };
        if now >= first + TRIED_FOR {
            return false;
        }
        // Gateways that miss one registry must not come back to it all at once.
        let at = now + pause.mul_f64(0.5 + fastrand::f64());
        *waiting = Some(Waiting { signed: signed.clone(), first, pause, at });
        drop(waiting);
        self.changed.notify_one();
        true
    }

    /// There is nothing to be tried again.
    pub(super) fn never(&self) {
        *self.waiting.lock() = None;
        self.changed.notify_one();
    }

    /// The revision, once its time has come.
    pub(super) async fn due(&self) -> SignedRevision {
        loop {
            let at = self.waiting.lock().as_ref().map(|waiting| waiting.at);
            let Some(at) = at else {
                self.changed.notified().await;
                continue;
            };
            tokio::select! {
                () = sleep_until(at) => if let Some(signed) = self.due_at(Instant::now()) {
                    return signed;
                },
                () = self.changed.notified() => {}
            }
        }
    }

    fn due_at(&self, now: Instant) -> Option<SignedRevision> {
        self.waiting.lock().as_ref().filter(|waiting| waiting.at <= now).map(|waiting| waiting.signed.clone())
    }
}

#[cfg(test)]
mod tests {
    use mcpg_cp_api::Timestamp;

    use super::*;

    fn signed(number: u64) -> SignedRevision {
        SignedRevision {
            environment: "acme-corp/platform-team/prod".parse().unwrap(),
            number,
            digest: String::new(),
            created_at: Timestamp::from_unix_ms(0),
            document: String::new(),
            signature: String::new(),
        }
    }

    fn number(again: &Again, now: Instant) -> Option<u64> {
        again.due_at(now).map(|signed| signed.number)
    }

    #[tokio::test]
    async fn it_is_tried_ever_less_often_and_not_for_ever() {
        let (again, begun) = (Again::default(), Instant::now());
        let (mut now, mut pauses) = (begun, Vec::new());
        while again.later(&signed(1), now) {
            let Waiting { at, pause, .. } = again.waiting.lock().clone().unwrap();
            assert!(at >= now + pause / 2 && at <= now + pause * 3 / 2, "{pause:?}");
            assert_eq!((number(&again, now), number(&again, at)), (None, Some(1)));
            pauses.push(pause.as_secs());
            now = at;
        }
        assert_eq!(pauses[..9], [2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert!(now >= begun + TRIED_FOR);
        assert_eq!(number(&again, now), None);
    }

    #[tokio::test]
    async fn a_newer_one_begins_anew() {
        let (again, now) = (Again::default(), Instant::now());
        assert!(again.later(&signed(1), now) && again.later(&signed(1), now) && again.later(&signed(2), now));
        assert_eq!(again.waiting.lock().clone().unwrap().pause, PAUSE.0);
        assert_eq!(number(&again, now + PAUSE.1), Some(2));
        again.never();
        assert_eq!(number(&again, now + PAUSE.1), None);
    }
}
