//! A call as an author writes it down: in a table of cases, in a JSON file, or as flags.

use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, bail};
use mcpg_sdk::{AuthMethod, Call, Caller, Scope, Target};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Who asks for what.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    pub(super) caller: AskedCaller,
    /// `files.read`: the tool by its full name.
    pub(super) tool: Option<String>,
    /// `files.greet`: the prompt by its full name.
    pub(super) prompt: Option<String>,
    /// The URI of a resource, of the binding `binding`.
    pub(super) resource: Option<String>,
    /// Needed for resources and other methods; not for tools and prompts.
    pub(super) binding: Option<String>,
    /// Default: the one that goes with a tool, prompt or resource.
    pub(super) method: Option<String>,
    pub(super) arguments: Option<Map<String, Value>>,
    /// RFC 3339. Default: now.
    pub(super) time: Option<String>,
    /// Default: 127.0.0.1.
    pub(super) source: Option<IpAddr>,
    /// Whether a gate has approved it.
    pub(super) approved: bool,
}

/// Who asks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AskedCaller {
    pub(super) subject: String,
    pub(super) audience: Option<String>,
    pub(super) auth_method: AuthMethod,
    pub(super) groups: Option<Value>,
    pub(super) roles: Option<Value>,
    pub(super) attributes: Map<String, Value>,
}

impl Default for AskedCaller {
    fn default() -> Self {
        Self {
            subject: "anonymous".to_owned(),
            audience: None,
            auth_method: AuthMethod::Oidc,
            groups: None,
            roles: None,
            attributes: Map::new(),
        }
    }
}

/// The same, ready to be decided.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) caller: Caller,
    scope: Scope,
    binding: String,
    method: String,
    target: Named,
    arguments: Option<String>,
    source: IpAddr,
    now: SystemTime,
    approved: bool,
}

#[derive(Debug)]
enum Named {
    Tool(String),
    Prompt(String),
    Resource(String),
    Binding,
}

impl Asked {
    /// Resolves names against the bindings of a scope.
    pub(super) fn ready(self, scope: &Scope, bindings: &[String]) -> anyhow::Result<Ready> {
        let given = [&self.tool, &self.prompt, &self.resource].into_iter().flatten().count();
        if given > 1 {
            bail!("`tool`, `prompt` and `resource` exclude each other");
        }
        let (binding, target, method) = match (self.tool, self.prompt, self.resource) {
            (Some(name), ..) => {
                let (binding, tool) = split(&name, bindings)?;
                (binding, Named::Tool(tool), "tools/call")
            }
            (_, Some(name), _) => {
                let (binding, prompt) = split(&name, bindings)?;
                (binding, Named::Prompt(prompt), "prompts/get")
            }
            (.., resource) => {
                let binding = match (self.binding, bindings) {
                    (Some(binding), _) => binding,
                    (None, [only]) => only.clone(),
                    (None, _) => bail!("which `binding`? One of: {}", bindings.join(", ")),
                };
                match resource {
                    Some(uri) => (binding, Named::Resource(uri), "resources/read"),
                    None => (binding, Named::Binding, ""),
                }
            }
        };
        let method = self.method.unwrap_or_else(|| method.to_owned());
        if method.is_empty() {
            bail!("what is asked for? Give `tool`, `prompt`, `resource` or `method`");
        }
        let now = match &self.time {
            None => SystemTime::now(),
            Some(text) => rfc3339(text)?,
        };
        Ok(Ready {
            caller: self.caller.caller(),
            scope: scope.clone(),
            binding,
            method,
            target,
            arguments: self.arguments.map(|arguments| Value::Object(arguments).to_string()),
            source: self.source.unwrap_or(Ipv4Addr::LOCALHOST.into()),
            now,
            approved: self.approved,
        })
    }
}

impl AskedCaller {
    fn caller(self) -> Caller {
        let named = [("groups", self.groups), ("roles", self.roles)];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Caller {
            subject: self.subject,
            audience: self.audience,
            attributes: self.attributes.into_iter().chain(named).collect(),
            auth_method: self.auth_method,
        }
    }
}

impl Ready {
    pub(super) fn call(&self) -> Call<'_> {
        Call {
            scope: &self.scope,
            binding: &self.binding,
            method: &self.method,
            target: match &self.target {
                Named::Tool(name) => Target::Tool(name),
                Named::Prompt(name) => Target::Prompt(name),
                Named::Resource(uri) => Target::Resource(uri),
                Named::Binding => Target::Binding,
            },
            arguments: self.arguments.as_deref(),
            source: self.source,
            now: self.now,
            approval_token: self.approved.then_some("approved"),
        }
    }
}

/// A full name's binding and own name. A binding's id may hold dots: the longest that fits.
fn split(name: &str, bindings: &[String]) -> anyhow::Result<(String, String)> {
    let fits =
        |binding: &&String| name.strip_prefix(binding.as_str()).is_some_and(|rest| rest.starts_with('.'));
    let binding = bindings.iter().filter(fits).max_by_key(|binding| binding.len());
    let binding = binding.ok_or_else(|| {
        anyhow!("`{name}` is of no binding: write `BINDING.NAME`; there are {}", bindings.join(", "))
    })?;
    let own = name.get(binding.len() + 1..).unwrap_or_default();
    Ok((binding.clone(), own.to_owned()))
}

/// A time as RFC 3339 writes it.
pub(super) fn rfc3339(text: &str) -> anyhow::Result<SystemTime> {
    let time = chrono::DateTime::parse_from_rfc3339(text)
        .with_context(|| format!("`{text}` is no time such as `2026-11-22T07:00:00Z`"))?;
    Ok(time.into())
}
