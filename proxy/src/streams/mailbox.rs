//! What one stream is to tell its client: filled by whoever learns of something, emptied by the stream's own task.
//!
//! INVARIANT: its size does not depend on how much happens or how slowly the client reads. Changes of lists are bits; updated
//! resources are a set with a bound, beyond which the client is told of all that it watches at that part; of a task only the
//! last state waits, and beyond a bound none, since a client may ask for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use mcpg_protocol::streams::{Change, Changes};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Updated resources that are kept one by one.
const UPDATED_MAX: usize = 64;

/// Bytes of the tasks' states that wait; one may be larger.
const TASK_BYTES_MAX: usize = 256 * 1024;

/// A binding's place in a stream.
pub(super) type PartId = u16;

/// What one stream is to tell its client.
#[derive(Default)]
pub(super) struct Mailbox {
    news: Mutex<News>,
    filled: Notify,
}

/// What there is to tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Lists that changed.
    pub(super) changes: Changes,
    /// Resources that changed, by the upstream's own URI.
    pub(super) updated: BTreeSet<(PartId, Arc<str>)>,
    /// Parts of which so many resources changed that every one that is watched must count as changed.
    pub(super) all_of: BTreeSet<PartId>,
    /// The last state of tasks, as the upstream told it.
    pub(super) tasks: BTreeMap<(PartId, Arc<str>), Bytes>,
    /// Parts whose upstream cannot be listened to any more with the credentials at hand.
    pub(super) lost: BTreeSet<PartId>,
}

impl Mailbox {
    /// Lists changed.
    pub(super) fn changed(&self, changes: Changes) {
        if !changes.is_empty() {
            self.fill(|news| news.changes = news.changes.or(changes));
        }
    }

    /// A resource changed.
    pub(super) fn updated(&self, part: PartId, uri: &Arc<str>) {
        self.fill(|news| {
            if news.all_of.contains(&part) {
                return;
            }
            news.updated.insert((part, Arc::clone(uri)));
            if news.updated.len() > UPDATED_MAX {
                news.all_of.extend(news.updated.iter().map(|(part, _)| *part));
                news.updated.clear();
            }
        });
    }

    /// Any of the resources may have changed.
    pub(super) fn updated_all(&self, part: PartId) {
        self.fill(|news| {
            news.updated.retain(|(of, _)| *of != part);
            news.all_of.insert(part);
        });
    }

    /// A task has this state.
    pub(super) fn task(&self, part: PartId, id: &Arc<str>, message: &Bytes) {
        self.fill(|news| {
            news.tasks.insert((part, Arc::clone(id)), message.clone());
            while news.tasks.len() > 1 && news.tasks.values().map(Bytes::len).sum::<usize>() > TASK_BYTES_MAX
            {
                news.tasks.pop_first();
            }
        });
    }

    /// A part is lost for good.
    pub(super) fn lost(&self, part: PartId) {
        self.fill(|news| {
            news.lost.insert(part);
        });
    }

    /// Completes when something was put in since the last time. Cancel-safe, for one waiter.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Takes what there is, but of the changes only those in `due`.
    pub(super) fn take(&self, due: Changes) -> News {
        let mut news = self.news.lock();
        let taken = std::mem::take(&mut *news);
        let later = Change::ALL
            .into_iter()
            .filter(|change| taken.changes.contains(*change) && !due.contains(*change));
        news.changes = later.collect();
        News { changes: taken.changes.and(due), ..taken }
    }

    /// Changes that wait.
    pub(super) fn waiting(&self) -> Changes {
        self.news.lock().changes
    }

    fn fill(&self, put: impl FnOnce(&mut News)) {
        put(&mut self.news.lock());
        self.filled.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(number: usize) -> Arc<str> {
        format!("a:{number}").into()
    }

    #[tokio::test]
    async fn news_is_told_once() {
        let mailbox = Mailbox::default();
        mailbox.changed([Change::Tools].into_iter().collect());
        mailbox.changed([Change::Tools].into_iter().collect());
        mailbox.updated(1, &uri(1));
        mailbox.updated(1, &uri(1));
        mailbox.filled().await;
        let news = mailbox.take(Changes::ALL);
        assert_eq!(news.changes.iter().collect::<Vec<_>>(), [Change::Tools]);
        assert_eq!(news.updated.into_iter().collect::<Vec<_>>(), [(1, uri(1))]);
        assert_eq!(mailbox.take(Changes::ALL), News::default());
    }

    #[test]
    fn changes_that_are_not_due_wait() {
        let mailbox = Mailbox::default();
        mailbox.changed(Changes::ALL);
        let tools: Changes = [Change::Tools].into_iter().collect();
        assert_eq!(mailbox.take(tools).changes, tools);
        assert_eq!(mailbox.waiting().iter().collect::<Vec<_>>(), [Change::Prompts, Change::Resources]);
    }

    #[test]
    fn a_flood_becomes_one_word() {
        let mailbox = Mailbox::default();
        mailbox.updated(2, &uri(0));
        (0..100_000).for_each(|number| mailbox.updated(1, &uri(number)));
        let news = mailbox.take(Changes::ALL);
        assert_eq!(news.all_of.into_iter().collect::<Vec<_>>(), [1, 2]);
        assert!(news.updated.len() <= UPDATED_MAX);
        mailbox.updated(1, &uri(1));
        mailbox.updated(2, &uri(1));
        mailbox.updated_all(1);
        let news = mailbox.take(Changes::ALL);
        assert_eq!(news.updated.into_iter().collect::<Vec<_>>(), [(2, uri(1))]);
        assert_eq!(news.all_of.into_iter().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn of_a_task_the_last_state_is_told() {
        let mailbox = Mailbox::default();
        mailbox.task(1, &uri(1), &Bytes::from_static(b"working"));
        mailbox.task(1, &uri(1), &Bytes::from_static(b"done"));
        let news = mailbox.take(Changes::ALL);
        assert_eq!(news.tasks.into_iter().collect::<Vec<_>>(), [((1, uri(1)), Bytes::from_static(b"done"))]);
        let large = Bytes::from(vec![b' '; TASK_BYTES_MAX / 2 + 1]);
        (0..100).for_each(|number| mailbox.task(1, &uri(number), &large));
        assert_eq!(mailbox.take(Changes::ALL).tasks.len(), 1);
    }
}
