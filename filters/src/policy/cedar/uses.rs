//! What one policy says about the members of the caller's attributes and of the arguments.
//!
//! "This path is a String", "this path is tested with `has`", "these two paths are compared".

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, UnaryOp};

use super::paths::{OpenPath, VarPath};
use super::types::{Extension, Field, Record, Type};

/// Comparisons of paths in a row that a type is carried over: more than any sane policy has.
pub(super) const ROUNDS_MAX: usize = 16;

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
        for _ in 0..ROUNDS_MAX {
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
