//! Tokens that may be used once (`replay: jti_once`).
//!
//! INVARIANT: what cannot be remembered is refused. That is a token when the table is full, and a token that was issued before
//! the table began: nobody knows whether it has been used.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

/// The most tokens that are remembered for one issuer.
pub(super) const TOKENS_MAX: usize = 100_000;
const PURGE_INTERVAL: Duration = Duration::from_secs(1);

/// The tokens of one issuer that have been used, until they expire.
#[derive(Debug)]
pub(super) struct Used {
    began: SystemTime,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// By a hash of `jti`: when the token can be forgotten.
    until: HashMap<[u8; 32], SystemTime>,
    purged_at: Option<SystemTime>,
}

/// Why a token is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplayError {
    /// It has been used, or may have been.
    Used,
    /// No room.
    Full,
}

impl Used {
    /// A table that begins now.
    pub(super) fn new(began: SystemTime) -> Self {
        Self { began, table: Mutex::default() }
    }

    /// Uses a token. It is remembered until it is of no use to anybody.
    ///
    /// # Errors
    /// When it has been used, may have been, or cannot be remembered.
    pub(super) fn take(
        &self,
        token_id: &str,
        issued_at: SystemTime,
        until: SystemTime,
        now: SystemTime,
    ) -> Result<(), ReplayError> {
        if issued_at < self.began {
            return Err(ReplayError::Used);
        }
        let id = *blake3::hash(token_id.as_bytes()).as_bytes();
        let mut table = self.table.lock();
        if table.until.get(&id).is_some_and(|until| now < *until) {
            return Err(ReplayError::Used);
        }
        if table.until.len() >= TOKENS_MAX {
            table.purge(now);
        }
        if table.until.len() >= TOKENS_MAX {
            return Err(ReplayError::Full);
        }
        table.until.insert(id, until);
        Ok(())
    }
}

impl Table {
    fn purge(&mut self, now: SystemTime) {
        // Each look at the whole table costs: a full one is not looked through for every request.
        if self.purged_at.is_none_or(|at| now.duration_since(at).is_ok_and(|passed| passed >= PURGE_INTERVAL))
        {
            self.until.retain(|_, until| now < *until);
            self.purged_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_is_used_once() {
        let used = Used::new(at(100));
        assert_eq!(used.take("a", at(100), at(200), at(100)), Ok(()));
        assert_eq!(used.take("a", at(100), at(200), at(100)), Err(ReplayError::Used));
        assert_eq!(used.take("a", at(100), at(200), at(199)), Err(ReplayError::Used));
        assert_eq!(used.take("b", at(101), at(200), at(199)), Ok(()));
        assert_eq!(used.take("c", at(99), at(200), at(100)), Err(ReplayError::Used), "nobody knows");
    }

    #[test]
    fn a_full_table_refuses() {
        let used = Used::new(at(0));
        for index in 0..TOKENS_MAX {
            used.take(&index.to_string(), at(1), at(100), at(1)).unwrap();
        }
        assert_eq!(used.take("new", at(1), at(100), at(50)), Err(ReplayError::Full));
        assert_eq!(used.take("new", at(1), at(200), at(100)), Ok(()), "what has expired is forgotten");
        assert_eq!(used.table.lock().until.len(), 1);
    }
}
