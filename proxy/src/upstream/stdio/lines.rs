//! Newline-delimited text from a process, however it is cut on the way. No line grows beyond its limit.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What is read at a time.
const READ_BYTES: usize = 16 * 1024;

/// The lines of a stream.
pub(super) struct Lines<R> {
    source: R,
    buffer: BytesMut,
    /// How much of the buffer is known to have no newline.
    searched: usize,
    /// Whether the rest of a line that was too long is being passed over.
    skipping: bool,
    bytes_max: usize,
}

/// One line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// A whole line.
    Whole(Bytes),
    /// The beginning of a line beyond the limit. Its rest is passed over.
    Overlong(Bytes),
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// The lines of `source`, of at most `bytes_max` bytes each.
    pub(super) fn new(source: R, bytes_max: usize) -> Self {
        Self { source, buffer: BytesMut::new(), searched: 0, skipping: false, bytes_max }
    }

    /// The stream itself. What was read of a line that has not come to its end is lost.
    pub(super) fn into_source(self) -> R {
        self.source
    }

    /// The next line; none at the end. A last line without an end counts. Cancel-safe.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.take() {
                return Ok(Some(line));
            }
            self.buffer.reserve(READ_BYTES);
            if self.source.read_buf(&mut self.buffer).await? == 0 {
                let rest = self.buffer.split().freeze();
                self.searched = 0;
                return Ok((!self.skipping && !rest.is_empty()).then_some(Line::Whole(rest)));
            }
        }
    }

    /// A line that is there already.
    fn take(&mut self) -> Option<Line> {
        loop {
            let unseen = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(at) = memchr::memchr(b'\n', unseen).map(|at| at + self.searched) else {
                self.searched = self.buffer.len();
                return self.overlong();
            };
            self.searched = 0;
            let mut line = self.buffer.split_to(at + 1);
            line.truncate(at);
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if line.len() > self.bytes_max {
                line.truncate(self.bytes_max);
                return Some(Line::Overlong(line.freeze()));
            }
            if line.last() == Some(&b'\r') {
                line.truncate(at - 1);
            }
            return Some(Line::Whole(line.freeze()));
        }
    }

    /// The beginning of a line that is too long already, or nothing.
    fn overlong(&mut self) -> Option<Line> {
        if !self.skipping && self.buffer.len() <= self.bytes_max {
            return None;
        }
        let mut begun = self.buffer.split();
        self.searched = 0;
        if std::mem::replace(&mut self.skipping, true) {
            return None;
        }
        begun.truncate(self.bytes_max);
        Some(Line::Overlong(begun.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    const MAX: usize = 8;

    /// Every line of `pieces`, each of which arrives by itself.
    fn lines(pieces: &[&[u8]]) -> Vec<Line> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut writer, reader) = tokio::io::duplex(64);
            let write = async move {
                for piece in pieces {
                    writer.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
            };
            let read = async {
                let (mut lines, mut found) = (Lines::new(reader, MAX), Vec::new());
                while let Some(line) = lines.next().await.unwrap() {
                    found.push(line);
                }
                found
            };
            tokio::join!(write, read).1
        })
    }

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from_static(text.as_bytes()))
    }

    fn overlong(text: &'static str) -> Line {
        Line::Overlong(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn lines_end_at_newlines() {
        let cases: [(&[u8], &[Line]); 8] = [
            (b"", &[]),
            (b"a\nb\n", &[whole("a"), whole("b")]),
            (b"a\r\n\nb", &[whole("a"), whole(""), whole("b")]),
            (b"12345678\n", &[whole("12345678")]),
            (b"123456789\nx\n", &[overlong("12345678"), whole("x")]),
            (b"123456789", &[overlong("12345678")]),
            (b"12345678901234567890123456789\nx", &[overlong("12345678"), whole("x")]),
            (b"\r\n", &[whole("")]),
        ];
        for (text, expected) in cases {
            assert_eq!(lines(&[text]), expected, "{text:?}");
            let bytes: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(lines(&bytes), expected, "{text:?} byte by byte");
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(text in "[ab\r\n]{0,60}", cuts in prop::collection::vec(0_usize..61, 0..8)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(lines(&pieces), lines(&[text.as_bytes()]));
        }
    }
}
