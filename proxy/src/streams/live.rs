//! A stream to a client while it lasts: what it listens to, and when there is something to do.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mcpg_protocol::streams::{Change, Changes, Filter};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::feed::{Honoured, Subscription};
use super::feeds::Feeds;
use super::mailbox::{Mailbox, News, PartId};
use super::pace::Pace;
use super::term::Term;
use crate::revision::Route;
use crate::serve::Admitted;

/// After a reload clients are told that lists changed within so long, and not all of them at once.
const TOLD_WITHIN_MS: u64 = 1000;

/// What a stream waits, before it begins, for upstreams to say what they will tell. Who has not said so by then counts as willing.
pub(super) const AGREED_WITHIN: Duration = Duration::from_secs(2);

/// A stream to a client while it lasts.
pub(super) struct Live {
    pub(super) admitted: Admitted,
    term: Term,
    pub(super) mailbox: Arc<Mailbox>,
    pace: Pace,
    attached: Vec<Attached>,
    next_part: PartId,
    leaving: watch::Receiver<bool>,
    /// Which tools are withheld changes with it.
    pins: watch::Receiver<u64>,
}

/// What is wanted of a binding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    /// To be told of changes of lists.
    pub(super) changes: bool,
    /// Resources, by the upstream's own URI.
    pub(super) resources: Vec<Box<str>>,
    /// Tasks, by the upstream's own id.
    pub(super) tasks: Vec<Box<str>>,
}

/// A binding that is listened to.
pub(super) struct Attached {
    pub(super) part: PartId,
    pub(super) route: Arc<Route>,
    pub(super) wanted: Wanted,
    feeds: [Option<Subscription>; 3],
}

/// Why a stream wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// There is something to tell.
    News,
    /// It must be judged again.
    Judge,
    /// The process is leaving.
    Leaving,
}

/// What judging a stream again came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// It goes on as it is.
    Same,
    /// It goes on under another revision.
    Renewed,
    /// It ends.
    Over,
}

impl Live {
    /// A stream that listens to nothing yet.
    pub(super) fn new(mut admitted: Admitted, method: &'static str) -> Self {
        // Nothing of the message is needed as long as the stream lasts.
        admitted.body = bytes::Bytes::new();
        admitted.last_event_id = None;
        Self {
            term: Term::new(&admitted, method),
            mailbox: Arc::default(),
            pace: Pace::default(),
            attached: Vec::new(),
            next_part: 0,
            leaving: admitted.shared.leaving.subscribe(),
            pins: admitted.revision.scope.gates.pins().version(),
            admitted,
        }
    }

    /// Whether the revision that admitted it is not in force any more: one may have come between.
    pub(super) fn is_outdated(&self) -> bool {
        self.term.is_outdated()
    }

    /// The next reason to do something. Cancel-safe.
    pub(super) async fn wake(&mut self) -> Wake {
        let told = self.pace.next(self.mailbox.waiting());
        tokio::select! {
            biased;
            _ = self.leaving.wait_for(|leaving| *leaving) => Wake::Leaving,
            () = self.term.over() => Wake::Judge,
            _ = self.pins.changed() => {
                self.mailbox.changed([Change::Tools].into_iter().collect());
                Wake::News
            }
            () = self.mailbox.filled() => Wake::News,
            () = sleep_until(told.unwrap_or_else(Instant::now)), if told.is_some() => Wake::News,
        }
    }

    /// What may be told now.
    pub(super) fn news(&mut self) -> News {
        let due = self.pace.due(self.mailbox.waiting(), Instant::now());
        self.mailbox.take(due)
    }

    /// Judges it again.
    pub(super) async fn judge(&mut self, now: SystemTime) -> Judged {
        let Some(admitted) = self.term.judge(&self.admitted, now).await else { return Judged::Over };
        self.pins = admitted.revision.scope.gates.pins().version();
        let is_same = admitted.revision.number == self.admitted.revision.number
            && same_routes(&admitted.routes, &self.admitted.routes);
        self.admitted = admitted;
        if is_same {
            return Judged::Same;
        }
        self.pace.hold(Instant::now() + Duration::from_millis(fastrand::u64(..TOLD_WITHIN_MS)));
        self.mailbox.changed(Changes::ALL);
        Judged::Renewed
    }

    /// Listens to these from now on, and to nothing else.
    pub(super) fn listen_to(&mut self, wanted: Vec<(Arc<Route>, Wanted)>) {
        let is_wanted =
            |attached: &Attached| wanted.iter().any(|(route, _)| Arc::ptr_eq(route, &attached.route));
        self.attached.retain(is_wanted);
        for (route, wanted) in wanted {
            match self.attached.iter_mut().find(|attached| Arc::ptr_eq(&attached.route, &route)) {
                Some(attached) if attached.wanted == wanted => {}
                Some(attached) => attached.want(wanted, &self.admitted, &self.mailbox),
                None => {
                    let (part, wants) = (self.part(), Wanted::default());
                    let mut attached = Attached { part, route, wanted: wants, feeds: [None, None, None] };
                    attached.want(wanted, &self.admitted, &self.mailbox);
                    self.attached.push(attached);
                }
            }
        }
    }

    /// Waits until every upstream that is listened to has agreed to what is wanted, or cannot at present, or takes too long.
    pub(super) async fn agreed(&self) {
        let by = Instant::now() + AGREED_WITHIN;
        for attached in &self.attached {
            attached.honoured(by).await;
        }
    }

    /// A new part's number.
    pub(super) fn part(&mut self) -> PartId {
        self.next_part = self.next_part.wrapping_add(1);
        self.next_part
    }

    /// What is listened to.
    pub(super) fn attached(&self) -> &[Attached] {
        &self.attached
    }

    /// The binding of a part.
    pub(super) fn find(&self, part: PartId) -> Option<&Attached> {
        self.attached.iter().find(|attached| attached.part == part)
    }
}

impl Attached {
    /// Replaces what differs.
    fn want(&mut self, wanted: Wanted, admitted: &Admitted, mailbox: &Arc<Mailbox>) {
        let [changes, resources, tasks] = &mut self.feeds;
        let join = |filter: Filter| {
            let feed = Feeds::feed(&self.route, &admitted.on_behalf(), filter)?;
            Some(feed.subscribe(mailbox, self.part))
        };
        if self.wanted.changes != wanted.changes {
            let all = Filter::of_changes(Changes::ALL);
            *changes = wanted.changes.then(|| join(all)).flatten();
        }
        if self.wanted.resources != wanted.resources {
            let some = !wanted.resources.is_empty();
            let filter = || Filter { resources: wanted.resources.clone(), ..Filter::default() };
            *resources = some.then(|| join(filter())).flatten();
        }
        if self.wanted.tasks != wanted.tasks {
            let some = !wanted.tasks.is_empty();
            let filter = || Filter { tasks: wanted.tasks.clone(), ..Filter::default() };
            *tasks = some.then(|| join(filter())).flatten();
        }
        self.wanted = wanted;
    }

    /// What the upstream has agreed to tell of what is wanted, as far as that is known by then. What cannot be asked at present
    /// counts as agreed: it will be asked until it can.
    pub(super) async fn honoured(&self, by: Instant) -> Filter {
        let [changes, resources, tasks] = &self.feeds;
        let wanted = Filter {
            changes: if self.wanted.changes { Changes::ALL } else { Changes::NONE },
            resources: self.wanted.resources.clone(),
            tasks: self.wanted.tasks.clone(),
        };
        Filter {
            changes: agreed(changes.as_ref(), by)
                .await
                .map_or(wanted.changes, |told| told.changes.and(wanted.changes)),
            resources: match agreed(resources.as_ref(), by).await {
                Some(told) => both(wanted.resources, &told.resources),
                None => wanted.resources,
            },
            tasks: match agreed(tasks.as_ref(), by).await {
                Some(told) => both(wanted.tasks, &told.tasks),
                None => wanted.tasks,
            },
        }
    }
}

/// What an upstream has said that it will tell; none if it has not said so by then.
async fn agreed(subscription: Option<&Subscription>, by: Instant) -> Option<Filter> {
    let Some(subscription) = subscription else { return Some(Filter::default()) };
    match timeout_at(by, subscription.honoured()).await {
        Ok(Honoured::Agreed(filter)) => Some(filter),
        Ok(Honoured::Nothing) => Some(Filter::default()),
        Ok(Honoured::Unknown | Honoured::Unreachable) | Err(_) => None,
    }
}

fn both(mut wanted: Vec<Box<str>>, told: &[Box<str>]) -> Vec<Box<str>> {
    wanted.retain(|item| told.contains(item));
    wanted
}

fn same_routes(some: &[Arc<Route>], others: &[Arc<Route>]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(one, other)| Arc::ptr_eq(one, other))
}
