//! The input document: what a policy engine that reads JSON is given of a call.
//!
//! It has the parts that the engine reads and no others, but for the method, the kinds and the binding, which are always there.
//! Its shape is in `config/schema/policy-input.schema.json` and `docs/POLICY.md`.
//!
//! INVARIANT: a value in it is the value that the upstream will read. What has no faithful form is refused: a member that is there
//! twice, a number that a 64-bit integer or float cannot hold.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use mcpg_sdk::policy::{Arguments, EngineError, Kind, Names, PolicyInput};
use schemars::{JsonSchema, Schema, schema_for};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Integers beyond this are not exact as a float.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// What an engine decides on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Input of a policy decision")]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Who asks.
    pub caller: CallerPart,
    /// What is done.
    pub action: ActionPart,
    /// What it is done to.
    pub resource: ResourcePart,
    /// Where it belongs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantPart>,
    /// In which circumstances.
    pub context: ContextPart,
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallerPart {
    /// `user:alice@acme.com`, `spiffe://acme.org/sa/cron`, or `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Whom the credential was issued for, where it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// `api_key`, `basic`, `mtls`, `oidc`, `workload` or `anonymous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_method: Option<String>,
    /// The attribute `groups`; none: an empty list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// The attribute `roles`; none: an empty list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// The attributes that policies read, as the identity provider made them.
    #[serde(default)]
    pub attributes: Map<String, Value>,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionPart {
    /// The method, such as `tools/call`.
    pub method: String,
    /// What kind of action it is.
    pub kind: ActionKind,
    /// The name of the tool or prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What kind of action it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// `tools/call`.
    Tool,
    /// `resources/read` and the like.
    Resource,
    /// `prompts/get`.
    Prompt,
    /// Any other method.
    Method,
}

/// What it is done to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourcePart {
    /// The binding's id.
    pub binding: String,
    /// What kind of thing it is.
    pub kind: ResourceKind,
    /// The name of the tool or prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The resource's URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

/// What kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// A tool.
    Tool,
    /// A resource.
    Resource,
    /// A prompt.
    Prompt,
    /// The binding as a whole.
    Binding,
}

/// Where it belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantPart {
    /// The organization.
    pub organization: String,
    /// The workspace.
    pub workspace: String,
    /// The environment.
    pub environment: String,
}

/// In which circumstances.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContextPart {
    /// The arguments that policies read; a call without any has none here either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Map<String, Value>>,
    /// Set by an approval gate, never by the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_token: Option<String>,
    /// When the request arrived (RFC 3339, UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The client's address; an IPv4 address in IPv6 form is written as IPv4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<IpAddr>,
}

impl Document {
    /// The document of a call.
    ///
    /// # Errors
    /// When a part that is read has no faithful form.
    pub fn of(input: &PolicyInput<'_>) -> Result<Self, EngineError> {
        let name = || input.name().map(str::to_owned);
        let (action, resource) = match input.kind() {
            Kind::Tool => (ActionKind::Tool, ResourceKind::Tool),
            Kind::Resource => (ActionKind::Resource, ResourceKind::Resource),
            Kind::Prompt => (ActionKind::Prompt, ResourceKind::Prompt),
            Kind::Method => (ActionKind::Method, ResourceKind::Binding),
        };
        let is_uri = input.kind() == Kind::Resource;
        let reads = input.reads();
        Ok(Self {
            caller: CallerPart {
                subject: input.subject().map(str::to_owned),
                audience: input.audience().map(str::to_owned),
                auth_method: input.auth_method().map(|method| method.as_str().to_owned()),
                groups: reads.groups.then(|| texts("caller.groups", input.groups())).transpose()?,
                roles: reads.roles.then(|| texts("caller.roles", input.roles())).transpose()?,
                attributes: attributes(input)?,
            },
            action: ActionPart {
                method: input.method().to_owned(),
                kind: action,
                name: name().filter(|_| !is_uri),
            },
            resource: ResourcePart {
                binding: input.binding().to_owned(),
                kind: resource,
                name: name().filter(|_| !is_uri),
                uri: name().filter(|_| is_uri),
            },
            tenant: input.tenant().map(|scope| TenantPart {
                organization: scope.organization().to_owned(),
                workspace: scope.workspace().to_owned(),
                environment: scope.environment().to_owned(),
            }),
            context: ContextPart {
                arguments: arguments(input)?,
                approval_token: input.approval_token().map(str::to_owned),
                time: input.time().map(rfc3339).transpose()?,
                source_ip: input.source().map(|source| source.to_canonical()),
            },
        })
    }

    /// The document as JSON.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn json(input: &PolicyInput<'_>) -> Result<Value, EngineError> {
        serde_json::to_value(Self::of(input)?).map_err(|error| unfit("input", error.to_string()))
    }

    /// Its JSON Schema.
    pub fn schema() -> Schema {
        schema_for!(Self)
    }
}

fn attributes(input: &PolicyInput<'_>) -> Result<Map<String, Value>, EngineError> {
    let attributes = input.attributes().map(|(name, value)| {
        if is_exact(value) {
            Ok((name.to_owned(), value.clone()))
        } else {
            Err(unfit(&format!("caller.attributes.{name}"), "has a number that is not exact"))
        }
    });
    attributes.collect()
}

fn arguments(input: &PolicyInput<'_>) -> Result<Option<Map<String, Value>>, EngineError> {
    let bad = |error: &dyn fmt::Display| unfit("context.arguments", error.to_string());
    match &input.reads().arguments {
        Names::Only(names) if names.is_empty() => Ok(None),
        Names::Only(names) => {
            let mut members = Map::new();
            for name in names {
                if let Some(text) = input.argument(name).map_err(|error| bad(&error))? {
                    let value = value(text)
                        .map_err(|error| unfit(&format!("context.arguments.{name}"), error.to_string()))?;
                    members.insert(name.to_string(), value);
                }
            }
            Ok(Some(members))
        }
        Names::All => match input.arguments().and_then(|arguments: Arguments<'_>| arguments.text()) {
            None => Ok(Some(Map::new())),
            Some(text) => match value(text).map_err(|error| bad(&error))? {
                Value::Object(members) => Ok(Some(members)),
                _ => Err(bad(&"are not an object")),
            },
        },
    }
}

/// A list of strings, or one string.
fn texts(part: &str, value: Option<&Value>) -> Result<Vec<String>, EngineError> {
    let texts = match value {
        None => Some(Vec::new()),
        Some(Value::String(one)) => Some(vec![one.clone()]),
        Some(Value::Array(many)) => many.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    };
    texts.ok_or_else(|| unfit(part, "is not a list of strings"))
}

fn rfc3339(time: SystemTime) -> Result<String, EngineError> {
    let since =
        time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| unfit("context.time", "is before 1970"))?;
    i64::try_from(since.as_millis())
        .ok()
        .and_then(chrono::DateTime::from_timestamp_millis)
        .map(|time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
        .ok_or_else(|| unfit("context.time", "is too late"))
}

fn unfit(part: &str, problem: impl Into<String>) -> EngineError {
    EngineError::Input { part: part.to_owned(), problem: problem.into() }
}

/// Parses a value as every reader would read it.
fn value(text: &str) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Faithful.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.abs() < EXACT_MAX)
        }
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// Reads a value, and refuses what readers differ about.
struct Faithful;

impl<'de> DeserializeSeed<'de> for Faithful {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Faithful {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        if value.abs() < EXACT_MAX { Ok(value.into()) } else { Err(E::custom("a number that is not exact")) }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(Self)?;
            if map.contains_key(&name) {
                return Err(A::Error::custom(format!("the member `{name}` is there twice")));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests;
