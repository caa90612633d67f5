//! What has been fetched from registries, by scope; and when tags are looked at again.
//!
//! Nothing here is asked while a call is decided or a revision is built: a revision takes what is there. A registry that does
//! not answer costs nothing but the news: what was fetched before stays in use, from memory or from disk.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use mcpg_sdk::{Scope, Settings};
use parking_lot::Mutex;

use super::BundleForm;
use super::disk::Disk;
use super::manifest;
use super::reference::{BundleReference, ContentDigest};
use super::registry::{RegistryError, Repository};
use super::settings::BundleOrder;
use crate::net::HttpClient;
use crate::shared::Fetches;

/// A tag that was looked at so recently is not looked at again for a reload.
const FRESH: Duration = Duration::from_secs(2);

/// What has been fetched from registries, for all scopes of the process.
#[derive(Debug, Default)]
pub struct BundleStore {
    scopes: Mutex<HashMap<Scope, Shelf>>,
    fetches: Fetches,
}

/// What one scope has.
#[derive(Debug, Clone, Default)]
struct Shelf {
    orders: Arc<[BundleOrder]>,
    disk: Option<Disk>,
    fetched: Arc<FetchedBundles>,
}

/// What has been fetched from registries for one scope, by the setting `bundle` that names it.
#[derive(Debug, Clone, Default)]
pub struct FetchedBundles(BTreeMap<String, Packed>);

/// A packed bundle of a registry, verified.
#[derive(Clone)]
struct Packed {
    manifest: ContentDigest,
    layer: ContentDigest,
    bytes: Bytes,
    /// When the registry was last asked.
    asked: Instant,
    warnings: Vec<String>,
}

/// A bundle that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("`{bundle}` cannot be fetched: {reason}")]
pub struct BundleFetchError {
    /// The setting `bundle`.
    pub bundle: String,
    /// Why.
    #[source]
    pub reason: RegistryError,
}

impl BundleStore {
    /// What has been fetched for a scope.
    pub fn of(&self, scope: &Scope) -> Arc<FetchedBundles> {
        self.scopes.lock().get(scope).map(|shelf| Arc::clone(&shelf.fetched)).unwrap_or_default()
    }

    /// Fetches what a scope has ordered and has not, and looks at its tags. What it has ordered before and not now is let go.
    /// Content is kept below `state_dir`, if there is one. An error for each bundle that cannot be had, by its place.
    pub async fn fetch(
        &self,
        http: &HttpClient,
        scope: &Scope,
        orders: Vec<BundleOrder>,
        state_dir: Option<&Path>,
    ) -> Vec<(usize, BundleFetchError)> {
        if orders.is_empty() {
            self.scopes.lock().remove(scope);
            return Vec::new();
        }
        let shelf =
            Shelf { orders: orders.into(), disk: state_dir.map(Disk::below), fetched: self.of(scope) };
        let (fetched, errors) = shelf.fetch(http, &self.fetches, |_| FRESH).await;
        self.put(scope, shelf, fetched);
        errors
    }

    /// Looks at the tags whose time has come. True if one stands for something else now.
    pub async fn poll(&self, http: &HttpClient) -> bool {
        let due: Vec<_> = {
            let (now, scopes) = (Instant::now(), self.scopes.lock());
            let is_due = |shelf: &Shelf| shelf.next().is_some_and(|next| next <= now);
            scopes
                .iter()
                .filter(|(_, shelf)| is_due(shelf))
                .map(|(scope, shelf)| (scope.clone(), shelf.clone()))
                .collect()
        };
        let mut changed = false;
        for (scope, shelf) in due {
            let (fetched, errors) = shelf.fetch(http, &self.fetches, |order| order.refresh).await;
            for (_, error) in errors {
                tracing::warn!(%scope, %error, "bundle not looked at");
            }
            changed |= fetched.manifests().ne(shelf.fetched.manifests());
            self.put(&scope, shelf, fetched);
        }
        changed
    }

    /// How often registries were asked.
    pub fn fetches(&self) -> &Fetches {
        &self.fetches
    }

    /// When [`BundleStore::poll`] has something to do again.
    pub fn next_poll(&self) -> Option<Instant> {
        self.scopes.lock().values().filter_map(Shelf::next).min()
    }

    /// Lets go of what belongs to scopes that are served no more.
    pub fn retain(&self, is_served: impl Fn(&Scope) -> bool) {
        self.scopes.lock().retain(|scope, _| is_served(scope));
    }

    fn put(&self, scope: &Scope, shelf: Shelf, fetched: FetchedBundles) {
        if let Some(disk) = &shelf.disk {
            let kept = fetched.0.values().chain(shelf.fetched.0.values());
            let needed: HashSet<_> = kept.flat_map(|packed| [packed.manifest, packed.layer]).collect();
            disk.prune(&needed, SystemTime::now());
        }
        self.scopes.lock().insert(scope.clone(), Shelf { fetched: Arc::new(fetched), ..shelf });
    }
}

impl FetchedBundles {
    /// The archive that a setting names.
    pub(super) fn packed(&self, written: &str) -> Option<&[u8]> {
        self.0.get(written).map(|packed| &*packed.bytes)
    }

    /// What the operator should know of it.
    pub(super) fn warnings(&self, written: &str) -> &[String] {
        self.0.get(written).map(|packed| packed.warnings.as_slice()).unwrap_or_default()
    }

    /// The manifest that each setting stands for.
    pub fn manifests(&self) -> impl Iterator<Item = (&str, ContentDigest)> {
        self.0.iter().map(|(written, packed)| (written.as_str(), packed.manifest))
    }
}

/// The digests by which the artifact of a plugin's settings goes: the one that they name, and those of the manifest and the archive that were fetched for them. None where its
/// bundle is of no registry.
pub fn artifacts(settings: &Settings, fetched: &FetchedBundles) -> Vec<ContentDigest> {
    let Some(written) = settings.0.get("bundle").and_then(|bundle| bundle.as_str()) else {
        return Vec::new();
    };
    if BundleForm::of(written) != BundleForm::Registry {
        return Vec::new();
    }
    let named = written.parse::<BundleReference>().ok().and_then(|reference| reference.digest);
    let packed = fetched.0.get(written);
    let found = packed.into_iter().flat_map(|packed| [packed.manifest, packed.layer]);
    let mut digests: Vec<ContentDigest> = named.into_iter().chain(found).collect();
    digests.dedup();
    digests
}

impl Shelf {
    /// When a tag is to be looked at again.
    fn next(&self) -> Option<Instant> {
        let tags = self.orders.iter().filter(|order| order.reference.digest.is_none());
        let next = |order: &BundleOrder| Some(self.fetched.0.get(&order.written)?.asked + order.refresh);
        tags.filter_map(next).min()
    }

    async fn fetch(
        &self,
        http: &HttpClient,
        fetches: &Fetches,
        fresh: impl Fn(&BundleOrder) -> Duration,
    ) -> (FetchedBundles, Vec<(usize, BundleFetchError)>) {
        let (mut fetched, mut errors) = (FetchedBundles::default(), Vec::new());
        for (at, order) in self.orders.iter().enumerate() {
            let known = self.fetched.0.get(&order.written);
            match self.one(http, fetches, order, known, fresh(order)).await {
                Ok(packed) => _ = fetched.0.insert(order.written.clone(), packed),
                Err(reason) => errors.push((at, BundleFetchError { bundle: order.written.clone(), reason })),
            }
        }
        (fetched, errors)
    }

    async fn one(
        &self,
        http: &HttpClient,
        fetches: &Fetches,
        order: &BundleOrder,
        known: Option<&Packed>,
        fresh: Duration,
    ) -> Result<Packed, RegistryError> {
        let is_settled = |packed: &&Packed| {
            order.reference.digest == Some(packed.manifest)
                || order.reference.digest.is_none() && packed.asked.elapsed() < fresh
        };
        if let Some(packed) = known.filter(is_settled) {
            return Ok(packed.clone());
        }
        if let Some(packed) = order.reference.digest.and_then(|digest| self.stored(order, digest)) {
            return Ok(packed);
        }
        let asked = self.asked(http, order, known).await;
        fetches.note(asked.is_ok());
        let error = match asked {
            Ok(packed) => return Ok(packed),
            Err(error) => error,
        };
        let is_tag = order.reference.digest.is_none();
        let stored = || self.stored(order, self.disk.as_ref()?.tag(&order.reference)?);
        let Some(mut packed) = known.cloned().or_else(stored).filter(|_| is_tag) else { return Err(error) };
        tracing::warn!(bundle = order.written, %error, "registry not asked, what it had before stays in use");
        packed.asked = Instant::now();
        packed.warnings = vec![
            unpinned(order, packed.manifest),
            format!(
                "bundle `{}`: {error}: {} was fetched before and stays in use",
                order.written, packed.manifest
            ),
        ];
        Ok(packed)
    }

    /// From the registry.
    async fn asked(
        &self,
        http: &HttpClient,
        order: &BundleOrder,
        known: Option<&Packed>,
    ) -> Result<Packed, RegistryError> {
        let repository = Repository {
            http,
            reference: &order.reference,
            target: &order.target,
            login: order.login.as_ref(),
            timeout: order.timeout,
        };
        let (digest, manifest) = repository.manifest(order.reference.digest).await?;
        let layer = manifest::layer(&manifest).map_err(RegistryError::Manifest)?;
        let here = known.filter(|known| known.layer == layer.digest).map(|known| known.bytes.clone());
        let here = here.or_else(|| self.disk.as_ref()?.content(layer.digest));
        let bytes = match here.filter(|bytes| bytes.len() as u64 == layer.size) {
            Some(bytes) => bytes,
            None => repository.layer(layer).await?,
        };
        if let Some(disk) = &self.disk {
            let is_tag = order.reference.digest.is_none();
            // In this order: a tag on disk leads to content that is there.
            let kept = disk
                .keep_content(layer.digest, &bytes)
                .and_then(|()| disk.keep_content(digest, &manifest))
                .and_then(|()| if is_tag { disk.keep_tag(&order.reference, digest) } else { Ok(()) });
            if let Err(error) = kept {
                tracing::warn!(bundle = order.written, %error, "bundle not kept on disk: a start needs the registry");
            }
        }
        Ok(packed(order, digest, layer.digest, bytes))
    }

    /// From disk.
    fn stored(&self, order: &BundleOrder, digest: ContentDigest) -> Option<Packed> {
        let disk = self.disk.as_ref()?;
        let layer = manifest::layer(&disk.content(digest)?).ok()?;
        let bytes = disk.content(layer.digest).filter(|bytes| bytes.len() as u64 == layer.size)?;
        Some(packed(order, digest, layer.digest, bytes))
    }
}

fn packed(order: &BundleOrder, manifest: ContentDigest, layer: ContentDigest, bytes: Bytes) -> Packed {
    let warnings = match order.reference.digest {
        Some(_) => Vec::new(),
        None => vec![unpinned(order, manifest)],
    };
    Packed { manifest, layer, bytes, asked: Instant::now(), warnings }
}

fn unpinned(order: &BundleOrder, manifest: ContentDigest) -> String {
    let written = &order.written;
    format!(
        "bundle `{written}`: whoever can write to the registry can change it: `{written}@{manifest}` pins what is there now"
    )
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Packed").field(&self.manifest).finish()
    }
}
