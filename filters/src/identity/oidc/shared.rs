//! What is known of issuers beyond the revisions that use it.
//!
//! Keys belong to whoever fetches them in the same way: the same issuer, addresses, roots and times. So a reload does not
//! fetch them again, and no scope sees keys that were fetched by rules that are not its own.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use parking_lot::Mutex;

use super::keys::KeySource;
use super::replay::Used;

/// What is known of issuers. One for all revisions and scopes.
#[derive(Debug, Default)]
pub struct Issuers {
    keys: Mutex<HashMap<[u8; 32], Weak<KeySource>>>,
    used: Mutex<HashMap<String, Weak<Used>>>,
}

impl Issuers {
    /// The keys of an issuer that are fetched in this way.
    pub(super) fn keys(&self, way: [u8; 32], new: impl FnOnce() -> KeySource) -> Arc<KeySource> {
        shared(&mut self.keys.lock(), way, new)
    }

    /// The tokens of an issuer that have been used.
    pub(super) fn used(&self, issuer: &str, now: SystemTime) -> Arc<Used> {
        shared(&mut self.used.lock(), issuer.to_owned(), || Used::new(now))
    }
}

fn shared<K: Hash + Eq, V>(table: &mut HashMap<K, Weak<V>>, key: K, new: impl FnOnce() -> V) -> Arc<V> {
    if let Some(known) = table.get(&key).and_then(Weak::upgrade) {
        return known;
    }
    table.retain(|_, value| value.strong_count() > 0);
    let value = Arc::new(new());
    table.insert(key, Arc::downgrade(&value));
    value
}
