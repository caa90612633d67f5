//! Who listens to a feed.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::streams::mailbox::{Mailbox, PartId};

/// Who listens to a feed.
#[derive(Default)]
pub(super) struct Subscribers(Mutex<Places>);

#[derive(Default)]
struct Places {
    taken: Vec<Option<(Arc<Mailbox>, PartId)>>,
    free: Vec<usize>,
}

impl Subscribers {
    /// Adds one. The answer is its place.
    pub(super) fn add(&self, mailbox: &Arc<Mailbox>, part: PartId) -> usize {
        let mut places = self.0.lock();
        let entry = Some((Arc::clone(mailbox), part));
        let place = places.free.pop().unwrap_or(places.taken.len());
        match places.taken.get_mut(place) {
            Some(free) => *free = entry,
            None => places.taken.push(entry),
        }
        place
    }

    /// Removes the one at a place.
    pub(super) fn remove(&self, place: usize) {
        let mut places = self.0.lock();
        if let Some(taken) = places.taken.get_mut(place)
            && taken.take().is_some()
        {
            places.free.push(place);
        }
    }

    /// Does something for each.
    pub(super) fn each(&self, tell: impl Fn(&Mailbox, PartId)) {
        self.0.lock().taken.iter().flatten().for_each(|(mailbox, part)| tell(mailbox, *part));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().taken.iter().flatten().count()
    }
}
