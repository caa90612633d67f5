//! What a client is told whose credentials will not do: how to come by others (`WWW-Authenticate`).
//!
//! It is told where the endpoint is described, the scope to ask for, and whether what it presented was refused. Why it was
//! refused is nobody's business but the operator's.
//!
//! Sources: RFC 9110 section 11.6.1, RFC 6750 section 3, RFC 9728 section 5.1, MCP `basic/authorization`.

use std::fmt::Write as _;

use http::HeaderValue;
use mcpg_filters::identity::{IdentityChain, IdentityProvider, Refusal, Resource};

use crate::resource_metadata;

/// What chains without OAuth ask for.
const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"mcpg\"");

/// The challenges of a refusal, one for each way to present a credential.
pub fn challenges(identity: &IdentityChain, refusal: &Refusal, resource: Resource<'_>) -> Vec<HeaderValue> {
    let (error, scope) = match refusal {
        Refusal::Missing => (None, None),
        Refusal::Invalid { .. } => (Some("invalid_token"), None),
        Refusal::Malformed { .. } => (Some("invalid_request"), None),
        Refusal::Insufficient { scope, .. } => (Some("insufficient_scope"), Some(&**scope)),
        Refusal::Foreign { .. } | Refusal::Unavailable { .. } => return Vec::new(),
    };
    let is_oauth = identity.oidc().next().is_some();
    let mut challenges = Vec::new();
    if is_oauth {
        let scope = scope.map_or_else(|| required_scope(identity), str::to_owned);
        challenges.extend(bearer(error, &scope, resource));
    }
    if !matches!(refusal, Refusal::Missing | Refusal::Invalid { .. }) {
        return challenges;
    }
    for provider in identity.providers() {
        match provider {
            IdentityProvider::ApiKey(_) if !is_oauth && !challenges.contains(&BEARER) => {
                challenges.push(BEARER)
            }
            IdentityProvider::Basic(users) => challenges.extend(basic(users.realm())),
            _ => {}
        }
    }
    // RFC 9110 section 15.5.2: a 401 has one in any case.
    if challenges.is_empty() {
        challenges.push(BEARER);
    }
    challenges
}

/// The challenge of RFC 7617. A realm needs no quoting.
fn basic(realm: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")).ok()
}

/// The challenge of an OAuth resource.
fn bearer(error: Option<&str>, scope: &str, resource: Resource<'_>) -> Option<HeaderValue> {
    let mut value = "Bearer".to_owned();
    let mut separator = " ";
    let mut parameter = |name: &str, text: &str| {
        // Nothing that would have to be escaped comes this far; if it does, the parameter is left out.
        if !text.is_empty()
            && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
        {
            let _ = write!(value, "{separator}{name}=\"{text}\"");
            separator = ", ";
        }
    };
    parameter("error", error.unwrap_or_default());
    parameter("scope", scope);
    parameter("resource_metadata", &resource_metadata::address(resource));
    HeaderValue::from_str(&value).ok()
}

/// The scopes that any of the issuers asks for.
fn required_scope(identity: &IdentityChain) -> String {
    let mut scopes: Vec<&str> = Vec::new();
    for scope in identity.oidc().flat_map(|oidc| oidc.required_scope().split(' ')) {
        if !scope.is_empty() && !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes.join(" ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mcpg_filters::identity::basic::Basic;
    use mcpg_filters::identity::oidc::Oidc;
    use mcpg_filters::registry::BuildContext;
    use mcpg_filters::secret::SecretResolver;
    use mcpg_sdk::{Base, Scope, Settings};
    use serde_json::json;

    use super::*;

    const RESOURCE: Resource<'_> = Resource { scheme: "https", authority: "mcp.acme.com", path: "/mcp" };

    fn chain(scopes: &[&str]) -> IdentityChain {
        let settings = json!({"issuers": [{"issuer": "https://login.acme.com", "required_scopes": scopes}]});
        let context = BuildContext {
            base: &Base::trusted("."),
            secrets: &SecretResolver::new(&Base::trusted(".")),
            bindings: &[],
            scope: &Scope::default(),
            shared: &Arc::default(),
            now: std::time::SystemTime::UNIX_EPOCH,
        };
        let oidc = Oidc::build(&Settings(settings), &context).unwrap();
        IdentityChain::new(vec![IdentityProvider::Oidc(oidc)]).unwrap()
    }

    fn with_users() -> IdentityChain {
        let folder = tempfile::tempdir().unwrap();
        // Nobody knows of what.
        let hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$9DBYjGKzEDnZDJPMmKcvzbcVMRpKIM+d7fHtqCRdzCo";
        std::fs::write(folder.path().join("users"), format!("alice:{hash}\n")).unwrap();
        let settings = json!({"users_file": "users", "realm": "Acme MCP"});
        let context = BuildContext {
            base: &Base::trusted(folder.path()),
            secrets: &SecretResolver::new(&Base::trusted(folder.path())),
            bindings: &[],
            scope: &Scope::default(),
            shared: &Arc::default(),
            now: std::time::SystemTime::UNIX_EPOCH,
        };
        let users = Basic::build(&Settings(settings), &context).unwrap();
        IdentityChain::new(vec![IdentityProvider::Basic(users)]).unwrap()
    }

    fn check(chain: &IdentityChain, refusal: &Refusal, expected: &[&str]) {
        let found = challenges(chain, refusal, RESOURCE);
        assert_eq!(
            found.iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>(),
            expected,
            "{refusal}"
        );
    }

    #[test]
    fn clients_of_an_oauth_resource_are_shown_the_way() {
        let metadata = r#"resource_metadata="https://mcp.acme.com/.well-known/oauth-protected-resource/mcp""#;
        let plain = chain(&[]);
        let invalid = |code| Refusal::Invalid { provider: "identity.oidc", code };
        check(&plain, &Refusal::Missing, &[&format!("Bearer {metadata}")]);
        for code in ["expired", "signature", "audience"] {
            check(&plain, &invalid(code), &[&format!(r#"Bearer error="invalid_token", {metadata}"#)]);
        }
        let scoped = chain(&["mcp", "tools:call"]);
        let scope = r#"scope="mcp tools:call""#;
        check(&scoped, &Refusal::Missing, &[&format!("Bearer {scope}, {metadata}")]);
        let malformed = Refusal::Malformed { provider: "identity.oidc", code: "repeated" };
        check(&scoped, &malformed, &[&format!(r#"Bearer error="invalid_request", {scope}, {metadata}"#)]);
        let insufficient = Refusal::Insufficient { provider: "identity.oidc", scope: "tools:call".into() };
        let expected = format!(r#"Bearer error="insufficient_scope", scope="tools:call", {metadata}"#);
        check(&scoped, &insufficient, &[&expected]);
        check(&scoped, &Refusal::Foreign { provider: "identity.oidc", code: "tenant" }, &[]);
        check(&scoped, &Refusal::Unavailable { provider: "identity.oidc", code: "keys" }, &[]);
    }

    #[test]
    fn other_chains_ask_for_what_they_have() {
        let chain = IdentityChain::default();
        check(&chain, &Refusal::Missing, &["Bearer realm=\"mcpg\""]);
        check(
            &chain,
            &Refusal::Invalid { provider: "identity.api-key", code: "unknown" },
            &["Bearer realm=\"mcpg\""],
        );
        check(&chain, &Refusal::Malformed { provider: "identity", code: "token_in_query" }, &[]);
        let users = with_users();
        check(&users, &Refusal::Missing, &["Basic realm=\"Acme MCP\", charset=\"UTF-8\""]);
    }
}
