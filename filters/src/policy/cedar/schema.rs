//! The Cedar schema that policies are checked against, and the check.
//!
//! Checking a policy costs a walk per action in the schema, so one schema with every tool that ten thousand
//! policies name would cost their square. Instead the policies are checked in batches, each against a schema with the
//! tools that the batch names.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};
use mcpg_sdk::policy::Kind;
use miette::Diagnostic;
use serde_json::{Map, Value, json};

use super::load::Loaded;
use super::names::{
    self, ActionName, GROUPS, PRINCIPALS, PROMPT_METHOD, PROTOCOL, RESOURCE_METHODS, RESOURCES, TOOLS,
};
use super::problem::Problem;
use super::slots::ActionSlot;
use super::source::Source;
use super::types::Record;

/// Tools in one schema, unless one policy names more.
const TOOLS_MAX: usize = 8;

/// The types of the open records.
#[derive(Debug, Default)]
pub(super) struct OpenTypes {
    pub(super) attributes: Record,
    /// Arguments of named tools, by action.
    pub(super) tools: BTreeMap<String, Record>,
    pub(super) rest: HashMap<Kind, Record>,
}

/// What the check found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

/// Checks every policy.
pub(super) fn check(
    policies: &[Loaded],
    sources: &[Source],
    types: &OpenTypes,
    declared: &[String],
    bindings: &[String],
) -> Findings {
    let mut findings = Findings::default();
    for batch in batches(policies, bindings) {
        batch.check(sources, types, &mut findings);
    }
    // What the operator declares of a tool's arguments must suit the policies for all tools too.
    let wide = |policy: &&Loaded| !policy.facts.is_narrow() && policy.facts.reads_arguments();
    let wide: Vec<&Loaded> = policies.iter().filter(wide).collect();
    for tools in declared.chunks(TOOLS_MAX) {
        let names = Names { tools: tools.iter().cloned().collect(), ..Names::default() };
        let batch = Batch { policies: wide.clone(), names, narrow: false };
        batch.check(sources, types, &mut findings);
    }
    findings
}

/// Policies that can be checked against one schema.
///
/// A policy whose scope names its tools as actions is not confused by other tools in the schema. Any other is
/// checked with the tools that it names itself and no others: it may be about one tool through its resource, and
/// the arguments of another are none of its business.
fn batches<'p>(policies: &'p [Loaded], bindings: &[String]) -> Vec<Batch<'p>> {
    let mut batches = Vec::new();
    let mut exact = Batch { narrow: true, ..Batch::default() };
    let mut by_tools: BTreeMap<(bool, BTreeSet<String>), Batch<'p>> = BTreeMap::new();
    for policy in policies {
        let names = Names::of(policy, bindings);
        if !policy.facts.names_tools_as_actions {
            let narrow = policy.facts.is_narrow();
            let batch = by_tools.entry((narrow, names.tools.clone())).or_default();
            batch.narrow = narrow;
            batch.add(policy, names);
            continue;
        }
        if exact.names.tools.union(&names.tools).count() > TOOLS_MAX {
            batches.push(std::mem::take(&mut exact));
            exact.narrow = true;
        }
        exact.add(policy, names);
    }
    batches.push(exact);
    batches.extend(by_tools.into_values());
    batches
}

/// The actions that policies name.
#[derive(Default)]
struct Names {
    tools: BTreeSet<String>,
    /// Methods that are applied to a binding.
    methods: BTreeSet<String>,
    /// Methods that are applied to resources.
    resources: BTreeSet<&'static str>,
    prompts: bool,
    principals: BTreeSet<&'static str>,
}

impl Names {
    fn of(policy: &Loaded, bindings: &[String]) -> Self {
        let mut named = Self::default();
        for id in &policy.facts.actions {
            match names::action_name(id, bindings) {
                Ok(ActionName::Tool { .. }) => drop(named.tools.insert(id.clone())),
                Ok(ActionName::Method(_)) => drop(named.methods.insert(id.clone())),
                Ok(ActionName::Resource(method)) => drop(named.resources.insert(method)),
                Ok(ActionName::Prompt) => named.prompts = true,
                Ok(ActionName::Group(_)) | Err(_) => {}
            }
        }
        named.principals.clone_from(&policy.facts.principals);
        for slot in &policy.facts.slots {
            if let ActionSlot::Tool { binding, tool } = slot {
                named.tools.insert(format!("{binding}.{tool}"));
            }
        }
        named
    }
}

#[derive(Default)]
struct Batch<'p> {
    policies: Vec<&'p Loaded>,
    names: Names,
    /// No policy applies to anything but the named tools.
    narrow: bool,
}

impl<'p> Batch<'p> {
    fn add(&mut self, policy: &'p Loaded, names: Names) {
        self.names.tools.extend(names.tools);
        self.names.methods.extend(names.methods);
        self.names.resources.extend(names.resources);
        self.names.prompts |= names.prompts;
        self.names.principals.extend(names.principals);
        self.policies.push(policy);
    }

    fn check(&self, sources: &[Source], types: &OpenTypes, findings: &mut Findings) {
        if self.policies.is_empty() {
            return;
        }
        let fail = |message: String| Problem::of_file("schema", message);
        let schema = match Schema::from_json_value(generate(&self.names, self.narrow, types)) {
            Ok(schema) => schema,
            Err(error) => {
                return findings.problems.push(fail(format!("the schema cannot be built: {error}")));
            }
        };
        let set = match PolicySet::from_policies(self.policies.iter().map(|policy| policy.policy.clone())) {
            Ok(set) => set,
            Err(error) => return findings.problems.push(fail(error.to_string())),
        };
        let by_id: HashMap<&str, &Loaded> =
            self.policies.iter().map(|policy| (policy.id(), *policy)).collect();
        let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
        let mut problems: Vec<Problem> = result
            .validation_errors()
            .map(|error| {
                let id: &str = error.policy_id().as_ref();
                describe(error, by_id.get(id).copied(), sources)
            })
            .collect();
        problems.sort_by(|a, b| {
            (&a.path, a.line, a.column, &a.message).cmp(&(&b.path, b.line, b.column, &b.message))
        });
        // One mistake shows once for every action that the policy applies to.
        problems.dedup_by(|a, b| {
            (&a.path, a.line, a.column, &a.policy) == (&b.path, b.line, b.column, &b.policy)
        });
        findings.problems.extend(problems);
        for warning in result.validation_warnings() {
            let id: &str = warning.policy_id().as_ref();
            findings.warnings.push(describe(warning, by_id.get(id).copied(), sources).to_string());
        }
    }
}

/// The finding in the file's terms.
fn describe(found: &(impl Diagnostic + ToString), policy: Option<&Loaded>, sources: &[Source]) -> Problem {
    let mut message = found.to_string();
    if let Some(help) = found.help() {
        message.push_str(": ");
        message.push_str(&help.to_string());
    }
    if let Some(policy) = policy {
        // Cedar repeats the id, which stands before the message already.
        message = message.replace(&format!("for policy `{}`, ", policy.id()), "");
    }
    let at = found.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
    match policy {
        Some(policy) => policy.problem(sources, at, message),
        None => Problem::of_file("bundle", message),
    }
}

/// The whole schema, with these tools and their arguments. In Cedar's JSON format.
pub(super) fn with_tools(tools: BTreeMap<String, Record>) -> Value {
    let principals = PRINCIPALS.into_iter().collect();
    let names = Names { tools: tools.keys().cloned().collect(), principals, ..Names::default() };
    generate(&names, false, &OpenTypes { tools, ..OpenTypes::default() })
}

fn generate(names: &Names, narrow: bool, types: &OpenTypes) -> Value {
    // The types of principals differ in name only, so one stands for all that the policies do not name.
    let principals: BTreeSet<&str> = names.principals.iter().copied().chain(["Subject"]).collect();
    let action = |group, resource, arguments: &Record| action(group, &principals, resource, arguments);
    let rest = |kind| types.rest.get(&kind).cloned().unwrap_or_default();
    let mut actions = Map::new();
    for group in GROUPS {
        actions.insert(group.to_owned(), json!({}));
    }
    for id in &names.tools {
        let arguments = types.tools.get(id).cloned().unwrap_or_else(|| rest(Kind::Tool));
        actions.insert(id.clone(), action(Some(TOOLS), "Tool", &arguments));
    }
    if !narrow {
        // These two stand for every tool and method that no policy names.
        actions.insert(TOOLS.to_owned(), action(None, "Tool", &rest(Kind::Tool)));
        actions.insert(PROTOCOL.to_owned(), action(None, "Binding", &rest(Kind::Method)));
    }
    for method in RESOURCE_METHODS {
        if !narrow || names.resources.contains(method) {
            actions.insert(method.to_owned(), action(Some(RESOURCES), "Resource", &rest(Kind::Resource)));
        }
    }
    if !narrow || names.prompts {
        actions.insert(PROMPT_METHOD.to_owned(), action(None, "Prompt", &rest(Kind::Prompt)));
    }
    let known = names::binding_methods().filter(|_| !narrow).map(str::to_owned);
    for id in known.chain(names.methods.iter().cloned()) {
        let (_, group) = names::method_action(names::method_of(&id));
        let declaration = action(group, "Binding", &rest(Kind::Method));
        actions.insert(id, declaration);
    }
    json!({"": {"entityTypes": entity_types(&types.attributes), "actions": actions}})
}

fn action(group: Option<&str>, principals: &BTreeSet<&str>, resource: &str, arguments: &Record) -> Value {
    let groups: Vec<Value> = group.iter().map(|group| json!({"id": group})).collect();
    json!({
        "memberOf": groups,
        "appliesTo": {
            "principalTypes": principals,
            "resourceTypes": [resource],
            "context": {"type": "Record", "attributes": {
                "approval_token": {"type": "String", "required": false},
                "source_ip": {"type": "Extension", "name": "ipaddr"},
                "time": {"type": "Extension", "name": "datetime"},
                "mcp": strings(&["method", "binding"]),
                "tenant": strings(&["organization", "workspace", "environment"]),
                "arguments": arguments.to_schema(),
            }},
        },
    })
}

fn entity_types(attributes: &Record) -> Value {
    let principal = json!({
        "memberOfTypes": ["Group", "Role", "Org"],
        "shape": {"type": "Record", "attributes": {
            "subject": {"type": "String"},
            "auth_method": {"type": "String"},
            "audience": {"type": "String", "required": false},
            "attributes": attributes.to_schema(),
        }},
    });
    let resource = |names: &[&str]| json!({"memberOfTypes": ["Binding"], "shape": strings(names)});
    let mut types = Map::new();
    for name in PRINCIPALS {
        types.insert(name.to_owned(), principal.clone());
    }
    types.insert("Group".to_owned(), json!({"memberOfTypes": ["Group"]}));
    types.insert("Role".to_owned(), json!({"memberOfTypes": ["Role"]}));
    types.insert("Org".to_owned(), json!({}));
    types.insert("Binding".to_owned(), json!({"shape": strings(&["name"])}));
    types.insert("Tool".to_owned(), resource(&["name", "binding"]));
    types.insert("Prompt".to_owned(), resource(&["name", "binding"]));
    types.insert("Resource".to_owned(), resource(&["uri", "binding"]));
    Value::Object(types)
}

fn strings(names: &[&str]) -> Value {
    let attributes: Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!({"type": "String"}))).collect();
    json!({"type": "Record", "attributes": attributes})
}
