//! What one stream is to tell its client: filled by whoever learns of something, emptied by the stream's own task.
//!
//! INVARIANT: its size does not depend on how much happens or how slowly the client reads. Changes of lists are bits; updated
//! resources are a set with a bound, beyond which the client is told of all that it watches at that part.

use std::collections::BTreeSet;
use std::sync::Arc;

use mcpg_protocol::streams::{Change, Changes};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Updated resources that are kept one by one.
const UPDATED_MAX: usize = 64;

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
    /// Parts whose upstream cannot be listened to any more with the credentials at hand.
    pub(super) lost: BTreeSet<PartId>,
}

impl News {
    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.has_updates() && self.lost.is_empty()
    }

    /// Whether resources changed.
    pub(super) fn has_updates(&self) -> bool {
        !self.updated.is_empty() || !self.all_of.is_empty()
    }
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
        assert!(mailbox.take(Changes::ALL).is_empty());
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
}
