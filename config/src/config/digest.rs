//! Fingerprints of what a configuration says.

use std::fmt;

use serde_json::{Map, Value};

use super::Config;
use crate::place::Place;
use crate::yaml::Node;

/// BLAKE3 of the canonical form of a configuration. Prints as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// That of a document, and of every scope that has one of its own.
    pub(super) fn of_scopes(root: &Node, further: &[Config]) -> Self {
        let mut hasher = hasher();
        hash_canonical(&root.to_json(), &mut hasher);
        further.iter().for_each(|scope| {
            hasher.update(scope.scope_digest.as_bytes());
        });
        Self(*hasher.finalize().as_bytes())
    }

    /// That of several values in turn.
    pub(crate) fn of_all(values: &[Value]) -> Self {
        let mut hasher = hasher();
        values.iter().for_each(|value| hash_canonical(value, &mut hasher));
        Self(*hasher.finalize().as_bytes())
    }
}

/// What the top level's own scope is built from: all but the other scopes.
pub(super) fn own(root: &Node) -> Value {
    let mut json = root.to_json();
    if let Some(Value::Object(tenancy)) = json.get_mut("tenancy") {
        tenancy.remove("scopes");
    }
    json
}

/// What every scope is built with besides its own sections.
pub(super) fn common(root: &Place<'_>) -> Value {
    let section = |key: &str| root.child(key).node.map(Node::to_json).unwrap_or_default();
    Value::Object(
        ["server", "state", "telemetry"]
            .map(|key| (key.to_owned(), section(key)))
            .into_iter()
            .collect::<Map<_, _>>(),
    )
}

fn hasher() -> blake3::Hasher {
    blake3::Hasher::new_derive_key("mcpg 2026 configuration digest")
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Every value with its kind and length, keys sorted, so that no two documents run together to the same bytes.
fn hash_canonical(value: &Value, hasher: &mut blake3::Hasher) {
    let mut tagged = |tag: u8, bytes: &[u8]| {
        hasher.update(&[tag]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    };
    match value {
        Value::Null => tagged(0, b""),
        Value::Bool(value) => tagged(1, &[u8::from(*value)]),
        Value::Number(number) => tagged(2, number.to_string().as_bytes()),
        Value::String(text) => tagged(3, text.as_bytes()),
        Value::Array(items) => {
            tagged(4, &(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| hash_canonical(item, hasher));
        }
        Value::Object(members) => {
            tagged(5, &(members.len() as u64).to_le_bytes());
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| key.as_str());
            for (key, value) in members {
                hash_canonical(&Value::String(key.clone()), hasher);
                hash_canonical(value, hasher);
            }
        }
    }
}
