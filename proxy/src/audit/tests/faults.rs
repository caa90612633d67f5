//! A file system that fails on demand, over the real one.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::audit::disk::{Disk, DiskFile, OsDisk};

/// What fails. Everything works until a test says otherwise.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Writes take this many bytes in all and then fail.
    write: Mutex<Option<(u64, i32)>>,
    /// Fdatasync fails.
    sync: AtomicBool,
    /// With it the kernel drops what was not synced before.
    drop_pages: AtomicBool,
    /// Files cannot be made.
    create: AtomicBool,
    /// Files cannot be cut.
    cut: AtomicBool,
    /// Every operation fails after this many.
    operations_left: Mutex<Option<u64>>,
    pub(super) syncs: AtomicU64,
    pub(super) writes: AtomicU64,
}

pub(super) const ENOSPC: i32 = 28;
pub(super) const EIO: i32 = 5;

impl Faults {
    pub(super) fn fail_writes_after(&self, bytes: u64, errno: i32) {
        *self.write.lock() = Some((bytes, errno));
    }

    pub(super) fn fail_syncs(&self, drop_pages: bool) {
        self.sync.store(true, Ordering::SeqCst);
        self.drop_pages.store(drop_pages, Ordering::SeqCst);
    }

    pub(super) fn fail_creates(&self) {
        self.create.store(true, Ordering::SeqCst);
    }

    pub(super) fn fail_cuts(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    pub(super) fn fail_after_operations(&self, operations: u64) {
        *self.operations_left.lock() = Some(operations);
    }

    pub(super) fn mend(&self) {
        *self.write.lock() = None;
        *self.operations_left.lock() = None;
        for fault in [&self.sync, &self.drop_pages, &self.create, &self.cut] {
            fault.store(false, Ordering::SeqCst);
        }
    }

    fn operation(&self) -> io::Result<()> {
        match &mut *self.operations_left.lock() {
            Some(0) => Err(io::Error::from_raw_os_error(EIO)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// A file system, and what makes it fail.
pub(super) fn faulty_disk() -> (Arc<dyn Disk>, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    (Arc::new(FaultyDisk { faults: Arc::clone(&faults) }), faults)
}

#[derive(Debug)]
struct FaultyDisk {
    faults: Arc<Faults>,
}

impl FaultyDisk {
    fn wrap(&self, path: &Path, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let synced = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        Arc::new(FaultyFile {
            inner,
            faults: Arc::clone(&self.faults),
            synced: AtomicU64::new(synced),
            len: AtomicU64::new(synced),
        })
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.faults.operation()?;
        if self.faults.create.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(self.wrap(path, OsDisk.create(path)?))
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        self.faults.operation()?;
        let file = OsDisk.open(path, create)?;
        Ok(self.wrap(path, file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.operation()?;
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.faults.operation()?;
        OsDisk.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.faults.operation()?;
        OsDisk.sync_dir(dir)
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn DiskFile>,
    faults: Arc<Faults>,
    synced: AtomicU64,
    len: AtomicU64,
}

impl DiskFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.faults.operation()?;
        self.faults.writes.fetch_add(1, Ordering::SeqCst);
        let mut taken = bytes.len();
        if let Some((left, errno)) = &mut *self.faults.write.lock() {
            if *left == 0 {
                return Err(io::Error::from_raw_os_error(*errno));
            }
            taken = taken.min(usize::try_from(*left).unwrap());
            *left -= taken as u64;
        }
        let written = self.inner.write_at(&bytes[..taken], offset)?;
        self.len.fetch_max(offset + written as u64, Ordering::SeqCst);
        Ok(written)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.operation()?;
        self.faults.syncs.fetch_add(1, Ordering::SeqCst);
        let (synced, len) = (self.synced.load(Ordering::SeqCst), self.len.load(Ordering::SeqCst));
        if self.faults.sync.load(Ordering::SeqCst) {
            if self.faults.drop_pages.load(Ordering::SeqCst) {
                self.inner.write_at(&vec![0; usize::try_from(len - synced).unwrap()], synced)?;
            }
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.inner.sync_data()?;
        self.synced.store(len, Ordering::SeqCst);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.operation()?;
        if self.faults.cut.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.inner.set_len(len)?;
        self.len.store(len, Ordering::SeqCst);
        self.synced.fetch_min(len, Ordering::SeqCst);
        Ok(())
    }
}
