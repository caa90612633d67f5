//! Reads `plugins:`.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;

use mcpg_sdk::{Capability, Settings};
use serde_json::{Map, Value};

use crate::place::{Place, Report};
use crate::plugins::{Plugin, Plugins, RevocationList, TrustedKey, builtin, revocation, trust};
use crate::quote::{list, quote};
use crate::slug::{SLUG, is_slug};
use crate::structure::nearest;
use crate::wire;
use crate::yaml::Kind;

/// The `load` list, whether `plugins:` is a map or that list itself.
pub(crate) fn entries<'a>(place: &Place<'a>) -> Place<'a> {
    match place.node.map(|node| &node.kind) {
        Some(Kind::List(_)) => place.clone(),
        _ => place.child("load"),
    }
}

/// Reads the section. What an entry's `config` means is for its filter to say.
pub(crate) fn read(place: &Place<'_>, report: &mut Report<'_>) -> Option<Plugins> {
    let load = load(&entries(place), report);
    let is_map = matches!(place.node.map(|node| &node.kind), Some(Kind::Map(_)));
    let rules = if is_map {
        report.read::<wire::plugins::Plugins>(place)?
    } else {
        wire::plugins::Plugins::default()
    };
    Some(Plugins {
        load,
        require_signed: rules.require_signed,
        trusted_keys: trusted_keys(rules.trusted_keys, &place.child("trusted_keys"), report),
        capability_grants: grants(rules.capability_grants, &place.child("capability_grants"), report),
        revocation_list: revocation_list(rules.revocation_list, &place.child("revocation_list"), report),
    })
}

fn load(list: &Place<'_>, report: &mut Report<'_>) -> Vec<Plugin> {
    let mut load: Vec<Plugin> = Vec::new();
    let mut seen: HashMap<(&'static str, Option<String>), usize> = HashMap::new();
    for entry in list.one_or_many() {
        if report.is_full() {
            break;
        }
        let Some(plugin) = plugin(&entry, report) else { continue };
        if let Some(line) = seen.insert((plugin.id, plugin.name.clone()), entry.position.line) {
            report_repeated(&plugin, line, &entry, report);
        } else if !builtin::is_chained(plugin.id) && load.iter().any(|other| other.id == plugin.id) {
            report.error(&entry, format!("{} can be loaded once only", quote(plugin.id)));
        }
        load.push(plugin);
    }
    load
}

fn plugin(entry: &Place<'_>, report: &mut Report<'_>) -> Option<Plugin> {
    if let Some(id) = entry.text() {
        let id = known_id(id, entry, report)?;
        return Some(Plugin { id, name: None, shadow: false, settings: Settings::default() });
    }
    let read = report.read::<wire::plugins::Plugin>(entry)?;
    if let Some(name) = read.name.as_deref().filter(|name| !is_slug(name)) {
        report.error_with_help(&entry.child("name"), format!("{} is not a name", quote(name)), SLUG);
    }
    let id = known_id(&read.id, &entry.child("id"), report)?;
    if read.shadow && !id.starts_with("policy.") {
        let message = format!("{} cannot be a shadow", quote(id));
        report.error_with_help(&entry.child("shadow"), message, "only policy engines can: `policy.*`");
    }
    // Those of the ledger are this crate's to read, into `Config::audit`.
    let config = read.config.filter(|_| id != builtin::AUDIT).unwrap_or_else(Map::new);
    Some(Plugin { id, name: read.name, shadow: read.shadow, settings: Settings(Value::Object(config)) })
}

fn known_id(id: &str, at: &Place<'_>, report: &mut Report<'_>) -> Option<&'static str> {
    match builtin::find(id) {
        Some(builtin) if builtin.in_build => Some(builtin.id),
        Some(builtin) => {
            let own = if builtin.id == id { String::new() } else { format!(" ({})", quote(builtin.id)) };
            let message = format!("{}{own} is not in this build", quote(id));
            report.error_with_help(at, message, in_this_build(builtin.id));
            None
        }
        None => {
            let help = match nearest(id, builtin::names()) {
                Some(near) => format!("did you mean {}?", quote(near)),
                None => in_this_build(id),
            };
            report.error_with_help(at, format!("no built-in plugin is called {}", quote(id)), help);
            None
        }
    }
}

/// What this build has of the same kind, else all that it has.
fn in_this_build(id: &str) -> String {
    let kind = id.split_once('.').map_or(id, |(kind, _)| kind);
    let ids = || builtin::in_build().map(|builtin| builtin.id);
    let mut same: Vec<&str> =
        ids().filter(|other| other.split_once('.').is_some_and(|(other, _)| other == kind)).collect();
    if same.is_empty() {
        same = ids().collect();
    }
    format!("this build has {}", list(same))
}

fn report_repeated(plugin: &Plugin, line: usize, entry: &Place<'_>, report: &mut Report<'_>) {
    let message = format!("{} is already loaded in line {line}", quote(plugin.id));
    match (builtin::is_chained(plugin.id), &plugin.name) {
        (true, None) => report.error_with_help(entry, message, "give each entry its own `name`"),
        (true, Some(name)) => {
            report.error_with_help(
                entry,
                format!("{message} with the name {}", quote(name)),
                "give each entry its own `name`",
            );
        }
        (false, _) => report.error(entry, message),
    }
}

fn trusted_keys(
    keys: Vec<wire::plugins::TrustedKey>,
    place: &Place<'_>,
    report: &mut Report<'_>,
) -> Vec<TrustedKey> {
    let mut trusted: Vec<TrustedKey> = Vec::new();
    for (index, key) in keys.into_iter().enumerate() {
        let place = place.item(index);
        if !is_slug(&key.id) {
            report.error_with_help(&place.child("id"), format!("{} is not a key's id", quote(&key.id)), SLUG);
        }
        if trusted.iter().any(|other| other.id == key.id) {
            report.error(&place.child("id"), format!("another key has the id {}", quote(&key.id)));
        }
        if let Err(error) = trust::check_public_key(&key.public_key) {
            report.error(&place.child("public_key"), error.to_string());
        }
        trusted.push(TrustedKey { id: key.id, public_key: key.public_key, plugins: key.plugins });
    }
    trusted
}

fn revocation_list(
    list: Option<wire::plugins::RevocationList>,
    place: &Place<'_>,
    report: &mut Report<'_>,
) -> RevocationList {
    let list = list.unwrap_or_default();
    let artifacts = place.child("artifacts");
    for (index, artifact) in list.artifacts.iter().enumerate() {
        if !revocation::is_digest(&artifact.digest) {
            let message = format!("{} is no digest", quote(&artifact.digest));
            let help = "write `sha256:` and 64 hexadecimal digits in lower case";
            report.error_with_help(&artifacts.item(index).child("digest"), message, help);
        }
    }
    let artifacts = list.artifacts.into_iter().map(|artifact| (artifact.digest, artifact.reason));
    RevocationList::new(list.version, artifacts)
}

fn grants(
    grants: BTreeMap<String, Vec<String>>,
    place: &Place<'_>,
    report: &mut Report<'_>,
) -> BTreeMap<String, Vec<Capability>> {
    let mut granted = BTreeMap::new();
    for (id, names) in grants {
        let list = place.child(&id);
        let mut capabilities = Vec::new();
        for (index, name) in names.iter().enumerate() {
            match Capability::from_str(name) {
                Ok(capability) => capabilities.push(capability),
                Err(message) => {
                    let names = Capability::ALL.iter().map(|capability| capability.as_str());
                    let help = nearest(name, names).map(|near| format!("did you mean {}?", quote(near)));
                    let help = help.unwrap_or_else(|| "capabilities are called `cap.host.…`".to_owned());
                    report.error_with_help(&list.item(index), message, help);
                }
            }
        }
        granted.insert(id, capabilities);
    }
    granted
}
