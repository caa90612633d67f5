//! Cuts a stream of segments, one behind another, into segments, as its bytes come: an export is verified without being in memory as a whole.
//!
//! Nothing is checked here. Where the lengths of records do not lead on, what follows stays with the segment, for the verifier to say what is wrong.

use super::format::{FRAME, HEADER_LIMIT, MAGIC, ROW_LIMIT};

/// A segment that is larger is handed over in parts, which do not verify.
const SEGMENT_LIMIT: usize = 256 << 20;

/// A stream of segments.
#[derive(Debug, Default)]
pub struct Splitter {
    bytes: Vec<u8>,
    /// Where the next record or segment begins.
    at: usize,
    /// Whether lengths lead nowhere any more.
    lost: bool,
}

impl Splitter {
    /// Adds bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next segment that is there whole, which another follows.
    pub fn next_segment(&mut self) -> Option<Vec<u8>> {
        while !self.lost {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let (first, second) = (rest.first_chunk::<8>()?, rest.get(8..12));
            let size = if *first == MAGIC {
                if self.at > 0 {
                    return Some(self.cut());
                }
                let length = u32::from_le_bytes(*second?.first_chunk()?);
                usize::try_from(length)
                    .ok()
                    .filter(|length| *length <= HEADER_LIMIT)
                    .map(|length| length + 76)
            } else {
                let (length, _) = first.split_first_chunk::<4>()?;
                let length = usize::try_from(u32::from_le_bytes(*length)).ok();
                length.filter(|length| *length <= ROW_LIMIT).map(|length| length + FRAME)
            };
            match size {
                Some(size) if rest.len() >= size => self.at += size,
                Some(_) => return None,
                None => self.lost = true,
            }
        }
        (self.bytes.len() >= SEGMENT_LIMIT).then(|| std::mem::take(&mut self.bytes))
    }

    /// What is left at the end of the stream; none if nothing is.
    pub fn finish(self) -> Option<Vec<u8>> {
        (!self.bytes.is_empty()).then_some(self.bytes)
    }

    fn cut(&mut self) -> Vec<u8> {
        let rest = self.bytes.split_off(self.at);
        self.at = 0;
        std::mem::replace(&mut self.bytes, rest)
    }
}
