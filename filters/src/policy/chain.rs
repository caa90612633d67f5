//! The chain of policy engines: every one must permit, obligations unite, the first denial stands.
//!
//! The chain keeps its decisions in a cache that lives and dies with it, so a reload needs no
//! invalidation. The key of a decision is the union of the parts that the engines read for its action.
//!
//! INVARIANT: an engine is given a subset of the parts that the key is made of ([`Plan::reads`] is the union
//! over the engines, [`PolicyInput`] yields an engine's own parts only), so equal keys mean equal answers.

use std::collections::HashMap;
use std::sync::Arc;

use mcpg_sdk::policy::{ByAction, EngineDecision, EngineError, Kind, PolicyEngine, PolicyInput, ReadSet};
use mcpg_sdk::{Call, Caller, Decision, DenyReason, Obligation, Target};

use super::cache::{CacheCounters, CacheLimits, DecisionCache};
use super::input::{self, KeyBuffer};

/// The engines of a scope, in order, with their decision cache.
pub struct PolicyChain {
    engines: Vec<Arc<dyn PolicyEngine>>,
    plans: ByAction<Arc<Plan>>,
    cache: DecisionCache,
    every_obligation: Option<Vec<Obligation>>,
}

/// What the chain decided about one call.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The decision and who made it, shared with the cache.
    pub verdict: Arc<Verdict>,
    /// Whether it came from the cache.
    pub cached: bool,
}

/// A decision with its grounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Permit, with or without obligations, or deny.
    pub decision: Decision,
    /// The policies that determined it: every one that permitted, or the one that forbade.
    pub policies: Vec<PolicyRef>,
}

/// A policy of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRef {
    /// The engine's id.
    pub engine: Arc<str>,
    /// The policy's id within the engine.
    pub policy: Box<str>,
}

/// How the decisions about one group of actions are keyed.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Distinguishes key layouts within the chain.
    pub(crate) id: u32,
    /// The union of what the engines read.
    pub(crate) reads: ReadSet,
}

/// The `engine` of denials that the chain itself makes.
const CHAIN: &str = "policy";

impl PolicyChain {
    /// Builds the chain. Without engines it denies everything.
    pub fn new(engines: Vec<Arc<dyn PolicyEngine>>, limits: CacheLimits) -> Self {
        let obligations: Option<Vec<_>> = engines.iter().map(|engine| engine.obligations()).collect();
        let every_obligation =
            obligations.map(|each| Obligation::unite(each.into_iter().flatten().collect()));
        Self { plans: plans(&engines), engines, cache: DecisionCache::new(limits), every_obligation }
    }

    /// Decides one call. Does not allocate when the decision is in the cache.
    pub fn decide(&self, caller: &Caller, call: &Call<'_>) -> Decided {
        if let Some(problem) = inconsistency(call) {
            return Decided { verdict: Arc::new(deny(CHAIN, None, "policy_input", problem)), cached: false };
        }
        let plan = self.plans.of(call);
        let mut key = KeyBuffer::take();
        if !plan.reads.is_cacheable() || input::write_key(&mut key, plan, caller, call).is_err() {
            self.cache.count_skipped();
            return Decided { verdict: Arc::new(self.evaluate(caller, call).0), cached: false };
        }
        let hash = self.cache.hash(&key);
        if let Some(verdict) = self.cache.find(hash, &key) {
            return Decided { verdict, cached: true };
        }
        let (verdict, transient) = self.evaluate(caller, call);
        let verdict = Arc::new(verdict);
        if !transient {
            self.cache.insert(hash, &key, &verdict);
        }
        Decided { verdict, cached: false }
    }

    /// Decides one call without looking at the cache or adding to it.
    pub fn decide_uncached(&self, caller: &Caller, call: &Call<'_>) -> Verdict {
        match inconsistency(call) {
            Some(problem) => deny(CHAIN, None, "policy_input", problem),
            None => self.evaluate(caller, call).0,
        }
    }

    /// What the engines read together to decide a call.
    pub fn reads(&self, call: &Call<'_>) -> &ReadSet {
        &self.plans.of(call).reads
    }

    /// The engines' ids, in order.
    pub fn engines(&self) -> impl Iterator<Item = &str> {
        self.engines.iter().map(|engine| engine.id())
    }

    /// Every obligation that a permit can carry, united; none if some engine cannot tell.
    pub fn every_obligation(&self) -> Option<&[Obligation]> {
        self.every_obligation.as_deref()
    }

    /// The cache's counters since the chain was built.
    pub fn cache_counters(&self) -> CacheCounters {
        self.cache.counters()
    }

    /// Asks the engines. The flag says that the verdict must not be kept.
    fn evaluate(&self, caller: &Caller, call: &Call<'_>) -> (Verdict, bool) {
        if self.engines.is_empty() {
            return (deny(CHAIN, None, "not_permitted", "no policy engine is configured"), false);
        }
        let mut grounds = Vec::new();
        let mut united = Vec::new();
        for engine in &self.engines {
            let input = PolicyInput::select(caller, call, engine.reads().of(call));
            match engine.decide(&input) {
                Ok(EngineDecision::Permit { policies, obligations }) => {
                    let id: Arc<str> = engine.id().into();
                    let refs = policies
                        .into_iter()
                        .map(|policy| PolicyRef { engine: id.clone(), policy: policy.into() });
                    grounds.extend(refs);
                    united.extend(obligations);
                }
                Ok(EngineDecision::Forbid { policy, message }) => {
                    return (deny(engine.id(), Some(policy), "forbidden", message), false);
                }
                Ok(EngineDecision::NotPermitted { message }) => {
                    return (deny(engine.id(), None, "not_permitted", message), false);
                }
                Err(error) => return (deny_error(engine.id(), &error), error.is_transient()),
            }
        }
        let obligations = Obligation::unite(united);
        let decision = if obligations.is_empty() {
            Decision::Permit
        } else {
            Decision::PermitWithObligations(obligations)
        };
        (Verdict { decision, policies: grounds }, false)
    }
}

impl Verdict {
    /// The bytes of its texts, for the cache's account.
    pub(crate) fn text_bytes(&self) -> usize {
        let policies = self.policies.iter().map(|policy| policy.policy.len() + size_of::<PolicyRef>());
        let decision = match &self.decision {
            Decision::Permit => 0,
            Decision::PermitWithObligations(obligations) => {
                obligations.iter().map(|obligation| obligation.text_bytes() + size_of::<Obligation>()).sum()
            }
            Decision::Deny(reason) => {
                let policy = reason.policy.as_ref().map_or(0, String::len);
                reason.engine.len() + policy + reason.code.len() + reason.message.len()
            }
        };
        policies.sum::<usize>() + decision
    }
}

impl std::fmt::Debug for PolicyChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyChain")
            .field("engines", &self.engines().collect::<Vec<_>>())
            .field("cache", &self.cache_counters())
            .finish_non_exhaustive()
    }
}

/// For every action the union of what the engines read. Equal unions share a plan.
fn plans(engines: &[Arc<dyn PolicyEngine>]) -> ByAction<Arc<Plan>> {
    let mut interned: HashMap<ReadSet, Arc<Plan>> = HashMap::new();
    let mut plan = |read_of: &dyn Fn(&dyn PolicyEngine) -> Arc<ReadSet>| {
        let mut union = ReadSet::default();
        for engine in engines {
            union.merge(&read_of(&**engine));
        }
        let id = u32::try_from(interned.len()).unwrap_or(u32::MAX);
        interned.entry(union).or_insert_with_key(|reads| Arc::new(Plan { id, reads: reads.clone() })).clone()
    };
    let mut plans = ByAction::new(&plan(&|engine| engine.reads().rest(Kind::Method).clone()));
    for kind in [Kind::Tool, Kind::Resource, Kind::Prompt] {
        plans.set_rest(kind, plan(&|engine| engine.reads().rest(kind).clone()));
    }
    for named in engines {
        for (binding, tool) in named.reads().named_tools() {
            plans.set_tool(binding, tool, plan(&|engine| engine.reads().tool(binding, tool).clone()));
        }
        for method in named.reads().named_methods() {
            plans.set_method(method, plan(&|engine| engine.reads().method(method).clone()));
        }
    }
    plans
}

/// Method and target must fit, or an engine could take one action for another.
fn inconsistency(call: &Call<'_>) -> Option<&'static str> {
    let expected = match call.method {
        "tools/call" => Kind::Tool,
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Kind::Resource,
        "prompts/get" => Kind::Prompt,
        _ => Kind::Method,
    };
    let fits = matches!(
        (expected, call.target),
        (Kind::Tool, Target::Tool(_))
            | (Kind::Resource, Target::Resource(_))
            | (Kind::Prompt, Target::Prompt(_))
            | (Kind::Method, Target::Binding)
    );
    (!fits).then_some("the method and what it is applied to do not fit")
}

fn deny(engine: &str, policy: Option<String>, code: &str, message: impl Into<String>) -> Verdict {
    let grounds =
        policy.iter().map(|policy| PolicyRef { engine: engine.into(), policy: policy.as_str().into() });
    Verdict {
        policies: grounds.collect(),
        decision: Decision::Deny(DenyReason {
            engine: engine.to_owned(),
            policy,
            code: code.to_owned(),
            message: message.into(),
        }),
    }
}

fn deny_error(engine: &str, error: &EngineError) -> Verdict {
    deny(engine, error.policy().map(str::to_owned), error.code(), error.to_string())
}

#[cfg(test)]
mod tests;
