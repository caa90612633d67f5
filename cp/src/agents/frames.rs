//! Revisions as they go over the wire: each is read and written out once, however many gateways get it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::store::EnvironmentId;

/// Bytes of events that are kept. The newest is, whatever its size.
const BYTES_MAX: usize = 64 << 20;

/// What an event is of. The digest is part of it: a database that was set back gives numbers again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) environment: EnvironmentId,
    pub(super) number: i64,
    pub(super) digest: String,
}

/// Events that were sent lately.
#[derive(Debug, Default)]
pub(super) struct Frames(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    frames: HashMap<Key, Arc<OnceCell<Bytes>>>,
    /// Those that are there, the oldest first.
    order: VecDeque<(Key, usize)>,
    bytes: usize,
}

impl Frames {
    /// The event of a revision; `load` makes it, once for all who ask meanwhile.
    pub(super) async fn of<E>(
        &self,
        key: Key,
        load: impl AsyncFnOnce() -> Result<Bytes, E>,
    ) -> Result<Bytes, E> {
        let cell = Arc::clone(self.lock().frames.entry(key.clone()).or_default());
        let mut is_new = false;
        let frame = cell
            .get_or_try_init(async || {
                is_new = true;
                load().await
            })
            .await
            .cloned();
        match &frame {
            Ok(frame) if is_new => self.keep(key, frame.len()),
            Ok(_) => {}
            Err(_) => self.forget(&key),
        }
        frame
    }

    fn keep(&self, key: Key, size: usize) {
        let mut kept = self.lock();
        kept.bytes += size;
        kept.order.push_back((key, size));
        while kept.bytes > BYTES_MAX && kept.order.len() > 1 {
            if let Some((oldest, size)) = kept.order.pop_front() {
                kept.bytes -= size;
                kept.frames.remove(&oldest);
            }
        }
    }

    /// Lets go of an event that could not be made, unless somebody else has made it.
    fn forget(&self, key: &Key) {
        let mut kept = self.lock();
        if kept.frames.get(key).is_some_and(|cell| !cell.initialized()) {
            kept.frames.remove(key);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    fn key(number: i64) -> Key {
        let environment = "0199a7f0-6c00-7000-8000-000000000001".parse().unwrap();
        Key { environment, number, digest: "00".to_owned() }
    }

    fn kept(frames: &Frames) -> Vec<i64> {
        let mut kept: Vec<i64> = frames.lock().frames.keys().map(|key| key.number).collect();
        kept.sort_unstable();
        kept
    }

    #[tokio::test]
    async fn a_thousand_who_ask_at_once_have_it_made_once() {
        let (frames, made) = (Frames::default(), AtomicUsize::new(0));
        let ask = || {
            frames.of(key(1), async || {
                tokio::task::yield_now().await;
                made.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(Bytes::from_static(b"one"))
            })
        };
        let all = join_all((0..1000).map(|_| ask())).await;
        assert!(all.iter().all(|frame| frame.as_ref() == Ok(&Bytes::from_static(b"one"))));
        assert_eq!(made.into_inner(), 1);
    }

    #[tokio::test]
    async fn the_oldest_go_where_there_is_no_room() {
        let frames = Frames::default();
        for number in 1..=5 {
            let made = frames.of(key(number), async || Ok::<_, Infallible>(vec![0; BYTES_MAX / 3].into()));
            made.await.unwrap();
        }
        assert_eq!(kept(&frames), [3, 4, 5]);
        frames.of(key(6), async || Ok::<_, Infallible>(vec![0; BYTES_MAX + 1].into())).await.unwrap();
        assert_eq!(kept(&frames), [6]);
    }

    #[tokio::test]
    async fn what_could_not_be_made_is_made_again() {
        let frames = Frames::default();
        assert_eq!(frames.of(key(1), async || Err("no")).await, Err("no"));
        assert_eq!(kept(&frames), [0_i64; 0]);
        assert_eq!(frames.of(key(1), async || Ok::<_, &str>(Bytes::new())).await, Ok(Bytes::new()));
    }
}
