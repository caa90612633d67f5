//! Reads the rows of one log from its files, from any row on, while it may be written, rotated, mended or shortened.
//!
//! Nothing is believed of a file but what follows by number and hash from the row before. A place in a file is remembered between two readings, and looked
//! for again where it does not fit any more.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use mcpg_cp_api::AuditHoleCause;
use mcpg_ledger::{ChainId, Head, RECORD_OVERHEAD, ROW_BYTES_MAX, SegmentHeader, next_row};

use super::batch::{Batch, Filling, Sieve};
use crate::audit::verify_dir;

/// What is read of a file at once: any record fits.
const CHUNK: usize = ROW_BYTES_MAX + RECORD_OVERHEAD + (256 << 10);
/// More than a header takes.
const HEADER_MAX: usize = 8192;

/// The files of one log.
#[derive(Debug)]
pub(super) struct Lane {
    dir: PathBuf,
    organization: String,
    chain: ChainId,
    place: Option<Place>,
    sieve: Sieve,
}

/// Where a row ends.
#[derive(Debug, Clone)]
struct Place {
    path: PathBuf,
    offset: u64,
    head: Head,
}

/// Why rows cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaneError {
    #[error("cannot read `{}`: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("`{}` is the log of `{found}`, not of `{expected}`", dir.display())]
    Foreign { dir: PathBuf, found: String, expected: String },
    #[error("rows are missing behind row {seq}, at the end of `{}`: `mcpg audit verify` says more", path.display())]
    Broken { path: PathBuf, seq: u64 },
    #[error("the log in `{}` was begun anew", dir.display())]
    Another { dir: PathBuf },
    #[error("`{}` has another row {seq} than the control plane keeps: its files were replaced or went back in time; keep them, and let the gateway begin a log elsewhere", dir.display())]
    Forked { dir: PathBuf, seq: u64 },
    #[error("`{}` ends before row {seq}, which the control plane keeps: its files went back in time; keep them, and let the gateway begin a log elsewhere", dir.display())]
    Behind { dir: PathBuf, seq: u64 },
}

/// The folders of an organization's logs.
pub(super) fn lanes(dir: &Path) -> Result<Vec<PathBuf>, LaneError> {
    let mut lanes = Vec::new();
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(lanes),
        entries => entries.map_err(|source| LaneError::Io { path: dir.to_owned(), source })?,
    };
    for entry in entries.flatten() {
        let is_lane = entry.file_name().to_str().is_some_and(|name| name.starts_with("lane-"));
        lanes.extend(is_lane.then(|| entry.path()));
    }
    lanes.sort();
    Ok(lanes)
}

impl Lane {
    /// The log in a folder, which must be an organization's. None if there is none yet.
    pub(super) fn open(dir: PathBuf, organization: &str) -> Result<Option<(ChainId, Self)>, LaneError> {
        let Some((path, header, _)) = headers(&dir)?.into_iter().next() else { return Ok(None) };
        if header.organization != organization {
            let expected = organization.to_owned();
            return Err(LaneError::Foreign { dir: path, found: header.organization, expected });
        }
        let organization = organization.to_owned();
        let lane = Self { dir, organization, chain: header.chain, place: None, sieve: Sieve::default() };
        Ok(Some((header.chain, lane)))
    }

    /// Forgets where it was.
    pub(super) fn forget(&mut self) {
        self.place = None;
    }

    /// The rows behind one. Up to a row, where it is known how far they are on stable storage; else what is read is brought there. None where there are
    /// none.
    pub(super) fn read(
        &mut self,
        behind: Head,
        durable: Option<u64>,
        places: &HashSet<(String, String)>,
    ) -> Result<Option<Batch>, LaneError> {
        let mut filling = Filling::behind(behind);
        let mut place = match self.place.take().filter(|place| place.head == behind) {
            Some(place) => place,
            None => self.find(behind, &mut filling)?,
        };
        let mut sieve = self.sieve.clone();
        let mut read_from = Vec::new();
        loop {
            let file = match File::open(&place.path) {
                // Removed by retention since it was listed: found again the next time.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                file => file.map_err(|source| LaneError::Io { path: place.path.clone(), source })?,
            };
            let before = place.head;
            let ended = fill(&file, &mut place, &mut filling, (durable, &mut sieve, places));
            let is_full = !ended.map_err(|source| LaneError::Io { path: place.path.clone(), source })?;
            if place.head != before {
                read_from.push((place.path.clone(), file));
            }
            if is_full {
                break;
            }
            match self.following(&place, filling.is_empty())? {
                Some(next) => place = next,
                None => break,
            }
        }
        if filling.is_empty() && !self.is_there(&place)? {
            return Ok(None);
        }
        if durable.is_none() {
            for (path, file) in read_from {
                file.sync_data().map_err(|source| LaneError::Io { path, source })?;
            }
        }
        self.sieve = sieve;
        self.place = Some(place);
        Ok(filling.finish())
    }

    /// The place of a row, or of the first that is left after it.
    fn find(&self, behind: Head, filling: &mut Filling) -> Result<Place, LaneError> {
        let mut segments = headers(&self.dir)?;
        if segments
            .iter()
            .any(|(_, header, _)| header.chain != self.chain || header.organization != self.organization)
        {
            return Err(LaneError::Another { dir: self.dir.clone() });
        }
        let begun = segments.iter().rposition(|(_, header, _)| header.previous.seq <= behind.seq);
        let Some(begun) = begun else {
            let Some((path, header, end)) = segments.into_iter().next() else {
                return Err(LaneError::Another { dir: self.dir.clone() });
            };
            // Retention was faster.
            filling.leave_out(header.previous, AuditHoleCause::Lost);
            return Ok(Place { path, offset: end, head: header.previous });
        };
        let (path, header, offset) = segments.swap_remove(begun);
        let mut place = Place { path, offset, head: header.previous };
        let file = File::open(&place.path);
        let file = file.map_err(|source| LaneError::Io { path: place.path.clone(), source })?;
        let walked = walk(&file, &mut place, |place, _| place.seq < behind.seq);
        walked.map_err(|source| LaneError::Io { path: place.path.clone(), source })?;
        if place.head.seq < behind.seq {
            return Err(LaneError::Behind { dir: self.dir.clone(), seq: behind.seq });
        }
        if place.head != behind {
            return Err(LaneError::Forked { dir: self.dir.clone(), seq: behind.seq });
        }
        Ok(place)
    }

    /// The beginning of the segment that goes on where one ends.
    fn following(&self, place: &Place, must_follow: bool) -> Result<Option<Place>, LaneError> {
        let next = verify_dir::segments(&self.dir).map_err(|error| self.unreadable(error))?;
        let next = next.into_iter().map(|(_, path)| path).find(|path| *path > place.path);
        let Some(path) = next else { return Ok(None) };
        let Some((header, offset)) = header(&path)? else { return Ok(None) };
        if header.previous == place.head && header.chain == self.chain {
            return Ok(Some(Place { path, offset, head: place.head }));
        }
        if must_follow && header.previous.seq > place.head.seq {
            return Err(LaneError::Broken { path: place.path.clone(), seq: place.head.seq });
        }
        Ok(None)
    }

    /// Whether a place is still one of this log.
    fn is_there(&self, place: &Place) -> Result<bool, LaneError> {
        let is_long = fs::metadata(&place.path).is_ok_and(|found| found.len() >= place.offset);
        let header = header(&place.path)?;
        Ok(is_long && header.is_some_and(|(header, _)| header.chain == self.chain))
    }

    fn unreadable(&self, error: verify_dir::ReadError) -> LaneError {
        LaneError::Io { path: self.dir.clone(), source: io::Error::other(error) }
    }
}

/// Adds rows from a place on to a batch. Whether the file has no more of them.
fn fill(
    file: &File,
    place: &mut Place,
    filling: &mut Filling,
    (durable, sieve, places): (Option<u64>, &mut Sieve, &HashSet<(String, String)>),
) -> io::Result<bool> {
    let mut is_full = false;
    walk(file, place, |head, row| {
        let is_safe = durable.is_none_or(|durable| head.seq < durable);
        is_full = !is_safe || filling.is_full_for(row.len());
        if is_full {
            return false;
        }
        let after = head.after(row);
        if sieve.passes(row, places) {
            filling.row(row, after);
        } else {
            filling.leave_out(after, AuditHoleCause::Elsewhere);
        }
        true
    })?;
    Ok(!is_full)
}

/// Goes on row by row, as long as rows follow and `take` wants the next, given the head before it.
fn walk(file: &File, place: &mut Place, mut take: impl FnMut(Head, &[u8]) -> bool) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let bytes = read_at(file, place.offset, &mut buffer)?;
        let mut at = 0;
        while let Some((after, row, size)) = next_row(&place.head, bytes.get(at..).unwrap_or_default()) {
            if !take(place.head, row) {
                return Ok(());
            }
            at += size;
            place.head = after;
            place.offset = place.offset.saturating_add(u64::try_from(size).unwrap_or(u64::MAX));
        }
        if at == 0 {
            return Ok(());
        }
    }
}

/// The headers of a lane's segments, each with where its rows begin, in order. One that is being begun is left out.
fn headers(dir: &Path) -> Result<Vec<(PathBuf, SegmentHeader, u64)>, LaneError> {
    let listed = verify_dir::segments(dir);
    let listed =
        listed.map_err(|error| LaneError::Io { path: dir.to_owned(), source: io::Error::other(error) })?;
    let mut headers = Vec::with_capacity(listed.len());
    for (_, path) in listed {
        if let Some((header, end)) = header(&path)? {
            headers.push((path, header, end));
        }
    }
    Ok(headers)
}

fn header(path: &Path) -> Result<Option<(SegmentHeader, u64)>, LaneError> {
    let failed = |source| LaneError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let mut buffer = [0; HEADER_MAX];
    let bytes = read_at(&file, 0, &mut buffer).map_err(failed)?;
    let header = SegmentHeader::decode(bytes).ok();
    Ok(header.map(|(header, end)| (header, u64::try_from(end).unwrap_or(u64::MAX))))
}

fn read_at<'b>(file: &File, offset: u64, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    let mut len = 0;
    while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(buffer.get(..len).unwrap_or_default())
}
