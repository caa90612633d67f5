//! What has been fetched from registries, by scope.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use mcpg_sdk::Scope;
use parking_lot::Mutex;

/// What has been fetched from registries, for all scopes of the process.
#[derive(Debug, Default)]
pub struct BundleStore {
    scopes: Mutex<HashMap<Scope, Arc<FetchedBundles>>>,
}

/// What has been fetched from registries for one scope, by the setting `bundle` that names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchedBundles(BTreeMap<String, Packed>);

/// A packed bundle of a registry, verified.
#[derive(Clone, PartialEq, Eq)]
struct Packed {
    /// The digest of the manifest.
    manifest: String,
    /// The layer.
    bytes: Bytes,
}

impl BundleStore {
    /// What has been fetched for a scope.
    pub fn of(&self, scope: &Scope) -> Arc<FetchedBundles> {
        self.scopes.lock().get(scope).cloned().unwrap_or_default()
    }
}

impl FetchedBundles {
    /// The archive that a setting names.
    pub(super) fn packed(&self, written: &str) -> Option<&[u8]> {
        self.0.get(written).map(|packed| &*packed.bytes)
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Packed").field(&self.manifest).finish()
    }
}
