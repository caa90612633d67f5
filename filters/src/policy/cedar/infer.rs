//! What types the policies take the caller's attributes and the arguments to have.
//!
//! One policy yields its uses: "this path is a String", "this path is tested with `has`", "these two paths
//! are compared". [`Shape`] gathers the uses of all policies that can apply to an action and resolves them to a
//! record type, or says which path stays without a type and what to do. A type that is inferred is also
//! enforced: a value of another type denies the call.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, UnaryOp};

use super::paths::{OpenPath, Root, VarPath};
use super::types::{Extension, Field, Record, Type};

/// One thing that a policy says about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) path: OpenPath,
    pub(super) says: Says,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Says {
    /// Its value is read.
    Read,
    /// Its presence is tested.
    Tested,
    /// Its value is used as this type.
    Is(Type),
    /// Its value is compared with that of another path.
    Like(OpenPath),
}

/// What the clauses of one policy say about the open paths.
pub(super) fn uses(clauses: &[Clause]) -> Vec<Use> {
    let mut visitor = Visitor::default();
    for clause in clauses {
        match clause {
            Clause::When(expr) | Clause::Unless(expr) => visitor.visit(expr, Some(&Type::Bool)),
        }
    }
    visitor.settle();
    visitor.uses
}

#[derive(Default)]
struct Visitor {
    uses: Vec<Use>,
}

impl Visitor {
    fn add(&mut self, path: OpenPath, says: Says) {
        self.uses.push(Use { path, says });
    }

    fn visit(&mut self, expr: &Expr, wanted: Option<&Type>) {
        match expr {
            Expr::GetAttr { expr: inner, .. } => match VarPath::of(expr) {
                Some(path) => {
                    if let Some(open) = path.open() {
                        self.add(open, wanted.map_or(Says::Read, |wanted| Says::Is(wanted.clone())));
                    }
                }
                None => self.visit(inner, None),
            },
            Expr::HasAttr { expr: inner, attrs } => match VarPath::of(inner) {
                Some(path) => {
                    let names: Vec<&str> = attrs.iter().map(|attr| attr.as_str()).collect();
                    for end in 1..=names.len() {
                        if let Some(open) = path.join(names.iter().copied().take(end)).open() {
                            self.add(open, Says::Tested);
                        }
                    }
                }
                None => self.visit(inner, None),
            },
            Expr::UnaryOp { op, expr } => self.visit(expr, operand(*op).as_ref()),
            Expr::BinaryOp { op, left, right } => self.visit_binary(*op, left, right),
            Expr::Like { expr, .. } => self.visit(expr, Some(&Type::String)),
            Expr::Is { expr, in_expr, .. } => {
                self.visit(expr, None);
                if let Some(parent) = in_expr {
                    self.visit(parent, None);
                }
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                self.visit(cond, Some(&Type::Bool));
                self.visit_pair(then_expr, else_expr, wanted);
            }
            Expr::Set(items) => self.visit_items(items, wanted),
            Expr::Record(members) => {
                for (name, member) in members {
                    let wanted = match wanted {
                        Some(Type::Record(record)) => record.fields.get(name).map(|field| &field.of),
                        _ => None,
                    };
                    self.visit(member, wanted);
                }
            }
            _ => {}
        }
    }

    fn visit_binary(&mut self, op: BinaryOp, left: &Expr, right: &Expr) {
        use Extension::{Datetime, Decimal, Duration, Ip};
        let both = |visitor: &mut Self, wanted: &Type| {
            visitor.visit(left, Some(wanted));
            visitor.visit(right, Some(wanted));
        };
        match op {
            BinaryOp::And | BinaryOp::Or => both(self, &Type::Bool),
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul => both(self, &Type::Long),
            BinaryOp::Less | BinaryOp::LessEq | BinaryOp::Greater | BinaryOp::GreaterEq => {
                let known = type_of(left).or_else(|| type_of(right)).unwrap_or(Type::Long);
                both(self, &known);
            }
            BinaryOp::Contains => {
                let element = type_of(right);
                self.visit(left, element.map(|element| Type::Set(Box::new(element))).as_ref());
                match type_of(left) {
                    Some(Type::Set(element)) => self.visit(right, Some(&element)),
                    _ => self.visit(right, None),
                }
            }
            BinaryOp::IsInRange => both(self, &Type::Extension(Ip)),
            BinaryOp::DurationSince => both(self, &Type::Extension(Datetime)),
            BinaryOp::Offset => {
                self.visit(left, Some(&Type::Extension(Datetime)));
                self.visit(right, Some(&Type::Extension(Duration)));
            }
            BinaryOp::DecimalLessThan
            | BinaryOp::DecimalLessEq
            | BinaryOp::DecimalGreater
            | BinaryOp::DecimalGreaterEq => both(self, &Type::Extension(Decimal)),
            BinaryOp::In => {
                self.visit(left, None);
                self.visit(right, None);
            }
            _ => self.visit_pair(left, right, None),
        }
    }

    /// Two expressions of the same type.
    fn visit_pair(&mut self, left: &Expr, right: &Expr, wanted: Option<&Type>) {
        let (of_left, of_right) = (type_of(left), type_of(right));
        self.visit(left, wanted.or(of_right.as_ref()));
        self.visit(right, wanted.or(of_left.as_ref()));
        let open = |expr| VarPath::of(expr).and_then(|path| path.open());
        if let (Some(left), Some(right)) = (open(left), open(right)) {
            self.add(left.clone(), Says::Like(right.clone()));
            self.add(right, Says::Like(left));
        }
    }

    fn visit_items(&mut self, items: &[Arc<Expr>], wanted: Option<&Type>) {
        let known = match wanted {
            Some(Type::Set(element)) => Some((**element).clone()),
            _ => items.iter().find_map(|item| type_of(item)),
        };
        for item in items {
            self.visit(item, known.as_ref());
        }
    }

    /// Carries types over comparisons of two paths within the policy.
    fn settle(&mut self) {
        for _ in 0..self.uses.len() {
            let mut learned = Vec::new();
            for own in &self.uses {
                let Says::Like(other) = &own.says else { continue };
                let types = self.uses.iter().filter(|known| known.path == *other);
                for known in types.filter(|known| matches!(known.says, Says::Is(_))) {
                    let new = Use { path: own.path.clone(), says: known.says.clone() };
                    if !self.uses.contains(&new) && !learned.contains(&new) {
                        learned.push(new);
                    }
                }
            }
            if learned.is_empty() {
                return;
            }
            self.uses.extend(learned);
        }
    }
}

fn operand(op: UnaryOp) -> Option<Type> {
    use Extension::{Datetime, Duration, Ip};
    Some(match op {
        UnaryOp::Not => Type::Bool,
        UnaryOp::Neg => Type::Long,
        UnaryOp::Datetime | UnaryOp::Decimal | UnaryOp::Duration | UnaryOp::Ip => Type::String,
        UnaryOp::IsIPv4 | UnaryOp::IsIPV6 | UnaryOp::IsLoopback | UnaryOp::IsMulticast => Type::Extension(Ip),
        UnaryOp::ToDate | UnaryOp::ToTime => Type::Extension(Datetime),
        UnaryOp::ToMilliseconds
        | UnaryOp::ToSeconds
        | UnaryOp::ToMinutes
        | UnaryOp::ToHours
        | UnaryOp::ToDays => Type::Extension(Duration),
        _ => return None,
    })
}

/// The type of an expression, where it does not depend on an open path.
fn type_of(expr: &Expr) -> Option<Type> {
    use Extension::{Datetime, Decimal, Duration, Ip};
    match expr {
        Expr::Literal(Literal::Bool(_)) | Expr::HasAttr { .. } | Expr::Like { .. } | Expr::Is { .. } => {
            Some(Type::Bool)
        }
        Expr::Literal(Literal::Long(_)) => Some(Type::Long),
        Expr::Literal(Literal::String(_)) => Some(Type::String),
        Expr::GetAttr { .. } => VarPath::of(expr)?.fixed_type(),
        Expr::UnaryOp { op, .. } => Some(match op {
            UnaryOp::Neg => Type::Long,
            UnaryOp::Datetime | UnaryOp::ToDate => Type::Extension(Datetime),
            UnaryOp::Decimal => Type::Extension(Decimal),
            UnaryOp::Duration | UnaryOp::ToTime => Type::Extension(Duration),
            UnaryOp::Ip => Type::Extension(Ip),
            UnaryOp::ToMilliseconds
            | UnaryOp::ToSeconds
            | UnaryOp::ToMinutes
            | UnaryOp::ToHours
            | UnaryOp::ToDays => Type::Long,
            _ => Type::Bool,
        }),
        Expr::BinaryOp { op, .. } => Some(match op {
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul => Type::Long,
            BinaryOp::Offset => Type::Extension(Datetime),
            BinaryOp::DurationSince => Type::Extension(Duration),
            BinaryOp::GetTag => return None,
            _ => Type::Bool,
        }),
        Expr::IfThenElse { then_expr, else_expr, .. } => type_of(then_expr).or_else(|| type_of(else_expr)),
        Expr::Set(items) => items.iter().find_map(|item| type_of(item)).map(|item| Type::Set(Box::new(item))),
        Expr::Record(members) => {
            let field = |of| Field { of, required: true };
            let members: Option<BTreeMap<_, _>> =
                members.iter().map(|(name, member)| Some((name.clone(), field(type_of(member)?)))).collect();
            Some(Type::Record(Record { fields: members?, closed: true }))
        }
        _ => None,
    }
}

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
        for _ in 0..MEMBERS_MAX {
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

/// Rounds of carrying types over comparisons: more than any sane chain of them.
const MEMBERS_MAX: usize = 16;

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
