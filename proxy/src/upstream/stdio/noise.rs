//! What a process says that is no message: its standard error, and lines on its output that are not MCP. It goes to the
//! gateway's log, never to a client, and cannot forge or flood that.

use std::time::{Duration, Instant};

/// Bytes of a line that are logged.
pub(super) const LINE_BYTES_MAX: usize = 2048;
/// Lines that may come at once.
const BURST: u32 = 200;
/// One more line each.
const INTERVAL: Duration = Duration::from_millis(20);

/// How much one process may say.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    since: Instant,
    withheld: u64,
}

impl Allowance {
    /// A full one.
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, since: now, withheld: 0 }
    }

    /// Whether a line may be logged, and how many were not before it.
    pub(super) fn take(&mut self, now: Instant) -> Option<u64> {
        let intervals = now.saturating_duration_since(self.since).as_millis() / INTERVAL.as_millis();
        let gained = u32::try_from(intervals).unwrap_or(u32::MAX);
        self.since += INTERVAL.saturating_mul(gained);
        self.left = self.left.saturating_add(gained).min(BURST);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(std::mem::take(&mut self.withheld))
            }
            None => {
                self.withheld += 1;
                None
            }
        }
    }
}

/// A line as it may stand in a log: valid text, nothing that steers a terminal, not too long.
pub(super) fn printable(line: &[u8]) -> String {
    let (line, cut) = match line.split_at_checked(LINE_BYTES_MAX) {
        Some((head, tail)) => (head, !tail.is_empty()),
        None => (line, false),
    };
    let mut text = String::with_capacity(line.len() + 3);
    for c in String::from_utf8_lossy(line).trim_end().chars() {
        if c == '\t' || !(c.is_control() || is_invisible(c)) {
            text.push(c);
        } else {
            text.extend(c.escape_unicode());
        }
    }
    if cut {
        text.push('…');
    }
    text
}

/// Characters that change how others are shown (Unicode's bidirectional controls, separators and zero-width characters).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_withheld_and_counted() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        assert_eq!((0..1000).filter(|_| allowance.take(start).is_some()).count(), BURST as usize);
        let later = start + INTERVAL * 2;
        assert_eq!(allowance.take(later), Some(800));
        assert_eq!(allowance.take(later), Some(0));
        assert_eq!(allowance.take(later), None);
        assert_eq!(allowance.take(start), None);
        assert_eq!(allowance.take(later + Duration::from_secs(3600)), Some(2));
    }

    #[test]
    fn what_is_logged_cannot_steer_a_terminal() {
        for (line, expected) in [
            (&b"plain \xc3\xa9\ttab"[..], "plain é\ttab"),
            (b"\x1b[31mred\r", "\\u{1b}[31mred"),
            (b"a\nb\0", "a\\u{a}b\\u{0}"),
            (b"\xff", "\u{fffd}"),
            ("\u{202e}evil".as_bytes(), "\\u{202e}evil"),
        ] {
            assert_eq!(printable(line), expected);
        }
        let long = printable(&[b'x'; LINE_BYTES_MAX + 1]);
        assert_eq!(long.chars().count(), LINE_BYTES_MAX + 1);
        assert!(long.ends_with('…') && printable(&[b'x'; LINE_BYTES_MAX]).ends_with('x'));
    }
}
