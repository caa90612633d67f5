//! From the claims of a token to a caller.
//!
//! The subject is one claim, always the same: a token from which that claim is missing is refused, it does not fall back to
//! another. With a fallback a caller could choose, by the scopes that it asks its issuer for, which of two names policies see.

use std::collections::HashMap;
use std::sync::Arc;

use mcpg_sdk::{AuthMethod, Caller};
use serde_json::{Map, Value};

use super::settings::ClaimSettings;
use crate::identity::api_key::check_subject;

/// The most elements of a list of groups, roles or scopes.
const LIST_MAX: usize = 2_000;
/// Attributes that every caller of this provider may have; configured ones must have other names.
const OWN: [&str; 5] = ["groups", "roles", "scope", "issuer", "client_id"];

/// How claims become a caller.
#[derive(Debug)]
pub(super) struct Mapping {
    subject: Path,
    prefix: String,
    groups: Path,
    roles: Path,
    attributes: Vec<(String, Path)>,
}

/// Where a claim is: a name, or a JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Path {
    Name(String),
    Pointer(Vec<String>),
}

impl Path {
    /// Reads one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a claim needs a name, or a pointer such as `/realm_access/roles`".to_owned());
        }
        let Some(tokens) = text.strip_prefix('/') else { return Ok(Self::Name(text.to_owned())) };
        let unescape = |token: &str| token.replace("~1", "/").replace("~0", "~");
        Ok(Self::Pointer(tokens.split('/').map(unescape).collect()))
    }

    /// The claim. Null is no claim.
    pub(super) fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let found = match self {
            Self::Name(name) => claims.get(name),
            Self::Pointer(tokens) => {
                let mut tokens = tokens.iter();
                let first = claims.get(tokens.next()?);
                tokens.fold(first, |value, token| match value? {
                    Value::Object(members) => members.get(token),
                    Value::Array(items) => items.get(token.parse::<usize>().ok()?),
                    _ => None,
                })
            }
        };
        found.filter(|value| !value.is_null())
    }

    fn top(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Pointer(tokens) => tokens.first().map_or("", String::as_str),
        }
    }
}

impl Mapping {
    /// Reads the settings. An error is a pointer below `claims` and a message.
    pub(super) fn new(settings: &ClaimSettings) -> Result<Self, (String, String)> {
        let path =
            |name: &str, text: &str| Path::parse(text).map_err(|message| (format!("/{name}"), message));
        let mut attributes = Vec::new();
        for (name, text) in &settings.attributes {
            if OWN.contains(&name.as_str()) {
                let message = format!("`{name}` is set by the provider itself: choose another name");
                return Err((format!("/attributes/{name}"), message));
            }
            attributes.push((name.clone(), path(&format!("attributes/{name}"), text)?));
        }
        check_subject(&format!("{}x", settings.prefix)).map_err(|_| {
            let message =
                format!("`{}` does not begin a subject: write `<kind>:`, such as `user:`", settings.prefix);
            ("/prefix".to_owned(), message)
        })?;
        Ok(Self {
            subject: path("subject", &settings.subject)?,
            prefix: settings.prefix.clone(),
            groups: path("groups", &settings.groups)?,
            roles: path("roles", &settings.roles)?,
            attributes,
        })
    }

    /// Makes the caller.
    ///
    /// # Errors
    /// A stable word, when a claim is missing or has another form than it must have.
    pub(super) fn caller(
        &self,
        claims: &Map<String, Value>,
        issuer: &str,
        audience: Option<String>,
        scopes: Vec<String>,
    ) -> Result<Arc<Caller>, &'static str> {
        let subject = format!("{}{}", self.prefix, self.subject(claims)?);
        check_subject(&subject).map_err(|_| "subject")?;
        let mut attributes = HashMap::with_capacity(4 + self.attributes.len());
        for (name, path) in [("groups", &self.groups), ("roles", &self.roles)] {
            if let Some(value) = path.find(claims) {
                attributes.insert(name.to_owned(), list(value).ok_or("claim_form")?);
            } else if is_elsewhere(claims, path.top()) {
                // What is not said here must not look like membership in nothing.
                return Err("claim_elsewhere");
            }
        }
        for (name, path) in &self.attributes {
            if let Some(value) = path.find(claims) {
                attributes.insert(name.clone(), value.clone());
            }
        }
        let client = claims.get("client_id").or_else(|| claims.get("azp"));
        if let Some(client) = client.and_then(Value::as_str) {
            attributes.insert("client_id".to_owned(), client.into());
        }
        attributes.insert("issuer".to_owned(), issuer.into());
        attributes.insert("scope".to_owned(), scopes.into());
        Ok(Arc::new(Caller { subject, audience, attributes, auth_method: AuthMethod::Oidc }))
    }

    fn subject<'a>(&self, claims: &'a Map<String, Value>) -> Result<&'a str, &'static str> {
        let subject = self.subject.find(claims).and_then(Value::as_str).ok_or("subject")?;
        let is_email = matches!(&self.subject, Path::Name(name) if name == "email");
        if is_email && claims.get("email_verified") != Some(&Value::Bool(true)) {
            return Err("email_not_verified");
        }
        if subject.is_empty() || subject.trim() != subject { Err("subject") } else { Ok(subject) }
    }
}

/// A list of texts; one text is a list of one.
fn list(value: &Value) -> Option<Value> {
    match value {
        Value::String(_) => Some(Value::Array(vec![value.clone()])),
        Value::Array(items) if items.len() <= LIST_MAX && items.iter().all(Value::is_string) => {
            Some(value.clone())
        }
        _ => None,
    }
}

/// Whether the issuer keeps a claim somewhere else (OpenID Connect Core, section 5.6.2): such as groups that are too many.
fn is_elsewhere(claims: &Map<String, Value>, name: &str) -> bool {
    let names = claims.get("_claim_names").and_then(Value::as_object);
    names.is_some_and(|names| names.contains_key(name))
}

/// The scopes of a token: `scope`, a text with spaces (RFC 9068 section 2.2.3), or `scp`, a list or such a text.
///
/// # Errors
/// A stable word, when it is neither.
pub(super) fn scopes(claims: &Map<String, Value>) -> Result<Vec<String>, &'static str> {
    let split = |text: &str| text.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
    let value = claims.get("scope").or_else(|| claims.get("scp"));
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(split(text)),
        Some(Value::Array(items)) if items.len() <= LIST_MAX => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or("claim_form")).collect()
        }
        Some(_) => Err("claim_form"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mapping(settings: &Value) -> Result<Mapping, (String, String)> {
        Mapping::new(&serde_json::from_value(settings.clone()).unwrap())
    }

    fn caller(settings: &Value, claims: &Value) -> Result<Caller, &'static str> {
        let claims = claims.as_object().unwrap();
        let scopes = scopes(claims)?;
        let caller = mapping(settings).unwrap().caller(claims, "https://issuer", Some("aud".into()), scopes);
        caller.map(|caller| (*caller).clone())
    }

    #[expect(clippy::needless_pass_by_value, reason = "cases are written in place")]
    fn check(settings: Value, claims: Value, expected: Result<&str, &str>) {
        let found = caller(&settings, &claims).map(|caller| caller.subject);
        assert_eq!(found.as_deref().map_err(|code| *code), expected, "{claims}");
    }

    #[test]
    fn the_subject_is_one_claim_and_no_other() {
        check(json!({}), json!({"sub": "alice"}), Ok("user:alice"));
        check(json!({"prefix": "user:acme/"}), json!({"sub": "alice"}), Ok("user:acme/alice"));
        check(
            json!({"prefix": "client:", "subject": "client_id"}),
            json!({"client_id": "cron"}),
            Ok("client:cron"),
        );
        check(json!({"subject": "/a~1b/0/id"}), json!({"a/b": [{"id": "x"}]}), Ok("user:x"));
        for claims in [
            json!({"email": "alice@acme.com", "email_verified": true, "preferred_username": "alice"}),
            json!({"sub": ""}),
            json!({"sub": " alice"}),
            json!({"sub": "al\u{0}ice"}),
            json!({"sub": "al\nice"}),
            json!({"sub": null}),
            json!({"sub": ["alice"]}),
            json!({"sub": 7}),
            json!({"sub": "x".repeat(600)}),
        ] {
            check(json!({}), claims, Err("subject"));
        }
    }

    #[test]
    fn an_email_is_a_name_only_when_it_is_verified() {
        let settings = json!({"subject": "email"});
        let claims = json!({"email": "alice@acme.com", "email_verified": true});
        check(settings.clone(), claims, Ok("user:alice@acme.com"));
        check(settings.clone(), json!({"sub": "alice"}), Err("subject"));
        for verified in [json!(false), json!("true"), json!(1), Value::Null] {
            let claims = json!({"email": "alice@acme.com", "email_verified": verified});
            check(settings.clone(), claims, Err("email_not_verified"));
        }
        check(settings, json!({"email": "alice@acme.com"}), Err("email_not_verified"));
    }

    #[test]
    fn claims_become_attributes() {
        let settings =
            json!({"roles": "/realm_access/roles", "attributes": {"team": "/acme/team", "level": "lvl"}});
        let claims = json!({
            "sub": "alice", "groups": "eng", "realm_access": {"roles": ["admin", "dev"]}, "azp": "cli",
            "acme": {"team": "platform"}, "lvl": null, "scope": "a  b", "unmapped": "x",
        });
        let found = caller(&settings, &claims).unwrap();
        let expected = json!({
            "groups": ["eng"], "roles": ["admin", "dev"], "team": "platform", "client_id": "cli",
            "scope": ["a", "b"], "issuer": "https://issuer",
        });
        assert_eq!(serde_json::to_value(&found.attributes).unwrap(), expected);
        assert_eq!(found.audience.as_deref(), Some("aud"));
        assert_eq!(found.auth_method, AuthMethod::Oidc);
    }

    #[test]
    fn claims_of_another_form_are_refused_not_dropped() {
        for (claims, code) in [
            (json!({"sub": "a", "groups": ["x", 1]}), "claim_form"),
            (json!({"sub": "a", "groups": {"x": true}}), "claim_form"),
            (json!({"sub": "a", "roles": true}), "claim_form"),
            (json!({"sub": "a", "scope": {"a": 1}}), "claim_form"),
            (json!({"sub": "a", "scp": ["a", 1]}), "claim_form"),
            (json!({"sub": "a", "groups": vec!["g"; LIST_MAX + 1]}), "claim_form"),
            (json!({"sub": "a", "_claim_names": {"groups": "src1"}}), "claim_elsewhere"),
        ] {
            check(json!({}), claims, Err(code));
        }
    }

    #[test]
    fn scopes_are_words() {
        for (claims, expected) in [
            (json!({}), Ok(vec![])),
            (json!({"scope": ""}), Ok(vec![])),
            (json!({"scope": "a b"}), Ok(vec!["a", "b"])),
            (json!({"scp": ["a", "b"]}), Ok(vec!["a", "b"])),
            (json!({"scp": "a b"}), Ok(vec!["a", "b"])),
            (json!({"scope": "a", "scp": ["b"]}), Ok(vec!["a"])),
            (json!({"scope": 1}), Err("claim_form")),
        ] {
            let found = scopes(claims.as_object().unwrap());
            assert_eq!(found, expected.map(|all| all.into_iter().map(str::to_owned).collect()), "{claims}");
        }
    }

    #[test]
    fn settings_that_cannot_be_are_refused() {
        for (settings, pointer) in [
            (json!({"subject": ""}), "/subject"),
            (json!({"prefix": ""}), "/prefix"),
            (json!({"prefix": "user"}), "/prefix"),
            (json!({"prefix": "User:"}), "/prefix"),
            (json!({"attributes": {"groups": "x"}}), "/attributes/groups"),
            (json!({"attributes": {"team": ""}}), "/attributes/team"),
        ] {
            assert_eq!(mapping(&settings).unwrap_err().0, pointer);
        }
    }
}
