//! What one instance remembers of the sessions it has served: soft state, bounded, lost with the process.
//!
//! Entries are found by the session's nonce, which only comes out of an id that was opened and admitted: whoever holds a
//! [`LocalSession`] has been let in by [`super::SessionKeys::admit`]. The table belongs to the process, so a reload loses nothing.

mod session;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

pub use session::{Asked, LocalSession, NotBegun, Running, TooMany};

use super::SessionToken;
use crate::lru::Lru;

/// A session of which nothing need be remembered is forgotten after so long without a request.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// Up to so many sessions, one lock serves all.
const SHARED_LOCK_MAX: usize = 1024;
const SHARDS: usize = 16;

type Nonce = [u8; 16];

/// What one instance remembers of sessions.
pub struct LocalSessions {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

struct Shard {
    sessions: Lru<Nonce, Entry>,
    /// Sessions that their clients have ended, until they would have expired.
    ended: Lru<Nonce, u64>,
}

struct Entry {
    session: Arc<LocalSession>,
    expires: u64,
    used: u64,
}

impl Entry {
    /// Whether nothing is lost with it.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.session) == 1 && self.session.is_blank()
    }
}

impl LocalSessions {
    /// Room for so many sessions. The least recently used goes for a new one, those that somebody waits for last.
    pub fn new(sessions_max: usize) -> Self {
        let shards = if sessions_max > SHARED_LOCK_MAX { SHARDS } else { 1 };
        let each = sessions_max.div_ceil(shards);
        let shard = || Mutex::new(Shard { sessions: Lru::new(each), ended: Lru::new(each) });
        Self { shards: (0..shards).map(|_| shard()).collect(), hasher: RandomState::new() }
    }

    /// What is remembered of an admitted session; from now on, if nothing was.
    pub fn session(&self, token: &SessionToken, now: SystemTime) -> Arc<LocalSession> {
        let now = seconds(now);
        let Some(shard) = self.shard(&token.nonce) else { return Arc::default() };
        let mut shard = shard.lock();
        if let Some(entry) = shard.sessions.touch(&token.nonce) {
            entry.used = now;
            return Arc::clone(&entry.session);
        }
        let session = Arc::<LocalSession>::default();
        if shard.ended.peek(&token.nonce).is_some() {
            // Ended between its admission and now.
            session.end();
            return session;
        }
        let entry = Entry { session: Arc::clone(&session), expires: token.expires, used: now };
        let gone = shard.sessions.insert(token.nonce, entry, Entry::is_idle);
        drop(shard);
        drop(gone);
        session
    }

    /// What is remembered of a session, if anything is.
    pub fn find(&self, nonce: &Nonce) -> Option<Arc<LocalSession>> {
        let shard = self.shard(nonce)?.lock();
        shard.sessions.peek(nonce).map(|entry| Arc::clone(&entry.session))
    }

    /// Ends a session for this instance: it is not admitted here again, and whoever waits in it is told. Returns what was
    /// remembered of it.
    pub fn end(&self, token: &SessionToken) -> Option<Arc<LocalSession>> {
        let mut shard = self.shard(&token.nonce)?.lock();
        shard.ended.insert(token.nonce, token.expires, |_| true);
        let entry = shard.sessions.remove(&token.nonce)?;
        drop(shard);
        entry.session.end();
        Some(entry.session)
    }

    /// Whether a session was ended here.
    pub fn has_ended(&self, nonce: &Nonce) -> bool {
        self.shard(nonce).is_none_or(|shard| shard.lock().ended.peek(nonce).is_some())
    }

    /// Forgets what has expired, and what is not worth remembering. Call it now and then.
    pub fn sweep(&self, now: SystemTime) {
        let now = seconds(now);
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.ended.retain(|expires| now < *expires);
            let gone = shard.sessions.retain(|entry| {
                let rests = now.saturating_sub(entry.used) >= IDLE_TIME_MAX.as_secs() && entry.is_idle();
                now < entry.expires && !rests
            });
            drop(shard);
            // Whoever serves an expired session's stream is told.
            gone.iter().filter(|entry| now >= entry.expires).for_each(|entry| entry.session.end());
        }
    }

    /// How many sessions are remembered.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().sessions.len()).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, nonce: &Nonce) -> Option<&Mutex<Shard>> {
        let index = usize::try_from(self.hasher.hash_one(nonce) % self.shards.len().max(1) as u64).ok()?;
        self.shards.get(index)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
