//! `entities.json`: which groups and roles are in which, and whom the operator puts in them.
//!
//! The format is Cedar's (<https://docs.cedarpolicy.com/auth/entities-syntax.html>), with `uid` and `parents` only: what a
//! caller is comes from its credential, so entities carry no attributes here.

use std::collections::{HashMap, HashSet};

use cedar_policy::EntityUid;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::entities::Types;
use super::names::{PRINCIPALS, TYPES};
use super::problem::{Problem, did_you_mean};
use super::source::Source;

/// Parents by child.
#[derive(Debug, Default)]
pub(super) struct Hierarchy {
    parents: HashMap<EntityUid, Vec<EntityUid>>,
    names_principals: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    uid: Uid,
    #[serde(default)]
    attrs: Map<String, Value>,
    #[serde(default)]
    tags: Map<String, Value>,
    #[serde(default)]
    parents: Vec<Uid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Uid {
    #[serde(rename = "type")]
    of: String,
    id: String,
}

impl Hierarchy {
    /// Reads `entities.json`.
    pub(super) fn parse(source: &Source, types: &Types) -> Result<Self, Vec<Problem>> {
        let entries: Vec<Entry> = serde_json::from_str(source.text()).map_err(|error| {
            vec![Problem {
                path: source.path.clone(),
                line: error.line(),
                column: error.column().max(1),
                policy: None,
                message: error.to_string().split(" at line ").next().unwrap_or_default().to_owned(),
            }]
        })?;
        let mut hierarchy = Self::default();
        let mut problems = Vec::new();
        for entry in entries {
            let written = entry.uid.written();
            if let Err(message) = hierarchy.add(&entry, types) {
                problems.push(Problem::of_file(&source.path, format!("{written}: {message}")));
            }
        }
        if problems.is_empty() { Ok(hierarchy) } else { Err(problems) }
    }

    /// Whether a caller's groups depend on who it is.
    pub(super) fn names_principals(&self) -> bool {
        self.names_principals
    }

    /// These entities and everything above them.
    pub(super) fn closure(&self, start: Vec<EntityUid>) -> HashSet<EntityUid> {
        if self.parents.is_empty() {
            return start.into_iter().collect();
        }
        let mut seen = HashSet::new();
        let mut waiting = start;
        while let Some(entity) = waiting.pop() {
            if let Some(parents) = self.parents.get(&entity) {
                waiting.extend(parents.iter().filter(|parent| !seen.contains(*parent)).cloned());
            }
            seen.insert(entity);
        }
        seen
    }

    fn add(&mut self, entry: &Entry, types: &Types) -> Result<(), String> {
        if !entry.attrs.is_empty() || !entry.tags.is_empty() {
            return Err("entities have no attributes or tags here: use the caller's attributes".to_owned());
        }
        let uid = entry.uid.resolve(types, &["Group", "Role"], true)?;
        let groups: &[&str] = match entry.uid.of.as_str() {
            "Group" => &["Group"],
            "Role" => &["Role"],
            _ => &["Group", "Role"],
        };
        let parents: Result<Vec<_>, _> =
            entry.parents.iter().map(|parent| parent.resolve(types, groups, false)).collect();
        self.names_principals |= PRINCIPALS.contains(&entry.uid.of.as_str()) && !entry.parents.is_empty();
        match self.parents.insert(uid, parents?) {
            None => Ok(()),
            Some(_) => Err("is listed twice".to_owned()),
        }
    }
}

impl Uid {
    fn written(&self) -> String {
        format!("`{}::\"{}\"`", self.of, self.id)
    }

    fn resolve(&self, types: &Types, allowed: &[&str], principals: bool) -> Result<EntityUid, String> {
        let of = self.of.as_str();
        if !TYPES.contains(&of) {
            return Err(format!("there is no entity type `{of}`{}", did_you_mean(of, TYPES)));
        }
        if principals && PRINCIPALS.contains(&of) {
            super::names::check_principal(of, &self.id)?;
        } else if !allowed.contains(&of) {
            return Err(format!("{} cannot stand here", self.written()));
        }
        types.uid(of, &self.id).ok_or_else(|| format!("there is no entity type `{of}`"))
    }
}
