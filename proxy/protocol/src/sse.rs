//! Server-sent events: splitting a byte stream into events as it arrives, and writing events.
//!
//! Invariants:
//! - The raw bytes of all that [`Splitter`] hands out, and of its tail, are the stream, byte for byte.
//! - However the stream is cut into chunks, the events have the same fields. The one difference: if a
//!   chunk ends between the CR and LF that end an event, the LF leads the next raw piece, because the
//!   event is complete at its CR and must not wait for a byte that may never come.
//! - A comment before an event's first field is handed out at once: it may be a keep-alive.
//! - Memory is bounded by the longest event allowed and one chunk.
//!
//! Source: WHATWG HTML, "Server-sent events", "Parsing an event stream".

mod event;
#[cfg(test)]
mod tests;
mod write;

pub use event::Event;
pub use write::{rewrite, write_event, write_message};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Splits a stream into events.
#[derive(Debug)]
pub struct Splitter {
    buffer: Vec<u8>,
    /// Where the piece at hand begins; all before it has been handed out.
    start: usize,
    /// Where its content begins: after a byte order mark, or the LF of a CR that ended the last piece.
    content: usize,
    /// Where the line at hand begins.
    line: usize,
    /// Up to where the line at hand has been searched for its end.
    searched: usize,
    /// The last line ended with a CR at the end of the buffer: an LF that comes next belongs to it.
    after_cr: bool,
    /// The piece at hand has a line that is no comment.
    has_field: bool,
    /// A byte order mark may come.
    at_stream_start: bool,
    too_large: bool,
    event_bytes_max: usize,
}

/// An event larger than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("event is larger than {max} bytes")]
pub struct EventTooLarge {
    /// The limit.
    pub max: usize,
}

/// A line of the buffer, without its end.
struct Line {
    begin: usize,
    end: usize,
}

impl Splitter {
    /// A splitter at the start of a stream. An event may have `event_bytes_max` bytes before the blank
    /// line that ends it.
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            content: 0,
            line: 0,
            searched: 0,
            after_cr: false,
            has_field: false,
            at_stream_start: true,
            too_large: false,
            event_bytes_max,
        }
    }

    /// Takes in the next bytes of the stream. Take all events with [`Splitter::next_event`] before
    /// pushing more, or the limit does not hold.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.drain(..self.start);
        self.content -= self.start;
        self.line -= self.start;
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(chunk);
    }

    /// The next complete event, or `None` until more bytes are pushed.
    ///
    /// # Errors
    /// If the event at hand exceeds the limit, complete or not. There is no way on from there: every
    /// further call fails.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, EventTooLarge> {
        while let Some(line) = self.next_line() {
            let blank = line.begin == line.end;
            let comment = self.buffer.get(line.begin) == Some(&b':');
            self.has_field |= !blank && !comment;
            self.check_size(if blank { line.begin } else { line.end })?;
            if blank || !self.has_field {
                return Ok(Some(self.hand_out()));
            }
        }
        if self.at_stream_start {
            // All there is may yet become a byte order mark.
            return Ok(None);
        }
        self.check_size(self.buffer.len())?;
        Ok(None)
    }

    /// What is left at the end of the stream: an event that was never completed. A conforming client
    /// ignores it but a sloppy one may read it, so treat it like any other or drop it. `None` if the
    /// stream ended after an event.
    pub fn finish(&mut self) -> Option<Event<'_>> {
        self.searched = self.buffer.len();
        self.line = self.buffer.len();
        (self.start < self.line).then(|| self.hand_out())
    }

    /// Moves over one complete line and its end.
    fn next_line(&mut self) -> Option<Line> {
        self.skip_lead()?;
        let rest = self.buffer.get(self.searched..)?;
        let Some(found) = memchr::memchr2(b'\r', b'\n', rest) else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = Line { begin: self.line, end: self.searched + found };
        let cr = self.buffer.get(line.end) == Some(&b'\r');
        let next = self.buffer.get(line.end + 1);
        self.after_cr = cr && next.is_none();
        self.line = line.end + if cr && next == Some(&b'\n') { 2 } else { 1 };
        self.searched = self.line;
        Some(line)
    }

    /// Moves over what may lead a line without belonging to it. `None` if that is not known yet.
    fn skip_lead(&mut self) -> Option<()> {
        if self.at_stream_start {
            if self.buffer.starts_with(BOM) {
                self.skip(BOM.len());
            } else if BOM.starts_with(&self.buffer) {
                return None;
            }
            self.at_stream_start = false;
        }
        if self.after_cr {
            if *self.buffer.get(self.line)? == b'\n' {
                self.skip(1);
            }
            self.after_cr = false;
        }
        Some(())
    }

    fn skip(&mut self, bytes: usize) {
        if self.content == self.line {
            self.content += bytes;
        }
        self.line += bytes;
        self.searched = self.line;
    }

    fn check_size(&mut self, end: usize) -> Result<(), EventTooLarge> {
        self.too_large |= end.saturating_sub(self.content) > self.event_bytes_max;
        if self.too_large { Err(EventTooLarge { max: self.event_bytes_max }) } else { Ok(()) }
    }

    /// Hands out all up to the line at hand.
    fn hand_out(&mut self) -> Event<'_> {
        let piece = self.start..self.line;
        let content = self.content.min(self.line);
        self.start = self.line;
        self.content = self.line;
        self.has_field = false;
        Event::new(
            self.buffer.get(piece).unwrap_or_default(),
            self.buffer.get(content..self.line).unwrap_or_default(),
        )
    }
}
