//! A bundle that is a tar archive, compressed with gzip or plain: read into memory, nothing is unpacked to a disk.
//!
//! Formats: POSIX pax and ustar, GNU long names (<https://www.gnu.org/software/tar/manual/html_node/Standard.html>), gzip of one or
//! several members (RFC 1952). Only regular files and folders may be in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use super::path::{EntryPath, normal};
use super::{
    BYTES_MAX, Bundle, BundleError, BundleRequest, FILES_MAX, FileProblem, PACKED_BYTES_MAX, outside,
    too_many_bytes, too_many_files,
};

/// Headers, padding and long names beside the files' own bytes.
const UNPACKED_BYTES_MAX: u64 = BYTES_MAX + (32 << 20);

/// Problems after which the rest is not looked at.
const PROBLEMS_MAX: usize = 20;

/// Reads an archive from a file.
pub(super) fn read_file(request: &BundleRequest<'_>) -> Result<Bundle, BundleError> {
    let path = request.base.file(request.written).map_err(|error| outside(request, &error))?;
    let shown = path.display().to_string();
    let fail = |source| BundleError::Read { path: shown.clone(), source };
    if !fs::metadata(&path).map_err(fail)?.is_file() {
        return Err(BundleError::Whole(format!("`{shown}` is not a regular file")));
    }
    let mut packed = Vec::new();
    let file = fs::File::open(&path).map_err(fail)?;
    file.take(PACKED_BYTES_MAX + 1).read_to_end(&mut packed).map_err(fail)?;
    read(request, &packed)
}

/// Reads an archive.
pub(super) fn read(request: &BundleRequest<'_>, packed: &[u8]) -> Result<Bundle, BundleError> {
    if packed.len() as u64 > PACKED_BYTES_MAX {
        let message = format!("`{}` is larger than {PACKED_BYTES_MAX} bytes", request.written);
        return Err(BundleError::Whole(message));
    }
    let mut reader = Reader {
        request,
        entries: 0,
        bytes: 0,
        files: BTreeMap::new(),
        seen: BTreeSet::new(),
        folders: BTreeSet::new(),
        ignored: Vec::new(),
        problems: Vec::new(),
    };
    if packed.starts_with(&[0x1f, 0x8b]) {
        reader.archive(MultiGzDecoder::new(packed))?;
    } else {
        reader.archive(packed)?;
    }
    let Reader { files, ignored, problems, .. } = reader;
    if !problems.is_empty() {
        return Err(BundleError::Files(problems));
    }
    Ok(Bundle::new(request.written, files, ignored))
}

struct Reader<'a> {
    request: &'a BundleRequest<'a>,
    entries: usize,
    bytes: u64,
    files: BTreeMap<String, Vec<u8>>,
    /// Files, whether they are wanted or not.
    seen: BTreeSet<String>,
    /// Folders that files are in.
    folders: BTreeSet<String>,
    ignored: Vec<String>,
    problems: Vec<FileProblem>,
}

impl Reader<'_> {
    fn archive(&mut self, unpacked: impl Read) -> Result<(), BundleError> {
        let mut archive = Archive::new(Bounded { inner: unpacked, left: UNPACKED_BYTES_MAX });
        let mut entries = archive.entries().map_err(|error| self.broken(&error))?;
        // Not a `for`: what follows depends on `self`, and the archive's end is looked at after it.
        loop {
            let entry = entries.next().transpose();
            let Some(entry) = entry.map_err(|error| self.broken(&error))? else { break };
            self.entries += 1;
            if self.entries > FILES_MAX {
                return Err(too_many_files());
            }
            self.entry(entry)?;
            if self.problems.len() >= PROBLEMS_MAX {
                return Ok(());
            }
        }
        if self.entries == 0 {
            return Err(BundleError::Whole(format!("`{}` is an empty archive", self.request.written)));
        }
        // To its end, so that the checksum of the compression is verified and nothing hides behind the archive.
        self.end(archive.into_inner())
    }

    fn end(&self, mut rest: impl Read) -> Result<(), BundleError> {
        let mut buffer = [0; 8192];
        loop {
            let read = rest.read(&mut buffer).map_err(|error| self.broken(&error))?;
            let read = buffer.get(..read).unwrap_or_default();
            if read.is_empty() {
                return Ok(());
            }
            if read.iter().any(|byte| *byte != 0) {
                let message = format!("`{}` has something behind its end", self.request.written);
                return Err(BundleError::Whole(message));
            }
        }
    }

    fn broken(&self, error: &io::Error) -> BundleError {
        BundleError::Whole(format!("`{}` is no intact tar archive: {error}", self.request.written))
    }

    fn entry(&mut self, entry: Entry<'_, impl Read>) -> Result<(), BundleError> {
        let name = entry.path_bytes().into_owned();
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            // `git archive` writes the commit here.
            return Ok(());
        }
        let shown = String::from_utf8_lossy(&name).escape_default().take(200).collect::<String>();
        let path = match normal(&name) {
            Ok(EntryPath::Inside(path)) => path,
            // Whatever it is: nobody looks at it.
            Ok(EntryPath::Skipped) => return Ok(()),
            Err(problem) => {
                self.problems.push(FileProblem::new(shown, problem));
                return Ok(());
            }
        };
        match kind {
            EntryType::Directory => Ok(()),
            EntryType::Regular | EntryType::Continuous => self.file(path, entry),
            EntryType::Symlink | EntryType::Link => {
                self.problems.push(FileProblem::new(path, "is a link: archives hold files and folders only"));
                Ok(())
            }
            _ => {
                self.problems.push(FileProblem::new(path, "is neither a file nor a folder"));
                Ok(())
            }
        }
    }

    fn file(&mut self, path: String, entry: Entry<'_, impl Read>) -> Result<(), BundleError> {
        if let Some(problem) = self.place(&path) {
            self.problems.push(FileProblem::new(path, problem));
            return Ok(());
        }
        if !(self.request.wants)(&path) {
            self.ignored.push(path);
            return Ok(());
        }
        let limit = self.request.file_bytes_max;
        let size = entry.size();
        if size > limit {
            self.problems.push(FileProblem::too_large(&path, limit));
            return Ok(());
        }
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > BYTES_MAX {
            return Err(too_many_bytes());
        }
        // The size is the archive's word: memory is only taken for what is there.
        let mut contents = Vec::new();
        entry.take(limit).read_to_end(&mut contents).map_err(|error| self.broken(&error))?;
        if contents.len() as u64 != size {
            return Err(self.broken(&io::ErrorKind::UnexpectedEof.into()));
        }
        self.files.insert(path, contents);
        Ok(())
    }

    /// Takes the place of a file, or says why it cannot be there.
    fn place(&mut self, path: &str) -> Option<&'static str> {
        if self.seen.contains(path) {
            return Some("is in the archive twice");
        }
        if self.folders.contains(path) {
            return Some("is a folder elsewhere in the archive");
        }
        for folder in path.match_indices('/').filter_map(|(at, _)| path.get(..at)) {
            if self.seen.contains(folder) {
                return Some("is in a folder that is a file elsewhere in the archive");
            }
            self.folders.insert(folder.to_owned());
        }
        self.seen.insert(path.to_owned());
        None
    }
}

/// A reader that fails instead of giving more than it may: what a decompression bomb meets.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other(format!("it unpacks to more than {UNPACKED_BYTES_MAX} bytes")))?;
        Ok(read)
    }
}
