//! From the files of a bundle to an engine: parse, analyse, infer, check, slice.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cedar_policy::{Effect, Policy, PolicyId};
use mcpg_sdk::Obligation;
use mcpg_sdk::policy::{ByAction, Kind, ReadSet, Reads};
use miette::Diagnostic;

use super::analysis::{self, Facts};
use super::bundle::{self, Texts};
use super::declared::Declared;
use super::entities::Types;
use super::hierarchy::Hierarchy;
use super::index::{Index, Place};
use super::infer::{Shape, Unresolved};
use super::names::{self, PROTOCOL};
use super::obligations;
use super::paths::Root;
use super::problem::{CedarError, Problem, did_you_mean};
use super::schema::{self, OpenTypes};
use super::slots::{ActionSlot, KindSlot};
use super::source::{Source, Statement};
use super::types::Record;
use super::{BundleContext, CedarSettings, Protocol};

/// The id of the policy that lets clients connect.
const PROTOCOL_POLICY: &str = "mcpg.protocol";

/// After so many problems the rest is not looked for.
const PROBLEMS_MAX: usize = 100;

/// The bytes of stack for the parser and the validator, which recurse up to the limits in [`super::source`].
const STACK_BYTES: usize = 64 << 20;

/// What the engine needs of the bundle.
pub(super) struct Compiled {
    pub(super) index: Index,
    pub(super) reads: Reads,
    pub(super) attributes: Record,
    pub(super) arguments: ByAction<Arc<Record>>,
    pub(super) obligations: HashMap<PolicyId, Vec<Obligation>>,
    pub(super) hierarchy: Hierarchy,
    pub(super) types: Types,
    pub(super) policies: usize,
    pub(super) warnings: Vec<String>,
}

/// One policy with what is known of it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) policy: Policy,
    pub(super) facts: Facts,
    obligations: Vec<Obligation>,
    source: usize,
    statement: Statement,
}

impl Loaded {
    pub(super) fn id(&self) -> &str {
        self.policy.id().as_ref()
    }

    /// A problem at an offset of the policy's text.
    pub(super) fn problem(&self, sources: &[Source], at: usize, message: impl Into<String>) -> Problem {
        problem(sources, self.source, self.statement.offset + at, message).in_policy(self.id())
    }
}

/// Loads a bundle on a stack of its own.
pub(super) fn load(settings: &CedarSettings, context: &BundleContext<'_>) -> Result<Compiled, CedarError> {
    let work = || compile(settings, context);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("policy-load".to_owned()).stack_size(STACK_BYTES);
        let thread = thread
            .spawn_scoped(scope, work)
            .map_err(|source| CedarError::Read { path: settings.bundle.clone(), source })?;
        thread
            .join()
            .unwrap_or_else(|_| Err(CedarError::Bundle("the policies cannot be compiled".to_owned())))
    })
}

fn compile(settings: &CedarSettings, context: &BundleContext<'_>) -> Result<Compiled, CedarError> {
    if let Some(id) = context.bindings.iter().find(|id| !names::is_binding_id(id)) {
        return Err(CedarError::Bundle(format!(
            "the binding `{id}` cannot be named in policies: its id has `.`, `/` or `:`"
        )));
    }
    let types = Types::new().map_err(|error| CedarError::Bundle(error.to_string()))?;
    let Texts { policies: mut sources, schema, entities, mut warnings } = bundle::read(settings, context)?;
    if settings.protocol == Protocol::Builtin {
        sources.push(builtin());
    }
    let declared =
        schema.map_or_else(|| Ok(Declared::default()), |schema| Declared::parse(&schema, context.bindings));
    let hierarchy =
        entities.map_or_else(|| Ok(Hierarchy::default()), |entities| Hierarchy::parse(&entities, &types));
    let policies = parse(&sources, settings, context.bindings)?;
    let (declared, hierarchy) = match (declared, hierarchy) {
        (Ok(declared), Ok(hierarchy)) => (declared, hierarchy),
        (declared, hierarchy) => {
            let problems = [declared.err(), hierarchy.err()].into_iter().flatten().flatten().collect();
            return Err(CedarError::Policies(problems));
        }
    };
    let (open, arguments) = infer(&policies, &sources, &declared)?;
    let tools: Vec<String> =
        declared.tools.keys().map(|(binding, tool)| format!("{binding}.{tool}")).collect();
    let findings = schema::check(&policies, &sources, &open.full, &tools, context.bindings);
    if !findings.problems.is_empty() {
        return Err(CedarError::Policies(findings.problems));
    }
    warnings.extend(findings.warnings);
    warnings.extend(uncommon_methods(&policies, &sources));
    Ok(Compiled {
        index: Index::build(file(&policies, &types))
            .map_err(|error| CedarError::Bundle(error.to_string()))?,
        reads: reads(&policies, &hierarchy),
        attributes: open.attributes,
        arguments,
        obligations: policies
            .iter()
            .filter(|policy| !policy.obligations.is_empty())
            .map(|policy| (policy.policy.id().clone(), policy.obligations.clone()))
            .collect(),
        hierarchy,
        types,
        policies: policies.len(),
        warnings,
    })
}

fn builtin() -> Source {
    let text =
        format!("@id(\"{PROTOCOL_POLICY}\") permit (principal, action in Action::\"{PROTOCOL}\", resource);");
    Source::new("(built in)".to_owned(), text)
}

fn problem(sources: &[Source], source: usize, at: usize, message: impl Into<String>) -> Problem {
    match sources.get(source) {
        Some(source) => source.problem(at, message),
        None => Problem::of_file("bundle", message),
    }
}

fn parse(
    sources: &[Source],
    settings: &CedarSettings,
    bindings: &[String],
) -> Result<Vec<Loaded>, CedarError> {
    let mut policies: Vec<Loaded> = Vec::new();
    let mut places: HashMap<String, (usize, usize)> = HashMap::new();
    let mut problems = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        let statements = match source.statements() {
            Ok(statements) => statements,
            Err(found) => {
                problems.push(found);
                continue;
            }
        };
        if policies.len() + statements.len() > settings.limits.policies_max {
            let message = format!(
                "the bundle has more than {} policies (`limits.policies_max`)",
                settings.limits.policies_max
            );
            problems.push(Problem::of_file(&source.path, message));
            break;
        }
        for (number, statement) in statements.into_iter().enumerate() {
            match parse_one(source, at, number, statement, bindings) {
                Ok(policy) => match places.insert(policy.id().to_owned(), (at, policy.statement.offset)) {
                    None => policies.push(policy),
                    Some((first, offset)) => {
                        let first = problem(sources, first, offset, String::new());
                        let message =
                            format!("the id is taken by {}:{}:{}", first.path, first.line, first.column);
                        problems.push(policy.problem(sources, 0, message));
                    }
                },
                Err(found) => problems.extend(found),
            }
        }
        if problems.len() >= PROBLEMS_MAX {
            break;
        }
    }
    if problems.is_empty() { Ok(policies) } else { Err(CedarError::Policies(problems)) }
}

fn parse_one(
    source: &Source,
    at: usize,
    number: usize,
    statement: Statement,
    bindings: &[String],
) -> Result<Loaded, Vec<Problem>> {
    let fail = |offset: usize, message: String| source.problem(statement.offset + offset, message);
    let stem = source.path.strip_suffix(".cedar").unwrap_or(&source.path);
    let default_id = format!("{stem}#{}", number + 1);
    let policy = Policy::parse(Some(PolicyId::new(&default_id)), &statement.text).map_err(|errors| {
        errors.iter().map(|error| fail(offset_of(error), describe(error))).collect::<Vec<_>>()
    })?;
    let id = policy.annotation("id").map_or(default_id, str::to_owned);
    let reserved = id.starts_with("mcpg.") && id != PROTOCOL_POLICY
        || id == PROTOCOL_POLICY && source.path != "(built in)";
    if id.is_empty() || id.len() > 256 || id.chars().any(char::is_control) || reserved {
        let message =
            format!("`@id({id:?})`: an id is 1 to 256 printable characters and does not begin with `mcpg.`");
        return Err(vec![fail(0, message)]);
    }
    let in_policy = |problem: Problem| problem.in_policy(&id);
    let tree = policy.to_pst().map_err(|error| vec![in_policy(fail(0, error.to_string()))])?;
    let facts = analysis::analyse(tree.body(), bindings).map_err(|mistakes| {
        let locate = |near: &Option<String>| {
            near.as_ref().and_then(|near| statement.text.find(near.as_str())).unwrap_or(0)
        };
        mistakes
            .into_iter()
            .map(|mistake| in_policy(fail(locate(&mistake.near), mistake.message)))
            .collect::<Vec<_>>()
    })?;
    let is_permit = policy.effect() == Effect::Permit;
    let obligations = obligations::obligations(policy.annotations(), is_permit)
        .map_err(|message| vec![in_policy(fail(statement.text.find('@').unwrap_or(0), message))])?;
    let policy = policy.new_id(PolicyId::new(&id));
    Ok(Loaded { policy, facts, obligations, source: at, statement })
}

fn offset_of(error: &dyn Diagnostic) -> usize {
    error.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset())
}

fn describe(error: &impl Diagnostic) -> String {
    let help = error.help().map(|help| format!(": {help}")).unwrap_or_default();
    format!("{error}{help}")
}

/// The open records: as they are declared or inferred in full, and of the attributes what is read.
struct Open {
    full: OpenTypes,
    attributes: Record,
}

/// The types of the open records, and per action those of the arguments that are read.
fn infer(
    policies: &[Loaded],
    sources: &[Source],
    declared: &Declared,
) -> Result<(Open, ByAction<Arc<Record>>), CedarError> {
    let fail = |unresolved: Unresolved| match policies.get(unresolved.policy) {
        Some(policy) => CedarError::Policies(vec![policy.problem(sources, 0, unresolved.message)]),
        None => CedarError::Bundle(unresolved.message),
    };
    let shape_of = |root: Root, base: Shape, chosen: &mut dyn Iterator<Item = usize>| {
        let mut shape = base;
        for at in chosen {
            let uses = policies.get(at).map(|policy| policy.facts.uses.as_slice()).unwrap_or_default();
            uses.iter().filter(|own| own.path.root == root).for_each(|own| shape.add(own, at));
        }
        shape
    };
    let resolve =
        |root: Root, shape: &Shape, declared: Option<&Record>, known: Option<&Record>| match declared {
            Some(declared) => Ok((declared.clone(), shape.prune(declared))),
            None => shape.resolve(root, known).map(|record| (record.clone(), record)).map_err(fail),
        };

    let all = shape_of(Root::Attributes, Shape::default(), &mut (0..policies.len()));
    let (attributes, read) = resolve(Root::Attributes, &all, declared.attributes.as_ref(), None)?;
    let mut full = OpenTypes { attributes, ..OpenTypes::default() };

    let by_slot = by_slot(policies);
    let slot = |slot: &ActionSlot| by_slot.get(slot).into_iter().flatten().copied();
    let mut arguments = ByAction::new(&Arc::new(Record::default()));
    let mut any_tool = Shape::default();
    for kind in [Kind::Tool, Kind::Resource, Kind::Prompt, Kind::Method] {
        let wide = slot(&ActionSlot::Any).chain(slot(&ActionSlot::Kind(KindSlot::of(kind))));
        let methods =
            by_slot.iter().filter(|(slot, _)| kind == Kind::Method && matches!(slot, ActionSlot::Method(_)));
        let methods = methods.flat_map(|(_, policies)| policies.iter().copied());
        let shape = shape_of(Root::Arguments, Shape::default(), &mut wide.chain(methods));
        let declared = declared.any_tool.as_ref().filter(|_| kind == Kind::Tool);
        let (record, read) = resolve(Root::Arguments, &shape, declared, Some(&full.attributes))?;
        full.rest.insert(kind, record);
        arguments.set_rest(kind, Arc::new(read));
        if kind == Kind::Tool {
            any_tool = shape;
        }
    }
    let named = by_slot.keys().filter_map(|slot| match slot {
        ActionSlot::Tool { binding, tool } => Some((binding.clone(), tool.clone())),
        _ => None,
    });
    let named: std::collections::BTreeSet<_> = named.chain(declared.tools.keys().cloned()).collect();
    for (binding, tool) in named {
        let own = ActionSlot::Tool { binding: binding.clone(), tool: tool.clone() };
        let shape = shape_of(Root::Arguments, any_tool.clone(), &mut slot(&own));
        let declared = declared.tool(&binding, &tool);
        let (record, read) = resolve(Root::Arguments, &shape, declared, Some(&full.attributes))?;
        if full.rest.get(&Kind::Tool) != Some(&record) {
            full.tools.insert(format!("{binding}.{tool}"), record);
        }
        arguments.set_tool(&binding, &tool, Arc::new(read));
    }
    Ok((Open { full, attributes: read }, arguments))
}

/// Places in `policies`, by the slots they are in.
fn by_slot(policies: &[Loaded]) -> BTreeMap<ActionSlot, Vec<usize>> {
    let mut by_slot: BTreeMap<ActionSlot, Vec<usize>> = BTreeMap::new();
    for (at, policy) in policies.iter().enumerate() {
        for slot in &policy.facts.slots {
            by_slot.entry(slot.clone()).or_default().push(at);
        }
    }
    by_slot
}

/// What each action's policies read.
fn reads(policies: &[Loaded], hierarchy: &Hierarchy) -> Reads {
    let by_slot = by_slot(policies);
    let add = |set: &mut ReadSet, slot: &ActionSlot| {
        for policy in by_slot.get(slot).into_iter().flatten().filter_map(|at| policies.get(*at)) {
            set.merge(&policy.facts.reads);
        }
        // A group may have members that only `entities.json` names.
        set.subject |= hierarchy.names_principals() && (set.groups || set.roles);
    };
    let mut interned: HashMap<ReadSet, Arc<ReadSet>> = HashMap::new();
    let mut intern =
        |set: ReadSet| interned.entry(set).or_insert_with_key(|set| Arc::new(set.clone())).clone();
    let rest = |kind| {
        let mut set = ReadSet::default();
        add(&mut set, &ActionSlot::Any);
        add(&mut set, &ActionSlot::Kind(KindSlot::of(kind)));
        set
    };
    let mut reads = Reads::new(&intern(ReadSet::default()));
    for kind in [Kind::Tool, Kind::Resource, Kind::Prompt, Kind::Method] {
        reads.set_rest(kind, intern(rest(kind)));
    }
    let (any_tool, any_method) = (rest(Kind::Tool), rest(Kind::Method));
    for slot in by_slot.keys() {
        match slot {
            ActionSlot::Tool { binding, tool } => {
                // The name selected this set, so it is part of what the decision depends on.
                let mut set = ReadSet { name: true, ..any_tool.clone() };
                add(&mut set, slot);
                reads.set_tool(binding, tool, intern(set));
            }
            ActionSlot::Method(method) => {
                let mut set = any_method.clone();
                add(&mut set, slot);
                reads.set_method(method, intern(set));
            }
            ActionSlot::Any | ActionSlot::Kind(_) => {}
        }
    }
    reads
}

/// Methods that are accepted for their prefix, in case they are misspelt.
fn uncommon_methods(policies: &[Loaded], sources: &[Source]) -> Vec<String> {
    let mut warnings = Vec::new();
    for policy in policies {
        for id in policy.facts.actions.iter().filter(|id| names::is_uncommon_method(id)) {
            let advice = did_you_mean(id, names::binding_methods());
            let message = format!("`{id}` is not a method of the protocol{advice}");
            warnings.push(policy.problem(sources, 0, message).to_string());
        }
    }
    warnings
}

/// Where each policy is filed.
fn file<'p>(policies: &'p [Loaded], types: &Types) -> HashMap<Place, Vec<&'p Policy>> {
    let mut filed: HashMap<Place, Vec<&Policy>> = HashMap::new();
    for policy in policies {
        let facts = &policy.facts;
        let resource = facts.resource.as_ref().and_then(|one| types.named(one));
        let principal = facts.principal.as_ref().and_then(|one| types.named(one));
        for slot in &facts.slots {
            let place =
                Place { slot: slot.clone(), resource: resource.clone(), principal: principal.clone() };
            filed.entry(place).or_default().push(&policy.policy);
        }
    }
    filed
}
