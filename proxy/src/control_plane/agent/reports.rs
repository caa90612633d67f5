//! What came of revisions, until the control plane has heard it.

use std::collections::VecDeque;

use mcpg_cp_api::Acknowledgement;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::control_plane::client::TraceId;

/// Reports that wait. Of more, the oldest is forgotten: what is in force is said with every heartbeat.
const WAITING_MAX: usize = 32;

/// What came of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// What is said of it.
    pub(super) said: Acknowledgement,
    /// The trace in which it was taken.
    pub(super) trace: TraceId,
}

/// The reports that were not heard yet, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Reports {
    waiting: Mutex<VecDeque<Report>>,
    more: Notify,
}

impl Reports {
    /// Has one told.
    pub(super) fn add(&self, report: Report) {
        let mut waiting = self.waiting.lock();
        // The last word on a revision counts.
        waiting.retain(|other| other.said.number != report.said.number);
        if waiting.len() >= WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back(report);
        drop(waiting);
        self.more.notify_one();
    }

    /// The oldest, once there is one.
    pub(super) async fn next(&self) -> Report {
        loop {
            let oldest = self.waiting.lock().front().cloned();
            if let Some(report) = oldest {
                return report;
            }
            self.more.notified().await;
        }
    }

    /// It was heard. Another word on the same revision was not.
    pub(super) fn heard(&self, report: &Report) {
        self.waiting.lock().retain(|other| other != report);
    }
}

#[cfg(test)]
mod tests {
    use mcpg_cp_api::Outcome;

    use super::*;

    fn report(number: u64, outcome: Outcome) -> Report {
        let said = Acknowledgement { number, digest: "blake3:00".to_owned(), outcome, reason: None };
        Report { said, trace: [7; 16] }
    }

    #[tokio::test]
    async fn reports_are_told_in_order_until_they_are_heard() {
        let reports = Reports::default();
        reports.add(report(1, Outcome::Rejected));
        reports.add(report(2, Outcome::Applied));
        let first = reports.next().await;
        assert_eq!(first.said.number, 1);
        assert_eq!(reports.next().await, first, "it was not heard");
        // Meanwhile there is another word on it.
        reports.add(report(1, Outcome::Applied));
        reports.heard(&first);
        assert_eq!(reports.next().await.said.number, 2);
        reports.heard(&report(2, Outcome::Applied));
        assert_eq!(reports.next().await, report(1, Outcome::Applied));
    }

    #[tokio::test]
    async fn the_newest_are_kept() {
        let reports = Reports::default();
        (1..=40).for_each(|number| reports.add(report(number, Outcome::Applied)));
        assert_eq!(reports.next().await.said.number, 9);
    }
}
