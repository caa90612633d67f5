//! Which sessions wait for which caller, and how many there are.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::upstream::session::Detached;
use crate::upstream::{Behalf, ClientProfile, Initialized};

/// Sessions of one caller, with one client, to one upstream.
pub(super) const PER_KEY_MAX: usize = 64;
/// Sessions to one upstream.
const TOTAL_MAX: usize = 4096;

/// Whose session it is: the caller, and what the client says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

/// The sessions of one upstream.
#[derive(Default)]
pub struct Leases {
    book: Arc<Mutex<Book>>,
    /// Whether a session's stream was seen to open with its first event only.
    streams_open_late: AtomicBool,
}

#[derive(Default)]
struct Book {
    keys: HashMap<Key, Entry>,
    /// Sessions in use, waiting, or being ended.
    total: usize,
    retired: bool,
}

#[derive(Default)]
struct Entry {
    /// Sessions in use, waiting, or being ended.
    total: usize,
    /// Those waiting, the one used last at the end.
    waiting: Vec<Waiting>,
}

/// A session that waits for the next call.
pub(super) struct Waiting {
    pub(super) link: Detached,
    pub(super) initialized: Arc<Initialized>,
    pub(super) behalf: Behalf,
    since: Instant,
}

/// The right to one session.
pub(super) struct Place {
    /// None once a session that waits has it.
    book: Option<Arc<Mutex<Book>>>,
    key: Key,
}

/// What [`Leases::take`] gives.
pub(super) struct Taken {
    pub(super) place: Place,
    /// A session; none where one must be opened.
    pub(super) waiting: Option<Waiting>,
    /// One of another caller, to be ended for it.
    pub(super) evicted: Option<(Waiting, Place)>,
}

impl Key {
    pub(super) fn new(caller: [u8; 32], profile: &ClientProfile) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026 leased sessions");
        hasher.update(&caller);
        for part in [profile.protocol.as_str(), &profile.capabilities, &profile.info] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        Self(*hasher.finalize().as_bytes())
    }
}

impl Leases {
    /// Whether the upstream was seen to open a session's stream only when it had something to say.
    pub fn streams_open_late(&self) -> bool {
        self.streams_open_late.load(Ordering::Relaxed)
    }

    /// Notes whether a session's stream has opened in time.
    pub fn note_stream(&self, in_time: bool) {
        self.streams_open_late.store(!in_time, Ordering::Relaxed);
    }

    /// A place, with a session of this key if one waits. None where there are too many.
    pub(super) fn take(&self, key: Key) -> Option<Taken> {
        let mut book = self.book.lock();
        if let Some(waiting) = book.keys.get_mut(&key).and_then(|entry| entry.waiting.pop()) {
            return Some(Taken { place: self.place(key), waiting: Some(waiting), evicted: None });
        }
        if book.keys.get(&key).is_some_and(|entry| entry.total >= PER_KEY_MAX) {
            return None;
        }
        let evicted = if book.total >= TOTAL_MAX { Some(book.evict()?) } else { None };
        book.total += 1;
        book.keys.entry(key).or_default().total += 1;
        let evicted = evicted.map(|(key, waiting)| (waiting, self.place(key)));
        Some(Taken { place: self.place(key), waiting: None, evicted })
    }

    /// Keeps a session for the next call; gives it back where none will come.
    pub(super) fn put(&self, waiting: Waiting, mut place: Place) -> Option<(Waiting, Place)> {
        let mut book = self.book.lock();
        if book.retired {
            return Some((waiting, place));
        }
        let Some(entry) = book.keys.get_mut(&place.key) else { return Some((waiting, place)) };
        entry.waiting.push(waiting);
        place.book = None;
        None
    }

    /// Takes out the sessions that have waited for longer.
    pub(super) fn expired(&self, time_max: Duration) -> Vec<(Waiting, Place)> {
        let now = Instant::now();
        self.take_out(|waiting| now.duration_since(waiting.since) >= time_max)
    }

    /// Takes out every session that waits, and lets no more wait.
    pub(super) fn retire(&self) -> Vec<(Waiting, Place)> {
        self.book.lock().retired = true;
        self.take_out(|_| true)
    }

    /// Whether there are none: in use, waiting or being ended.
    pub(super) fn is_empty(&self) -> bool {
        self.book.lock().total == 0
    }

    fn take_out(&self, unwanted: impl Fn(&Waiting) -> bool) -> Vec<(Waiting, Place)> {
        let mut book = self.book.lock();
        let mut taken = Vec::new();
        for (key, entry) in &mut book.keys {
            let out = entry.waiting.extract_if(.., |waiting| unwanted(waiting));
            taken.extend(out.map(|waiting| (waiting, self.place(*key))));
        }
        taken
    }

    fn place(&self, key: Key) -> Place {
        Place { book: Some(Arc::clone(&self.book)), key }
    }
}

impl Book {
    /// The session that has waited longest.
    fn evict(&mut self) -> Option<(Key, Waiting)> {
        let since = |entry: &Entry| entry.waiting.first().map(|waiting| waiting.since);
        let oldest = self.keys.iter().filter_map(|(key, entry)| Some((since(entry)?, *key)));
        let (_, key) = oldest.min_by_key(|(since, _)| *since)?;
        let entry = self.keys.get_mut(&key).filter(|entry| !entry.waiting.is_empty())?;
        Some((key, entry.waiting.remove(0)))
    }
}

impl Waiting {
    pub(super) fn new(link: Detached, initialized: Arc<Initialized>, behalf: Behalf) -> Self {
        Self { link, initialized, behalf, since: Instant::now() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(book) = self.book.take() else { return };
        let mut book = book.lock();
        book.total = book.total.saturating_sub(1);
        if let Some(entry) = book.keys.get_mut(&self.key) {
            entry.total = entry.total.saturating_sub(1);
            if entry.total == 0 {
                book.keys.remove(&self.key);
            }
        }
    }
}
