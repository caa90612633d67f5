//! What an engine reads of the input, per action.
//!
//! The method and the binding are always given: they select the action. Everything else is given
//! only where a [`ReadSet`] names it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use crate::{Call, Target};

/// What kind of thing a call is applied to. Decides the shape of its action and resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `tools/call`.
    Tool,
    /// `resources/read`, `resources/subscribe`, `resources/unsubscribe`.
    Resource,
    /// `prompts/get`.
    Prompt,
    /// Any other method: it is applied to the binding as a whole.
    Method,
}

impl Kind {
    /// The kind of a target.
    pub fn of(target: &Target<'_>) -> Self {
        match target {
            Target::Tool(_) => Self::Tool,
            Target::Resource(_) => Self::Resource,
            Target::Prompt(_) => Self::Prompt,
            Target::Binding => Self::Method,
        }
    }
}

/// A set of member names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Names {
    /// These, sorted and without duplicates. Empty: none.
    Only(Box<[Box<str>]>),
    /// Every one there is.
    All,
}

impl Default for Names {
    fn default() -> Self {
        Self::Only(Box::default())
    }
}

impl Names {
    /// The set of these names.
    pub fn only<I: IntoIterator<Item = S>, S: Into<Box<str>>>(names: I) -> Self {
        let mut names: Vec<Box<str>> = names.into_iter().map(Into::into).collect();
        names.sort_unstable();
        names.dedup();
        Self::Only(names.into())
    }

    /// Whether the set has no name.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Only(names) if names.is_empty())
    }

    /// Whether `name` is in the set.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::Only(names) => names.binary_search_by(|own| (**own).cmp(name)).is_ok(),
            Self::All => true,
        }
    }

    fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::All, _) => {}
            (_, Self::All) => *self = Self::All,
            (Self::Only(own), Self::Only(others)) => {
                if !others.iter().all(|name| own.contains(name)) {
                    *self = Self::only(own.iter().chain(others.iter()).cloned());
                }
            }
        }
    }
}

/// How much of the approval is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ApprovalRead {
    /// Nothing.
    #[default]
    Nothing,
    /// Whether the call has been approved.
    Presence,
    /// The token itself.
    Value,
}

/// The parts of the input that the decision about one action depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ReadSet {
    /// The caller's subject.
    pub subject: bool,
    /// `attributes.groups` of the caller.
    pub groups: bool,
    /// `attributes.roles` of the caller.
    pub roles: bool,
    /// How the caller authenticated.
    pub auth_method: bool,
    /// Whom the credential was issued for.
    pub audience: bool,
    /// Other attributes of the caller.
    pub attributes: Names,
    /// The name of the tool or prompt, or the resource's URI.
    pub name: bool,
    /// Organization, workspace and environment.
    pub tenant: bool,
    /// The source address.
    pub source: bool,
    /// The clock. A decision that reads it is never cached.
    pub time: bool,
    /// The approval token.
    pub approval: ApprovalRead,
    /// Top-level members of the arguments.
    pub arguments: Names,
}

impl ReadSet {
    /// Every part: for an engine that cannot tell.
    pub fn everything() -> Self {
        Self {
            subject: true,
            groups: true,
            roles: true,
            auth_method: true,
            audience: true,
            attributes: Names::All,
            name: true,
            tenant: true,
            source: true,
            time: true,
            approval: ApprovalRead::Value,
            arguments: Names::All,
        }
    }

    /// Adds what `other` reads.
    pub fn merge(&mut self, other: &Self) {
        // Destructured, so that a new part cannot be forgotten here.
        let Self {
            subject,
            groups,
            roles,
            auth_method,
            audience,
            attributes,
            name,
            tenant,
            source,
            time,
            approval,
            arguments,
        } = other;
        self.subject |= subject;
        self.groups |= groups;
        self.roles |= roles;
        self.auth_method |= auth_method;
        self.audience |= audience;
        self.attributes.merge(attributes);
        self.name |= name;
        self.tenant |= tenant;
        self.source |= source;
        self.time |= time;
        self.approval = self.approval.max(*approval);
        self.arguments.merge(arguments);
    }

    /// Whether a decision that reads these parts may be kept.
    pub fn is_cacheable(&self) -> bool {
        !self.time
    }
}

/// What an engine reads, per action.
pub type Reads = ByAction<Arc<ReadSet>>;

impl Reads {
    /// Everything for every action.
    pub fn everything() -> Self {
        Self::new(&Arc::new(ReadSet::everything()))
    }
}

/// A value per action: for named tools and methods their own, for the rest one per kind.
#[derive(Debug, Clone)]
pub struct ByAction<T> {
    tools: NameMap<NameMap<T>>,
    methods: NameMap<T>,
    other_tools: T,
    resources: T,
    prompts: T,
    other_methods: T,
}

impl<T: Clone> ByAction<T> {
    /// The same value for every action.
    pub fn new(value: &T) -> Self {
        Self {
            tools: NameMap::default(),
            methods: NameMap::default(),
            other_tools: value.clone(),
            resources: value.clone(),
            prompts: value.clone(),
            other_methods: value.clone(),
        }
    }
}

impl<T> ByAction<T> {
    /// Sets the value of the actions of a kind that have none of their own.
    pub fn set_rest(&mut self, kind: Kind, value: T) {
        match kind {
            Kind::Tool => self.other_tools = value,
            Kind::Resource => self.resources = value,
            Kind::Prompt => self.prompts = value,
            Kind::Method => self.other_methods = value,
        }
    }

    /// Sets the value of one tool.
    pub fn set_tool(&mut self, binding: &str, tool: &str, value: T) {
        self.tools.entry(binding.into()).or_default().insert(tool.into(), value);
    }

    /// Sets the value of one method of kind [`Kind::Method`].
    pub fn set_method(&mut self, method: &str, value: T) {
        self.methods.insert(method.into(), value);
    }

    /// The value of the actions of a kind that have none of their own.
    pub fn rest(&self, kind: Kind) -> &T {
        match kind {
            Kind::Tool => &self.other_tools,
            Kind::Resource => &self.resources,
            Kind::Prompt => &self.prompts,
            Kind::Method => &self.other_methods,
        }
    }

    /// The value of one tool.
    pub fn tool(&self, binding: &str, tool: &str) -> &T {
        self.tools.get(binding).and_then(|tools| tools.get(tool)).unwrap_or(&self.other_tools)
    }

    /// The value of one method of kind [`Kind::Method`].
    pub fn method(&self, method: &str) -> &T {
        self.methods.get(method).unwrap_or(&self.other_methods)
    }

    /// The value of a call's action.
    pub fn of(&self, call: &Call<'_>) -> &T {
        match call.target {
            Target::Tool(tool) => self.tool(call.binding, tool),
            Target::Resource(_) => &self.resources,
            Target::Prompt(_) => &self.prompts,
            Target::Binding => self.method(call.method),
        }
    }

    /// The tools that have a value of their own, as binding and tool.
    pub fn named_tools(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tools.iter().flat_map(|(binding, tools)| tools.keys().map(|tool| (&**binding, &**tool)))
    }

    /// The methods that have a value of their own.
    pub fn named_methods(&self) -> impl Iterator<Item = &str> {
        self.methods.keys().map(|method| &**method)
    }
}

/// By names that policies contain. Callers probe it but cannot add to it, so the hash need not resist them.
type NameMap<T> = HashMap<Box<str>, T, BuildHasherDefault<NameHasher>>;

/// FNV-1a with a final mix: names are short, and one is hashed for every call.
#[derive(Debug, Clone, Copy)]
struct NameHasher(u64);

impl Default for NameHasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_takes_the_union() {
        let mut set =
            ReadSet { subject: true, arguments: Names::only(["b", "a", "b"]), ..ReadSet::default() };
        set.merge(&ReadSet {
            source: true,
            arguments: Names::only(["c", "a"]),
            approval: ApprovalRead::Presence,
            ..ReadSet::default()
        });
        assert!(set.subject && set.source && !set.tenant);
        assert_eq!(set.approval, ApprovalRead::Presence);
        assert_eq!(set.arguments, Names::only(["a", "b", "c"]));
        set.merge(&ReadSet::everything());
        assert_eq!(set, ReadSet::everything());
        assert!(!set.is_cacheable());
    }

    #[test]
    fn an_action_without_a_value_of_its_own_has_that_of_its_kind() {
        let mut map = ByAction::new(&0);
        map.set_tool("files", "a.b", 1);
        map.set_method("ping", 2);
        map.set_rest(Kind::Tool, 3);
        assert_eq!(*map.tool("files", "a.b"), 1);
        assert_eq!(*map.tool("files.a", "b"), 3);
        assert_eq!(*map.method("ping"), 2);
        assert_eq!(*map.method("files.a.b"), 0);
        assert_eq!(*map.rest(Kind::Prompt), 0);
    }
}
