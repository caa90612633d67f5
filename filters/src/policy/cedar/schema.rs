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

use super::analysis::ActionSlot;
use super::load::Loaded;
use super::names::{
    self, ActionName, GROUPS, PRINCIPALS, PROMPT_METHOD, PROTOCOL, RESOURCE_METHODS, RESOURCES, TOOLS,
};
use super::problem::Problem;
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
    bindings: &[String],
) -> Findings {
    let mut findings = Findings::default();
    // Policies that apply to named tools only need no other action in their schema.
    let is_narrow =
        |policy: &Loaded| policy.facts.slots.iter().all(|slot| matches!(slot, ActionSlot::Tool { .. }));
    for narrow in [true, false] {
        let mut batch = Batch::default();
        for policy in policies.iter().filter(|policy| is_narrow(policy) == narrow) {
            let named = Names::of(policy, bindings);
            if !batch.policies.is_empty() && batch.names.tools.union(&named.tools).count() > TOOLS_MAX {
                batch.check(narrow, sources, types, &mut findings);
                batch = Batch::default();
            }
            batch.names.tools.extend(named.tools);
            batch.names.methods.extend(named.methods);
            batch.policies.push(policy);
        }
        batch.check(narrow, sources, types, &mut findings);
    }
    findings
}

/// The actions that policies name.
#[derive(Default)]
struct Names {
    tools: BTreeSet<String>,
    methods: BTreeSet<String>,
}

impl Names {
    fn of(policy: &Loaded, bindings: &[String]) -> Self {
        let mut named = Self::default();
        for id in &policy.facts.actions {
            match names::action_name(id, bindings) {
                Ok(ActionName::Tool { .. }) => named.tools.insert(id.clone()),
                Ok(ActionName::Method(_)) => named.methods.insert(id.clone()),
                _ => continue,
            };
        }
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
}

impl Batch<'_> {
    fn check(&self, narrow: bool, sources: &[Source], types: &OpenTypes, findings: &mut Findings) {
        if self.policies.is_empty() {
            return;
        }
        let fail = |message: String| Problem::of_file("schema", message);
        let schema = match Schema::from_json_value(generate(&self.names, narrow, types)) {
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

fn generate(names: &Names, narrow: bool, types: &OpenTypes) -> Value {
    let rest = |kind| types.rest.get(&kind).cloned().unwrap_or_default();
    let mut actions = Map::new();
    for group in GROUPS {
        actions.insert(group.to_owned(), json!({}));
    }
    // Stands for every tool that no policy names.
    actions.insert(TOOLS.to_owned(), action(None, "Tool", &rest(Kind::Tool)));
    for id in &names.tools {
        let arguments = types.tools.get(id).cloned().unwrap_or_else(|| rest(Kind::Tool));
        actions.insert(id.clone(), action(Some(TOOLS), "Tool", &arguments));
    }
    if !narrow {
        for method in RESOURCE_METHODS {
            actions.insert(method.to_owned(), action(Some(RESOURCES), "Resource", &rest(Kind::Resource)));
        }
        actions.insert(PROMPT_METHOD.to_owned(), action(None, "Prompt", &rest(Kind::Prompt)));
        // Stands for every method that has no name of its own.
        actions.insert(PROTOCOL.to_owned(), action(None, "Binding", &rest(Kind::Method)));
        let known = names::binding_methods().map(str::to_owned);
        for id in known.chain(names.methods.iter().cloned()) {
            let (_, group) = names::method_action(names::method_of(&id));
            let declaration = action(group, "Binding", &rest(Kind::Method));
            actions.insert(id, declaration);
        }
    }
    json!({"": {"entityTypes": entity_types(&types.attributes), "actions": actions}})
}

fn action(group: Option<&str>, resource: &str, arguments: &Record) -> Value {
    let groups: Vec<Value> = group.iter().map(|group| json!({"id": group})).collect();
    json!({
        "memberOf": groups,
        "appliesTo": {
            "principalTypes": PRINCIPALS,
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
