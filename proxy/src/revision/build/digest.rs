//! Fingerprints of what generations and revisions are built from: the configuration, and every file that it names.

use std::path::{Path, PathBuf};

use mcpg_config::Config;

/// The keys of filters' settings that name a file or a folder.
const FILE_KEYS: &[&str] = &["bundle", "ca", "keys_file", "users_file"];

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

/// The same of one scope alone.
pub(super) fn of_scope(config: &Config) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026 revision digest");
    hasher.update(config.scope_digest().as_bytes());
    hash_sources(&mut hasher, config);
    *hasher.finalize().as_bytes()
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
        collect_paths(&plugin.settings.0, config.base_dir(), &mut paths);
    }
    paths
}

fn hash_sources(hasher: &mut blake3::Hasher, config: &Config) {
    for path in scope_paths(config) {
        hash_path(hasher, &path);
    }
}

fn collect_paths(value: &serde_json::Value, base_dir: &Path, paths: &mut Vec<PathBuf>) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                match value.as_str() {
                    Some(path) if FILE_KEYS.contains(&key.as_str()) => paths.push(base_dir.join(path)),
                    _ => collect_paths(value, base_dir, paths),
                }
            }
        }
        serde_json::Value::Array(items) => {
            items.iter().for_each(|item| collect_paths(item, base_dir, paths));
        }
        serde_json::Value::String(text) => {
            paths.extend(text.strip_prefix("$secret://file/").map(|path| base_dir.join(path)));
        }
        _ => {}
    }
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
