//! Behaviour of the decision cache on its own: bounds, eviction, collisions.

use mcpg_sdk::Decision;

use super::*;

fn verdict(text: &str) -> Arc<Verdict> {
    let policy = super::super::chain::PolicyRef { engine: "test".into(), policy: text.into() };
    Arc::new(Verdict { decision: Decision::Permit, policies: vec![policy], shadow: Vec::new() })
}

fn insert(cache: &DecisionCache, key: &str) {
    cache.insert(cache.hash(key.as_bytes()), key.as_bytes(), &verdict(key));
}

fn find(cache: &DecisionCache, key: &str) -> Option<String> {
    let found = cache.find(cache.hash(key.as_bytes()), key.as_bytes())?;
    found.policies.first().map(|policy| policy.policy.to_string())
}

#[test]
fn finds_what_was_inserted_and_nothing_else() {
    let cache = DecisionCache::new(CacheLimits::default());
    for number in 0..2_000 {
        insert(&cache, &format!("key {number}"));
    }
    for number in 0..2_000 {
        assert_eq!(find(&cache, &format!("key {number}")), Some(format!("key {number}")));
    }
    assert_eq!(find(&cache, "key"), None);
    let counters = cache.counters();
    assert_eq!((counters.hits, counters.misses, counters.entries), (2_000, 1, 2_000));
}

#[test]
fn equal_hashes_of_different_keys_do_not_meet() {
    let cache = DecisionCache::new(CacheLimits::default());
    cache.insert(7, b"alice", &verdict("alice"));
    assert!(cache.find(7, b"mallory").is_none());
    cache.insert(7, b"mallory", &verdict("mallory"));
    assert_eq!(cache.find(7, b"alice"), Some(verdict("alice")));
    assert_eq!(cache.find(7, b"mallory"), Some(verdict("mallory")));
}

#[test]
fn stays_within_its_entries_and_bytes() {
    for limits in [
        CacheLimits { entries_max: 640, bytes_max: 32 << 20 },
        CacheLimits { entries_max: 1 << 20, bytes_max: 256 << 10 },
    ] {
        let cache = DecisionCache::new(limits);
        for number in 0..20_000 {
            insert(&cache, &format!("key {number}"));
            if number % 4_000 == 0 {
                let counters = cache.counters();
                assert!(counters.entries <= limits.entries_max as u64, "{counters:?}");
                assert!(counters.bytes <= limits.bytes_max as u64, "{counters:?}");
            }
        }
        let counters = cache.counters();
        assert!(counters.entries > 0 && counters.evictions == 20_000 - counters.entries, "{counters:?}");
    }
}

#[test]
fn the_account_is_exact_after_evictions() {
    let cache = DecisionCache::new(CacheLimits { entries_max: 64 * 3, bytes_max: 32 << 20 });
    for number in 0..5_000 {
        insert(&cache, &format!("key {}", number % 700));
    }
    for shard in &cache.shards {
        let held = shard.held.read();
        assert_eq!(held.bytes, held.slots.iter().map(|slot| slot.bytes).sum::<usize>());
        assert_eq!(held.places.len(), held.slots.len());
        for slot in &held.slots {
            assert!(held.find(slot.hash, &slot.key).is_some());
        }
    }
}

#[test]
fn an_entry_in_use_outlives_a_flood_of_calls_made_once() {
    let cache = DecisionCache::new(CacheLimits { entries_max: 64 * 8, bytes_max: 32 << 20 });
    insert(&cache, "in use");
    for number in 0..50_000 {
        assert_eq!(find(&cache, "in use").as_deref(), Some("in use"), "after {number}");
        insert(&cache, &format!("once {number}"));
    }
}

#[test]
fn what_does_not_fit_is_not_kept() {
    let off = DecisionCache::new(CacheLimits { entries_max: 0, bytes_max: 32 << 20 });
    insert(&off, "key");
    assert_eq!(find(&off, "key"), None);
    let small = DecisionCache::new(CacheLimits { entries_max: 640, bytes_max: 64 * 512 });
    insert(&small, &"x".repeat(4_000));
    assert_eq!(small.counters().entries, 0);
    assert_eq!(small.counters().skipped, 1);
}
