//! What has been fetched, on disk: so that a gateway starts while its registry is down.
//!
//! Content is filed under its digest and verified whenever it is read; a tag is a small file that names a manifest. Every file
//! is written whole under another name and then renamed, so a process that is killed leaves the old file or the new one.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::PACKED_BYTES_MAX;
use super::reference::{BundleReference, ContentDigest};

const CONTENT: &str = "sha256-";
const DRAFT: &str = "draft-";
const TAG: &str = "tag-";

/// Drafts that are older were left by a process that was killed.
const DRAFT_AGE_MAX: Duration = Duration::from_secs(3600);

/// A folder of fetched content.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// The one in a state folder.
    pub(super) fn below(state_dir: &Path) -> Self {
        Self { folder: state_dir.join("bundles") }
    }

    /// Content, if it is there and intact.
    pub(super) fn content(&self, digest: ContentDigest) -> Option<Bytes> {
        let bytes = self.read(&content_name(digest)).ok()?;
        (ContentDigest::of(&bytes) == digest).then(|| bytes.into())
    }

    /// The manifest that a tag stood for when it was last looked at.
    pub(super) fn tag(&self, reference: &BundleReference) -> Option<ContentDigest> {
        let text = String::from_utf8(self.read(&tag_name(reference)).ok()?).ok()?;
        text.trim_end().parse().ok()
    }

    pub(super) fn keep_content(&self, digest: ContentDigest, bytes: &[u8]) -> io::Result<()> {
        if self.content(digest).is_some() { Ok(()) } else { self.write(&content_name(digest), bytes) }
    }

    pub(super) fn keep_tag(&self, reference: &BundleReference, manifest: ContentDigest) -> io::Result<()> {
        if self.tag(reference) == Some(manifest) {
            return Ok(());
        }
        self.write(&tag_name(reference), format!("{manifest}\n").as_bytes())
    }

    /// Removes the content that nobody needs any more. What cannot be removed stays: it is only space.
    pub(super) fn prune(&self, needed: &HashSet<ContentDigest>, now: SystemTime) {
        let needed: HashSet<String> = needed.iter().map(|digest| content_name(*digest)).collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let age = || {
                let changed = entry.metadata().and_then(|metadata| metadata.modified());
                changed.ok().and_then(|changed| now.duration_since(changed).ok()).unwrap_or_default()
            };
            let is_left = name.starts_with(DRAFT) && age() > DRAFT_AGE_MAX;
            if is_left || name.starts_with(CONTENT) && !needed.contains(&name) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(self.folder.join(name))?.take(PACKED_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let draft = self.folder.join(format!("{DRAFT}{:016x}", u64::from_le_bytes(random)));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&draft, self.folder.join(name)))
            .and_then(|()| fs::File::open(&self.folder)?.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written
    }
}

fn content_name(digest: ContentDigest) -> String {
    format!("{CONTENT}{}", digest.hex())
}

/// A name for any registry, repository and tag.
fn tag_name(reference: &BundleReference) -> String {
    let whole = format!("{}\n{}\n{}", reference.registry, reference.repository, reference.tag());
    let hash: String = Sha256::digest(whole).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{TAG}{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_verified_when_it_is_read() {
        let state = tempfile::tempdir().unwrap();
        let disk = Disk::below(state.path());
        let digest = ContentDigest::of(b"layer");
        assert_eq!(disk.content(digest), None);
        disk.keep_content(digest, b"layer").unwrap();
        assert_eq!(disk.content(digest).unwrap(), "layer");
        let file = state.path().join("bundles").join(content_name(digest));
        fs::write(&file, "forged").unwrap();
        assert_eq!(disk.content(digest), None, "somebody changed it");
        disk.keep_content(digest, b"layer").unwrap();
        assert_eq!(disk.content(digest).unwrap(), "layer", "and it is put right");
    }

    #[test]
    fn tags_are_told_apart_and_half_a_file_is_none() {
        let state = tempfile::tempdir().unwrap();
        let disk = Disk::below(state.path());
        let one: BundleReference = "oci://a.b/c:1".parse().unwrap();
        let two: BundleReference = "oci://a.b/c:2".parse().unwrap();
        let digest = ContentDigest::of(b"manifest");
        disk.keep_tag(&one, digest).unwrap();
        assert_eq!((disk.tag(&one), disk.tag(&two)), (Some(digest), None));
        fs::write(state.path().join("bundles").join(tag_name(&one)), "sha256:0").unwrap();
        assert_eq!(disk.tag(&one), None);
    }

    #[test]
    fn only_what_is_needed_stays() {
        let state = tempfile::tempdir().unwrap();
        let disk = Disk::below(state.path());
        let (old, new) = (ContentDigest::of(b"old"), ContentDigest::of(b"new"));
        disk.keep_content(old, b"old").unwrap();
        disk.keep_content(new, b"new").unwrap();
        let (left, under_way) = (state.path().join("bundles/draft-1"), state.path().join("bundles/draft-2"));
        fs::write(&left, "").unwrap();
        let now = SystemTime::now();
        fs::File::options().write(true).open(&left).unwrap().set_modified(now - 2 * DRAFT_AGE_MAX).unwrap();
        fs::write(&under_way, "").unwrap();
        disk.prune(&[new].into(), now);
        assert_eq!((disk.content(old), disk.content(new).is_some()), (None, true));
        assert_eq!((left.exists(), under_way.exists()), (false, true));
    }
}
