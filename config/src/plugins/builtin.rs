//! The built-in plugins: the one list of their ids, of the other names they go by, and of which this build has.

/// The ledger, whose settings may also stand in `audit:`.
pub(crate) const AUDIT: &str = "observability.audit";

/// A built-in plugin.
pub(crate) struct Builtin {
    /// The canonical id.
    pub(crate) id: &'static str,
    /// Other names that the file may use.
    pub(crate) aliases: &'static [&'static str],
    /// Whether this build has it. The others are part of the product and refused by name.
    pub(crate) in_build: bool,
}

const fn has(id: &'static str, aliases: &'static [&'static str]) -> Builtin {
    Builtin { id, aliases, in_build: true }
}

const fn lacks(id: &'static str, aliases: &'static [&'static str]) -> Builtin {
    Builtin { id, aliases, in_build: false }
}

/// Every built-in plugin of the product.
pub(crate) const BUILTINS: &[Builtin] = &[
    has("identity.anonymous", &[]),
    has("identity.api-key", &["api-keys"]),
    has("identity.basic", &[]),
    has("identity.mtls", &[]),
    has("identity.oidc", &[]),
    has("identity.workload", &[]),
    has("policy.cedar", &[]),
    has("policy.opa", &[]),
    has("policy.casbin", &[]),
    has("gate.slack-approval", &["tool-gate-slack-approval"]),
    has("gate.webhook-approval", &[]),
    has("gate.approval", &[]),
    has("transform.redact", &[]),
    has("reliability.rate-limit", &[]),
    lacks("reliability.quota", &[]),
    lacks("reliability.timeout", &[]),
    lacks("reliability.retry", &[]),
    lacks("reliability.breaker", &[]),
    has(AUDIT, &[]),
    has("observability.metrics", &[]),
    has("observability.traces", &[]),
    has("secret.env", &[]),
    has("secret.file", &[]),
    lacks("secret.vault", &["secret-vault"]),
];

/// The plugin of an id or alias.
pub(crate) fn find(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.id == name || builtin.aliases.contains(&name))
}

/// Those that this build has.
pub(crate) fn in_build() -> impl Iterator<Item = &'static Builtin> {
    BUILTINS.iter().filter(|builtin| builtin.in_build)
}

/// Every id and alias.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    BUILTINS.iter().flat_map(|builtin| std::iter::once(builtin.id).chain(builtin.aliases.iter().copied()))
}

/// Whether several entries of one id may stand beside each other: those that form a chain.
pub(crate) fn is_chained(id: &str) -> bool {
    id.starts_with("identity.") || id.starts_with("policy.")
}
