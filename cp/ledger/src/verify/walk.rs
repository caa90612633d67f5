//! The walk over segments and rows. The first thing that is wrong ends it.

use super::format::{Hash, checkpoint_hash, checkpoint_is_signed, genesis, key_id};
use super::record::{Frame, Header, HeaderError};
use super::report::{BadRow, Damage, Place, Report, TornTail};
use super::row::{self, Row, RowBody};
use super::sources::Sources;
use super::{Expected, Trust, VerifyingKey};

/// A verification under way: segments go in one by one, in order.
#[derive(Debug)]
pub struct Verifier<'t> {
    trust: &'t Trust,
    /// Known heads not met yet, the nearest last.
    expected: Vec<&'t Expected>,
    seq: u64,
    hash: Hash,
    last_checkpoint: Hash,
    last_segment: String,
    /// The logs of gateways whose rows are forwarded.
    sources: Sources,
    report: Report,
}

impl<'t> Verifier<'t> {
    /// Begins a verification.
    pub fn new(trust: &'t Trust) -> Self {
        Self {
            trust,
            expected: Vec::new(),
            seq: 0,
            hash: [0; 32],
            last_checkpoint: [0; 32],
            last_segment: String::new(),
            sources: Sources::default(),
            report: Report::default(),
        }
    }

    /// Checks the next segment. `is_last` allows it to end in the middle of a record.
    pub fn segment(&mut self, name: &str, bytes: &[u8], is_last: bool) {
        if self.report.bad.is_some() || self.report.torn_tail.is_some() {
            return;
        }
        name.clone_into(&mut self.last_segment);
        let walked = self.header(bytes).and_then(|offset| self.records(bytes, offset));
        match walked {
            Ok(()) => self.report.segments += 1,
            Err(Stop { offset, damage: None }) if is_last => {
                self.report.torn_tail = Some(TornTail {
                    segment: name.to_owned(),
                    offset: wide(offset),
                    seq: self.seq + 1,
                    bytes: wide(bytes.len() - offset),
                });
            }
            Err(Stop { offset, damage }) => self.bad(offset, damage.unwrap_or(Damage::Incomplete)),
        }
    }

    /// Ends the verification.
    pub fn finish(mut self) -> Report {
        if self.report.bad.is_none() {
            if let Some(expected) = self.expected.first().map(|expected| expected.seq) {
                self.bad(0, Damage::Truncated { expected });
            } else if self.report.chain.is_none() && self.report.torn_tail.is_none() {
                // No segment at all: that is not an intact log, it is none.
                self.bad(0, Damage::Missing);
            }
        }
        self.report
    }

    fn bad(&mut self, offset: usize, damage: Damage) {
        let segment = self.last_segment.clone();
        self.report.bad = Some(BadRow { segment, offset: wide(offset), seq: self.seq + 1, damage });
    }

    /// Checks a segment's header and returns where its records begin.
    fn header(&mut self, bytes: &[u8]) -> Result<usize, Stop> {
        let stop = |damage| Stop { offset: 0, damage: Some(damage) };
        let header = match Header::read(bytes) {
            Ok(header) => header,
            Err(HeaderError::Incomplete) => return Err(Stop { offset: 0, damage: None }),
            Err(HeaderError::Damaged) => return Err(stop(Damage::BadHeader)),
        };
        let is_first = self.report.chain.is_none();
        if !is_first
            && (self.report.chain != Some(header.chain)
                || self.report.organization.as_ref() != Some(&header.organization))
        {
            return Err(stop(Damage::Foreign));
        }
        let key = self.key(&header.key).ok_or_else(|| stop(Damage::UnknownKey { key: header.key }))?;
        if !header.is_signed_by(key) {
            return Err(stop(Damage::BadSignature));
        }
        if is_first {
            self.begin(&header).map_err(stop)?;
        } else {
            self.follow(&header).map_err(stop)?;
        }
        Ok(header.end)
    }

    /// The first segment fixes the chain.
    fn begin(&mut self, header: &Header<'_>) -> Result<(), Damage> {
        if self.trust.organization.as_ref().is_some_and(|expected| *expected != header.organization) {
            return Err(Damage::Foreign);
        }
        if header.first_after == 0 && header.previous != genesis(&header.organization, &header.chain) {
            return Err(Damage::BadHeader);
        }
        if header.first_after > 0 {
            if !self.trust.allow_removed_prefix {
                return Err(Damage::Deleted { up_to: header.first_after });
            }
            self.report.removed_up_to = Some(header.first_after);
        }
        self.report.chain = Some(header.chain);
        self.report.organization = Some(header.organization.clone());
        self.seq = header.first_after;
        self.hash = header.previous;
        self.last_checkpoint = header.previous_checkpoint;
        self.expected = self
            .trust
            .expected
            .iter()
            .filter(|expected| expected.chain == header.chain)
            // What was removed by retention cannot be compared any more.
            .filter(|expected| expected.seq >= header.first_after && expected.seq > 0)
            .collect();
        self.expected.sort_by_key(|expected| std::cmp::Reverse(expected.seq));
        self.meet_expected()
    }

    /// Each later segment continues where the one before it ended.
    fn follow(&self, header: &Header<'_>) -> Result<(), Damage> {
        if header.first_after > self.seq {
            return Err(Damage::Deleted { up_to: header.first_after });
        }
        if header.first_after < self.seq {
            return Err(Damage::Repeated { seq: header.first_after + 1 });
        }
        if header.previous != self.hash {
            return Err(Damage::Rewritten { since: self.report.signed_up_to.unwrap_or(0) });
        }
        if header.previous_checkpoint != self.last_checkpoint {
            return Err(Damage::BadHeader);
        }
        Ok(())
    }

    fn records(&mut self, bytes: &[u8], mut offset: usize) -> Result<(), Stop> {
        while offset < bytes.len() {
            let Some(frame) = Frame::at(bytes, offset) else {
                // A length field that points past the end looks like a torn record, unless rows follow.
                let damage = has_later_record(bytes, offset, self.seq).then_some(Damage::Edited);
                return Err(Stop { offset, damage });
            };
            self.record(&frame, bytes, offset).map_err(|damage| Stop { offset, damage: Some(damage) })?;
            offset += frame.size();
        }
        Ok(())
    }

    fn record(&mut self, frame: &Frame<'_>, bytes: &[u8], offset: usize) -> Result<(), Damage> {
        let seq = self.seq + 1;
        let row = row::decode(frame.row);
        if frame.seq != seq || !frame.fits(&self.hash, seq) {
            return Err(self.diagnose(frame, row.as_ref(), bytes, offset));
        }
        let Some(row) = row else { return Err(Damage::Malformed) };
        match &row.body {
            RowBody::Decision(decision)
                if Some(&decision.organization) != self.report.organization.as_ref() =>
            {
                return Err(Damage::Foreign);
            }
            RowBody::Operator(operator)
                if Some(&operator.organization) != self.report.organization.as_ref() =>
            {
                return Err(Damage::Foreign);
            }
            RowBody::Checkpoint(checkpoint) => self.checkpoint(checkpoint, frame.row)?,
            RowBody::Forwarded(forwarded) => self.sources.row(forwarded, &mut self.report)?,
            RowBody::Hole(hole) => self.sources.hole(hole, &mut self.report)?,
            _ => {}
        }
        self.seq = seq;
        self.hash = frame.hash;
        let place = Place { seq, hash: frame.hash, time: row.time };
        self.report.rows += 1;
        self.report.first.get_or_insert(place);
        self.report.last = Some(place);
        self.meet_expected().inspect_err(|_| self.seq -= 1)
    }

    /// Why a record does not follow the one before it.
    fn diagnose(&self, frame: &Frame<'_>, row: Option<&Row>, bytes: &[u8], offset: usize) -> Damage {
        let seq = self.seq + 1;
        let organization = row.and_then(|row| match &row.body {
            RowBody::Decision(decision) => Some(&decision.organization),
            RowBody::Checkpoint(checkpoint) => Some(&checkpoint.organization),
            RowBody::Operator(operator) => Some(&operator.organization),
            _ => None,
        });
        let later: Vec<u64> =
            frames(bytes, offset + frame.size()).map(|frame| frame.seq).take(65_536).collect();
        if frame.fits(&self.hash, seq) {
            // Only the number beside it was changed.
            Damage::Edited
        } else if organization.is_some() && organization != self.report.organization.as_ref() {
            Damage::Foreign
        } else if frame.seq == seq {
            if later.first() == Some(&seq) { Damage::Inserted } else { Damage::Edited }
        } else if frame.seq < seq {
            Damage::Repeated { seq: frame.seq }
        } else if later.starts_with(&[seq, seq + 1]) {
            // The right rows follow behind one that does not belong here.
            Damage::Inserted
        } else if later.contains(&seq) {
            Damage::Swapped
        } else {
            Damage::Deleted { up_to: frame.seq - 1 }
        }
    }

    /// A checkpoint speaks about the row just before it, and about the checkpoint before.
    fn checkpoint(&mut self, checkpoint: &row::Checkpoint, row: &[u8]) -> Result<(), Damage> {
        let key = self.key(&checkpoint.key).ok_or(Damage::UnknownKey { key: checkpoint.key })?;
        if !checkpoint_is_signed(row, key) {
            return Err(Damage::BadSignature);
        }
        if Some(checkpoint.chain) != self.report.chain
            || Some(&checkpoint.organization) != self.report.organization.as_ref()
        {
            return Err(Damage::Foreign);
        }
        if checkpoint.seq == self.seq && checkpoint.head != self.hash {
            return Err(Damage::Rewritten { since: self.report.signed_up_to.unwrap_or(0) });
        }
        if checkpoint.seq != self.seq || checkpoint.previous != self.last_checkpoint {
            return Err(Damage::BadCheckpoint);
        }
        self.last_checkpoint = checkpoint_hash(row);
        self.report.checkpoints += 1;
        self.report.signed_up_to = Some(checkpoint.seq);
        Ok(())
    }

    /// Compares the present head with those known from elsewhere.
    fn meet_expected(&mut self) -> Result<(), Damage> {
        while let Some(expected) = self.expected.last().filter(|expected| expected.seq == self.seq) {
            if expected.hash != self.hash {
                return Err(Damage::Rewritten { since: self.report.signed_up_to.unwrap_or(0) });
            }
            self.report.expected_found += 1;
            self.expected.pop();
        }
        Ok(())
    }

    fn key(&self, id: &Hash) -> Option<&'t VerifyingKey> {
        self.trust.keys.iter().find(|key| key_id(key) == *id)
    }
}

/// Where the walk stopped. Without damage it is the end of the bytes that came too early.
struct Stop {
    offset: usize,
    damage: Option<Damage>,
}

/// The frames from an offset on, as far as they can be followed.
fn frames(bytes: &[u8], mut offset: usize) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        let frame = Frame::at(bytes, offset)?;
        offset += frame.size();
        Some(frame)
    })
}

/// Whether a record with a later number begins anywhere behind `offset`: one that ends the segment or that the next one follows.
fn has_later_record(bytes: &[u8], offset: usize, seq: u64) -> bool {
    (offset + 1..bytes.len()).any(|start| {
        Frame::at(bytes, start).is_some_and(|frame| {
            let is_later = frame.seq > seq && frame.seq - seq < 1 << 32 && frame.row.first() == Some(&1);
            is_later
                && match Frame::at(bytes, start + frame.size()) {
                    Some(next) => next.fits(&frame.hash, frame.seq.wrapping_add(1)),
                    None => start + frame.size() == bytes.len(),
                }
        })
    })
}

fn wide(offset: usize) -> u64 {
    u64::try_from(offset).unwrap_or(u64::MAX)
}
