//! Which rules a request can match at all, found without looking at the others.
//!
//! A matcher is mostly a conjunction with members such as `r.obj == p.obj` and `g(r.sub, p.sub)`. Rules are filed under the columns of
//! such members; a rule that is filed elsewhere has a member that is false, so it cannot match whatever the rest says.

use std::collections::HashMap;
use std::sync::Arc;

use super::expression::Comparison;
use super::program::{Node, Rule};
use super::value::Value;

/// Rules by the values of the columns that are compared.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The parts that must equal a column, in the order of the key.
    pub(super) parts: Vec<usize>,
    /// The columns of those parts.
    columns: Vec<usize>,
    /// The member that asks for a role, which is the last of the key.
    pub(super) role: Option<Asked>,
    rules: HashMap<Box<[Arc<str>]>, Vec<usize>>,
}

/// Whose roles are looked up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) roles: usize,
    pub(super) member: usize,
    pub(super) domain: Option<usize>,
}

impl Index {
    pub(super) fn build(matcher: &Node, rules: &[Rule]) -> Self {
        let members = match matcher {
            Node::And(all) => all.iter().collect(),
            one => vec![one],
        };
        let mut index = Self::default();
        let mut columns = Vec::new();
        let mut of_role = None;
        for member in members {
            match member {
                Node::Compare(Comparison::Equal, left, right) => {
                    if let (Node::Part(part), Node::Column(column))
                    | (Node::Column(column), Node::Part(part)) = (&**left, &**right)
                    {
                        index.parts.push(*part);
                        columns.push(*column);
                    }
                }
                Node::Role { roles, member, role, domain } if of_role.is_none() => {
                    let (Node::Part(member), Node::Column(column)) = (&**member, &**role) else { continue };
                    let domain = match domain.as_deref() {
                        None => None,
                        Some(Node::Part(domain)) => Some(*domain),
                        Some(_) => continue,
                    };
                    index.role = Some(Asked { roles: *roles, member: *member, domain });
                    of_role = Some(*column);
                }
                _ => {}
            }
        }
        index.columns.clone_from(&columns);
        columns.extend(of_role);
        for (at, rule) in rules.iter().enumerate() {
            let text = |column: &usize| match rule.values.get(*column) {
                Some(Value::Text(text)) => Arc::clone(text),
                _ => "".into(),
            };
            index.rules.entry(columns.iter().map(text).collect()).or_default().push(at);
        }
        index
    }

    /// The parts that must equal a column, each with it.
    pub(super) fn compared(&self) -> impl Iterator<Item = (usize, usize)> {
        self.parts.iter().copied().zip(self.columns.iter().copied())
    }

    /// The rules under a key.
    pub(super) fn rules(&self, key: &[Arc<str>]) -> &[usize] {
        self.rules.get(key).map(Vec::as_slice).unwrap_or_default()
    }
}
