//! The configurations that most tests start from.

use crate::{Gateway, Setup, key};

/// Everyone may do everything: the shape of the conformance run, and of tests about bytes rather than rights.
pub fn open(upstream: &str) -> Setup {
    open_with(upstream, "", "")
}

/// [`open`] with more lines in `server:`, and more in the one binding, each indented by the caller to two and
/// four spaces.
pub fn open_with(upstream: &str, server: &str, binding: &str) -> Setup {
    let config = format!(
        "server:
  listen: [\"{{listen}}\"]
  admin: \"{{admin}}\"
{server}
plugins:
  - identity.anonymous
  - {{ id: policy.cedar, config: {{ bundle: ./policies }} }}
audit: {{ dir: ./audit }}
bindings:
  - id: files
    type: mcp
    url: {upstream}
{binding}"
    );
    Setup::new(&config).file("policies/open.cedar", "permit (principal, action, resource);\n")
}

/// [`open`] in front of several upstreams, each a binding's id and its lines, indented by the caller to four spaces;
/// `more` are whole sections.
pub fn open_federation(bindings: &[(&str, &str)], more: &str) -> Setup {
    let config = format!(
        "server:
  listen: [\"{{listen}}\"]
  admin: \"{{admin}}\"
plugins:
  - identity.anonymous
  - {{ id: policy.cedar, config: {{ bundle: ./policies }} }}
audit: {{ dir: ./audit }}
{more}bindings:
{}",
        listed(bindings)
    );
    Setup::new(&config).file("policies/open.cedar", "permit (principal, action, resource);\n")
}

/// Alice and Bob with API keys in front of several upstreams, as in [`open_federation`], under `policy`.
pub fn governed_federation(bindings: &[(&str, &str)], more: &str, policy: &str) -> Setup {
    let config = format!(
        "server:
  listen: [\"{{listen}}\"]
  admin: \"{{admin}}\"
{CALLERS}  - {{ id: policy.cedar, config: {{ bundle: ./policies }} }}
audit: {{ dir: ./audit }}
{more}bindings:
{}",
        listed(bindings)
    );
    Setup::new(&config)
        .file("policies/policy.cedar", policy)
        .env("ALICE", &key::key("alice"))
        .env("BOB", &key::key("bob"))
}

fn listed(bindings: &[(&str, &str)]) -> String {
    bindings.iter().map(|(id, lines)| format!("  - id: {id}\n    type: mcp\n{lines}")).collect()
}

const CALLERS: &str = "plugins:
  - id: identity.api-key
    config:
      tokens:
        - { token: $secret://env/ALICE, id: alice-laptop, subject: \"user:alice@acme.com\" }
        - { token: $secret://env/BOB, id: bob-laptop, subject: \"user:bob@acme.com\" }
";

/// Alice and Bob with API keys, of whom only Alice may call tools, and nobody `delete_repo`; addresses are
/// redacted.
pub fn governed(upstream: &str) -> Setup {
    governed_with(upstream, "")
}

/// [`governed`] with more plugin entries, each line indented by the caller to two spaces.
pub fn governed_with(upstream: &str, plugins: &str) -> Setup {
    let config = format!(
        "server:
  listen: [\"{{listen}}\"]
  admin: \"{{admin}}\"
{CALLERS}  - {{ id: policy.cedar, config: {{ bundle: ./policies }} }}
{plugins}
audit: {{ dir: ./audit }}
bindings:
  - {{ id: files, type: mcp, url: {upstream} }}
"
    );
    Setup::new(&config)
        .file("policies/governed.cedar", GOVERNED)
        .env("ALICE", &key::key("alice"))
        .env("BOB", &key::key("bob"))
}

/// A running [`governed`] gateway and Alice's key.
pub fn start_governed(upstream: &str) -> (Gateway, String) {
    (governed(upstream).start(), key::key("alice"))
}

/// What [`governed`] permits.
pub const GOVERNED: &str = r#"
@id("protocol")
permit (principal, action in Action::"protocol", resource);

@id("alice-calls-tools")
@redact(field="email")
permit (principal == User::"alice@acme.com", action in Action::"tools/call", resource);

@id("nobody-deletes")
forbid (principal, action == Action::"files.delete_repo", resource);
"#;
