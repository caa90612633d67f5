//! Streams of several upstreams heard as one: what comes first is heard first, and who has much to say silences nobody.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::mailbox::PartId;
use super::part::{Event, Part, Source};

type Heard<S> = Pin<Box<dyn Future<Output = (Event, Part<S>)> + Send>>;

/// Streams of several upstreams.
pub(super) struct Merged<S> {
    parts: Vec<(PartId, Heard<S>)>,
    /// Who is asked first.
    turn: usize,
}

impl<S: Source + 'static> Merged<S> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { parts: Vec::new(), turn: 0 }
    }

    /// Adds one.
    pub(super) fn add(&mut self, id: PartId, part: Part<S>) {
        self.parts.push((id, Box::pin(part.next())));
    }

    /// Removes one.
    pub(super) fn remove(&mut self, id: PartId) {
        self.parts.retain(|(known, _)| *known != id);
    }

    /// The next thing that happens on any of them; never, where there are none. Cancel-safe.
    pub(super) async fn next(&mut self) -> (PartId, Event) {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<(PartId, Event)> {
        let count = self.parts.len();
        for offset in 0..count {
            let index = (self.turn + offset) % count;
            let Some((id, heard)) = self.parts.get_mut(index) else { continue };
            let Poll::Ready((event, part)) = heard.as_mut().poll(context) else { continue };
            let id = *id;
            // After `Lost` nothing follows.
            if matches!(event, Event::Lost) {
                drop(self.parts.remove(index));
            } else {
                *heard = Box::pin(part.next());
            }
            self.turn = index + 1;
            return Poll::Ready((id, event));
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::super::part::SourceError;
    use super::super::script::{Script, message};
    use super::*;
    use crate::upstream::UpstreamError;

    async fn said(merged: &mut Merged<Script>) -> (PartId, String) {
        loop {
            if let (id, Event::Message(message)) = merged.next().await {
                return (id, String::from_utf8(message.json.to_vec()).unwrap());
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_much_silences_nobody() {
        let (loud, quiet) = (Script::default(), Script::default());
        let (loud_speaker, quiet_speaker) = (loud.opens(), quiet.opens());
        let mut merged = Merged::new();
        merged.add(1, Part::new(loud, None));
        merged.add(2, Part::new(quiet, None));
        (0..100).for_each(|number| loud_speaker.send(Ok(message(&number.to_string(), None))).unwrap());
        quiet_speaker.send(Ok(message("here", None))).unwrap();
        let mut first = Vec::new();
        for _ in 0..3 {
            first.push(said(&mut merged).await);
        }
        assert!(first.contains(&(2, "here".to_owned())), "{first:?}");
        let order: Vec<_> = first.iter().filter(|(id, _)| *id == 1).map(|(_, text)| text.as_str()).collect();
        assert_eq!(order, ["0", "1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_leaves_the_others() {
        let (lost, sound) = (Script::default(), Script::default());
        lost.fails(SourceError::Lost(UpstreamError::Busy));
        let speaker = sound.opens();
        let mut merged = Merged::new();
        merged.add(1, Part::new(lost, None));
        merged.add(2, Part::new(sound, None));
        speaker.send(Ok(message("a", None))).unwrap();
        assert_eq!(said(&mut merged).await, (2, "a".to_owned()));
        merged.remove(2);
        assert!(speaker.is_closed());
        assert!(merged.parts.is_empty());
    }
}
