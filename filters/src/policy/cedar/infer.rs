//! What types the policies take the caller's attributes and the arguments to have.
//!
//! [`Shape`] gathers what all policies that can apply to an action say about them and resolves it to a record type,
//! or says which path stays without a type and what to do. A type that is inferred is also enforced: a value of
//! another type denies the call.

use std::collections::BTreeMap;

use super::paths::{OpenPath, Root};
use super::types::{Field, Record, Type};
use super::uses::{ROUNDS_MAX, Says, Use};

/// What policies together say about the members of a record.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    members: BTreeMap<String, Node>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// The first policy that says something, as an index.
    policy: usize,
    /// The types it is used as, each with the first policy that does.
    types: Vec<(Type, usize)>,
    tested: bool,
    read: bool,
    like: Vec<OpenPath>,
    below: Shape,
}

/// Why a shape has no type. The policy is the one to point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unresolved {
    pub(super) policy: usize,
    pub(super) message: String,
}

impl Shape {
    /// Adds what a policy says.
    pub(super) fn add(&mut self, own: &Use, policy: usize) {
        let Some((last, owners)) = own.path.names.split_last() else { return };
        let mut shape = self;
        for name in owners {
            shape = &mut shape.node(name, policy).below;
        }
        let node = shape.node(last, policy);
        match &own.says {
            Says::Read => node.read = true,
            Says::Tested => node.tested = true,
            Says::Is(of) if node.types.iter().any(|(known, _)| known == of) => {}
            Says::Is(of) => node.types.push((of.clone(), policy)),
            Says::Like(other) => {
                node.read = true;
                if !node.like.contains(other) {
                    node.like.push(other.clone());
                }
            }
        }
    }

    /// The record type. `known` is that of the other root, where it has been resolved.
    pub(super) fn resolve(&self, root: Root, known: Option<&Record>) -> Result<Record, Unresolved> {
        let mut resolved = self.clone();
        // Each round carries types over one more comparison of two paths.
        for _ in 0..ROUNDS_MAX {
            let before = resolved.clone();
            if !resolved.learn(&before, root, known) {
                break;
            }
        }
        resolved.record(&mut vec![root_name(root)])
    }

    /// Of a declared record the members that are read.
    pub(super) fn prune(&self, declared: &Record) -> Record {
        let mut record = Record::default();
        for (name, node) in &self.members {
            if let Some(field) = declared.fields.get(name) {
                let whole = node.below.members.is_empty() || !node.types.is_empty() || node.read;
                let of = match &field.of {
                    Type::Record(inner) if !whole => Type::Record(node.below.prune(inner)),
                    of => close(of),
                };
                record.fields.insert(name.clone(), Field { of, required: field.required });
            }
        }
        record
    }

    fn node(&mut self, name: &str, policy: usize) -> &mut Node {
        self.members.entry(name.to_owned()).or_insert_with(|| Node { policy, ..Node::default() })
    }

    fn find(&self, names: &[String]) -> Option<&Node> {
        let (first, rest) = names.split_first()?;
        let node = self.members.get(first)?;
        if rest.is_empty() { Some(node) } else { node.below.find(rest) }
    }

    fn learn(&mut self, before: &Self, root: Root, known: Option<&Record>) -> bool {
        let mut learned = false;
        for node in self.members.values_mut() {
            if node.types.is_empty() {
                let of = node.like.iter().find_map(|other| {
                    if other.root == root {
                        before.find(&other.names)?.types.first().map(|(of, _)| of.clone())
                    } else {
                        type_in(known?, &other.names).cloned()
                    }
                });
                if let Some(of) = of {
                    node.types.push((of, node.policy));
                    learned = true;
                }
            }
            learned |= node.below.learn(before, root, known);
        }
        learned
    }

    fn record(&self, path: &mut Vec<String>) -> Result<Record, Unresolved> {
        let mut record = Record::default();
        for (name, node) in &self.members {
            path.push(name.clone());
            let of = node.resolve(path)?;
            path.pop();
            record.fields.insert(name.clone(), Field { of, required: !node.tested });
        }
        Ok(record)
    }
}

impl Node {
    fn resolve(&self, path: &mut Vec<String>) -> Result<Type, Unresolved> {
        let fail = |path: &[String], policy, problem: String| {
            let written = path.join(".");
            Err(Unresolved {
                policy,
                message: format!("`{written}` {problem}: declare its type in a `.cedarschema`"),
            })
        };
        let has_members = !self.below.members.is_empty();
        match self.types.as_slice() {
            [] if has_members => Ok(Type::Record(self.below.record(path)?)),
            [] if self.tested && !self.read => Ok(Type::Present),
            [] => fail(path, self.policy, "could be of several types".to_owned()),
            [(of, policy)] if has_members && !matches!(of, Type::Record(_)) => {
                fail(path, *policy, format!("is used as {of} and as a record"))
            }
            [(of, _)] if !has_members => Ok(of.clone()),
            [(_, policy)] => fail(path, *policy, "is used as a whole and by its members".to_owned()),
            [(one, _), (other, policy), ..] => {
                fail(path, *policy, format!("is used as {one} and as {other}"))
            }
        }
    }
}

/// The type of a value that is used as a whole.
fn close(of: &Type) -> Type {
    match of {
        Type::Set(element) => Type::Set(Box::new(close(element))),
        Type::Record(record) => {
            let field = |(name, field): (&String, &Field)| {
                (name.clone(), Field { of: close(&field.of), required: field.required })
            };
            Type::Record(Record { fields: record.fields.iter().map(field).collect(), closed: true })
        }
        other => other.clone(),
    }
}

fn type_in<'r>(record: &'r Record, names: &[String]) -> Option<&'r Type> {
    let (first, rest) = names.split_first()?;
    let of = &record.fields.get(first)?.of;
    match (rest.is_empty(), of) {
        (true, of) => Some(of),
        (false, Type::Record(inner)) => type_in(inner, rest),
        (false, _) => None,
    }
}

fn root_name(root: Root) -> String {
    match root {
        Root::Arguments => "context.arguments".to_owned(),
        Root::Attributes => "principal.attributes".to_owned(),
    }
}
