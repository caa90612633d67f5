//! The policies, sliced so that a decision evaluates only those whose scope can match.
//!
//! Cedar walks every policy of a set. A policy whose scope does not match is neither satisfied nor in error, so
//! leaving it out changes nothing; and a decision over disjoint sets is the union of theirs: a satisfied
//! `forbid` in any forbids, an error in any is an error, a satisfied `permit` in any permits. Sets are small, so
//! that a deadline can be kept between them.

use std::collections::HashMap;
use std::ops::ControlFlow;

use cedar_policy::{EntityUid, Policy, PolicySet, PolicySetError};
use mcpg_sdk::policy::Kind;

use super::slots::{ActionSlot, KindSlot};

/// Policies in one set: some ten microseconds between two looks at the clock.
const SET_MAX: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Index {
    any: Slices,
    kinds: HashMap<KindSlot, Slices>,
    tools: HashMap<String, HashMap<String, Slices>>,
    methods: HashMap<String, Slices>,
}

/// The slices of one group of actions, by what the scope requires of the resource.
#[derive(Debug, Default)]
struct Slices {
    any: ByPrincipal,
    exact: HashMap<EntityUid, ByPrincipal>,
}

/// By what the scope requires of the principal.
#[derive(Debug, Default)]
struct ByPrincipal {
    any: Vec<PolicySet>,
    exact: HashMap<EntityUid, Vec<PolicySet>>,
}

/// Where a policy is filed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) slot: ActionSlot,
    pub(super) resource: Option<EntityUid>,
    pub(super) principal: Option<EntityUid>,
}

/// What a call is looked up by.
#[derive(Debug)]
pub(super) struct Wanted<'a, P> {
    pub(super) kind: Kind,
    pub(super) method: &'a str,
    pub(super) binding: &'a str,
    /// The tool's name, where it is read.
    pub(super) tool: Option<&'a str>,
    /// The resource and what it is in.
    pub(super) resources: [&'a EntityUid; 2],
    /// The principal and everything that it is in.
    pub(super) principals: &'a P,
}

impl Index {
    /// Files the policies.
    pub(super) fn build(filed: HashMap<Place, Vec<&Policy>>) -> Result<Self, Box<PolicySetError>> {
        let mut index = Self::default();
        for (place, policies) in filed {
            let slices = match place.slot {
                ActionSlot::Any => &mut index.any,
                ActionSlot::Kind(kind) => index.kinds.entry(kind).or_default(),
                ActionSlot::Tool { binding, tool } => {
                    index.tools.entry(binding).or_default().entry(tool).or_default()
                }
                ActionSlot::Method(method) => index.methods.entry(method).or_default(),
            };
            let by_principal = match place.resource {
                None => &mut slices.any,
                Some(resource) => slices.exact.entry(resource).or_default(),
            };
            let sets = match place.principal {
                None => &mut by_principal.any,
                Some(principal) => by_principal.exact.entry(principal).or_default(),
            };
            for chunk in policies.chunks(SET_MAX) {
                sets.push(PolicySet::from_policies(chunk.iter().map(|policy| (*policy).clone()))?);
            }
        }
        Ok(index)
    }

    /// Visits every set that holds a policy whose scope can match.
    pub(super) fn visit<'i, 'w, P, B>(
        &'i self,
        wanted: &Wanted<'w, P>,
        mut visit: impl FnMut(&'i PolicySet) -> ControlFlow<B>,
    ) -> ControlFlow<B>
    where
        &'w P: IntoIterator<Item = &'w EntityUid>,
    {
        let named = match wanted.kind {
            Kind::Tool => wanted.tool.and_then(|tool| self.tools.get(wanted.binding)?.get(tool)),
            Kind::Method => self.methods.get(wanted.method),
            Kind::Resource | Kind::Prompt => None,
        };
        let kind = self.kinds.get(&KindSlot::of(wanted.kind));
        for slices in [Some(&self.any), kind, named].into_iter().flatten() {
            let exact = wanted.resources.iter().filter_map(|resource| slices.exact.get(*resource));
            for by_principal in std::iter::once(&slices.any).chain(exact) {
                by_principal.any.iter().try_for_each(&mut visit)?;
                if by_principal.exact.is_empty() {
                    continue;
                }
                for principal in wanted.principals {
                    by_principal.exact.get(principal).into_iter().flatten().try_for_each(&mut visit)?;
                }
            }
        }
        ControlFlow::Continue(())
    }
}
