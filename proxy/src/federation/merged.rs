//! The lists of several bindings as one: in the order of the configuration, and within a binding in the upstream's.
//!
//! Where names are bare, a name that two bindings have is nobody's: all of them are shown with their prefix. So is a name that reads
//! like another binding's name with a prefix. What is withheld, or may not be listed by this caller, counts too, so that names do
//! not depend on who asks.

use std::collections::HashMap;
use std::sync::Arc;

use mcpg_protocol::Limits;
use mcpg_protocol::catalogue::{ListKind, Prefix};

use super::catalogue::{Catalogue, Item};
use crate::revision::Naming;

/// The longest name of a tool or prompt (MCP 2026-07-28 `server/tools`, "Tool Names").
const NAME_BYTES_MAX: usize = 128;

/// The lists of several bindings as one.
pub(super) struct Merged {
    pub(super) kind: ListKind,
    /// Equal for lists that are equal in all that clients can see of them.
    pub(super) digest: [u8; 32],
    pub(super) parts: Vec<Part>,
    pub(super) entries: Vec<Entry>,
    /// Whose a bare name is, where names are bare.
    bare: HashMap<Box<str>, Holder>,
    /// Items that are left out because their name with its prefix is too long.
    pub(super) overlong: usize,
    /// Names that several bindings have.
    pub(super) collisions: usize,
}

/// A binding's part of a merged list.
#[derive(Clone)]
pub(super) struct Part {
    /// The binding's id.
    pub(super) binding: Box<str>,
    /// Its list.
    pub(super) catalogue: Arc<Catalogue>,
    /// Items that are withheld until an operator approves them, in ascending order.
    pub(super) withheld: Arc<[u32]>,
    /// Whether the caller may list it. What it may not still has its names.
    pub(super) is_listed: bool,
}

/// An item of a merged list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    part: u16,
    item: u32,
    is_prefixed: bool,
}

/// Whose a bare name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// This part's.
    One(u16),
    /// Several parts', so nobody's.
    Several,
}

/// Whose a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'m> {
    /// This binding's.
    Binding(&'m str),
    /// No binding's, as several have it.
    Several,
    /// No binding's.
    Nobody,
}

impl Merged {
    /// Merges lists. `bindings` are all of the endpoint's, whether their lists are there or not.
    pub(super) fn new(kind: ListKind, naming: Naming, bindings: &[&str], parts: Vec<Part>) -> Self {
        let digest = digest(kind, naming, &parts);
        let mut merged = Self {
            kind,
            digest,
            entries: Vec::new(),
            bare: HashMap::new(),
            overlong: 0,
            collisions: 0,
            parts,
        };
        if naming == Naming::Bare {
            merged.settle_names(bindings);
        }
        merged.enter(naming);
        merged
    }

    /// Whose a bare name is.
    pub(super) fn holder(&self, name: &str) -> Found<'_> {
        match self.bare.get(name) {
            Some(Holder::One(part)) => match self.parts.get(usize::from(*part)) {
                Some(part) => Found::Binding(&part.binding),
                None => Found::Nobody,
            },
            Some(Holder::Several) => Found::Several,
            None => Found::Nobody,
        }
    }

    /// The lists of templates that a URI may be one of, by binding.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// An entry's part and item.
    pub(super) fn resolve(&self, entry: Entry) -> Option<(&Part, Item<'_>)> {
        let part = self.parts.get(usize::from(entry.part))?;
        Some((part, part.catalogue.item(entry.item as usize)?))
    }

    fn settle_names(&mut self, bindings: &[&str]) {
        let is_alone = bindings.len() <= 1;
        let mut bare: HashMap<Box<str>, Holder> = HashMap::new();
        for (index, part) in (0_u16..).zip(&self.parts) {
            for item in part.catalogue.items() {
                if !is_alone && reads_as_prefixed(self.kind, item.name, bindings) {
                    self.collisions += 1;
                    bare.insert(item.name.into(), Holder::Several);
                    continue;
                }
                bare.entry(item.name.into())
                    .and_modify(|holder| *holder = Holder::Several)
                    .or_insert(Holder::One(index));
            }
        }
        self.collisions = bare.values().filter(|holder| **holder == Holder::Several).count();
        self.bare = bare;
    }

    fn enter(&mut self, naming: Naming) {
        let uri_max = Limits::default().name_bytes_max;
        for (index, part) in (0_u16..).zip(&self.parts).filter(|(_, part)| part.is_listed) {
            for (place, item) in (0_u32..).zip(part.catalogue.items()) {
                if part.withheld.binary_search(&place).is_ok() {
                    continue;
                }
                let is_prefixed = match naming {
                    Naming::Prefixed => true,
                    Naming::Bare => self.bare.get(item.name) != Some(&Holder::One(index)),
                };
                let max = if self.kind.is_by_uri() { uri_max } else { NAME_BYTES_MAX };
                if is_prefixed && part.binding.len() + 1 + item.name.len() > max {
                    self.overlong += 1;
                    continue;
                }
                self.entries.push(Entry { part: index, item: place, is_prefixed });
            }
        }
    }
}

impl Entry {
    pub(super) fn hash(self, hasher: &mut blake3::Hasher) {
        hasher.update(&self.part.to_le_bytes());
        hasher.update(&self.item.to_le_bytes());
        hasher.update(&[u8::from(self.is_prefixed)]);
    }

    /// What stands before its name.
    pub(super) fn prefix(self, kind: ListKind, prefixes: &[Prefix]) -> &str {
        match prefixes.get(usize::from(self.part)) {
            Some(prefix) if self.is_prefixed => prefix.of(kind),
            _ => "",
        }
    }
}

/// Whether a name would be taken for another binding's with its prefix.
fn reads_as_prefixed(kind: ListKind, name: &str, bindings: &[&str]) -> bool {
    let separator = if kind.is_by_uri() { '+' } else { '.' };
    name.split_once(separator).is_some_and(|(binding, _)| bindings.contains(&binding))
}

pub(super) fn digest(kind: ListKind, naming: Naming, parts: &[Part]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026 digest of a merged list");
    hasher.update(kind.member().as_bytes());
    hasher.update(&[u8::from(naming == Naming::Bare)]);
    for part in parts {
        hasher.update(&(part.binding.len() as u64).to_le_bytes());
        hasher.update(part.binding.as_bytes());
        hasher.update(part.catalogue.digest());
        hasher.update(&[u8::from(part.is_listed)]);
        hasher.update(&(part.withheld.len() as u64).to_le_bytes());
        part.withheld.iter().for_each(|item| {
            hasher.update(&item.to_le_bytes());
        });
    }
    hasher.finalize().into()
}
