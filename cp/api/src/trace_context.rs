//! W3C Trace Context: joining the caller's trace, or beginning one.
//!
//! Source: W3C Trace Context level 1, section 3.2 (`traceparent`). A malformed header is ignored, as
//! the recommendation says: a new trace begins.

use std::fmt;

const VERSION_00_LENGTH: usize = 55;

/// The place of one request in a distributed trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace. The client's, if it sent one.
    pub trace_id: [u8; 16],
    /// The caller's span, if it sent one.
    pub parent: Option<[u8; 8]>,
    /// Our span.
    pub span_id: [u8; 8],
    /// The caller's flags (bit 0: sampled).
    pub flags: u8,
}

impl TraceContext {
    /// Joins the trace of `traceparent`, or begins a new one. `fresh` is random.
    pub fn join(traceparent: Option<&[u8]>, fresh: [u8; 24]) -> Self {
        let (trace_id, span_id) = split(fresh);
        match traceparent.and_then(parse) {
            Some((trace_id, parent, flags)) => Self { trace_id, parent: Some(parent), span_id, flags },
            None => Self { trace_id, parent: None, span_id, flags: 0 },
        }
    }

    /// The header for the upstream: same trace, our span as its parent.
    pub fn traceparent(&self) -> [u8; VERSION_00_LENGTH] {
        let mut header = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut header, 3, &self.trace_id);
        write_hex(&mut header, 36, &self.span_id);
        write_hex(&mut header, 53, &[self.flags]);
        header
    }
}

/// Prints an id in hex without allocating.
#[derive(Debug)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A trace id and a span id.
fn split(fresh: [u8; 24]) -> ([u8; 16], [u8; 8]) {
    let mut trace = [0; 16];
    let mut span = [0; 8];
    let (left, right) = fresh.split_at(16);
    trace.copy_from_slice(left);
    span.copy_from_slice(right);
    (trace, span)
}

fn parse(header: &[u8]) -> Option<([u8; 16], [u8; 8], u8)> {
    let mut parts = header.splitn(4, |byte| *byte == b'-');
    let [version] = hex::<1>(parts.next()?)?;
    let trace_id = hex::<16>(parts.next()?)?;
    let parent = hex::<8>(parts.next()?)?;
    let rest = parts.next()?;
    // A later version may append fields; version 00 may not, and ff is invalid.
    if version == 0xff || (version == 0 && header.len() != VERSION_00_LENGTH) {
        return None;
    }
    let [flags] = hex::<1>(rest.get(..2)?)?;
    if rest.get(2).is_some_and(|byte| *byte != b'-') || trace_id == [0; 16] || parent == [0; 8] {
        return None;
    }
    Some((trace_id, parent, flags))
}

/// Lower-case hex of exactly `N` bytes.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn write_hex(header: &mut [u8], at: usize, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
    let pairs = header.get_mut(at..).unwrap_or_default().as_chunks_mut::<2>().0;
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: [u8; 24] = [7; 24];

    fn check(header: &str, joins: bool) {
        let context = TraceContext::join(Some(header.as_bytes()), FRESH);
        assert_eq!(context.parent.is_some(), joins, "{header}");
        assert_eq!(context.trace_id == [7; 16], !joins, "{header}");
    }

    #[test]
    fn joins_valid_traces_only() {
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true);
        check("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", true);
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        ] {
            check(bad, false);
        }
    }

    #[test]
    fn the_upstream_sees_the_same_trace_and_our_span() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = TraceContext::join(Some(header.as_bytes()), FRESH);
        assert_eq!(context.traceparent(), *b"00-4bf92f3577b34da6a3ce929d0e0e4736-0707070707070707-01");
        assert_eq!(Hex(&context.trace_id).to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }
}
