//! Headers and records as they lie in a segment's bytes.

use super::VerifyingKey;
use super::format::{Cursor, FRAME, HEADER_LIMIT, Hash, MAGIC, ROW_LIMIT, header_is_signed, row_hash};
use super::row::{self, Row};

/// A segment's header.
pub(super) struct Header<'a> {
    pub(super) organization: String,
    pub(super) chain: [u8; 16],
    pub(super) first_after: u64,
    pub(super) previous: Hash,
    pub(super) previous_checkpoint: Hash,
    pub(super) key: Hash,
    /// Where the records begin.
    pub(super) end: usize,
    signed: &'a [u8],
}

/// Why there is no header.
pub(super) enum HeaderError {
    /// The bytes end too early.
    Incomplete,
    /// Something else.
    Damaged,
}

impl<'a> Header<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, HeaderError> {
        let mut input = Cursor(bytes);
        let Some(magic) = input.array::<8>() else { return Err(HeaderError::Incomplete) };
        if magic != MAGIC {
            return Err(HeaderError::Damaged);
        }
        let length = input.length().ok_or(HeaderError::Incomplete)?;
        if length > HEADER_LIMIT {
            return Err(HeaderError::Damaged);
        }
        let signed = input.slice(length + 64).ok_or(HeaderError::Incomplete)?;
        let (body, _) = signed.split_at_checked(length).ok_or(HeaderError::Damaged)?;
        Self::fields(body, signed, 8 + 4 + length + 64).ok_or(HeaderError::Damaged)
    }

    fn fields(body: &[u8], signed: &'a [u8], end: usize) -> Option<Self> {
        let mut input = Cursor(body);
        let _time = input.u64()?;
        let organization = input.text()?;
        let chain = input.array()?;
        let _instance = input.text()?;
        let first_after = input.u64()?;
        let previous = input.array()?;
        let previous_checkpoint = input.array()?;
        let key = input.array()?;
        let header =
            Self { organization, chain, first_after, previous, previous_checkpoint, key, end, signed };
        input.is_empty().then_some(header)
    }

    pub(super) fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        header_is_signed(self.signed, key)
    }
}

/// One record's frame.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) hash: Hash,
    pub(super) seq: u64,
    pub(super) row: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at an offset, if it is there whole.
    pub(super) fn at(bytes: &'a [u8], offset: usize) -> Option<Self> {
        let mut input = Cursor(bytes.get(offset..)?);
        let length = input.length().filter(|length| *length <= ROW_LIMIT)?;
        let hash = input.array()?;
        let seq = input.u64()?;
        let row = input.slice(length)?;
        Some(Self { hash, seq, row })
    }

    pub(super) fn size(&self) -> usize {
        FRAME + self.row.len()
    }

    /// Whether the record's hash is that of its row behind `previous`, at `seq`.
    pub(super) fn fits(&self, previous: &Hash, seq: u64) -> bool {
        row_hash(previous, seq, self.row) == self.hash
    }
}

/// One record, for printing. Its place in the chain is not checked here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The row's number.
    pub seq: u64,
    /// The row's hash.
    pub hash: [u8; 32],
    /// The row.
    pub row: Row,
}

/// Why printing stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// No readable header.
    #[error("the segment has no readable header")]
    Header,
    /// An incomplete record.
    #[error("the record at byte {offset} is incomplete")]
    Incomplete {
        /// Where.
        offset: u64,
    },
    /// A record that is no row.
    #[error("the record at byte {offset} is no row of version 1")]
    Row {
        /// Where.
        offset: u64,
    },
}

/// The records of one segment, in order; the first error ends it.
pub fn records(bytes: &[u8]) -> Records<'_> {
    Records { bytes, offset: None, ended: false }
}

/// See [`records`].
#[derive(Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    offset: Option<usize>,
    ended: bool,
}

impl Iterator for Records<'_> {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let offset = match self.offset {
            Some(offset) => offset,
            None => match Header::read(self.bytes) {
                Ok(header) => header.end,
                Err(_) => return self.end(RecordError::Header),
            },
        };
        if offset >= self.bytes.len() {
            return None;
        }
        let place = u64::try_from(offset).unwrap_or(u64::MAX);
        let Some(frame) = Frame::at(self.bytes, offset) else {
            return self.end(RecordError::Incomplete { offset: place });
        };
        let Some(row) = row::decode(frame.row) else { return self.end(RecordError::Row { offset: place }) };
        self.offset = Some(offset + frame.size());
        Some(Ok(Record { seq: frame.seq, hash: frame.hash, row }))
    }
}

impl Records<'_> {
    fn end(&mut self, error: RecordError) -> Option<Result<Record, RecordError>> {
        self.ended = true;
        Some(Err(error))
    }
}
