//! One stream of an upstream for many clients: what changes there is the same for all who listen with the same credentials.
//!
//! Clients that want the same of a binding share a feed. It begins with the first of them and ends with the last. It tells them by
//! their mailboxes, so that no client waits for another and nothing is kept for a slow one.

mod subscribers;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use mcpg_protocol::Limits;
use mcpg_protocol::streams::{Changes, Filter, Incoming, Notice};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::mailbox::{Mailbox, PartId};
use super::pace::{Pace, Throttle};
use super::part::{Event, Part, Source};
use crate::upstream::Message;
use subscribers::Subscribers;

/// One stream of an upstream for many clients.
pub(super) struct Feed {
    subscribers: Arc<Subscribers>,
    honoured: watch::Receiver<Honoured>,
    task: AbortHandle,
}

/// What an upstream has agreed to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Honoured {
    /// It has not said so yet.
    Unknown,
    /// It cannot be asked at present. It will be.
    Unreachable,
    /// This.
    Agreed(Filter),
    /// Nothing.
    Nothing,
}

/// A client's part in a feed, until it is dropped.
pub(super) struct Subscription {
    feed: Arc<Feed>,
    place: usize,
}

/// What a feed does besides telling its clients.
pub(super) trait OnChange: Send + Sync {
    /// Lists of the upstream changed.
    fn changed(&self, changes: Changes);
}

impl Feed {
    /// Begins to listen.
    pub(super) fn start<S: Source + 'static>(
        source: S,
        on_change: Arc<dyn OnChange>,
        limits: Limits,
    ) -> Arc<Self> {
        let subscribers = Arc::<Subscribers>::default();
        let (sender, honoured) = watch::channel(Honoured::Unknown);
        let ear = Ear {
            subscribers: Arc::clone(&subscribers),
            honoured: sender,
            on_change,
            limits,
            pace: Pace::default(),
            pending: Changes::NONE,
        };
        let task = tokio::spawn(ear.listen(Part::new(source, None))).abort_handle();
        Arc::new(Self { subscribers, honoured, task })
    }

    /// Lets a stream take part.
    pub(super) fn subscribe(self: &Arc<Self>, mailbox: &Arc<Mailbox>, part: PartId) -> Subscription {
        Subscription { place: self.subscribers.add(mailbox, part), feed: Arc::clone(self) }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscription {
    /// What the upstream has agreed to tell, as soon as that is known.
    pub(super) async fn honoured(&self) -> Honoured {
        let mut honoured = self.feed.honoured.clone();
        let known = honoured.wait_for(|honoured| *honoured != Honoured::Unknown).await;
        known.map_or(Honoured::Nothing, |honoured| honoured.clone())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feed.subscribers.remove(self.place);
    }
}

/// The task of a feed.
struct Ear {
    subscribers: Arc<Subscribers>,
    honoured: watch::Sender<Honoured>,
    on_change: Arc<dyn OnChange>,
    limits: Limits,
    pace: Pace,
    /// Changes that were told of already within the last second.
    pending: Changes,
}

impl Ear {
    async fn listen<S: Source>(mut self, part: Part<S>) {
        let mut throttle = Throttle::new(Instant::now());
        let mut next = Box::pin(part.next());
        loop {
            let due = self.pace.next(self.pending);
            let (event, part) = tokio::select! {
                happened = &mut next => happened,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.tell_due();
                    continue;
                }
            };
            match event {
                Event::Opened { honoured, missed } => self.opened(honoured, missed),
                Event::Message(message) => {
                    self.heard(&message);
                    if let Some(instant) = throttle.read(Instant::now()) {
                        sleep_until(instant).await;
                    }
                }
                Event::Failed => self.unreachable(),
                Event::Silent => {
                    self.honoured.send_replace(Honoured::Nothing);
                }
                Event::Lost => {
                    self.honoured.send_replace(Honoured::Nothing);
                    self.subscribers.each(|mailbox, part| mailbox.lost(part));
                    return;
                }
            }
            next.set(part.next());
        }
    }

    fn opened(&mut self, honoured: Option<Filter>, missed: bool) {
        if let Some(filter) = honoured {
            self.honoured.send_replace(Honoured::Agreed(filter));
        }
        if missed {
            self.changed(Changes::ALL);
            self.subscribers.each(Mailbox::updated_all);
        }
    }

    fn unreachable(&self) {
        self.honoured.send_if_modified(|honoured| {
            let first = *honoured == Honoured::Unknown;
            if first {
                *honoured = Honoured::Unreachable;
            }
            first
        });
    }

    fn heard(&mut self, message: &Message) {
        let Ok(text) = str::from_utf8(&message.json) else { return };
        match Incoming::read(text, &self.limits) {
            Ok(Some(Incoming::Notification(Notice::ListChanged(change)))) => {
                self.changed([change].into_iter().collect());
            }
            Ok(Some(Incoming::Notification(Notice::ResourceUpdated(uri)))) => {
                let uri: Arc<str> = uri.as_ref().into();
                self.subscribers.each(|mailbox, part| mailbox.updated(part, &uri));
            }
            Ok(Some(Incoming::Notification(Notice::TaskChanged(id)))) => {
                let id: Arc<str> = id.as_ref().into();
                self.subscribers.each(|mailbox, part| mailbox.task(part, &id, &message.json));
            }
            Ok(Some(Incoming::Notification(Notice::Acknowledged))) => {
                if let Ok(filter) = Filter::of_message(text, &self.limits) {
                    self.honoured.send_replace(Honoured::Agreed(filter));
                }
            }
            // A shared stream has nothing else to say to anybody.
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a message on the stream of an upstream is no message"),
        }
    }

    fn changed(&mut self, changes: Changes) {
        self.pending = self.pending.or(changes);
        self.tell_due();
    }

    fn tell_due(&mut self) {
        let due = self.pace.due(self.pending, Instant::now());
        due.iter().for_each(|change| self.pending.remove(change));
        if !due.is_empty() {
            // First what the gateway knows, so that a client that asks at once gets what is new.
            self.on_change.changed(due);
            self.subscribers.each(|mailbox, _| mailbox.changed(due));
        }
    }
}
