//! The chain of policy engines: every one must permit, obligations unite, the first denial stands.
//!
//! The chain keeps its decisions in a cache that lives and dies with it, so a reload needs no
//! invalidation. The key of a decision is the union of the parts that the engines read for its action.
//!
//! INVARIANT: an engine is given a subset of the parts that the key is made of ([`Plan`] has the union
//! over the engines, `PolicyInput` yields an engine's own parts only), so equal keys mean equal answers.
//!
//! What is in the cache is answered at once. Anything else may take its time, but none of the worker's beyond a small budget:
//! see [`evaluate`].

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use mcpg_sdk::policy::{ByAction, EngineError, Kind, PolicyEngine, ReadSet};
use mcpg_sdk::{Call, Caller, Decision, DenyReason, Obligation, Target};

use super::cache::{CacheCounters, CacheLimits, DecisionCache};
use super::input::{self, KeyBuffer};
use super::threads::PolicyThreads;

mod evaluate;
mod turns;

use turns::Turns;

/// The engines of a scope, in order, with their decision cache.
pub struct PolicyChain {
    engines: Vec<Arc<dyn PolicyEngine>>,
    shadows: Vec<Shadow>,
    plans: ByAction<Arc<Plan>>,
    cache: DecisionCache,
    every_obligation: Option<Vec<Obligation>>,
    /// Whether equal inputs have equal answers.
    is_pure: bool,
    threads: PolicyThreads,
    turns: Turns,
    /// Every call is denied by this from now on.
    closed: OnceLock<Arc<Verdict>>,
}

/// An engine that is asked and recorded, and decides nothing.
#[derive(Clone)]
pub struct Shadow {
    /// What its opinions are recorded under.
    pub label: Arc<str>,
    /// The engine.
    pub engine: Arc<dyn PolicyEngine>,
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
    /// What the engines in shadow mode think of it.
    pub shadow: Vec<ShadowOpinion>,
}

/// What an engine in shadow mode would have decided.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowOpinion {
    /// What the engine is recorded under.
    pub engine: Arc<str>,
    /// Its decision, which does not count.
    pub decision: Decision,
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
    /// The union of what they and the shadows read.
    pub(crate) with_shadows: ReadSet,
}

/// Who is asked about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asking {
    /// Those that decide: nobody will read the opinions of the others.
    Deciders,
    /// The shadows too.
    Everyone,
}

/// A decision that is not in the cache, and where it goes.
pub(crate) type Place = Option<(u64, Box<[u8]>)>;

/// What the cache has.
pub(crate) enum Known {
    Decided(Decided),
    /// Not known. None: it cannot be kept.
    Unknown(Place),
}

/// The `engine` of denials that the chain itself makes.
const CHAIN: &str = "policy";

impl PolicyChain {
    /// Builds the chain. Without engines it denies everything.
    pub fn new(engines: Vec<Arc<dyn PolicyEngine>>, limits: CacheLimits) -> Self {
        let obligations: Option<Vec<_>> = engines.iter().map(|engine| engine.obligations()).collect();
        let every_obligation =
            obligations.map(|each| Obligation::unite(each.into_iter().flatten().collect()));
        let threads = PolicyThreads::default();
        Self {
            plans: plans(&engines, &[]),
            is_pure: engines.iter().all(|engine| engine.is_pure()),
            engines,
            shadows: Vec::new(),
            cache: DecisionCache::new(limits),
            every_obligation,
            turns: Turns::new(threads.share()),
            threads,
            closed: OnceLock::new(),
        }
    }

    /// Denies every call from now on, whatever is in the cache: the bundle of the engine `id` was revoked. The chain stays closed.
    pub fn close(&self, id: &str, error: &EngineError) {
        // The first reason is as good as another.
        let _ = self.closed.set(Arc::new(deny_error(id, error)));
    }

    /// The chain with engines that are asked too, and decide nothing.
    #[must_use]
    pub fn shadowed_by(self, shadows: Vec<Shadow>) -> Self {
        Self { plans: plans(&self.engines, &shadows), shadows, ..self }
    }

    /// The chain on threads that it shares with others, of which it never holds all.
    #[must_use]
    pub fn on(self, threads: PolicyThreads) -> Self {
        Self { turns: Turns::new(threads.share()), threads, ..self }
    }

    /// Decides one call. A decision that is in the cache is answered without a wait, and without an allocation.
    pub async fn decide(&self, caller: &Caller, call: &Call<'_>) -> Decided {
        match self.look_up(caller, call, Asking::Everyone) {
            Known::Decided(decided) => decided,
            Known::Unknown(place) => self.find_out(caller, call, place, Asking::Everyone).await.0,
        }
    }

    /// Decides one call without looking at the cache or adding to it.
    pub async fn decide_uncached(&self, caller: &Caller, call: &Call<'_>) -> Verdict {
        match inconsistency(call) {
            Some(problem) => deny(CHAIN, None, "policy_input", problem),
            None => self.evaluate(caller, call, Asking::Everyone).await.0,
        }
    }

    /// What the cache knows of a call.
    pub(crate) fn look_up(&self, caller: &Caller, call: &Call<'_>, asking: Asking) -> Known {
        if let Some(verdict) = self.closed.get() {
            return Known::Decided(Decided { verdict: Arc::clone(verdict), cached: false });
        }
        if let Some(problem) = inconsistency(call) {
            let verdict = Arc::new(deny(CHAIN, None, "policy_input", problem));
            return Known::Decided(Decided { verdict, cached: false });
        }
        let plan = self.plans.of(call);
        let mut key = KeyBuffer::take();
        if !self.may_keep(plan, asking) || input::write_key(&mut key, plan, asking, caller, call).is_err() {
            self.cache.count_skipped();
            return Known::Unknown(None);
        }
        let hash = self.cache.hash(&key);
        match self.cache.find(hash, &key) {
            Some(verdict) => Known::Decided(Decided { verdict, cached: true }),
            None => Known::Unknown(Some((hash, key.as_slice().into()))),
        }
    }

    /// Asks the engines, and keeps the answer. The flag says that it may be another the next time.
    pub(crate) async fn find_out(
        &self,
        caller: &Caller,
        call: &Call<'_>,
        place: Place,
        asking: Asking,
    ) -> (Decided, bool) {
        let (verdict, transient) = self.evaluate(caller, call, asking).await;
        let verdict = Arc::new(verdict);
        if let Some((hash, key)) = place.filter(|_| !transient) {
            self.cache.insert(hash, &key, &verdict);
        }
        (Decided { verdict, cached: false }, transient)
    }

    fn may_keep(&self, plan: &Plan, asking: Asking) -> bool {
        match asking {
            Asking::Deciders => self.is_pure && plan.reads.is_cacheable(),
            Asking::Everyone => {
                let shadows = || self.shadows.iter().all(|shadow| shadow.engine.is_pure());
                self.is_pure && plan.with_shadows.is_cacheable() && shadows()
            }
        }
    }

    /// Whether equal inputs have equal answers for as long as the chain lives.
    pub fn is_pure(&self) -> bool {
        self.is_pure
    }

    /// Whether an engine decides elsewhere.
    pub(crate) fn is_remote(&self) -> bool {
        self.engines.iter().any(|engine| engine.is_remote())
    }

    /// Whether there are shadows to ask.
    pub(crate) fn has_shadows(&self) -> bool {
        !self.shadows.is_empty()
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
}

impl Verdict {
    /// The bytes of its texts, for the cache's account.
    pub(crate) fn text_bytes(&self) -> usize {
        let policies = self.policies.iter().map(|policy| policy.policy.len() + size_of::<PolicyRef>());
        let shadow =
            self.shadow.iter().map(|opinion| size_of::<ShadowOpinion>() + decision_bytes(&opinion.decision));
        policies.sum::<usize>() + shadow.sum::<usize>() + decision_bytes(&self.decision)
    }
}

fn decision_bytes(decision: &Decision) -> usize {
    match decision {
        Decision::Permit => 0,
        Decision::PermitWithObligations(obligations) => {
            obligations.iter().map(|obligation| obligation.text_bytes() + size_of::<Obligation>()).sum()
        }
        Decision::Deny(reason) => {
            let policy = reason.policy.as_ref().map_or(0, String::len);
            reason.engine.len() + policy + reason.code.len() + reason.message.len()
        }
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
fn plans(engines: &[Arc<dyn PolicyEngine>], shadows: &[Shadow]) -> ByAction<Arc<Plan>> {
    let mut interned: HashMap<(ReadSet, ReadSet), Arc<Plan>> = HashMap::new();
    let mut plan = |read_of: &dyn Fn(&dyn PolicyEngine) -> Arc<ReadSet>| {
        let mut reads = ReadSet::default();
        for engine in engines {
            reads.merge(&read_of(&**engine));
        }
        let mut with_shadows = reads.clone();
        for shadow in shadows {
            with_shadows.merge(&read_of(&*shadow.engine));
        }
        let id = u32::try_from(interned.len()).unwrap_or(u32::MAX);
        let plan = |(reads, with_shadows): &(ReadSet, ReadSet)| {
            Arc::new(Plan { id, reads: reads.clone(), with_shadows: with_shadows.clone() })
        };
        interned.entry((reads, with_shadows)).or_insert_with_key(plan).clone()
    };
    let mut plans = ByAction::new(&plan(&|engine| engine.reads().rest(Kind::Method).clone()));
    for kind in [Kind::Tool, Kind::Resource, Kind::Prompt] {
        plans.set_rest(kind, plan(&|engine| engine.reads().rest(kind).clone()));
    }
    for named in engines.iter().chain(shadows.iter().map(|shadow| &shadow.engine)) {
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
        shadow: Vec::new(),
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
