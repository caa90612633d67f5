//! Attribute paths in policies, such as `context.arguments.repo`.

use cedar_policy::pst::{Expr, Var};

use super::types::{Extension, Type};

/// A chain of attribute accesses that begins at a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VarPath<'e> {
    pub(super) var: Var,
    pub(super) names: Vec<&'e str>,
}

/// Where a part without a fixed type begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// `context.arguments`.
    Arguments,
    /// `principal.attributes`.
    Attributes,
}

/// A member at any depth of a part without a fixed type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenPath {
    pub(super) root: Root,
    /// At least one name.
    pub(super) names: Vec<String>,
}

impl<'e> VarPath<'e> {
    /// The path that an expression is, if it is one.
    pub(super) fn of(mut expr: &'e Expr) -> Option<Self> {
        let mut names = Vec::new();
        loop {
            match expr {
                Expr::Var(var) => {
                    names.reverse();
                    return Some(Self { var: var.clone(), names });
                }
                Expr::GetAttr { expr: inner, attr } => {
                    names.push(attr.as_str());
                    expr = inner;
                }
                _ => return None,
            }
        }
    }

    /// The same path, further down.
    pub(super) fn join(&self, more: impl IntoIterator<Item = &'e str>) -> Self {
        let names = self.names.iter().copied().chain(more).collect();
        Self { var: self.var.clone(), names }
    }

    /// The path below `context.arguments` or `principal.attributes`, if it leads there.
    pub(super) fn open(&self) -> Option<OpenPath> {
        let (root, names) = match (&self.var, self.names.as_slice()) {
            (Var::Context, ["arguments", names @ ..]) => (Root::Arguments, names),
            (Var::Principal, ["attributes", names @ ..]) => (Root::Attributes, names),
            _ => return None,
        };
        if names.is_empty() {
            return None;
        }
        Some(OpenPath { root, names: names.iter().map(|name| (*name).to_owned()).collect() })
    }

    /// The type of a path that has a fixed one.
    pub(super) fn fixed_type(&self) -> Option<Type> {
        match (&self.var, self.names.as_slice()) {
            (Var::Context, ["source_ip"]) => Some(Type::Extension(Extension::Ip)),
            (Var::Context, ["time"]) => Some(Type::Extension(Extension::Datetime)),
            (Var::Context, ["approval_token"] | ["mcp" | "tenant", _])
            | (Var::Principal, ["subject" | "auth_method" | "audience"])
            | (Var::Resource, ["name" | "binding" | "uri"]) => Some(Type::String),
            _ => None,
        }
    }
}
