//! Tokens that have been verified, by a keyed hash of the whole token and of what it was presented for.
//!
//! The hash is POLYVAL (RFC 8452 section 3), a universal hash under a key that never leaves the process and shows in no answer:
//! whatever two inputs of n blocks somebody picks, they are taken for one with a probability of at most n / 2^128 (n is about
//! 1,000 for the longest token). That is all that a look-up needs, for a quarter of what a collision-resistant hash costs.
//!
//! INVARIANTS:
//! - A token that differs in one bit is another token: nothing of it is parsed before it is looked up.
//! - Nothing is kept beyond `exp` or the time limit, and no more than so many; the oldest go first.
//! - The tokens themselves are not kept.
//!
//! A hit allocates nothing and takes one of many locks, for a look-up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hashbrown::HashTable;
use mcpg_sdk::Caller;
use parking_lot::Mutex;
use polyval::Polyval;
use polyval::universal_hash::UniversalHash as _;

use super::settings::CacheSettings;
use crate::identity::Resource;

/// A power of two.
const SHARDS: usize = 64;

/// The tokens of one provider.
pub(super) struct TokenCache {
    /// Keyed, with nothing hashed yet.
    hasher: Polyval,
    shards: Box<[Mutex<Shard>]>,
    shard_entries_max: usize,
    ttl_max: Duration,
}

/// What a token is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenKey([u8; 16]);

/// What has been found out about a token.
#[derive(Debug, Clone)]
pub(super) struct Verified {
    /// Whose it is.
    pub(super) caller: Arc<Caller>,
    /// Its `jti`.
    pub(super) credential: Option<Arc<str>>,
    /// When its life ends.
    pub(super) expires_at: SystemTime,
    /// SHA-256 of the client certificate that it is bound to (RFC 8705 section 3).
    pub(super) certificate: Option<[u8; 32]>,
}

#[derive(Default)]
struct Shard {
    table: HashTable<Entry>,
    /// Keys in the order of their arrival.
    order: VecDeque<TokenKey>,
}

struct Entry {
    key: TokenKey,
    verified: Verified,
    until: SystemTime,
}

impl TokenCache {
    /// An empty cache.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(super) fn new(settings: CacheSettings) -> Result<Self, getrandom::Error> {
        let mut hash_key = [0; polyval::KEY_SIZE];
        getrandom::fill(&mut hash_key)?;
        Ok(Self {
            hasher: Polyval::new(&hash_key.into()),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            shard_entries_max: settings.entries_max.div_ceil(SHARDS),
            ttl_max: Duration::from_millis(settings.ttl_max_ms),
        })
    }

    /// What a token is known by when it is presented for a resource.
    pub(super) fn key(&self, resource: Resource<'_>, token: &[u8]) -> TokenKey {
        let parts =
            [resource.scheme.as_bytes(), resource.authority.as_bytes(), resource.path.as_bytes(), token];
        let mut hasher = self.hasher.clone();
        // Every part is filled up with zeros: the lengths tell where each ends.
        let mut lengths = 0_u128;
        for part in parts {
            hasher.update_padded(part);
            lengths = (lengths << 32) | part.len() as u128;
        }
        hasher.update(&[lengths.to_le_bytes().into()]);
        TokenKey(hasher.finalize().into())
    }

    /// What is known about a token.
    pub(super) fn find(&self, key: &TokenKey, now: SystemTime) -> Option<Verified> {
        let shard = self.shard(key)?.lock();
        let entry = shard.table.find(key.bucket(), |entry| entry.key == *key)?;
        (now < entry.until).then(|| entry.verified.clone())
    }

    /// Remembers a token.
    pub(super) fn insert(&self, key: TokenKey, verified: Verified, now: SystemTime) {
        let until = verified.expires_at.min(now + self.ttl_max);
        if until <= now || self.shard_entries_max == 0 {
            return;
        }
        let Some(shard) = self.shard(&key) else { return };
        let mut shard = shard.lock();
        let entry = Entry { key, verified, until };
        if let Some(known) = shard.table.find_mut(key.bucket(), |entry| entry.key == key) {
            *known = entry;
            return;
        }
        if shard.order.len() >= self.shard_entries_max
            && let Some(oldest) = shard.order.pop_front()
            && let Ok(found) = shard.table.find_entry(oldest.bucket(), |entry| entry.key == oldest)
        {
            found.remove();
        }
        shard.order.push_back(key);
        shard.table.insert_unique(key.bucket(), entry, |entry| entry.key.bucket());
    }

    /// How many tokens are remembered, those included whose time is over.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().table.len()).sum()
    }

    fn shard(&self, key: &TokenKey) -> Option<&Mutex<Shard>> {
        let [first, ..] = key.0;
        self.shards.get(usize::from(first) % SHARDS)
    }
}

impl TokenKey {
    fn bucket(&self) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl std::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenCache")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use mcpg_sdk::AuthMethod;

    use super::*;

    const RESOURCE: Resource<'_> = Resource { scheme: "https", authority: "mcp.acme.com", path: "/mcp" };

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn verified(subject: &str, expires_at: u64) -> Verified {
        let caller = Caller {
            subject: subject.to_owned(),
            audience: None,
            attributes: HashMap::new(),
            auth_method: AuthMethod::Oidc,
        };
        Verified { caller: Arc::new(caller), credential: None, expires_at: at(expires_at), certificate: None }
    }

    fn cache(entries_max: usize, ttl_max_ms: u64) -> TokenCache {
        TokenCache::new(CacheSettings { entries_max, ttl_max_ms }).unwrap()
    }

    fn subject(cache: &TokenCache, token: &[u8], now: u64) -> Option<String> {
        cache.find(&cache.key(RESOURCE, token), at(now)).map(|found| found.caller.subject.clone())
    }

    #[test]
    fn a_token_is_known_until_it_expires_or_its_time_is_over() {
        let cache = cache(100, 10_000);
        cache.insert(cache.key(RESOURCE, b"short"), verified("a", 105), at(100));
        cache.insert(cache.key(RESOURCE, b"long"), verified("b", 1_000), at(100));
        cache.insert(cache.key(RESOURCE, b"gone"), verified("c", 100), at(100));
        for (token, now, expected) in [
            (&b"short"[..], 104, Some("a")),
            (b"short", 105, None),
            (b"long", 109, Some("b")),
            (b"long", 110, None),
            (b"gone", 100, None),
            (b"shorT", 104, None),
            (b"shor", 104, None),
            (b"short ", 104, None),
        ] {
            assert_eq!(subject(&cache, token, now).as_deref(), expected, "{token:?} {now}");
        }
    }

    #[test]
    fn no_two_ways_to_cut_the_same_bytes_are_one() {
        let cache = cache(100, 10_000);
        let key = |path: &'static str, token: &[u8]| cache.key(Resource { path, ..RESOURCE }, token);
        let keys = [
            key("/mcp", b"token"),
            key("/mcpt", b"oken"),
            key("/mcp", b"token\0"),
            key("/mcp", b"\0token"),
            key("/mcp\0", b"token"),
            key("/mcp", b"token\0\0\0\0\0\0\0\0\0\0\0"),
            key("/mcp", b""),
            key("/mcp", &[0; 16]),
            key("/mcp", &[0; 32]),
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(key("/mcp", b"token"), keys[0]);
        let other = self::cache(100, 10_000);
        assert_ne!(other.key(RESOURCE, b"token"), keys[0], "every cache has a key of its own");
    }

    #[test]
    fn a_token_is_known_for_what_it_was_presented_for() {
        let cache = cache(100, 10_000);
        cache.insert(cache.key(RESOURCE, b"t"), verified("a", 1_000), at(100));
        for resource in [
            Resource { scheme: "http", ..RESOURCE },
            Resource { authority: "mcp.acme.co", ..RESOURCE },
            Resource { path: "/bindings/a/mcp", ..RESOURCE },
        ] {
            assert!(cache.find(&cache.key(resource, b"t"), at(100)).is_none(), "{resource}");
        }
    }

    #[test]
    fn what_is_known_anew_replaces_what_was() {
        let cache = cache(100, 10_000);
        cache.insert(cache.key(RESOURCE, b"t"), verified("old", 1_000), at(100));
        cache.insert(cache.key(RESOURCE, b"t"), verified("new", 1_000), at(200));
        assert_eq!(subject(&cache, b"t", 205).as_deref(), Some("new"));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn it_is_bounded_and_the_oldest_go_first() {
        let cache = cache(SHARDS, 10_000);
        for index in 0_u32..10_000 {
            cache.insert(cache.key(RESOURCE, &index.to_le_bytes()), verified("a", 1_000), at(100));
        }
        assert_eq!(cache.len(), SHARDS);
        assert!(subject(&cache, &9_999_u32.to_le_bytes(), 100).is_some());
        let none = self::cache(0, 10_000);
        none.insert(none.key(RESOURCE, b"t"), verified("a", 1_000), at(100));
        assert_eq!(none.len(), 0);
    }
}
