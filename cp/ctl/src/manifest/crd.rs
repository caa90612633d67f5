//! The kinds of manifest as CustomResourceDefinitions of Kubernetes, for clusters and editors that keep them.
//!
//! A schema of a CRD is structural: every value has one type, nothing is referred to, and nothing but what
//! `apiextensions.k8s.io/v1` knows stands in it. What a Rust type says beyond that is refused here rather than lost, so
//! a test fails where a type changes into something that cannot be said.

use schemars::{JsonSchema, schema_for};
use serde_json::{Map, Value, json};

use super::{Kind, kinds};

const GROUP: &str = "mcpg.dev";
const VERSION: &str = "v1";

/// Keywords that are taken over as they are.
const PLAIN: &[&str] = &[
    "type",
    "description",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "enum",
    "required",
    "default",
];
/// Keywords that say nothing about what is valid.
const DROPPED: &[&str] = &["$schema", "$defs", "title", "examples"];
/// Formats that say no more than the minimum beside them, and that Kubernetes does not know.
const WIDTHS: &[&str] = &["uint8", "uint16", "uint32", "uint64"];

/// A schema that cannot be said in a CRD.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{place}`: {reason}")]
pub struct CrdError {
    /// Where.
    pub place: String,
    /// Why.
    pub reason: String,
}

/// The definition of every kind, with the name of its file.
///
/// # Errors
/// When a kind cannot be said.
pub fn crds() -> Result<Vec<(String, Value)>, CrdError> {
    let named = |kind: Kind| Ok((format!("{}.{GROUP}.yaml", kind.plural()), definition(kind)?));
    Kind::ALL.into_iter().map(named).collect()
}

/// The definition of a kind.
///
/// # Errors
/// When it cannot be said.
pub fn definition(kind: Kind) -> Result<Value, CrdError> {
    let spec = match kind {
        Kind::Organization => spec::<kinds::Organization>(),
        Kind::Workspace => spec::<kinds::Workspace>(),
        Kind::Environment => spec::<kinds::Environment>(),
        Kind::RoleBinding => spec::<kinds::RoleBinding>(),
        Kind::SecretReference => spec::<kinds::SecretReference>(),
        Kind::Policy => spec::<kinds::Policy>(),
        Kind::PluginSet => spec::<kinds::PluginSet>(),
        Kind::GatewayConfig => spec::<kinds::GatewayConfig>(),
        Kind::RevocationList => spec::<kinds::RevocationList>(),
    }?;
    let description = spec.get("description").cloned().unwrap_or_default();
    let schema = json!({
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": { "type": "object" },
            "spec": spec,
        },
    });
    let version = json!({
        "name": VERSION, "served": true, "storage": true, "schema": { "openAPIV3Schema": schema },
    });
    Ok(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{}.{GROUP}", kind.plural()) },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.as_str(), "listKind": format!("{}List", kind.as_str()),
                "plural": kind.plural(), "singular": kind.word(), "categories": ["mcpg"],
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }))
}

fn spec<T: JsonSchema>() -> Result<Value, CrdError> {
    let root = schema_for!(T).to_value();
    Structural { root: &root }.schema(&root, "spec")
}

struct Structural<'a> {
    root: &'a Value,
}

impl Structural<'_> {
    fn schema(&self, schema: &Value, place: &str) -> Result<Value, CrdError> {
        // Anything at all.
        let Value::Object(schema) = schema else {
            return Ok(json!({ "x-kubernetes-preserve-unknown-fields": true }));
        };
        let mut said = Map::new();
        for (keyword, value) in schema {
            match keyword.as_str() {
                "$ref" => self.merge(&mut said, self.target(value, place)?, place)?,
                "type" => {
                    said.insert("type".to_owned(), one_type(value, place)?);
                }
                "pattern" => {
                    said.insert("pattern".to_owned(), json!(re2(value.as_str().unwrap_or_default())));
                }
                "format" if WIDTHS.iter().any(|width| value == width) => {}
                "uniqueItems" => {}
                "const" => {
                    said.insert("enum".to_owned(), json!([value]));
                }
                "properties" => {
                    said.insert("properties".to_owned(), self.properties(value, place)?);
                }
                "items" => {
                    said.insert("items".to_owned(), self.schema(value, &format!("{place}[]"))?);
                }
                "patternProperties" => {
                    let values = value.as_object().and_then(|one| one.values().next());
                    let values =
                        values.ok_or_else(|| refuse(place, "`patternProperties` without a pattern"))?;
                    said.insert(
                        "additionalProperties".to_owned(),
                        self.schema(values, &format!("{place}.*"))?,
                    );
                }
                "additionalProperties" => self.additional(&mut said, schema, value, place)?,
                "oneOf" | "anyOf" => self.alternatives(&mut said, value, place)?,
                plain if PLAIN.contains(&plain) => {
                    said.insert(plain.to_owned(), value.clone());
                }
                dropped if DROPPED.contains(&dropped) => {}
                other => return Err(refuse(place, &format!("`{other}` cannot be said in a CRD"))),
            }
        }
        if said.get("type").is_none() && !said.contains_key("x-kubernetes-preserve-unknown-fields") {
            return Err(refuse(place, "it has no type"));
        }
        Ok(Value::Object(said))
    }

    /// What a reference leads to, with what stands beside the reference taking precedence.
    fn merge(&self, said: &mut Map<String, Value>, target: &Value, place: &str) -> Result<(), CrdError> {
        if let Value::Object(members) = self.schema(target, place)? {
            for (keyword, value) in members {
                said.entry(keyword).or_insert(value);
            }
        }
        Ok(())
    }

    fn target(&self, reference: &Value, place: &str) -> Result<&Value, CrdError> {
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
        let target = pointer.and_then(|pointer| self.root.pointer(pointer));
        target.ok_or_else(|| refuse(place, "a reference that leads nowhere"))
    }

    fn properties(&self, properties: &Value, place: &str) -> Result<Value, CrdError> {
        let mut said = Map::new();
        for (name, schema) in properties.as_object().into_iter().flatten() {
            said.insert(name.clone(), self.schema(schema, &format!("{place}.{name}"))?);
        }
        Ok(Value::Object(said))
    }

    /// Unknown members: refused by `mcpg-ctl`, dropped by Kubernetes; `false` cannot be said.
    fn additional(
        &self,
        said: &mut Map<String, Value>,
        around: &Map<String, Value>,
        value: &Value,
        place: &str,
    ) -> Result<(), CrdError> {
        let is_map = !["properties", "patternProperties"].iter().any(|known| around.contains_key(*known));
        match value {
            Value::Bool(false) => {}
            Value::Bool(true) => {
                said.insert("x-kubernetes-preserve-unknown-fields".to_owned(), json!(true));
            }
            values if is_map => {
                said.insert("additionalProperties".to_owned(), self.schema(values, &format!("{place}.*"))?);
            }
            _ => return Err(refuse(place, "known members beside a map")),
        }
        Ok(())
    }

    /// A type that may be absent, or a choice of words.
    fn alternatives(
        &self,
        said: &mut Map<String, Value>,
        value: &Value,
        place: &str,
    ) -> Result<(), CrdError> {
        let branches: Vec<&Value> = value.as_array().into_iter().flatten().collect();
        let present: Vec<&Value> =
            branches.into_iter().filter(|branch| branch.get("type") != Some(&json!("null"))).collect();
        if let [one] = present.as_slice() {
            return self.merge(said, one, place);
        }
        let words: Option<Vec<&Value>> = present.iter().map(|branch| branch.get("const")).collect();
        let words = words.ok_or_else(|| refuse(place, "a choice of types cannot be said in a CRD"))?;
        said.insert("type".to_owned(), json!("string"));
        said.insert("enum".to_owned(), json!(words));
        Ok(())
    }
}

/// One type: a key without a value is an absent key, so nothing is nullable.
fn one_type(value: &Value, place: &str) -> Result<Value, CrdError> {
    let types: Vec<&Value> = match value {
        Value::Array(types) => types.iter().filter(|one| **one != json!("null")).collect(),
        one => vec![one],
    };
    match types.as_slice() {
        [one] => Ok((*one).clone()),
        _ => Err(refuse(place, "a choice of types cannot be said in a CRD")),
    }
}

/// A pattern as the API server's regular expressions (RE2) write it: `\u001f` is `\x1f` there, `\u2028` is `\x{2028}`.
fn re2(pattern: &str) -> String {
    let mut parts = pattern.split("\\u");
    let mut said = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_at_checked(4) {
            Some((digits, rest)) => match digits.strip_prefix("00") {
                Some(digits) => said.push_str(&format!("\\x{digits}{rest}")),
                None => said.push_str(&format!("\\x{{{digits}}}{rest}")),
            },
            None => said.push_str(part),
        }
    }
    said
}

fn refuse(place: &str, reason: &str) -> CrdError {
    CrdError { place: place.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
