//! Reads `tenancy.scopes`: each further scope as the configuration that a gateway of its own would have.
//!
//! What belongs to the process (`server`, `audit`, `telemetry`, `state`, `control_plane`) is the gateway's; whatever a scope's own file says of it
//! holds for that file's own gateway only, and is warned of.

use std::io;
use std::path::Path;
use std::sync::Arc;

use mcpg_sdk::{Base, Scope};
use serde_json::Value;

use crate::config::{Digest, Sections, Source};
use crate::control_plane::bounds;
use crate::place::{Place, Report};
use crate::plugins::builtin;
use crate::quote::{list, quote};
use crate::server::tls as server_tls;
use crate::tenancy::names::{self, Names, Stands};
use crate::yaml::Node;
use crate::{
    Audit, Config, ControlPlane, Diagnostic, Pushed, RevocationList, Server, State, Telemetry, Tenancy,
    plugins, structure, wire, yaml,
};

/// Sections that belong to the process.
const OF_THE_PROCESS: &[&str] = &["server", "audit", "telemetry", "state", "control_plane"];

/// Reads a file that the configuration names.
pub(crate) type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// What further scopes have of the configuration around them.
pub(crate) struct Around<'a> {
    pub(crate) server: &'a Server,
    pub(crate) tenancy: &'a Tenancy,
    pub(crate) state: &'a State,
    pub(crate) audit: &'a Audit,
    pub(crate) telemetry: Telemetry,
    pub(crate) control_plane: Option<&'a ControlPlane>,
    /// The document and its place.
    pub(crate) source: &'a Source,
    /// What every scope is built with besides its own sections, for digests.
    pub(crate) common: &'a Value,
    pub(crate) read: ReadFile<'a>,
}

/// Reads the list. What is wrong in files of their own is added to `elsewhere`.
pub(crate) fn read(
    place: &Place<'_>,
    around: &Around<'_>,
    names: &mut Names,
    report: &mut Report<'_>,
    elsewhere: &mut Vec<Diagnostic>,
) -> Vec<Config> {
    let mut scopes = Vec::new();
    for (index, entry) in place.one_or_many().into_iter().enumerate() {
        if report.is_full() || elsewhere.len() >= crate::place::ERRORS_MAX {
            break;
        }
        let Some(further) = report.read::<wire::tenancy::FurtherScope>(&entry) else { continue };
        let scope = match &further.file {
            Some(file) => from_file(file, &further, &entry, around, report, elsewhere),
            None => inline(index, &further, &entry, around, report),
        };
        if let Some(scope) = scope {
            names.add(&scope.tenancy, &Stands::at(around.source.file(), &entry));
            scopes.push(scope);
        }
    }
    scopes
}

/// Reads the files that the control plane has pushed. What is wrong in them is added to `elsewhere`.
pub(crate) fn read_pushed(
    pushed: &[Pushed],
    around: &Around<'_>,
    names: &mut Names,
    report: &mut Report<'_>,
    elsewhere: &mut Vec<Diagnostic>,
) -> Vec<Config> {
    let root = around.source.place();
    let section = root.child("control_plane");
    let Some(control_plane) = around.control_plane else { return Vec::new() };
    let mut scopes = Vec::new();
    for one in pushed {
        let further = wire::tenancy::FurtherScope::of_scope(one.scope.to_string());
        let file = ScopeFile {
            path: &one.file,
            further: &further,
            entry: &section,
            pushed_by: Some(control_plane),
            revoked: one.revoked.as_deref(),
        };
        if let Some(scope) = file.read(around, report, elsewhere) {
            names.add(&scope.tenancy, &Stands::at(around.source.file(), &section));
            scopes.push(scope);
        }
    }
    scopes
}

fn inline(
    index: usize,
    further: &wire::tenancy::FurtherScope,
    entry: &Place<'_>,
    around: &Around<'_>,
    report: &mut Report<'_>,
) -> Option<Config> {
    let Some(scope) = &further.scope else {
        let help = "write `scope: org/workspace/env`, or `file` for one that says so itself";
        report.error_with_help(&entry.child("scope"), "`scope` is missing", help);
        return None;
    };
    if entry.child("bindings").node.is_none() {
        report.error(&entry.child("bindings"), format!("`bindings` is missing in {}", quote(&entry.path)));
    }
    refuse_ledger(entry, report);
    let scope = names::scope(scope, &entry.child("scope"), report)?;
    let tenancy = tenancy(further, scope, entry, around, report);
    let state = state_of(around.state, &tenancy.scope);
    let sections = Sections::read(entry, around.source.base(), Some(&state), report)?;
    let digest = Digest::of_all(&[entry.node.map(Node::to_json).unwrap_or_default(), around.common.clone()]);
    Some(sections.into_config(tenancy, state, around, digest, around.source.of_scope(index), Vec::new()))
}

/// The ledger is one for the whole gateway.
fn refuse_ledger(entry: &Place<'_>, report: &mut Report<'_>) {
    for plugin in plugins::read::entries(&entry.child("plugins")).one_or_many() {
        let id = plugin.child("id").text().and_then(builtin::find);
        let config = plugin.child("config");
        if id.is_some_and(|id| id.id == builtin::AUDIT) && config.node.is_some() {
            let message = "the ledger of all scopes is configured at the top level, in `audit`";
            report.error_with_help(&config, message, "remove `config`");
        }
    }
}

fn from_file(
    file: &str,
    further: &wire::tenancy::FurtherScope,
    entry: &Place<'_>,
    around: &Around<'_>,
    report: &mut Report<'_>,
    elsewhere: &mut Vec<Diagnostic>,
) -> Option<Config> {
    for key in ["plugins", "bindings", "federation", "sessions", "pinning"] {
        if entry.child(key).node.is_some() {
            let message = format!("{} stands beside `file`", quote(key));
            report.error_with_help(&entry.key(key), message, "write it in that file, or all of it here");
        }
    }
    let path = around.source.base().dir().join(Path::new(file).strip_prefix("./").unwrap_or(Path::new(file)));
    if file.is_empty() {
        report.error(&entry.child("file"), "the path is empty");
        return None;
    }
    ScopeFile { path: &path, further, entry, pushed_by: None, revoked: None }.read(around, report, elsewhere)
}

/// A gateway's own configuration, as one scope of this one.
struct ScopeFile<'a> {
    path: &'a Path,
    further: &'a wire::tenancy::FurtherScope,
    /// Where this configuration names it.
    entry: &'a Place<'a>,
    /// Whose it is, if it is not the gateway's own.
    pushed_by: Option<&'a ControlPlane>,
    /// What else must not run in it.
    revoked: Option<&'a RevocationList>,
}

impl ScopeFile<'_> {
    fn read(
        &self,
        around: &Around<'_>,
        report: &mut Report<'_>,
        elsewhere: &mut Vec<Diagnostic>,
    ) -> Option<Config> {
        let name = self.path.display().to_string();
        let bytes = (around.read)(self.path)
            .map_err(|error| {
                report.error(&self.entry.child("file"), format!("cannot read {}: {error}", quote(&name)));
            })
            .ok()?;
        let mut inside = Report::new(&name);
        let config = match yaml::parse(&bytes) {
            Ok(root) => small_gateway(&Arc::new(root), self, around, report, &mut inside),
            Err(fault) => {
                let fault = Diagnostic::new(&name, fault.position, String::new(), fault.message, fault.help);
                inside.errors.push(fault);
                None
            }
        };
        elsewhere.append(&mut inside.errors);
        config
    }
}

fn small_gateway(
    root: &Arc<Node>,
    file: &ScopeFile<'_>,
    around: &Around<'_>,
    report: &mut Report<'_>,
    inside: &mut Report<'_>,
) -> Option<Config> {
    let ScopeFile { path, further, entry, pushed_by, revoked } = file;
    let place = Place::root(root);
    structure::check_file(&place, inside);
    let section = place.child("tenancy");
    let own = inside.read::<wire::tenancy::Tenancy>(&section)?;
    if section.child("scopes").node.is_some() {
        let help = "list all scopes in the gateway's own file";
        inside.error_with_help(&section.key("scopes"), "a scope's own file has no further scopes", help);
    }
    if place.child("bindings").node.is_none() {
        inside.error(&place.child("bindings"), "`bindings` is missing in the configuration");
    }
    if let Some(control_plane) = pushed_by {
        refuse_foreign(&place, control_plane, inside);
    }
    let scope = agreed(further, own.scope.as_deref(), entry, &section, report, inside)?;
    let mut tenancy = tenancy(further, scope, entry, around, report);
    if further.subdomain.is_none() {
        let at = section.child("subdomain");
        tenancy.subdomain = names::subdomain(own.subdomain.as_deref(), &tenancy.scope, &at, inside);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let base = match pushed_by {
        Some(control_plane) => Base::bounded(folder, Arc::clone(&control_plane.bounds)),
        None => {
            warn_of_ignored(&place, inside);
            Base::trusted(folder)
        }
    };
    let state = state_of(around.state, &tenancy.scope);
    let sections = Sections::read(&place, &base, Some(&state), inside)?.without(*revoked);
    let mut parts = vec![root.to_json(), around.common.clone()];
    parts.extend(revoked.filter(|list| !list.is_empty()).map(RevocationList::to_json));
    let digest = Digest::of_all(&parts);
    let source = Source::of_file(path.display().to_string(), &base, root);
    let warnings = std::mem::take(&mut inside.warnings);
    Some(sections.into_config(tenancy, state, around, digest, source, warnings))
}

/// The scope that both files name, or the one that does.
fn agreed(
    further: &wire::tenancy::FurtherScope,
    own: Option<&str>,
    entry: &Place<'_>,
    section: &Place<'_>,
    report: &mut Report<'_>,
    inside: &mut Report<'_>,
) -> Option<Scope> {
    let here = match &further.scope {
        Some(text) => Some(names::scope(text, &entry.child("scope"), report)?),
        None => None,
    };
    let there = match own {
        Some(text) => Some(names::scope(text, &section.child("scope"), inside)?),
        None => None,
    };
    match (here, there) {
        (Some(here), Some(there)) if here != there => {
            let message = format!("the file is that of the scope `{there}`, not of `{here}`");
            report.error(&entry.child("scope"), message);
            None
        }
        (Some(scope), _) | (None, Some(scope)) => Some(scope),
        (None, None) => {
            let help = "write `scope: org/workspace/env` here, or `tenancy: { scope: … }` in the file";
            report.error_with_help(
                &entry.child("scope"),
                "neither this entry nor its file names the scope",
                help,
            );
            None
        }
    }
}

/// Refuses what a control plane has no say in: the process, and the machine's own network.
fn refuse_foreign(place: &Place<'_>, control_plane: &ControlPlane, inside: &mut Report<'_>) {
    for key in OF_THE_PROCESS.iter().filter(|key| place.child(key).node.is_some()) {
        let message = format!("{} belongs to the gateway's own file", quote(key));
        inside.error_with_help(
            &place.key(key),
            message,
            "remove it: a control plane pushes plugins, bindings and what goes with them",
        );
    }
    bounds::check(place, &control_plane.networks, inside);
}

/// Says once what of a scope's own file does not hold here.
fn warn_of_ignored(place: &Place<'_>, inside: &mut Report<'_>) {
    let present = OF_THE_PROCESS.iter().copied().filter(|key| place.child(key).node.is_some());
    let present: Vec<&str> = present.collect();
    if let Some(first) = present.first() {
        let message =
            format!("{} of this file hold where it is run by itself", list(present.iter().copied()));
        inside.warning(
            &place.key(first),
            message,
            "here the gateway's own do; take them out to be rid of this line",
        );
    }
}

fn tenancy(
    further: &wire::tenancy::FurtherScope,
    scope: Scope,
    entry: &Place<'_>,
    around: &Around<'_>,
    report: &mut Report<'_>,
) -> Tenancy {
    let written = further.subdomain.as_deref();
    Tenancy {
        subdomain: names::subdomain(written, &scope, &entry.child("subdomain"), report),
        hosts: names::hosts(&further.hosts, &entry.child("hosts"), report),
        tls: further
            .tls
            .as_ref()
            .and_then(|tls| server_tls::read(tls, &entry.child("tls"), around.source.base(), report)),
        scope,
        is_top_level: false,
        top_organization: around.tenancy.top_organization.clone(),
        suffix: around.tenancy.suffix.clone(),
        header: around.tenancy.header.clone(),
    }
}

/// What a scope keeps on disk is in a folder of its own.
fn state_of(state: &State, scope: &Scope) -> State {
    let folder = ["scopes", scope.organization(), scope.workspace(), scope.environment()];
    let dir = folder.iter().fold(state.shared_dir.clone(), |dir, name| dir.join(name));
    State { dir, shared_dir: state.shared_dir.clone() }
}
