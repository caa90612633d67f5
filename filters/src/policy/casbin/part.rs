//! What a request's fields stand for: parts of the call, by their paths in the input document (`docs/POLICY.md`).

use std::net::IpAddr;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use mcpg_sdk::policy::{ApprovalRead, EngineError, Kind, Names, PolicyInput, ReadSet};
use serde_json::Value as Json;

use super::value::Value;

/// A part of a call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Subject,
    Audience,
    AuthMethod,
    Groups,
    Roles,
    /// Of the caller; more than one name leads into an object.
    Attribute(Vec<String>),
    Method,
    Kind,
    Binding,
    /// The name of the tool or prompt, the resource's URI, nothing for other methods.
    Name,
    /// `BINDING.TOOL`, `BINDING.PROMPT`, the resource's URI, or the binding.
    Id,
    Organization,
    Workspace,
    Environment,
    Approval,
    Time,
    SourceIp,
    Argument(String),
}

impl FromStr for Part {
    type Err = String;

    fn from_str(path: &str) -> Result<Self, String> {
        if let Some(name) = path.strip_prefix("caller.attributes.").filter(|name| !name.is_empty()) {
            return Ok(match name {
                "groups" => Self::Groups,
                "roles" => Self::Roles,
                name => Self::Attribute(name.split('.').map(str::to_owned).collect()),
            });
        }
        if let Some(name) = path.strip_prefix("context.arguments.").filter(|name| !name.is_empty()) {
            if name.contains('.') {
                return Err(format!("`{path}`: only the top-level members of the arguments can be read"));
            }
            return Ok(Self::Argument(name.to_owned()));
        }
        PATHS.iter().find(|(known, _)| *known == path).map(|(_, part)| part.clone()).ok_or_else(|| {
            let names = PATHS.iter().map(|(known, _)| *known);
            let nearest = crate::policy::cedar::did_you_mean(path, names);
            format!(
                "there is no part `{path}`{nearest} (`caller.…`, `action.…`, `resource.…`, `tenant.…`, `context.…`)"
            )
        })
    }
}

const PATHS: [(&str, Part); 19] = [
    ("caller.subject", Part::Subject),
    ("caller.audience", Part::Audience),
    ("caller.auth_method", Part::AuthMethod),
    ("caller.groups", Part::Groups),
    ("caller.roles", Part::Roles),
    ("action.method", Part::Method),
    ("action.kind", Part::Kind),
    ("action.name", Part::Name),
    ("resource.binding", Part::Binding),
    ("resource.kind", Part::Kind),
    ("resource.name", Part::Name),
    ("resource.uri", Part::Name),
    ("resource.id", Part::Id),
    ("tenant.organization", Part::Organization),
    ("tenant.workspace", Part::Workspace),
    ("tenant.environment", Part::Environment),
    ("context.approval_token", Part::Approval),
    ("context.time", Part::Time),
    ("context.source_ip", Part::SourceIp),
];

/// Whether a path leads to parts, and is none itself.
pub(super) fn is_prefix(path: &str) -> bool {
    matches!(
        path,
        "caller" | "caller.attributes" | "action" | "resource" | "tenant" | "context" | "context.arguments"
    )
}

impl Part {
    /// Adds what it reads.
    pub(super) fn declare(&self, reads: &mut ReadSet) {
        let add = |names: &mut Names, name: &str| {
            if let Names::Only(own) = names {
                let all = own.iter().map(|own| own.to_string()).chain([name.to_owned()]);
                *names = Names::only(all.collect::<Vec<_>>());
            }
        };
        match self {
            Self::Subject => reads.subject = true,
            Self::Audience => reads.audience = true,
            Self::AuthMethod => reads.auth_method = true,
            Self::Groups => reads.groups = true,
            Self::Roles => reads.roles = true,
            Self::Attribute(path) => {
                if let Some(name) = path.first() {
                    add(&mut reads.attributes, name);
                }
            }
            // Always a part of the key.
            Self::Method | Self::Kind | Self::Binding => {}
            Self::Name | Self::Id => reads.name = true,
            Self::Organization | Self::Workspace | Self::Environment => reads.tenant = true,
            Self::Approval => reads.approval = ApprovalRead::Value,
            Self::Time => reads.time = true,
            Self::SourceIp => reads.source = true,
            Self::Argument(name) => add(&mut reads.arguments, name),
        }
    }

    /// Its value in a call.
    ///
    /// # Errors
    /// When the caller has no such attribute, the call no such argument, or it has no form here. What is absent would make
    /// `!=` true, so it denies instead.
    pub(super) fn value(&self, input: &PolicyInput<'_>) -> Result<Value, EngineError> {
        let fail = |problem: &str| EngineError::Input { part: self.path(), problem: problem.to_owned() };
        let text = |text: Option<&str>| Ok(Value::text(text.unwrap_or_default()));
        match self {
            Self::Subject => text(input.subject()),
            Self::Audience => text(input.audience()),
            Self::AuthMethod => text(input.auth_method().map(auth_method)),
            Self::Groups => {
                texts(input.groups()).ok_or_else(|| fail("is neither a text nor a list of texts"))
            }
            Self::Roles => texts(input.roles()).ok_or_else(|| fail("is neither a text nor a list of texts")),
            Self::Attribute(path) => {
                let mut names = path.iter();
                let mut value = names.next().and_then(|name| input.attribute(name));
                for name in names {
                    value = value.and_then(|value| value.get(name));
                }
                Value::of_json(value.ok_or_else(|| fail("the caller has none"))?).map_err(&fail)
            }
            Self::Method => text(Some(input.method())),
            Self::Kind => text(Some(kind(input.kind()))),
            Self::Binding => text(Some(input.binding())),
            Self::Name => text(input.name()),
            Self::Id => Ok(match (input.kind(), input.name()) {
                (Kind::Tool | Kind::Prompt, Some(name)) => {
                    Value::text(&format!("{}.{name}", input.binding()))
                }
                (Kind::Resource, Some(uri)) => Value::text(uri),
                _ => Value::text(input.binding()),
            }),
            Self::Organization => text(input.tenant().map(|scope| scope.organization())),
            Self::Workspace => text(input.tenant().map(|scope| scope.workspace())),
            Self::Environment => text(input.tenant().map(|scope| scope.environment())),
            Self::Approval => text(input.approval_token()),
            Self::Time => {
                let time = input.time().map(DateTime::<Utc>::from);
                text(time.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true)).as_deref())
            }
            Self::SourceIp => {
                text(input.source().map(|source: IpAddr| source.to_canonical().to_string()).as_deref())
            }
            Self::Argument(name) => {
                let raw = input.argument(name).map_err(|error| fail(&error.to_string()))?;
                let raw = raw.ok_or_else(|| fail("the call has none"))?;
                let json: Json = serde_json::from_str(raw).map_err(|_| fail("is not read"))?;
                Value::of_json(&json).map_err(fail)
            }
        }
    }

    fn path(&self) -> String {
        match self {
            Self::Attribute(path) => format!("caller.attributes.{}", path.join(".")),
            Self::Argument(name) => format!("context.arguments.{name}"),
            part => PATHS.iter().find(|(_, own)| own == part).map_or("", |(path, _)| path).to_owned(),
        }
    }
}

fn auth_method(method: mcpg_sdk::AuthMethod) -> &'static str {
    use mcpg_sdk::AuthMethod;
    match method {
        AuthMethod::ApiKey => "api_key",
        AuthMethod::Basic => "basic",
        AuthMethod::Mtls => "mtls",
        AuthMethod::Oidc => "oidc",
        AuthMethod::Workload => "workload",
        AuthMethod::Anonymous => "anonymous",
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Tool => "tool",
        Kind::Resource => "resource",
        Kind::Prompt => "prompt",
        Kind::Method => "method",
    }
}

/// A list of texts, or one text; absent, there is none.
fn texts(value: Option<&Json>) -> Option<Value> {
    match value {
        None => Some(Value::List(Vec::new().into())),
        Some(Json::String(one)) => Some(Value::List([one.as_str().into()].into())),
        Some(list) => match Value::of_json(list) {
            Ok(list @ Value::List(_)) => Some(list),
            _ => None,
        },
    }
}
