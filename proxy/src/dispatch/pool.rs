//! One address of an upstream, with the connections to it that wait for the next request.
//!
//! A connection is looked at when it is taken: one that the upstream has closed, or spoken on unasked, is dropped. What nobody
//! takes is dropped by [`Target::sweep`].

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pingora_core::protocols::Stream;
use pingora_core::upstreams::peer::HttpPeer;
use tokio::io::{AsyncRead as _, ReadBuf};

/// One address of an upstream.
pub struct Target {
    address: SocketAddr,
    peer: HttpPeer,
    idle: Mutex<Vec<Idle>>,
    idle_max: usize,
    idle_time_max: Duration,
}

struct Idle {
    stream: Stream,
    since: Instant,
}

impl Target {
    /// An address without connections yet.
    pub fn new(address: SocketAddr, peer: HttpPeer, idle_max: usize, idle_time_max: Duration) -> Self {
        Self { address, peer, idle: Mutex::new(Vec::new()), idle_max, idle_time_max }
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The peer to connect to.
    pub fn peer(&self) -> &HttpPeer {
        &self.peer
    }

    /// How long a connection may wait.
    pub fn idle_time_max(&self) -> Duration {
        self.idle_time_max
    }

    /// A connection that still stands, the one used last first.
    pub fn take(&self) -> Option<Stream> {
        loop {
            let mut idle = self.idle.lock().pop()?;
            if idle.since.elapsed() < self.idle_time_max && is_quiet(&mut idle.stream) {
                return Some(idle.stream);
            }
        }
    }

    /// Keeps a connection for the next request.
    pub fn put(&self, stream: Stream) {
        let mut idle = self.idle.lock();
        if idle.len() < self.idle_max {
            idle.push(Idle { stream, since: Instant::now() });
        }
    }

    /// Drops connections that have waited too long or that the upstream has closed.
    pub fn sweep(&self) {
        let mut dropped = Vec::new();
        {
            let mut idle = self.idle.lock();
            let mut kept = Vec::with_capacity(idle.len());
            for mut entry in idle.drain(..) {
                let stands = entry.since.elapsed() < self.idle_time_max && is_quiet(&mut entry.stream);
                if stands { kept.push(entry) } else { dropped.push(entry) }
            }
            *idle = kept;
        }
        // Closed outside the lock.
        drop(dropped);
    }
}

/// Whether nothing has come: neither bytes nor the end.
fn is_quiet(stream: &mut Stream) -> bool {
    let mut byte = [0];
    let mut read = ReadBuf::new(&mut byte);
    let mut context = Context::from_waker(Waker::noop());
    matches!(Pin::new(stream).poll_read(&mut context, &mut read), Poll::Pending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    const MINUTE: Duration = Duration::from_secs(60);

    fn target(idle_max: usize, idle_time_max: Duration) -> Target {
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        Target::new(address, HttpPeer::new(address, false, String::new()), idle_max, idle_time_max)
    }

    fn connection() -> (Stream, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(64);
        (Box::new(near), far)
    }

    #[tokio::test]
    async fn gives_back_what_still_stands() {
        let target = target(8, MINUTE);
        let (quiet, _far) = connection();
        let (closed, far) = connection();
        let (chatty, mut talker) = connection();
        drop(far);
        talker.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
        for stream in [quiet, closed, chatty] {
            target.put(stream);
        }
        assert!(target.take().is_some());
        assert!(target.take().is_none(), "neither a closed nor a chatty connection");
    }

    #[tokio::test]
    async fn keeps_no_more_than_it_may() {
        let target = target(1, MINUTE);
        let (first, _far) = connection();
        let (second, _other) = connection();
        target.put(first);
        target.put(second);
        assert!(target.take().is_some() && target.take().is_none());
    }

    #[tokio::test]
    async fn forgets_what_waited_too_long() {
        let target = target(8, Duration::ZERO);
        let (stream, _far) = connection();
        target.put(stream);
        target.sweep();
        assert!(target.idle.lock().is_empty());
        let (stream, _far) = connection();
        target.put(stream);
        assert!(target.take().is_none());
    }
}
