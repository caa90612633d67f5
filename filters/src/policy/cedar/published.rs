//! The schema that policies are checked against, as a text for authors: with the tools that bindings have and the types of their
//! arguments, so that editors and Cedar's own command line complete and check policies.

use cedar_policy::SchemaFragment;
use serde_json::Value;

use super::problem::CedarError;
use super::schema;
use super::types::{Field, Record, Type};

/// Members within members that types are read of.
const DEPTH_MAX: usize = 8;

/// A tool of a binding, as its server lists it.
#[derive(Debug, Clone, Copy)]
pub struct ListedTool<'a> {
    /// The binding's id.
    pub binding: &'a str,
    /// The tool's name.
    pub name: &'a str,
    /// Its `inputSchema`.
    pub input_schema: &'a Value,
}

/// The schema of a gateway with these tools, in Cedar's syntax.
///
/// Arguments whose JSON Schema has no counterpart in Cedar (numbers with fractions, unions, lists of objects) are left out: policies cannot
/// read them.
///
/// # Errors
/// When the tools make no schema.
pub fn schema_text(tools: &[ListedTool<'_>]) -> Result<String, CedarError> {
    let arguments = tools.iter().map(|tool| {
        (format!("{}.{}", tool.binding, tool.name), record(tool.input_schema, DEPTH_MAX).unwrap_or_default())
    });
    let fragment = SchemaFragment::from_json_value(schema::with_tools(arguments.collect()))
        .map_err(|error| CedarError::Bundle(error.to_string()))?;
    fragment.to_cedarschema().map_err(|error| CedarError::Bundle(error.to_string()))
}

fn record(schema: &Value, depth: usize) -> Option<Record> {
    let properties = schema.get("properties")?.as_object()?;
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let field = |(name, schema): (&String, &Value)| {
        let of = of_json(schema, depth.checked_sub(1)?)?;
        Some((name.clone(), Field { of, required: required.contains(&name.as_str()) }))
    };
    Some(Record { fields: properties.iter().filter_map(field).collect(), closed: false })
}

fn of_json(schema: &Value, depth: usize) -> Option<Type> {
    match schema.get("type")?.as_str()? {
        "string" => Some(Type::String),
        "integer" => Some(Type::Long),
        "boolean" => Some(Type::Bool),
        "object" => record(schema, depth).map(Type::Record),
        "array" => {
            let element = of_json(schema.get("items")?, depth.checked_sub(1)?)?;
            (!matches!(element, Type::Record(_))).then(|| Type::Set(element.into()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};
    use serde_json::json;

    use super::*;

    fn problems(text: &str, policy: &str) -> usize {
        let (schema, _) = Schema::from_cedarschema_str(text).unwrap();
        let result =
            Validator::new(schema).validate(&policy.parse::<PolicySet>().unwrap(), ValidationMode::Strict);
        result.validation_errors().count()
    }

    #[test]
    fn policies_are_checked_against_the_tools_that_there_are() {
        let input = json!({
            "type": "object",
            "properties": {
                "path": {"type": "string"},
                "limit": {"type": "integer"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "ratio": {"type": "number"},
                "odd \"name\"": {"type": "boolean"},
            },
            "required": ["path"],
        });
        let tool = ListedTool { binding: "files", name: "read", input_schema: &input };
        let other = ListedTool { binding: "files", name: "odd name", input_schema: &Value::Null };
        let text = schema_text(&[tool, other]).unwrap();
        let policy = |action: &str, condition: &str| {
            format!("permit (principal, action == Action::\"{action}\", resource) when {{ {condition} }};")
        };
        assert_eq!(
            problems(&text, &policy("files.read", "context.arguments.path like \"/srv/*\"")),
            0,
            "{text}"
        );
        assert_eq!(problems(&text, &policy("files.odd name", "principal in Group::\"dev\"")), 0, "{text}");
        assert_eq!(
            problems(
                &text,
                &policy("files.read", "context.arguments has tags && context.arguments.tags.contains(\"x\")")
            ),
            0
        );
        assert!(problems(&text, &policy("files.reed", "true")) > 0);
        assert!(
            problems(&text, &policy("files.read", "context.arguments.limit < 5")) > 0,
            "it may be absent"
        );
        assert!(problems(&text, &policy("files.read", "context.arguments.path < 5")) > 0);
        assert!(problems(&text, &policy("files.read", "context.arguments.ratio == 1")) > 0);
    }
}
