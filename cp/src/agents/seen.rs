//! Assertions that were used: each is good once in a replica.
//!
//! What gateways say twice does no harm by itself: every request of theirs is idempotent. This is for whoever has read one off the wire.

use std::collections::HashMap;
use std::sync::Mutex;

/// Assertions that are remembered; ten thousand gateways use about a thousand a second.
const KEPT_MAX: usize = 200_000;

/// The assertions of the last minutes.
#[derive(Debug, Default)]
pub struct Seen(Mutex<HashMap<[u8; 32], u64>>);

impl Seen {
    /// Notes an assertion until its end, in seconds since 1970. False if it was there, or there is no room for another.
    pub fn note(&self, gateway: &str, jti: &str, end: u64, now: u64) -> bool {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&(gateway.len() as u64).to_le_bytes())
            .update(gateway.as_bytes())
            .update(jti.as_bytes());
        let key = *hasher.finalize().as_bytes();
        let mut seen = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if seen.len() >= KEPT_MAX {
            seen.retain(|_, end| *end > now);
            if seen.len() >= KEPT_MAX {
                return false;
            }
        }
        match seen.entry(key) {
            std::collections::hash_map::Entry::Occupied(mut known) if *known.get() <= now => {
                known.insert(end);
                true
            }
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(end);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_is_good_once() {
        let seen = Seen::default();
        assert!(seen.note("a", "1", 100, 50));
        assert!(!seen.note("a", "1", 100, 99));
        assert!(seen.note("a", "2", 100, 50));
        assert!(seen.note("b", "1", 100, 50));
        assert!(seen.note("a", "1", 200, 100));
    }
}
