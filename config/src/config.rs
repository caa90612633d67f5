//! The whole configuration, and the way from bytes to it.

mod digest;
mod sections;
mod source;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mcpg_sdk::{Base, Scope, SecretRef, SettingsError};

pub use digest::Digest;
pub(crate) use sections::Sections;
pub(crate) use source::Source;

use crate::place::{Place, Report, diagnostic};
use crate::quote::quote;
use crate::tenancy::names::{Names, Stands};
use crate::tenancy::scopes::{self as further, Around};
use crate::{
    Audit, Binding, BindingKind, ControlPlane, Diagnostic, Diagnostics, Federation, Pinning, Plugins, Pushed,
    Server, Sessions, State, Telemetry, Tenancy, Transport,
};
use crate::{audit, control_plane, plugins, server, sessions, structure, telemetry, tenancy, yaml};

/// A gateway's configuration, in which everything has been checked that can be without doing anything.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the gateway listens, whom it answers, and its limits.
    pub server: Server,
    /// Whom it serves.
    pub tenancy: Tenancy,
    /// The filters of the pipeline.
    pub plugins: Plugins,
    /// The upstreams, ids unique. Empty only where every scope is one of [`Config::scopes`] further down.
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
    /// The control plane that it belongs to; none if its file says everything.
    pub control_plane: Option<ControlPlane>,
    digest: Digest,
    scope_digest: Digest,
    warnings: Vec<Diagnostic>,
    source: Source,
    further: Vec<Config>,
}

impl Config {
    /// Reads a configuration that names no other. `file_name` is for messages; relative paths in the file are below `base_dir`.
    ///
    /// # Errors
    /// Everything that is wrong, by position: first what is no YAML, else what does not fit the form, together with
    /// what is wrong in those sections that do.
    pub fn from_yaml(bytes: &[u8], file_name: &str, base_dir: &Path) -> Result<Self, Diagnostics> {
        Self::with_files(bytes, file_name, base_dir, &|_| Err(io::ErrorKind::Unsupported.into()), &[])
    }

    /// Reads a configuration, and with `read` those of its scopes that are in files of their own, and those that its control plane has
    /// pushed.
    ///
    /// # Errors
    /// As [`Config::from_yaml`], each with the file that it is in.
    pub fn with_files(
        bytes: &[u8],
        file_name: &str,
        base_dir: &Path,
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
        pushed: &[Pushed],
    ) -> Result<Self, Diagnostics> {
        let root = yaml::parse(bytes).map_err(|fault| {
            Diagnostic::new(file_name, fault.position, String::new(), fault.message, fault.help)
        })?;
        let root = Arc::new(root);
        let base = Base::trusted(base_dir);
        let source = Source::of_file(file_name.to_owned(), &base, &root);
        let mut report = Report::new(file_name);
        let place = Place::root(&root);
        structure::check_file(&place, &mut report);
        let server = server::read::read(&place.child("server"), &base, &mut report);
        let has_proxies = server.as_ref().is_none_or(|server| !server.trusted_proxies.is_empty());
        let tenancy = tenancy::read::read(&place.child("tenancy"), has_proxies, &mut report);
        let state = sessions::read::read_state(&place.child("state"), &base, &mut report);
        let sections = sections(&place, &base, state.as_ref(), &mut report);
        let audit = audit::read::read(&place, &base, &mut report);
        let telemetry = telemetry::read::read(&place.child("telemetry"), &mut report);
        let control_plane = control_plane::read::read(&place.child("control_plane"), &base, &mut report);
        let read_all = (server, tenancy, state, audit, telemetry, control_plane);
        let (Some(server), Some(tenancy), Some(state), Some(audit), Some(telemetry), Some(control_plane)) =
            read_all
        else {
            // INVARIANT: whoever returns nothing has reported why.
            return Err(Diagnostics::new(report.errors));
        };
        let common = digest::common(&place);
        let around = Around {
            server: &server,
            tenancy: &tenancy,
            state: &state,
            audit: &audit,
            telemetry,
            control_plane: control_plane.as_ref(),
            source: &source,
            common: &common,
            read,
        };
        let mut elsewhere = Vec::new();
        let further = scopes(&place, &around, pushed, sections.is_some(), &mut report, &mut elsewhere);
        let Report { mut errors, warnings, .. } = report;
        errors.append(&mut elsewhere);
        let Some(sections) = sections.filter(|_| errors.is_empty()) else {
            return Err(Diagnostics::new(errors));
        };
        let scope_digest = Digest::of_all(&[digest::own(&root)]);
        let mut config = sections.into_config(
            tenancy.clone(),
            state.clone(),
            &around,
            scope_digest,
            source.clone(),
            warnings,
        );
        config.digest = Digest::of_scopes(&root, &further);
        config.further = further;
        Ok(config)
    }

    /// Every scope, each as the configuration that a gateway of it alone would have: that of the top level first, if it has
    /// bindings, then those of `tenancy.scopes`, then those that a control plane has pushed. Empty only where it has pushed none yet. What belongs to the process is the same in all.
    pub fn scopes(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).filter(|config| !config.bindings.is_empty()).chain(&self.further)
    }

    /// The gateway of one scope alone, from the same file: what `--scope` asks for. None if the file has no such scope.
    #[must_use]
    pub fn alone(&self, scope: &Scope) -> Option<Self> {
        let one = self.scopes().find(|config| config.tenancy.scope == *scope)?;
        let mut alone = Self { further: Vec::new(), ..one.clone() };
        alone.digest = alone.scope_digest;
        Some(alone)
    }

    /// Gives a filter's complaint about its settings a position in the file.
    ///
    /// `plugin_index` is the index in [`Plugins::load`]. A pointer to something that is not there gets the position
    /// of what is there around it.
    pub fn locate(&self, plugin_index: usize, error: &SettingsError) -> Diagnostic {
        let entry = plugins::read::entries(&self.source.place().child("plugins")).item(plugin_index);
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
        diagnostic(self.source.file(), &place, format!("{}: {message}", quote(label)), help)
    }

    /// Gives what went wrong with a binding when it was put to use a position in the file: an unreadable CA file, an
    /// unset secret. `key` is below the binding, such as `tls.ca` or `headers`; the nearest place that exists counts.
    pub fn locate_in_binding(
        &self,
        binding_index: usize,
        key: &str,
        message: impl Into<String>,
    ) -> Diagnostic {
        let binding = self.source.place().child("bindings").item(binding_index);
        let place =
            key.split('.').filter(|segment| !segment.is_empty()).fold(binding, |place, key| place.child(key));
        diagnostic(self.source.file(), &place, message, None)
    }

    /// The files that the scope's sections name outside the plugins' settings: certificates, keys and secrets.
    ///
    /// [`Config::digest`] is not over their contents, so who reloads on a change looks at these too.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let secret = |secret: &SecretRef| match secret {
            SecretRef::File(path) => self.source.base().secret_file(path).ok(),
            SecretRef::Env(_) | SecretRef::Vault { .. } => None,
        };
        let base = self.source.base();
        files.extend(self.tenancy.tls.iter().flat_map(|tls| tls.files(base)));
        for BindingKind::Mcp(mcp) in self.bindings.iter().map(|binding| &binding.kind) {
            match &mcp.transport {
                Transport::Http(http) => {
                    files.extend(http.tls.iter().flat_map(|tls| tls.files(base)));
                    files.extend(http.headers.iter().filter_map(|header| secret(header.value.secret()?)));
                    if let Some(credentials) = &http.credentials {
                        files.extend(credentials.tls.iter().flat_map(|tls| tls.files(base)));
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
        files
    }

    /// The files that the sections of the process name: certificates and keys. Those of the top level's file.
    pub fn process_files(&self) -> Vec<PathBuf> {
        let base = self.source.base();
        let listeners = self.server.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        let tls = listeners.flat_map(|tls| tls.files(base));
        tls.chain(self.audit.signing_key.as_ref().and_then(|key| key.file(base))).collect()
    }

    /// The files of the scopes that have one of their own.
    pub fn scope_files(&self) -> impl Iterator<Item = PathBuf> {
        let own = self.source.file();
        self.further
            .iter()
            .map(|scope| scope.source.file())
            .filter(move |file| *file != own)
            .map(PathBuf::from)
    }

    /// What is allowed but probably not meant, by position.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// A fingerprint of what the file says, and those of its scopes: comments, layout and the order of keys do not count.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// A fingerprint of what the scope of this configuration is built from, other scopes left out.
    pub fn scope_digest(&self) -> Digest {
        self.scope_digest
    }

    /// The file's name as given.
    pub fn file_name(&self) -> &str {
        self.source.file()
    }

    /// What paths in plugins' settings and `$secret://…` may name, and where.
    pub fn base(&self) -> &Base {
        self.source.base()
    }
}

/// The sections of the top level's scope. Without bindings there is none, and nothing else of it may be there.
fn sections(
    place: &Place<'_>,
    base: &Base,
    state: Option<&State>,
    report: &mut Report<'_>,
) -> Option<Sections> {
    let bindings = place.child("bindings");
    if bindings.node.is_some() {
        return Sections::read(place, base, state, report);
    }
    let elsewhere = [place.child("tenancy").child("scopes"), place.child("control_plane")];
    if elsewhere.iter().all(|place| place.node.is_none()) {
        // The key that was meant is named already, or the file is no map at all.
        let says_so = |error: &Diagnostic| {
            error.path.is_empty() || error.help.as_deref() == Some("did you mean `bindings`?")
        };
        if !report.errors.iter().any(says_so) {
            report.error(&bindings, "`bindings` is missing in the configuration");
        }
    } else if place.child("plugins").node.is_some() {
        let help = "add `bindings`, or move them to the scopes: each has its own";
        report.error_with_help(&place.key("plugins"), "`plugins` stands here without `bindings`", help);
    }
    Sections::read(place, base, state, report)
}

/// The further scopes, and whether all names are of one scope only.
fn scopes(
    place: &Place<'_>,
    around: &Around<'_>,
    pushed: &[Pushed],
    has_sections: bool,
    report: &mut Report<'_>,
    elsewhere: &mut Vec<Diagnostic>,
) -> Vec<Config> {
    let file = around.source.file();
    let tenancy = place.child("tenancy");
    let mut names = Names::new(around.tenancy.suffix.as_deref());
    if has_sections && place.child("bindings").node.is_some() {
        names.add(around.tenancy, &Stands::at(file, &tenancy));
    }
    let mut further = further::read(&tenancy.child("scopes"), around, &mut names, report, elsewhere);
    further.extend(further::read_pushed(pushed, around, &mut names, report, elsewhere));
    elsewhere
        .extend(names.finish(&around.server.hosts, &Stands::at(file, &place.child("server").child("hosts"))));
    further
}

#[cfg(test)]
mod tests;
