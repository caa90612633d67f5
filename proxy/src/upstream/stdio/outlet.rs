//! A bounded way from a process to whoever reads an answer, in messages and in bytes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

use super::super::UpstreamError;

/// Messages that wait for their reader.
const MESSAGES_MAX: usize = 256;
/// Bytes that wait, unless a single message has more.
const BYTES_MAX: usize = 4 << 20;

/// Where the messages of an answer go.
#[derive(Debug)]
pub(super) struct Outlet {
    messages: mpsc::Sender<Piece>,
    state: Arc<State>,
}

/// Where they come out.
#[derive(Debug)]
pub(super) struct Inlet {
    messages: mpsc::Receiver<Piece>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: AtomicUsize,
    /// Somebody has read.
    drained: Notify,
    /// Why nothing more comes.
    failure: OnceLock<UpstreamError>,
}

/// One message of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) message: Bytes,
    /// Whether nothing follows.
    pub(super) last: bool,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no room for it: here it is again.
    Full(Piece),
    /// Nobody reads any more.
    Closed,
}

/// A way for one answer.
pub(super) fn outlet() -> (Outlet, Inlet) {
    let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
    let state = Arc::new(State::default());
    (Outlet { messages: sender, state: Arc::clone(&state) }, Inlet { messages: receiver, state })
}

impl Outlet {
    /// Passes a message on, if there is room.
    pub(super) fn push(&self, piece: Piece) -> Result<(), Refused> {
        let length = piece.message.len();
        let waiting = self.state.bytes.fetch_add(length, Ordering::AcqRel);
        let refused = if waiting > 0 && waiting.saturating_add(length) > BYTES_MAX {
            Refused::Full(piece)
        } else {
            match self.messages.try_send(piece) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(piece)) => Refused::Full(piece),
                Err(mpsc::error::TrySendError::Closed(_)) => Refused::Closed,
            }
        };
        self.state.bytes.fetch_sub(length, Ordering::AcqRel);
        Err(refused)
    }

    /// A way to wait until there may be room. It outlives the outlet.
    pub(super) fn room(&self) -> Room {
        Room { messages: self.messages.clone(), state: Arc::clone(&self.state) }
    }

    /// Whether nobody reads.
    pub(super) fn is_closed(&self) -> bool {
        self.messages.is_closed()
    }

    /// Ends it: the reader gets what waits, then the error.
    pub(super) fn fail(self, error: UpstreamError) {
        let _ = self.state.failure.set(error);
    }
}

/// Room in an outlet.
pub(super) struct Room {
    messages: mpsc::Sender<Piece>,
    state: Arc<State>,
}

impl Room {
    /// Returns when somebody has read since the last time, or nobody reads any more.
    pub(super) async fn wait(&self) {
        tokio::select! {
            () = self.state.drained.notified() => {}
            () = self.messages.closed() => {}
        }
    }
}

impl Inlet {
    /// The next message; none where the answer was given up on purpose.
    ///
    /// # Errors
    /// Why the answer breaks off.
    pub(super) async fn next(&mut self) -> Result<Option<Piece>, UpstreamError> {
        match self.messages.recv().await {
            Some(piece) => {
                self.state.bytes.fetch_sub(piece.message.len(), Ordering::AcqRel);
                self.state.drained.notify_one();
                Ok(Some(piece))
            }
            None => self.state.failure.get().map_or(Ok(None), |error| Err(error.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(bytes: usize) -> Piece {
        Piece { message: Bytes::from(vec![b'x'; bytes]), last: false }
    }

    #[tokio::test]
    async fn messages_and_bytes_are_bounded() {
        let (outlet, mut inlet) = outlet();
        for _ in 0..MESSAGES_MAX {
            outlet.push(piece(1)).unwrap();
        }
        assert_eq!(outlet.push(piece(1)), Err(Refused::Full(piece(1))));
        for _ in 0..MESSAGES_MAX {
            inlet.next().await.unwrap().unwrap();
        }
        outlet.push(piece(BYTES_MAX - 1)).unwrap();
        outlet.push(piece(1)).unwrap();
        assert!(matches!(outlet.push(piece(1)), Err(Refused::Full(_))));
        inlet.next().await.unwrap().unwrap();
        outlet.push(piece(1)).unwrap();
    }

    #[tokio::test]
    async fn one_message_may_be_larger_than_the_bound() {
        let (outlet, mut inlet) = outlet();
        outlet.push(piece(BYTES_MAX * 2)).unwrap();
        assert!(matches!(outlet.push(piece(1)), Err(Refused::Full(_))));
        assert_eq!(inlet.next().await.unwrap().unwrap().message.len(), BYTES_MAX * 2);
        outlet.push(piece(1)).unwrap();
    }

    #[tokio::test]
    async fn what_waits_comes_before_the_end() {
        let (outlet, mut inlet) = outlet();
        outlet.push(piece(1)).unwrap();
        outlet.fail(UpstreamError::TooLarge);
        assert_eq!(inlet.next().await, Ok(Some(piece(1))));
        assert_eq!(inlet.next().await, Err(UpstreamError::TooLarge));
        let (outlet, mut inlet) = super::outlet();
        drop(outlet);
        assert_eq!(inlet.next().await, Ok(None));
    }

    #[tokio::test]
    async fn room_is_told_of_reads_and_of_the_end() {
        let (outlet, mut inlet) = outlet();
        let room = outlet.room();
        outlet.push(piece(1)).unwrap();
        inlet.next().await.unwrap();
        room.wait().await;
        drop(inlet);
        room.wait().await;
        assert_eq!(outlet.push(piece(1)), Err(Refused::Closed));
        assert!(outlet.is_closed());
    }
}
