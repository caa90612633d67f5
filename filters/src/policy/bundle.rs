//! Bundles: the files that a policy engine is built from, in memory, whichever way they came: a folder, a `.tar.gz`, or an
//! artifact of an OCI registry.
//!
//! INVARIANTS:
//! - Loading never touches the network: what a registry has is fetched before a revision is built ([`FetchedBundles`]).
//! - Bytes, files, names and depth are bounded, and nothing leads outside the bundle.
//! - What an engine would ignore silently, and what may forbid something, is an error or listed in [`Bundle::ignored`].

mod archive;
mod disk;
mod folder;
mod manifest;
mod path;
mod reference;
mod registry;
mod settings;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use mcpg_sdk::{Base, BoundsError};
use sha2::{Digest as _, Sha256};

pub use reference::{BundleReference, ContentDigest, ReferenceError};
pub use registry::RegistryError;
pub use settings::{BundleOrder, RegistrySettings, RegistryTlsSettings};
pub use store::{BundleFetchError, BundleStore, FetchedBundles, artifacts};

/// Files of a bundle, folders and what is skipped included.
pub const FILES_MAX: usize = 10_000;

/// Bytes of all files of a bundle together, unpacked.
pub const BYTES_MAX: u64 = 128 << 20;

/// Bytes of a packed bundle.
pub const PACKED_BYTES_MAX: u64 = 32 << 20;

/// Folders within folders.
const DEPTH_MAX: usize = 8;

/// The files of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Contents by path: relative, with `/`, without `.` and `..`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Files that the engine does not want, in order. None begins with a dot: those are skipped unseen.
    pub ignored: Vec<String>,
    /// What the files are, whichever way they came.
    pub digest: BundleDigest,
    /// Where they came from, as written.
    pub origin: String,
    /// What the operator should know of where they came from.
    pub warnings: Vec<String>,
}

/// SHA-256 over names and contents of the files of a bundle, in the order of names. Prints as `sha256:…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BundleDigest(pub [u8; 32]);

/// What a bundle is loaded for.
#[derive(Clone, Copy)]
pub struct BundleRequest<'a> {
    /// The configuration's folder: what a relative path is below.
    pub base: &'a Base,
    /// The setting `bundle`.
    pub written: &'a str,
    /// Which files the engine reads, by their path in the bundle.
    pub wants: &'a dyn Fn(&str) -> bool,
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// What has been fetched from registries.
    pub fetched: &'a FetchedBundles,
}

impl Bundle {
    /// Loads a bundle.
    ///
    /// # Errors
    /// When there is none, or something about it is not as it must be.
    pub fn load(request: &BundleRequest<'_>) -> Result<Self, BundleError> {
        match BundleForm::of(request.written) {
            BundleForm::Folder => folder::read(request),
            BundleForm::Archive => archive::read_file(request),
            BundleForm::Registry => match request.fetched.packed(request.written) {
                Some(packed) => {
                    let warnings = request.fetched.warnings(request.written).to_vec();
                    archive::read(request, packed).map(|bundle| Self { warnings, ..bundle })
                }
                None => Err(BundleError::Whole(format!("`{}` has not been fetched", request.written))),
            },
            BundleForm::Unknown => Err(BundleError::Whole(format!(
                "`{}`: a bundle is a folder, a `.tar.gz`, or `oci://REGISTRY/REPOSITORY:TAG@sha256:DIGEST`",
                request.written
            ))),
        }
    }

    /// A bundle of what a folder or an archive held.
    fn new(origin: &str, files: BTreeMap<String, Vec<u8>>, mut ignored: Vec<String>) -> Self {
        ignored.sort_unstable();
        let mut hasher = Sha256::new();
        for (name, contents) in &files {
            hasher.update((name.len() as u64).to_le_bytes());
            hasher.update(name);
            hasher.update((contents.len() as u64).to_le_bytes());
            hasher.update(contents);
        }
        let digest = BundleDigest(hasher.finalize().into());
        Self { files, ignored, digest, origin: origin.to_owned(), warnings: Vec::new() }
    }
}

impl fmt::Debug for BundleRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BundleRequest").field("written", &self.written).finish_non_exhaustive()
    }
}

impl fmt::Display for BundleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The form that the setting `bundle` has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleForm {
    /// A folder.
    Folder,
    /// A `.tar.gz` or `.tgz` file.
    Archive,
    /// An artifact of an OCI registry.
    Registry,
    /// Something else with a scheme.
    Unknown,
}

impl BundleForm {
    /// Whether it names no path on this machine.
    pub fn is_elsewhere(self) -> bool {
        matches!(self, Self::Registry | Self::Unknown)
    }

    /// The form of a setting.
    pub fn of(written: &str) -> Self {
        if written.starts_with("oci://") {
            Self::Registry
        } else if written.contains("://") {
            Self::Unknown
        } else if written.ends_with(".tar.gz") || written.ends_with(".tgz") {
            Self::Archive
        } else {
            Self::Folder
        }
    }
}

/// Why a bundle does not load.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The bundle or a file of it cannot be read.
    #[error("{path}: cannot be read")]
    Read {
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something is wrong with the bundle as a whole.
    #[error("{0}")]
    Whole(String),
    /// Something is wrong with some of its files.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Files(Vec<FileProblem>),
}

/// What is wrong with a file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// Its path in the bundle.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl FileProblem {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    fn too_large(path: &str, file_bytes_max: u64) -> Self {
        Self::new(path, format!("is larger than {file_bytes_max} bytes (`limits.file_bytes_max`)"))
    }
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

fn too_many_files() -> BundleError {
    BundleError::Whole(format!("the bundle holds more than {FILES_MAX} files"))
}

fn outside(request: &BundleRequest<'_>, error: &BoundsError) -> BundleError {
    BundleError::Whole(format!("`{}`: {error}", request.written))
}

fn too_many_bytes() -> BundleError {
    BundleError::Whole(format!("the bundle holds more than {BYTES_MAX} bytes"))
}

#[cfg(test)]
mod tests;
