//! Which calls a policy can apply to, as far as its scope tells: the groups of actions it is looked up under.

use cedar_policy::pst::{ActionConstraint, EntityUID, ResourceConstraint, Template};
use mcpg_sdk::policy::Kind;

use super::analysis::{entity, type_of};
use super::names::{self, ActionName};

/// A policy that names more tools than this is looked at for every tool.
const SLOTS_MAX: usize = 16;

/// A group of actions. An over-approximation: Cedar evaluates the scope itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum ActionSlot {
    Any,
    Kind(KindSlot),
    Tool {
        binding: String,
        tool: String,
    },
    /// A method that is applied to a binding, as it stands in the call.
    Method(String),
}

/// [`Kind`], in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct KindSlot(u8);

/// The slots of a policy.
#[derive(Debug)]
pub(super) struct Slots {
    pub(super) slots: Vec<ActionSlot>,
    /// The policy names so many tools that it is looked at for all.
    pub(super) widened: bool,
}

impl ActionSlot {
    fn can_be(&self, kind: Kind) -> bool {
        match self {
            Self::Any => true,
            Self::Kind(own) => *own == KindSlot::of(kind),
            Self::Tool { .. } => kind == Kind::Tool,
            Self::Method(_) => kind == Kind::Method,
        }
    }
}

impl KindSlot {
    pub(super) fn of(kind: Kind) -> Self {
        Self(match kind {
            Kind::Tool => 0,
            Kind::Resource => 1,
            Kind::Prompt => 2,
            Kind::Method => 3,
        })
    }
}

impl Slots {
    /// The slots of a policy whose names have been checked.
    pub(super) fn of(policy: &Template, bindings: &[String]) -> Self {
        let kind = resource_kind(&policy.resource);
        let mut slots: Vec<ActionSlot> = match &policy.action {
            ActionConstraint::Any => {
                vec![kind.map_or(ActionSlot::Any, |kind| ActionSlot::Kind(KindSlot::of(kind)))]
            }
            ActionConstraint::Eq(one) => slot(one, bindings).into_iter().collect(),
            ActionConstraint::In(many) => many.iter().filter_map(|one| slot(one, bindings)).collect(),
        };
        let tools = ActionSlot::Kind(KindSlot::of(Kind::Tool));
        if let Some((binding, tool)) = resource_tool(&policy.resource, bindings) {
            for slot in &mut slots {
                if *slot == ActionSlot::Any || *slot == tools {
                    *slot = ActionSlot::Tool { binding: binding.clone(), tool: tool.clone() };
                }
            }
        }
        if let Some(kind) = kind {
            slots.retain(|slot| slot.can_be(kind));
        }
        slots.sort_unstable();
        slots.dedup();
        let widened = slots.len() > SLOTS_MAX;
        if widened {
            let all_tools = slots.iter().all(|slot| slot.can_be(Kind::Tool));
            slots = vec![if all_tools { tools } else { ActionSlot::Any }];
        }
        Self { slots, widened }
    }
}

/// The kind that a scope's resource must have.
fn resource_kind(resource: &ResourceConstraint) -> Option<Kind> {
    match resource {
        ResourceConstraint::Any => None,
        ResourceConstraint::Is(of) | ResourceConstraint::IsIn(of, _) => names::kind_of_type(&of.to_string()),
        ResourceConstraint::Eq(one) => names::kind_of_type(&type_of(entity(one)?)),
        // Only bindings have something in them.
        ResourceConstraint::In(one) => {
            names::kind_of_type(&type_of(entity(one)?)).filter(|kind| *kind != Kind::Method)
        }
    }
}

/// The one tool that a scope's resource must be.
fn resource_tool(resource: &ResourceConstraint, bindings: &[String]) -> Option<(String, String)> {
    match resource {
        ResourceConstraint::Eq(one) | ResourceConstraint::In(one) | ResourceConstraint::IsIn(_, one) => {
            let one = entity(one).filter(|one| type_of(one) == "Tool")?;
            names::split_tool(one.eid.as_str(), bindings).ok()
        }
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
    }
}

fn slot(action: &EntityUID, bindings: &[String]) -> Option<ActionSlot> {
    let kind = |kind| Some(ActionSlot::Kind(KindSlot::of(kind)));
    match names::action_name(action.eid.as_str(), bindings).ok()? {
        ActionName::Group(names::TOOLS) => kind(Kind::Tool),
        ActionName::Group(names::RESOURCES) | ActionName::Resource(_) => kind(Kind::Resource),
        ActionName::Group(_) => kind(Kind::Method),
        ActionName::Prompt => kind(Kind::Prompt),
        ActionName::Tool { binding, tool } => Some(ActionSlot::Tool { binding, tool }),
        ActionName::Method(id) => Some(ActionSlot::Method(names::method_of(&id).to_owned())),
    }
}
