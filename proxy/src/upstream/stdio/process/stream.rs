//! What a process says to its caller outside of any request: kept for a while until somebody listens.

use std::collections::VecDeque;

use bytes::Bytes;

use super::super::outlet::{Inlet, Outlet, Piece, outlet};

/// Messages that wait for a listener.
const MESSAGES_MAX: usize = 64;
/// Their bytes.
const BYTES_MAX: usize = 1 << 20;

/// The stream of one session.
#[derive(Debug, Default)]
pub(super) struct SessionStream {
    listener: Option<Outlet>,
    waiting: VecDeque<Bytes>,
    bytes: usize,
}

impl SessionStream {
    /// Whether somebody listens.
    pub(super) fn has_listener(&self) -> bool {
        self.listener.as_ref().is_some_and(|listener| !listener.is_closed())
    }

    /// Somebody listens, in place of whoever did so far, and gets what waits.
    pub(super) fn listen(&mut self) -> Inlet {
        let (listener, inlet) = outlet();
        self.bytes = 0;
        for message in self.waiting.drain(..) {
            // It holds more than can wait here.
            let _ = listener.push(Piece { message, last: false });
        }
        self.listener = Some(listener);
        inlet
    }

    /// Passes a message on. Answers whether it was taken.
    pub(super) fn push(&mut self, message: Bytes) -> bool {
        if self.has_listener()
            && let Some(listener) = &self.listener
        {
            return listener.push(Piece { message, last: false }).is_ok();
        }
        let bytes = self.bytes + message.len();
        let taken = self.waiting.len() < MESSAGES_MAX && bytes <= BYTES_MAX;
        if taken {
            self.bytes = bytes;
            self.waiting.push_back(message);
        }
        taken
    }

    /// Ends it.
    pub(super) fn close(&mut self) {
        self.listener = None;
        self.waiting.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_late_listener_hears_what_was_said_within_bounds() {
        let mut stream = SessionStream::default();
        let taken = (0..100).filter(|n| stream.push(Bytes::from(format!("{n}")))).count();
        assert_eq!(taken, MESSAGES_MAX);
        let mut inlet = stream.listen();
        for n in 0..MESSAGES_MAX {
            assert_eq!(inlet.next().await.unwrap().unwrap().message, format!("{n}"));
        }
        assert!(stream.has_listener() && stream.push(Bytes::from_static(b"now")));
        assert_eq!(inlet.next().await.unwrap().unwrap().message, "now");
        drop(inlet);
        assert!(!stream.has_listener() && stream.push(Bytes::from_static(b"later")));
        let mut second = stream.listen();
        assert_eq!(second.next().await.unwrap().unwrap().message, "later");
        stream.close();
        assert_eq!(second.next().await, Ok(None));
        assert!(!stream.push(Bytes::from(vec![b'x'; BYTES_MAX + 1])));
    }
}
