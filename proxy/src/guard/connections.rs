//! How many connections there are: in all, per peer address, and what each is doing.
//!
//! INVARIANT: every count is taken by a value that gives it back when dropped, so a connection that
//! ends in any way (close, error, panic, cancellation) is counted out exactly once.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

const SHARDS: usize = 16;

/// Limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Connections in all.
    pub connections_max: usize,
    /// Connections of one peer address.
    pub per_ip_max: usize,
}

/// The open connections of a listener.
#[derive(Debug)]
pub struct Connections {
    open: AtomicUsize,
    active: AtomicUsize,
    refused: AtomicUsize,
    by_ip: [Mutex<HashMap<IpAddr, usize>>; SHARDS],
    hasher: RandomState,
}

impl Connections {
    /// No connections yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            by_ip: std::array::from_fn(|_| Mutex::new(HashMap::new())),
            hasher: RandomState::new(),
        })
    }

    /// Counts a connection in, or refuses it.
    pub fn enter(self: &Arc<Self>, ip: IpAddr, limits: ConnectionLimits) -> Option<ConnectionPermit> {
        // Count first, judge after: two at once can refuse one too many, never admit one too many.
        let permit = ConnectionPermit { connections: Arc::clone(self), ip };
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        let of_ip = self.shard(ip).map_or(0, |shard| {
            let mut shard = shard.lock();
            let count = shard.entry(ip).or_insert(0);
            *count += 1;
            *count
        });
        if open > limits.connections_max || of_ip > limits.per_ip_max {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(permit)
    }

    /// Counts a request in for as long as the value lives.
    pub fn activate(self: &Arc<Self>) -> Active {
        self.active.fetch_add(1, Ordering::Relaxed);
        Active(Arc::clone(self))
    }

    /// Open connections.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Requests being served.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Connections refused since the start.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    fn shard(&self, ip: IpAddr) -> Option<&Mutex<HashMap<IpAddr, usize>>> {
        let index = usize::try_from(self.hasher.hash_one(ip) % SHARDS as u64).unwrap_or(0);
        self.by_ip.get(index)
    }
}

/// A counted connection.
#[derive(Debug)]
pub struct ConnectionPermit {
    connections: Arc<Connections>,
    ip: IpAddr,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(shard) = self.connections.shard(self.ip) {
            let mut shard = shard.lock();
            if let Some(count) = shard.get_mut(&self.ip) {
                *count -= 1;
                if *count == 0 {
                    shard.remove(&self.ip);
                }
            }
        }
    }
}

/// A counted request.
#[derive(Debug)]
pub struct Active(Arc<Connections>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits { connections_max: 3, per_ip_max: 2 };

    #[test]
    fn bounds_per_address_and_in_all() {
        let connections = Connections::new();
        let [a, b, c] = [1, 2, 3].map(|last| IpAddr::from([10, 0, 0, last]));
        let first = connections.enter(a, LIMITS).unwrap();
        let _second = connections.enter(a, LIMITS).unwrap();
        assert!(connections.enter(a, LIMITS).is_none(), "a third of one address");
        let _third = connections.enter(b, LIMITS).unwrap();
        assert!(connections.enter(c, LIMITS).is_none(), "a fourth in all");
        drop(first);
        assert!(connections.enter(c, LIMITS).is_some(), "a place was given back");
        assert_eq!((connections.open(), connections.refused()), (2, 2));
    }

    #[test]
    fn forgets_addresses_that_left() {
        let connections = Connections::new();
        drop(connections.enter(IpAddr::from([10, 0, 0, 1]), LIMITS));
        assert!(connections.by_ip.iter().all(|shard| shard.lock().is_empty()));
    }
}
