//! `plugins:` as it is written.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The filters of the pipeline.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "read entry by entry; as a whole it is the schema")]
pub(crate) enum PluginsForm {
    /// Just the `load` list.
    List(#[schemars(length(max = 256))] Vec<PluginForm>),
    /// The list, and the rules for artifacts of others.
    Map(Plugins),
}

/// The list, and the rules for artifacts of others.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Plugins {
    /// The filters, in order.
    #[schemars(with = "Vec<PluginForm>", length(max = 256))]
    #[serde(rename = "load")]
    pub(crate) _load: Vec<Value>,
    /// Whether an artifact without a valid signature is refused.
    pub(crate) require_signed: bool,
    /// Whose signatures are valid.
    #[schemars(length(max = 256))]
    pub(crate) trusted_keys: Vec<TrustedKey>,
    /// What each plugin may ask of the gateway: plugin id to names such as `cap.host.outbound_http`.
    #[schemars(extend("maxProperties" = 256))]
    pub(crate) capability_grants: BTreeMap<String, Vec<String>>,
    /// Artifacts that must not run.
    pub(crate) revocation_list: Option<RevocationList>,
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            _load: Vec::new(),
            require_signed: true,
            trusted_keys: Vec::new(),
            capability_grants: BTreeMap::new(),
            revocation_list: None,
        }
    }
}

/// Artifacts that must not run.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub(crate) struct RevocationList {
    /// Grows with every change; shown wherever an artifact is refused.
    pub(crate) version: u64,
    /// The artifacts.
    #[schemars(length(max = 10_000))]
    pub(crate) artifacts: Vec<RevokedArtifact>,
}

/// An artifact that must not run.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokedArtifact {
    /// `sha256:` and 64 hexadecimal digits: of a bundle's manifest in its registry, or of its archive.
    pub(crate) digest: String,
    /// Why.
    pub(crate) reason: Option<String>,
}

/// A plugin's id alone, or with its settings.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the schema of what `Plugin` is read from")]
pub(crate) enum PluginForm {
    /// The id alone.
    Id(#[schemars(schema_with = "plugin_id")] String),
    /// With settings.
    Full(Plugin),
}

/// A plugin with its settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plugin {
    /// Such as `policy.cedar`.
    #[schemars(schema_with = "plugin_id")]
    pub(crate) id: String,
    /// Tells two entries of one id apart: 1 to 40 of `a-z`, `0-9` and `-`.
    pub(crate) name: Option<String>,
    /// Only for `policy.*`: the engine is asked and its decisions are recorded, and none of them counts.
    #[serde(default)]
    pub(crate) shadow: bool,
    /// The plugin's own settings.
    pub(crate) config: Option<Map<String, Value>>,
}

/// The published schema lists the ids there; the reader of the section knows them better than a list does.
fn plugin_id(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "$ref": "#/$defs/PluginId" })
}

/// A key whose signatures on artifacts are valid.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrustedKey {
    /// The name that signatures refer to.
    pub(crate) id: String,
    /// The Ed25519 public key: a PEM block.
    pub(crate) public_key: String,
    /// Globs of the plugin ids that it may sign. Default: any.
    #[serde(default)]
    pub(crate) plugins: Vec<String>,
}
