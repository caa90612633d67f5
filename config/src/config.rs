//! The whole configuration, and the way from bytes to it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcpg_sdk::{SecretRef, SettingsError};
use serde_json::Value;

use crate::place::{Place, Report, diagnostic};
use crate::quote::quote;
use crate::yaml::{self, Node};
use crate::{
    Audit, Binding, BindingKind, Diagnostic, Diagnostics, Federation, Pinning, Plugins, Server, Sessions,
    State, Telemetry, Tenancy, Transport,
};
use crate::{
    audit, binding, federation, pinning, plugins, server, sessions, structure, telemetry, tenancy, wire,
};

/// A gateway's configuration, in which everything has been checked that can be without doing anything.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the gateway listens, whom it answers, and its limits.
    pub server: Server,
    /// The scope that it serves.
    pub tenancy: Tenancy,
    /// The filters of the pipeline.
    pub plugins: Plugins,
    /// The upstreams. Never empty, ids unique.
    pub bindings: Vec<Binding>,
    /// How several bindings are served as one.
    pub federation: Federation,
    /// Sessions of clients that speak a revision before 2026-07-28.
    pub sessions: Sessions,
    /// What happens when an upstream's tool is not as it was.
    pub pinning: Pinning,
    /// What the gateway keeps on disk besides the ledger.
    pub state: State,
    /// The ledger of decisions.
    pub audit: Audit,
    /// The log and trace context.
    pub telemetry: Telemetry,
    digest: Digest,
    warnings: Vec<Diagnostic>,
    source: Source,
}

/// The document that a configuration was read from.
#[derive(Clone)]
struct Source {
    file: String,
    base_dir: PathBuf,
    root: Arc<Node>,
}

impl fmt::Debug for Source {
    /// Without the document, which holds the plugins' settings as they were written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("file", &self.file)
            .field("base_dir", &self.base_dir)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Reads a configuration. `file_name` is for messages; relative paths in the file are below `base_dir`.
    ///
    /// # Errors
    /// Everything that is wrong, by position: first what is no YAML, else what does not fit the form, together with
    /// what is wrong in those sections that do.
    pub fn from_yaml(bytes: &[u8], file_name: &str, base_dir: &Path) -> Result<Self, Diagnostics> {
        let root = yaml::parse(bytes).map_err(|fault| {
            Diagnostic::new(file_name, fault.position, String::new(), fault.message, fault.help)
        })?;
        let mut report = Report::new(file_name);
        let place = Place::root(&root);
        structure::check::<wire::File>(&place, &mut report);
        let server = server::read::read(&place.child("server"), base_dir, &mut report);
        let tenancy = tenancy::read::read(&place.child("tenancy"), &mut report);
        let plugins = plugins::read::read(&place.child("plugins"), &mut report);
        let federation = federation::read::read(&place.child("federation"), &mut report);
        let sessions = sessions::read::read(&place.child("sessions"), &mut report);
        let state = sessions::read::read_state(&place.child("state"), base_dir, &mut report);
        let pinning = pinning::read::read(&place.child("pinning"), base_dir, state.as_ref(), &mut report);
        let rules = pinning.as_ref().map(|pinning| pinning.rules).unwrap_or_default();
        let bindings = binding::read::read(&place.child("bindings"), base_dir, rules, &mut report);
        let audit = audit::read::read(&place, base_dir, &mut report);
        let telemetry = telemetry::read::read(&place.child("telemetry"), &mut report);
        if let Some(plugins) = &plugins {
            warn_of_missing_kinds(plugins, &place, &mut report);
        }
        let Report { errors, warnings, .. } = report;
        if !errors.is_empty() {
            return Err(Diagnostics::new(errors));
        }
        let read = || {
            Some(Self {
                server: server?,
                tenancy: tenancy?,
                plugins: plugins?,
                bindings,
                federation: federation?,
                sessions: sessions?,
                pinning: pinning?,
                state: state?,
                audit: audit?,
                telemetry: telemetry?,
                digest: Digest::of(&root),
                warnings,
                source: Source {
                    file: file_name.to_owned(),
                    base_dir: base_dir.to_owned(),
                    root: Arc::new(root),
                },
            })
        };
        // INVARIANT: whoever returns nothing has reported why.
        read().ok_or_else(|| Diagnostics::new(Vec::new()))
    }

    /// Gives a filter's complaint about its settings a position in the file.
    ///
    /// `plugin_index` is the index in [`Plugins::load`]. A pointer to something that is not there gets the position
    /// of what is there around it.
    pub fn locate(&self, plugin_index: usize, error: &SettingsError) -> Diagnostic {
        let entry =
            plugins::read::entries(&Place::root(&self.source.root).child("plugins")).item(plugin_index);
        let unknown = structure::unknown_field(&error.message);
        let mut place = entry.child("config");
        let mut segments = error.pointer.split('/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            let key = segment.replace("~1", "/").replace("~0", "~");
            // Serde's path to an unknown key ends with that key.
            if segments.peek().is_none() && unknown.as_ref() == Some(&key) {
                break;
            }
            place = match key.parse::<usize>() {
                Ok(index) if place.node.is_some_and(|node| !node.items().is_empty()) => place.item(index),
                _ => place.child(&key),
            };
        }
        if let Some(key) = unknown {
            place = place.key(&key);
        }
        let (message, help) = structure::reword(&error.message);
        let label = self.plugins.load.get(plugin_index).map_or("plugins", |plugin| plugin.label());
        diagnostic(&self.source.file, &place, format!("{}: {message}", quote(label)), help)
    }

    /// Gives what went wrong with a binding when it was put to use a position in the file: an unreadable CA file, an
    /// unset secret. `key` is below the binding, such as `tls.ca` or `headers`; the nearest place that exists counts.
    pub fn locate_in_binding(
        &self,
        binding_index: usize,
        key: &str,
        message: impl Into<String>,
    ) -> Diagnostic {
        let binding = Place::root(&self.source.root).child("bindings").item(binding_index);
        let place =
            key.split('.').filter(|segment| !segment.is_empty()).fold(binding, |place, key| place.child(key));
        diagnostic(&self.source.file, &place, message, None)
    }

    /// The files that the configuration names outside the plugins' settings: certificates, keys and secrets.
    ///
    /// [`Config::digest`] is not over their contents, so who reloads on a change looks at these too.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let secret = |secret: &SecretRef| match secret {
            SecretRef::File(path) => Some(self.source.base_dir.join(path)),
            SecretRef::Env(_) | SecretRef::Vault { .. } => None,
        };
        let base_dir = &self.source.base_dir;
        for tls in self.server.listeners.iter().filter_map(|listener| listener.tls.as_ref()) {
            files.extend(tls.files(base_dir));
        }
        for BindingKind::Mcp(mcp) in self.bindings.iter().map(|binding| &binding.kind) {
            match &mcp.transport {
                Transport::Http(http) => {
                    files.extend(http.tls.iter().flat_map(|tls| tls.files(base_dir)));
                    files.extend(http.headers.iter().filter_map(|header| secret(header.value.secret()?)));
                    if let Some(credentials) = &http.credentials {
                        files.extend(credentials.tls.iter().flat_map(|tls| tls.files(base_dir)));
                        files.extend(credentials.client_id.secret().and_then(secret));
                        files.extend(secret(&credentials.client_secret));
                    }
                }
                Transport::Stdio(stdio) => {
                    files.extend(stdio.env.iter().filter_map(|(_, value)| secret(value.secret()?)));
                }
            }
        }
        files.extend(self.sessions.keys.iter().filter_map(secret));
        files.extend(self.audit.signing_key.as_ref().and_then(|key| key.file(base_dir)));
        files
    }

    /// What is allowed but probably not meant, by position.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// A fingerprint of what the file says: comments, layout and the order of keys do not count.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The file's name as given.
    pub fn file_name(&self) -> &str {
        &self.source.file
    }

    /// The folder that relative paths in plugins' settings and in `$secret://file/…` are below.
    pub fn base_dir(&self) -> &Path {
        &self.source.base_dir
    }
}

/// BLAKE3 of the canonical form of a configuration. Prints as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn of(root: &Node) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026 configuration digest");
        hash_canonical(&root.to_json(), &mut hasher);
        Self(*hasher.finalize().as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Every value with its kind and length, keys sorted, so that no two documents run together to the same bytes.
fn hash_canonical(value: &Value, hasher: &mut blake3::Hasher) {
    let mut tagged = |tag: u8, bytes: &[u8]| {
        hasher.update(&[tag]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    };
    match value {
        Value::Null => tagged(0, b""),
        Value::Bool(value) => tagged(1, &[u8::from(*value)]),
        Value::Number(number) => tagged(2, number.to_string().as_bytes()),
        Value::String(text) => tagged(3, text.as_bytes()),
        Value::Array(items) => {
            tagged(4, &(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| hash_canonical(item, hasher));
        }
        Value::Object(members) => {
            tagged(5, &(members.len() as u64).to_le_bytes());
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| key.as_str());
            for (key, value) in members {
                hash_canonical(&Value::String(key.clone()), hasher);
                hash_canonical(value, hasher);
            }
        }
    }
}

fn warn_of_missing_kinds(plugins: &Plugins, root: &Place<'_>, report: &mut Report<'_>) {
    for (kind, message, help) in [
        (
            "identity",
            "no identity plugin is loaded: every call will be refused as unauthenticated",
            "identity.api-key",
        ),
        ("policy", "no policy plugin is loaded: every call will be denied", "policy.cedar"),
    ] {
        if plugins.of_kind(kind).next().is_none() {
            report.warning(&root.key("plugins"), message, format!("load {} for example", quote(help)));
        }
    }
}

#[cfg(test)]
mod tests;
