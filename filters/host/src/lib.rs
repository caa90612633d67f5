//! What stands between a third-party plugin and the gateway: its manifest, the operator's grants, its artifact's digest.
//!
//! Nothing of a plugin runs before its manifest parsed, every capability it requires was granted, and the bytes of its
//! artifact are those that the manifest names. Each step returns a value that the next one takes, so none can be skipped.

mod digest;
mod grants;
mod manifest;

pub use digest::{Digest, DigestError, Mismatch};
pub use grants::{Granted, Grants, MissingCapabilities};
pub use manifest::{Artifact, ArtifactError, Kind, Manifest, ManifestError, PluginId, PluginIdError};
