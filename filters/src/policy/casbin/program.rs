//! What is evaluated: a model and a policy with names resolved, patterns compiled, rules filed.

use std::sync::Arc;

use mcpg_sdk::Obligation;
use mcpg_sdk::policy::ReadSet;

use super::expression::Comparison;
use super::index::Index;
use super::model::{Effect, Wrong};
use super::part::Part;
use super::pattern::Pattern;
use super::roles::Roles;
use super::value::Value;

/// A model with its policy, ready to be evaluated.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) matcher: Node,
    pub(super) effect: Effect,
    pub(super) parts: Vec<Part>,
    /// In the order in which they are looked at.
    pub(super) rules: Vec<Rule>,
    pub(super) roles: Vec<Roles>,
    pub(super) index: Index,
    pub(super) has_obligations: bool,
    pub(super) warnings: Vec<String>,
}

/// A rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) line: usize,
    pub(super) values: Vec<Value>,
    pub(super) allows: bool,
    pub(super) obligations: Vec<Obligation>,
    pub(super) patterns: Vec<Arc<Pattern>>,
    pub(super) conditions: Vec<Node>,
}

impl Rule {
    pub(super) fn pattern(&self, slot: usize) -> Option<&Pattern> {
        self.patterns.get(slot).map(|pattern| &**pattern)
    }

    pub(super) fn condition(&self, slot: usize) -> Option<&Node> {
        self.conditions.get(slot)
    }
}

/// An expression whose names are resolved.
#[derive(Debug)]
pub(super) enum Node {
    Part(usize),
    Column(usize),
    Constant(Value),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
    Compare(Comparison, Box<Self>, Box<Self>),
    In(Box<Self>, Box<Self>),
    Role {
        roles: usize,
        member: Box<Self>,
        role: Box<Self>,
        domain: Option<Box<Self>>,
    },
    Call {
        text: Box<Self>,
        pattern: At,
        name: Option<Box<Self>>,
    },
    /// The condition in a slot of the rule.
    Condition(usize),
}

/// Where a pattern is.
#[derive(Debug)]
pub(super) enum At {
    Matcher(Arc<Pattern>),
    Rule(usize),
}

/// What is wrong, in the model and in the policy.
#[derive(Debug, Default)]
pub(super) struct Wrongs {
    pub(super) model: Vec<Wrong>,
    pub(super) policy: Vec<Wrong>,
    /// With the request of the settings.
    pub(super) settings: Vec<String>,
}

impl Program {
    /// The tools that rules name in a column that is compared with `resource.id`.
    pub(super) fn named_tools(&self) -> Vec<(String, String)> {
        let is_id = |part: &usize| self.parts.get(*part) == Some(&Part::Id);
        let Some(column) = self.index.compared().find(|(part, _)| is_id(part)).map(|(_, column)| column)
        else {
            return Vec::new();
        };
        let names =
            self.rules.iter().filter_map(|rule| rule.values.get(column)?.as_text().ok()?.split_once('.'));
        names
            .filter(|(_, tool)| !tool.contains('/'))
            .map(|(binding, tool)| (binding.to_owned(), tool.to_owned()))
            .collect()
    }

    /// What its conditions read.
    pub(super) fn reads(&self) -> ReadSet {
        let mut reads = ReadSet::default();
        self.parts.iter().for_each(|part| part.declare(&mut reads));
        reads
    }
}
