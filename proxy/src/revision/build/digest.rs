//! Fingerprints of what generations and revisions are built from: the configuration, and every file that it names.

use std::path::{Path, PathBuf};

use mcpg_config::Config;
use mcpg_filters::policy::bundle::{BundleForm, BundleStore};
use mcpg_sdk::{Base, Scope};

/// The keys of filters' settings that name a file or a folder.
const FILE_KEYS: &[&str] = &["bundle", "ca", "keys_file", "users_file"];

/// Folders within a bundle: as deep as a bundle may be.
const FOLDERS_DEPTH_MAX: usize = 9;
/// Folders that are looked at in one.
const FOLDERS_MAX: usize = 1000;

/// A digest of a configuration with all its scopes, and of every file that their filters are built from, so that a change of a
/// policy or of a key counts as a change.
pub fn effective_digest(config: &Config) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026 revision digest");
    hasher.update(config.digest().as_bytes());
    config.process_files().iter().for_each(|path| hash_path(&mut hasher, path));
    for scope in config.scopes() {
        hash_sources(&mut hasher, scope);
    }
    *hasher.finalize().as_bytes()
}

/// The same of one scope alone, with what has been fetched for it.
pub(super) fn of_scope(config: &Config, bundles: &BundleStore) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026 revision digest");
    hasher.update(config.scope_digest().as_bytes());
    hash_sources(&mut hasher, config);
    hash_fetched(&mut hasher, &config.tenancy.scope, bundles);
    *hasher.finalize().as_bytes()
}

/// A digest of a configuration and its files, `of_files`, with what has been fetched for it. The same, if nothing has.
pub(super) fn with_fetched(of_files: [u8; 32], config: &Config, bundles: &BundleStore) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026 revision digest with bundles");
    hasher.update(&of_files);
    let mut any = false;
    for config in config.scopes() {
        any |= hash_fetched(&mut hasher, &config.tenancy.scope, bundles);
    }
    if any { *hasher.finalize().as_bytes() } else { of_files }
}

fn hash_fetched(hasher: &mut blake3::Hasher, scope: &Scope, bundles: &BundleStore) -> bool {
    let mut any = false;
    for (written, manifest) in bundles.of(scope).manifests() {
        hasher.update(format!("{scope} {written} {manifest}\n").as_bytes());
        any = true;
    }
    any
}

/// The files and folders that a configuration is built from, those of its scopes included.
pub fn source_paths(config: &Config) -> Vec<PathBuf> {
    config
        .scopes()
        .flat_map(scope_paths)
        .chain(config.process_files())
        .chain(config.scope_files())
        .chain([config.file_name().into()])
        .collect()
}

/// The files and folders that one scope's filters are built from.
fn scope_paths(config: &Config) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = config.files();
    for plugin in &config.plugins.load {
        collect_paths(&plugin.settings.0, config.base(), &mut paths);
    }
    paths
}

fn hash_sources(hasher: &mut blake3::Hasher, config: &Config) {
    for path in scope_paths(config) {
        hash_path(hasher, &path);
    }
}

fn collect_paths(value: &serde_json::Value, base: &Base, paths: &mut Vec<PathBuf>) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                match value.as_str() {
                    Some(elsewhere) if key == "bundle" && BundleForm::of(elsewhere).is_elsewhere() => {}
                    Some(path) if FILE_KEYS.contains(&key.as_str()) => {
                        if let Ok(path) = base.file(path) {
                            add_folders(&path, FOLDERS_DEPTH_MAX, paths);
                        }
                    }
                    _ => collect_paths(value, base, paths),
                }
            }
        }
        serde_json::Value::Array(items) => {
            items.iter().for_each(|item| collect_paths(item, base, paths));
        }
        serde_json::Value::String(text) => {
            let path = text.strip_prefix("$secret://file/").map(|path| base.secret_file(path));
            paths.extend(path.and_then(Result::ok));
        }
        _ => {}
    }
}

/// A path, and the folders below it: each is watched and read by itself.
fn add_folders(path: &Path, depth: usize, paths: &mut Vec<PathBuf>) {
    paths.push(path.to_owned());
    let Some(depth) = depth.checked_sub(1) else { return };
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let is_folder = |entry: &std::fs::DirEntry| {
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        !hidden && entry.file_type().is_ok_and(|kind| kind.is_dir())
    };
    let mut folders: Vec<PathBuf> = entries.filter(is_folder).map(|entry| entry.path()).collect();
    folders.sort();
    folders.iter().take(FOLDERS_MAX).for_each(|folder| add_folders(folder, depth, paths));
}

/// Contents by name, in the order of names. What cannot be read counts as absent: the filter says why.
fn hash_path(hasher: &mut blake3::Hasher, path: &Path) {
    if let Ok(entries) = std::fs::read_dir(path) {
        let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for entry in entries.iter().filter(|entry| entry.is_file()) {
            hash_path(hasher, entry);
        }
    } else {
        let contents = std::fs::read(path).unwrap_or_default();
        let name = path.as_os_str().as_encoded_bytes();
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name);
        hasher.update(&(contents.len() as u64).to_le_bytes()).update(&contents);
    }
}
