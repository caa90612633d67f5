//! The settings of `policy.opa`.

use mcpg_sdk::{Obligation, SecretRef};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::net::AllowAddresses;
use crate::policy::bundle::RegistrySettings;
use crate::policy::cedar::Protocol;

/// Settings of `policy.opa`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpaSettings {
    /// Where policies are evaluated.
    #[serde(default)]
    pub mode: Mode,
    /// `mode: embedded`: the policies: every `*.rego` (but `*_test.rego`), and `data.json` or `data.yaml` in any folder of it. A
    /// folder, a `.tar.gz`, or `oci://…`; a relative path is below the configuration's folder.
    #[serde(default)]
    pub bundle: Option<String>,
    /// How the registry of an `oci://` bundle is reached.
    #[serde(default)]
    pub registry: RegistrySettings,
    /// `mode: remote`: the OPA.
    #[serde(default)]
    pub remote: Option<RemoteSettings>,
    /// The rule that decides.
    #[serde(default = "decision")]
    pub decision: String,
    /// The version of the language.
    #[serde(default)]
    pub rego_version: RegoVersion,
    /// The obligations that a decision may have, such as `redact:email`. Default: any; none where no policy names `obligations`.
    #[serde(default)]
    #[schemars(with = "Option<Vec<String>>")]
    pub obligations: Option<Vec<Obligation>>,
    /// Whether clients may connect and list without a policy that says so.
    #[serde(default)]
    pub protocol: Protocol,
    /// Bounds of the bundle and of a decision.
    #[serde(default)]
    pub limits: OpaLimits,
}

/// Where policies are evaluated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// In the gateway.
    #[default]
    Embedded,
    /// By an OPA that is asked over HTTP.
    Remote,
}

/// A version of Rego.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RegoVersion {
    /// With `if` and `contains`: OPA 1.0 and later.
    #[default]
    V1,
    /// Before OPA 1.0.
    V0,
}

/// Bounds of a bundle and of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OpaLimits {
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Milliseconds for one decision; a longer one denies.
    pub evaluation_ms_max: u64,
}

impl Default for OpaLimits {
    fn default() -> Self {
        Self { file_bytes_max: 16 << 20, evaluation_ms_max: 250 }
    }
}

/// An OPA elsewhere.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteSettings {
    /// Its address, such as `https://opa.internal:8181`. `http` is for this machine.
    pub url: String,
    /// What it is to be shown as a bearer token.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub token: Option<SecretRef>,
    /// Blocks of addresses (CIDR) that it may have although they are not public.
    #[serde(default)]
    pub allow_addresses: AllowAddresses,
    /// The members of the input that its policies read, such as `caller.subject` and `context.arguments`. Default: everything, and
    /// the time.
    #[serde(default)]
    pub reads: Option<Vec<String>>,
    /// Whether its policies are functions of the input and of data that seldom changes, so that a decision may be kept for
    /// `cache_ms`.
    #[serde(default)]
    pub cache: bool,
    /// How long a decision is kept, with `cache: true`.
    #[serde(default = "cache_ms")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub cache_ms: u64,
    /// Requests under way at once; what is beyond waits, as long as a decision may take.
    #[serde(default = "concurrency_max")]
    #[schemars(range(min = 1, max = 4096))]
    pub concurrency_max: usize,
    /// Bytes of an answer.
    #[serde(default = "response_bytes_max")]
    pub response_bytes_max: usize,
}

fn decision() -> String {
    "data.mcpg.decision".to_owned()
}

fn cache_ms() -> u64 {
    5_000
}

fn concurrency_max() -> usize {
    64
}

fn response_bytes_max() -> usize {
    64 << 10
}
