//! Types that the operator declares in the bundle's `.cedarschema`.
//!
//! Entity types, actions and the context are the gateway's own. A schema may declare the two open records: the
//! caller's attributes as `type CallerAttributes = {…}`, and the arguments of a tool as the context of its action. What
//! is declared takes the place of what would be inferred.

use std::collections::HashMap;

use cedar_policy::SchemaFragment;
use miette::Diagnostic;
use serde_json::{Map, Value};

use super::names::{self, ActionName, TOOLS};
use super::problem::Problem;
use super::source::Source;
use super::types::{Extension, Field, Record, Type};

/// The common type that declares the caller's attributes.
const CALLER_ATTRIBUTES: &str = "CallerAttributes";

/// References through common types, and records in records.
const DEPTH_MAX: usize = 16;

/// What the operator declared.
#[derive(Debug, Default)]
pub(super) struct Declared {
    pub(super) attributes: Option<Record>,
    /// The arguments of all tools that are not in `tools`.
    pub(super) any_tool: Option<Record>,
    /// By binding and tool.
    pub(super) tools: HashMap<(String, String), Record>,
}

impl Declared {
    /// Reads the schema.
    pub(super) fn parse(source: &Source, bindings: &[String]) -> Result<Self, Vec<Problem>> {
        let text = source.text();
        let fragment =
            SchemaFragment::from_cedarschema_str(text).map(|(fragment, _)| fragment).map_err(|error| {
                let at =
                    error.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
                vec![source.problem(at, error.to_string())]
            })?;
        let document = fragment
            .to_json_value()
            .map_err(|error| vec![Problem::of_file(&source.path, error.to_string())])?;
        let empty = Map::new();
        let members = |value: &'_ Value, name: &str| {
            value.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
        };
        let mut problems = Vec::new();
        let mut declared = Self::default();
        for (namespace, content) in document.as_object().unwrap_or(&empty) {
            if !namespace.is_empty() {
                problems.push(locate(source, namespace, "declare without a namespace".to_owned()));
                continue;
            }
            let types = Types { common: members(content, "commonTypes") };
            for name in members(content, "entityTypes").keys() {
                problems.push(locate(
                    source,
                    name,
                    format!("the entity types are built in: drop `entity {name}`"),
                ));
            }
            if types.common.contains_key(CALLER_ATTRIBUTES) {
                match types.named_record(CALLER_ATTRIBUTES) {
                    Ok(record) => declared.attributes = Some(record),
                    Err(message) => problems.push(locate(source, CALLER_ATTRIBUTES, message)),
                }
            }
            for (id, action) in &members(content, "actions") {
                if let Err(message) = declared.action(id, action, &types, bindings) {
                    problems.push(locate(source, id, message));
                }
            }
        }
        if problems.is_empty() { Ok(declared) } else { Err(problems) }
    }

    fn action(&mut self, id: &str, action: &Value, types: &Types, bindings: &[String]) -> Result<(), String> {
        if action.get("memberOf").and_then(Value::as_array).is_some_and(|groups| !groups.is_empty()) {
            return Err(format!("`Action::\"{id}\"`: the groups of actions are built in: drop `in`"));
        }
        let context = action.pointer("/appliesTo/context").unwrap_or(&Value::Null);
        let mut context = types.record(context, DEPTH_MAX)?;
        let arguments = context.fields.remove("arguments");
        if let Some(other) = context.fields.keys().next() {
            return Err(format!(
                "`Action::\"{id}\"`: the context is built in, except `arguments`: drop `{other}`"
            ));
        }
        let Some(Field { of: Type::Record(arguments), .. }) = arguments else {
            return Err(format!(
                "`Action::\"{id}\"` declares nothing: write `context: {{ arguments: {{…}} }}`"
            ));
        };
        match names::action_name(id, bindings)? {
            ActionName::Group(TOOLS) => self.any_tool = Some(arguments),
            ActionName::Tool { binding, tool } => {
                self.tools.insert((binding, tool), arguments);
            }
            _ => return Err(format!("`Action::\"{id}\"` is no tool: only tools' arguments are declared")),
        }
        Ok(())
    }

    /// The arguments of a tool, if they are declared.
    pub(super) fn tool(&self, binding: &str, tool: &str) -> Option<&Record> {
        // Only named tools are looked up, at load.
        self.tools.get(&(binding.to_owned(), tool.to_owned())).or(self.any_tool.as_ref())
    }
}

fn locate(source: &Source, near: &str, message: String) -> Problem {
    source.problem(source.text().find(near).unwrap_or(0), message)
}

struct Types {
    common: Map<String, Value>,
}

impl Types {
    fn named_record(&self, name: &str) -> Result<Record, String> {
        self.record(self.common.get(name).unwrap_or(&Value::Null), DEPTH_MAX)
    }

    fn record(&self, value: &Value, depth: usize) -> Result<Record, String> {
        match self.of(value, depth)? {
            Type::Record(record) => Ok(record),
            other => Err(format!("expected a record, found {other}")),
        }
    }

    fn of(&self, value: &Value, depth: usize) -> Result<Type, String> {
        let depth = depth.checked_sub(1).ok_or("types are nested too deep")?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("type") {
            "Record" => {
                let mut record = Record::default();
                for (name, attribute) in
                    value.get("attributes").and_then(Value::as_object).into_iter().flatten()
                {
                    let required = attribute.get("required").and_then(Value::as_bool).unwrap_or(true);
                    let of = self.of(attribute, depth).map_err(|problem| format!("`{name}`: {problem}"))?;
                    record.fields.insert(name.clone(), Field { of, required });
                }
                Ok(Type::Record(record))
            }
            "Set" => {
                let element = self.of(value.get("element").unwrap_or(&Value::Null), depth)?;
                Ok(Type::Set(Box::new(element)))
            }
            "EntityOrCommon" => self.named(text("name"), depth),
            _ => Err("expected a record, a set, String, Long, Bool or an extension type".to_owned()),
        }
    }

    fn named(&self, name: &str, depth: usize) -> Result<Type, String> {
        if let Some(common) = self.common.get(name) {
            return self.of(common, depth);
        }
        let plain = name.strip_prefix("__cedar::").unwrap_or(name);
        if let Some(extension) = Extension::ALL.into_iter().find(|extension| extension.name() == plain) {
            return Ok(Type::Extension(extension));
        }
        match plain {
            "String" => Ok(Type::String),
            "Long" => Ok(Type::Long),
            "Bool" | "Boolean" => Ok(Type::Bool),
            _ => Err(format!("there is no type `{name}`: a value in JSON cannot be an entity")),
        }
    }
}
