//! Places in the log, segments open for writing, and groups of them that are synced together.

use std::path::Path;
use std::sync::Arc;

use mcpg_ledger::{ChainId, Hash, Head, SegmentHeader};

use super::disk::{Disk, DiskFile, write_all_at};
use super::recovery::{End, wide};
use super::segment_files::SegmentName;
use super::settings::AuditSettings;
use super::unix_nanos;

/// A place in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) head: Head,
    pub(super) last_checkpoint: Hash,
    pub(super) rows_since_checkpoint: u64,
    pub(super) ordinal: u64,
    /// Bytes of the segment up to here.
    pub(super) len: u64,
}

/// A segment open for writing.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) name: SegmentName,
    pub(super) file: Arc<dyn DiskFile>,
}

/// Files to be brought to stable storage together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) files: Vec<Segment>,
    pub(super) names: bool,
    pub(super) mark: Mark,
}

impl Group {
    /// Brings the group to stable storage. Older segments go first.
    pub(super) fn sync(&self, disk: &dyn Disk) -> std::io::Result<()> {
        for segment in &self.files {
            segment.file.sync_data()?;
        }
        match self.files.last().and_then(|segment| segment.name.path.parent()) {
            Some(dir) if self.names => disk.sync_dir(dir),
            _ => Ok(()),
        }
    }
}

impl Mark {
    pub(super) fn at(end: &End) -> Self {
        Self {
            head: end.head,
            last_checkpoint: end.last_checkpoint,
            rows_since_checkpoint: end.rows_since_checkpoint,
            ordinal: end.segment.ordinal,
            len: end.len,
        }
    }

    /// The signed header of a segment that continues from here.
    pub(super) fn header(&self, settings: &AuditSettings, chain: &ChainId) -> Vec<u8> {
        let header = SegmentHeader {
            time: unix_nanos(),
            organization: settings.organization.clone(),
            chain: *chain,
            instance: settings.instance.clone(),
            previous: self.head,
            previous_checkpoint: self.last_checkpoint,
            key: mcpg_ledger::key_id(&settings.key.verifying_key()),
        };
        let mut bytes = Vec::with_capacity(512);
        header.encode(&settings.key, &mut bytes);
        bytes
    }
}

/// Makes the segment that follows a mark. On an error also says which one may be left half made.
pub(super) fn begin_segment(
    disk: &dyn Disk,
    dir: &Path,
    settings: &AuditSettings,
    chain: &ChainId,
    mark: &Mark,
) -> Result<(Segment, Mark), (SegmentName, std::io::Error)> {
    let name = SegmentName::new(dir, mark.ordinal + 1);
    let header = mark.header(settings, chain);
    let made = disk.create(&name.path).and_then(|file| {
        write_all_at(&*file, &header, 0)?;
        Ok(file)
    });
    match made {
        Ok(file) => {
            let mark = Mark { ordinal: name.ordinal, len: wide(header.len()), ..*mark };
            Ok((Segment { name, file }, mark))
        }
        Err(source) => Err((name, source)),
    }
}
