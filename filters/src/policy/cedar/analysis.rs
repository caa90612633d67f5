//! What one policy can apply to, and which parts of the input it reads, from its syntax tree.
//!
//! INVARIANT: every way in which a policy can observe the input is recorded here or refused. Attributes are
//! read only of the variables themselves, `in` and `is` test only the variables, and `context` and the two open
//! records are read by their members only. So nothing is reached through an alias that this walk does
//! not see.

use std::collections::BTreeSet;

use cedar_policy::pst::{
    ActionConstraint, BinaryOp, Clause, EntityOrSlot, EntityUID, Expr, Literal, PrincipalConstraint,
    ResourceConstraint, Template, Var,
};
use mcpg_sdk::policy::{ApprovalRead, Names, ReadSet};

use super::names::{self, ActionName};
use super::paths::VarPath;
use super::slots::{ActionSlot, Slots};
use super::uses::{Use, uses};

/// What is known of a policy before it is evaluated.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) slots: Vec<ActionSlot>,
    /// The principal, or an ancestor of it, that the scope requires.
    pub(super) principal: Option<EntityUID>,
    /// The resource, or its binding, that the scope requires.
    pub(super) resource: Option<EntityUID>,
    pub(super) reads: ReadSet,
    /// Every action that the policy names.
    pub(super) actions: Vec<String>,
    /// The scope names tools as actions, and nothing else.
    pub(super) names_tools_as_actions: bool,
    /// Every type of principal that the policy names.
    pub(super) principals: BTreeSet<&'static str>,
    /// What it says about the open records.
    pub(super) uses: Vec<Use>,
}

/// A mistake in a policy, and a text near which to look for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) near: Option<String>,
    pub(super) message: String,
}

impl Facts {
    /// Whether the policy applies to named tools only.
    pub(super) fn is_narrow(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot, ActionSlot::Tool { .. }))
    }

    /// Whether the policy reads an argument.
    pub(super) fn reads_arguments(&self) -> bool {
        !self.reads.arguments.is_empty()
    }
}

/// Analyses a policy.
///
/// # Errors
/// Everything in it that is not understood or refers to nothing.
pub(super) fn analyse(policy: &Template, bindings: &[String]) -> Result<Facts, Vec<Mistake>> {
    let mut walk = Walk { bindings, ..Walk::default() };
    walk.scope(policy);
    for clause in policy.clauses() {
        match clause {
            Clause::When(expr) | Clause::Unless(expr) => walk.visit(expr),
        }
    }
    let Slots { slots, widened } = Slots::of(policy, bindings);
    // A policy that is looked at for every tool must be given the tool's name to look at.
    walk.reads.name |= widened;
    if !walk.mistakes.is_empty() {
        return Err(walk.mistakes);
    }
    walk.reads.arguments = Names::only(walk.arguments);
    walk.reads.attributes = Names::only(walk.attributes);
    Ok(Facts {
        slots,
        principal: match &policy.principal {
            PrincipalConstraint::Eq(one)
            | PrincipalConstraint::In(one)
            | PrincipalConstraint::IsIn(_, one) => entity(one).cloned(),
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
        },
        resource: match &policy.resource {
            ResourceConstraint::Eq(one) | ResourceConstraint::In(one) | ResourceConstraint::IsIn(_, one) => {
                entity(one).cloned()
            }
            ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
        },
        reads: walk.reads,
        names_tools_as_actions: match &policy.action {
            ActionConstraint::Any => false,
            ActionConstraint::Eq(one) => is_tool(one, bindings),
            ActionConstraint::In(many) => many.iter().all(|one| is_tool(one, bindings)),
        },
        actions: walk.actions,
        principals: walk.principals,
        uses: uses(policy.clauses()),
    })
}

#[derive(Default)]
struct Walk<'a> {
    bindings: &'a [String],
    reads: ReadSet,
    arguments: Vec<String>,
    attributes: Vec<String>,
    actions: Vec<String>,
    principals: BTreeSet<&'static str>,
    mistakes: Vec<Mistake>,
}

impl Walk<'_> {
    fn mistake(&mut self, near: Option<&str>, message: impl Into<String>) {
        let mistake = Mistake { near: near.map(str::to_owned), message: message.into() };
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    fn scope(&mut self, policy: &Template) {
        match &policy.principal {
            PrincipalConstraint::Any => {}
            PrincipalConstraint::Is(of) => self.principal_type(&of.to_string()),
            PrincipalConstraint::Eq(one) => {
                self.reads.subject = true;
                self.scope_entity(one);
            }
            PrincipalConstraint::In(one) => self.principal_in(one),
            PrincipalConstraint::IsIn(of, one) => {
                self.principal_type(&of.to_string());
                self.principal_in(one);
            }
        }
        match &policy.resource {
            ResourceConstraint::Any | ResourceConstraint::Is(_) => {}
            ResourceConstraint::Eq(one) | ResourceConstraint::In(one) | ResourceConstraint::IsIn(_, one) => {
                self.scope_entity(one);
                // A tool's name is known where its own slot is looked up.
                self.reads.name |=
                    entity(one).is_some_and(|one| !matches!(type_of(one).as_str(), "Binding" | "Tool"));
            }
        }
        match &policy.action {
            ActionConstraint::Any => {}
            ActionConstraint::Eq(one) => self.literal(one),
            ActionConstraint::In(many) => many.iter().for_each(|one| self.literal(one)),
        }
    }

    fn scope_entity(&mut self, one: &EntityOrSlot) {
        if let Some(entity) = entity(one) {
            self.literal(entity);
        }
    }

    fn principal_in(&mut self, one: &EntityOrSlot) {
        if let Some(entity) = entity(one) {
            self.literal(entity);
            self.principal_below(entity);
        }
    }

    /// `principal in` a literal reads only what can make it an ancestor.
    fn principal_below(&mut self, ancestor: &EntityUID) {
        match type_of(ancestor).as_str() {
            "Group" => self.reads.groups = true,
            "Role" => self.reads.roles = true,
            "Org" => self.reads.tenant = true,
            _ => self.reads.subject = true,
        }
    }

    fn visit(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(Literal::EntityUID(entity)) => self.literal(entity),
            Expr::Literal(_) => {}
            Expr::Var(var) => self.variable(var),
            Expr::UnaryOp { expr, .. } | Expr::Like { expr, .. } => self.visit(expr),
            Expr::BinaryOp { op: BinaryOp::In, left, right } => self.membership(left, right),
            Expr::BinaryOp { op: BinaryOp::GetTag | BinaryOp::HasTag, .. } => {
                self.mistake(Some("Tag"), "entities have no tags here");
            }
            Expr::BinaryOp { left, right, .. } => {
                self.visit(left);
                self.visit(right);
            }
            Expr::GetAttr { .. } => match VarPath::of(expr) {
                Some(path) => self.path(&path, false),
                None => {
                    self.mistake(None, "attributes can be read of `principal`, `resource` and `context` only")
                }
            },
            Expr::HasAttr { expr, attrs } => match VarPath::of(expr) {
                Some(path) => self.path(&path.join(attrs.iter().map(|attr| attr.as_str())), true),
                None => self
                    .mistake(None, "attributes can be tested of `principal`, `resource` and `context` only"),
            },
            Expr::Is { expr, entity_type, in_expr } => {
                self.is(expr, &entity_type.to_string(), in_expr.as_deref());
            }
            Expr::IfThenElse { cond, then_expr, else_expr } => {
                [cond, then_expr, else_expr].into_iter().for_each(|expr| self.visit(expr));
            }
            Expr::Set(items) => items.iter().for_each(|item| self.visit(item)),
            Expr::Record(members) => members.values().for_each(|member| self.visit(member)),
            Expr::Slot(_) => self.mistake(Some("?"), "templates are not supported: write the policies out"),
            _ => self.mistake(None, "the policy uses an expression that is not supported"),
        }
    }

    /// A variable as a value.
    fn variable(&mut self, var: &Var) {
        match var {
            Var::Principal => self.reads.subject = true,
            Var::Action | Var::Resource => self.reads.name = true,
            Var::Context => {
                self.mistake(Some("context"), "`context` cannot be used as a whole: read its members");
            }
        }
    }

    /// The caller's type depends on its subject.
    fn principal_type(&mut self, of: &str) {
        self.reads.subject = true;
        self.principals.extend(names::PRINCIPALS.into_iter().filter(|known| *known == of));
    }

    fn is(&mut self, expr: &Expr, of: &str, ancestor: Option<&Expr>) {
        match expr {
            // The type of action and resource is that of the method.
            Expr::Var(Var::Action | Var::Resource) => {}
            Expr::Var(Var::Principal) => self.principal_type(of),
            _ => self.mistake(Some("is"), "`is` can test `principal`, `action` and `resource` only"),
        }
        if let Some(ancestor) = ancestor {
            self.membership(expr, ancestor);
        }
    }

    fn membership(&mut self, left: &Expr, right: &Expr) {
        let ancestors: Option<Vec<&EntityUID>> = match right {
            Expr::Set(items) => items.iter().map(|item| literal_of(item)).collect(),
            one => literal_of(one).map(|one| vec![one]),
        };
        match (left, &ancestors) {
            (Expr::Var(Var::Principal), Some(ancestors)) => {
                ancestors.iter().for_each(|ancestor| self.principal_below(ancestor));
            }
            (Expr::Var(Var::Principal), None) => {
                (self.reads.subject, self.reads.groups, self.reads.roles, self.reads.tenant) =
                    (true, true, true, true);
            }
            (Expr::Var(Var::Resource), Some(ancestors)) => {
                self.reads.name |= ancestors.iter().any(|ancestor| type_of(ancestor) != "Binding");
            }
            (Expr::Var(Var::Action | Var::Resource), _) => self.reads.name = true,
            _ => {
                self.mistake(Some("in"), "the left side of `in` must be `principal`, `action` or `resource`")
            }
        }
        self.visit(right);
    }

    /// A path that is read, or whose presence is tested.
    fn path(&mut self, path: &VarPath<'_>, tested: bool) {
        match (&path.var, path.names.as_slice()) {
            (Var::Principal, ["auth_method"]) => self.reads.auth_method = true,
            (Var::Principal, ["audience"]) => self.reads.audience = true,
            (Var::Principal, ["attributes", name, ..]) => self.attributes.push((*name).to_owned()),
            (Var::Principal, ["attributes"]) if !tested => {
                self.mistake(
                    Some("attributes"),
                    "`principal.attributes` cannot be used as a whole: read its members",
                );
            }
            (Var::Principal, _) => self.reads.subject = true,
            (Var::Resource, ["binding"]) => {}
            (Var::Resource | Var::Action, _) => self.reads.name = true,
            (Var::Context, ["approval_token"]) => {
                let read = if tested { ApprovalRead::Presence } else { ApprovalRead::Value };
                self.reads.approval = self.reads.approval.max(read);
            }
            (Var::Context, ["source_ip"]) => self.reads.source = true,
            (Var::Context, ["time"]) => self.reads.time = true,
            (Var::Context, ["tenant", ..]) => self.reads.tenant = true,
            (Var::Context, ["arguments", name, ..]) => self.arguments.push((*name).to_owned()),
            (Var::Context, ["arguments"]) if !tested => {
                self.mistake(
                    Some("arguments"),
                    "`context.arguments` cannot be used as a whole: read its members",
                );
            }
            // Always given, or unknown: the validator names what there is.
            (Var::Context, _) => {}
        }
    }

    /// An entity that the policy names must be one that can occur.
    fn literal(&mut self, entity: &EntityUID) {
        let id = entity.eid.as_str();
        let checked = match type_of(entity).as_str() {
            "Action" => {
                self.actions.push(id.to_owned());
                names::action_name(id, self.bindings).map(|_| ())
            }
            of @ ("Tool" | "Prompt") => names::split_tool(id, self.bindings).map(|_| ()).map_err(|problem| {
                let problem = problem.unwrap_or_else(|| "its id is `BINDING.NAME`".to_owned());
                format!("`{of}::\"{id}\"`: {problem}")
            }),
            "Binding" => names::check_binding(id, self.bindings)
                .map_err(|problem| format!("`Binding::\"{id}\"`: {problem}")),
            of if names::PRINCIPALS.contains(&of) => {
                self.principals.extend(names::PRINCIPALS.into_iter().filter(|known| *known == of));
                names::check_principal(of, id)
            }
            of if names::TYPES.contains(&of) => Ok(()),
            of => {
                let advice = super::problem::did_you_mean(of, names::TYPES);
                Err(format!("there is no entity type `{of}`{advice}"))
            }
        };
        if let Err(message) = checked {
            self.mistake(Some(&format!("{}::\"{id}\"", type_of(entity))), message);
        }
    }
}

fn is_tool(action: &EntityUID, bindings: &[String]) -> bool {
    matches!(names::action_name(action.eid.as_str(), bindings), Ok(ActionName::Tool { .. }))
}

pub(super) fn entity(one: &EntityOrSlot) -> Option<&EntityUID> {
    match one {
        EntityOrSlot::Entity(entity) => Some(entity),
        EntityOrSlot::Slot(_) => None,
    }
}

fn literal_of(expr: &Expr) -> Option<&EntityUID> {
    match expr {
        Expr::Literal(Literal::EntityUID(entity)) => Some(entity),
        _ => None,
    }
}

pub(super) fn type_of(entity: &EntityUID) -> String {
    entity.ty.to_string()
}
