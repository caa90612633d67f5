//! What an agent remembers of a control plane that cannot be reached: how long to wait, and what was said about it.

use std::time::Duration;

/// The pause before the next try: doubled each time, within these.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// A stream that lasted so long was no accident: what ends it is another outage.
const STEADY: Duration = Duration::from_secs(5);

/// One outage after the other.
#[derive(Debug)]
pub(super) struct Outage {
    pause: Duration,
    said: Option<String>,
}

impl Default for Outage {
    fn default() -> Self {
        Self { pause: PAUSE.0, said: None }
    }
}

impl Outage {
    /// The control plane has answered.
    pub(super) fn over(&mut self) {
        *self = Self::default();
    }

    /// It had answered with a stream, which lasted so long. One that is cut off at once is no end of an outage.
    pub(super) fn opened(&mut self, lasted: Duration) {
        self.said = None;
        if lasted >= STEADY {
            self.pause = PAUSE.0;
        }
    }

    /// Whether this was not said of the outage yet.
    pub(super) fn is_news(&mut self, problem: &str) -> bool {
        let is_news = self.said.as_deref() != Some(problem);
        if is_news {
            self.said = Some(problem.to_owned());
        }
        is_news
    }

    /// How long to wait now. Gateways that lost one control plane must not come back all at once.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE.1);
        pause.mul_f64(0.5 + fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest that the next pause can be.
    fn next_max(outage: &mut Outage) -> Duration {
        let base = outage.pause;
        let pause = outage.pause();
        assert!(pause >= base / 2 && pause <= base * 3 / 2, "{pause:?} of {base:?}");
        base
    }

    #[test]
    fn pauses_grow_to_their_limit_and_begin_again() {
        let mut outage = Outage::default();
        let pauses: Vec<_> = (0..9).map(|_| next_max(&mut outage).as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        outage.over();
        assert_eq!(next_max(&mut outage), PAUSE.0);
    }

    #[test]
    fn hours_of_good_connection_end_an_outage() {
        let mut outage = Outage::default();
        for _ in 0..9 {
            outage.pause();
        }
        assert!(outage.is_news("refused"));
        outage.opened(Duration::from_secs(3 * 3600));
        assert!(outage.is_news("refused"), "another outage is said again");
        assert_eq!(next_max(&mut outage), PAUSE.0);
    }

    #[test]
    fn streams_that_are_cut_off_at_once_are_opened_less_and_less_often() {
        let mut outage = Outage::default();
        let pauses = (0..4).map(|_| {
            outage.opened(Duration::from_millis(3));
            next_max(&mut outage).as_millis()
        });
        assert_eq!(pauses.collect::<Vec<_>>(), [250, 500, 1000, 2000]);
    }

    #[test]
    fn a_problem_is_said_once_and_another_one_too() {
        let mut outage = Outage::default();
        let news = ["refused", "refused", "401", "401", "refused"].map(|problem| outage.is_news(problem));
        assert_eq!(news, [true, false, true, false, true]);
    }
}
