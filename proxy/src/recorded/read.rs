//! Reads the input of a decision out of its row, so that it can be decided again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use mcpg_ledger::verify::Decision;
use mcpg_sdk::policy::{ApprovalRead, Names, ReadSet};
use mcpg_sdk::{AuthMethod, Call, Caller, Scope, Target};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::member::{ARGUMENTS, ATTRIBUTES, AUDIENCE, GROUPS, ROLES};

/// The token of a call that was approved: which one is not recorded.
const APPROVED: &str = "recorded";

/// A decision's call and caller, as far as they are recorded.
#[derive(Debug)]
pub struct Recorded {
    /// Who called.
    pub caller: Caller,
    scope: Scope,
    binding: String,
    method: String,
    kind: &'static str,
    target: String,
    arguments: Option<String>,
    source: IpAddr,
    now: SystemTime,
    approval: Option<bool>,
    known: HashSet<String>,
    all: Vec<String>,
    masked: Vec<String>,
    omitted: Vec<String>,
}

/// A row that cannot be decided again at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Its scope's name is none.
    #[error("the row's scope is none")]
    Scope,
    /// The caller proved itself in a way that this version does not know.
    #[error("the row's authentication method `{0}` is not known")]
    AuthMethod(String),
    /// Its input is none.
    #[error("the row's input cannot be read: {0}")]
    Input(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Input<'a> {
    audience: Option<String>,
    #[serde(borrow)]
    groups: Option<&'a RawValue>,
    #[serde(borrow)]
    roles: Option<&'a RawValue>,
    approval: Option<bool>,
    attributes: Option<BTreeMap<String, Value>>,
    #[serde(borrow)]
    arguments: Option<BTreeMap<String, &'a RawValue>>,
    all: Vec<String>,
    absent: Vec<String>,
    masked: Vec<String>,
    omitted: Vec<String>,
}

impl Recorded {
    /// Reads a row. `time` is the row's, in nanoseconds since 1970.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(row: &Decision, time: u64) -> Result<Self, Unreadable> {
        let input: Input<'_> = match &row.input {
            None => Input::default(),
            Some(text) => serde_json::from_str(text).map_err(|error| Unreadable::Input(error.to_string()))?,
        };
        let scope = format!("{}/{}/{}", row.organization, row.workspace, row.environment);
        let auth_method = auth_method(&row.auth_method)?;
        let mut known: HashSet<String> = input.absent.iter().cloned().collect();
        let mut attributes = HashMap::new();
        for (name, raw) in [(GROUPS, input.groups), (ROLES, input.roles)] {
            if let Some(raw) = raw {
                known.insert(name.to_owned());
                let value = serde_json::from_str(raw.get());
                attributes
                    .insert(name.to_owned(), value.map_err(|error| Unreadable::Input(error.to_string()))?);
            }
        }
        for (name, value) in input.attributes.unwrap_or_default() {
            known.insert(format!("{ATTRIBUTES}.{name}"));
            attributes.insert(name, value);
        }
        if input.audience.is_some() {
            known.insert(AUDIENCE.to_owned());
        }
        let arguments = input.arguments.map(|members| {
            let one = |(name, value): (&String, &&RawValue)| {
                format!("{}:{}", Value::from(name.as_str()), value.get())
            };
            known.extend(members.keys().map(|name| format!("{ARGUMENTS}.{name}")));
            format!("{{{}}}", members.iter().map(one).collect::<Vec<_>>().join(","))
        });
        Ok(Self {
            caller: Caller {
                subject: row.subject.clone(),
                audience: input.audience,
                attributes,
                auth_method,
            },
            scope: scope.parse().map_err(|_| Unreadable::Scope)?,
            binding: row.binding.clone(),
            method: row.method.clone(),
            kind: row.target_kind,
            target: row.target.clone(),
            arguments,
            source: row.source,
            now: SystemTime::UNIX_EPOCH + Duration::from_nanos(time),
            approval: input.approval,
            known,
            all: input.all,
            masked: input.masked,
            omitted: input.omitted,
        })
    }

    /// Where it belongs.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The call.
    pub fn call(&self) -> Call<'_> {
        self.call_at(&self.binding)
    }

    /// The call at a binding, as if it had been approved.
    pub fn approved_at<'a>(&'a self, binding: &'a str) -> Call<'a> {
        Call { approval_token: Some(APPROVED), ..self.call_at(binding) }
    }

    /// The call, at another binding.
    pub fn call_at<'a>(&'a self, binding: &'a str) -> Call<'a> {
        Call {
            scope: &self.scope,
            binding,
            method: &self.method,
            target: match self.kind {
                "tool" => Target::Tool(&self.target),
                "resource" => Target::Resource(&self.target),
                "prompt" => Target::Prompt(&self.target),
                _ => Target::Binding,
            },
            arguments: self.arguments.as_deref(),
            source: self.source,
            now: self.now,
            approval_token: self.approval.unwrap_or(false).then_some(APPROVED),
        }
    }

    /// The first part that these policies read and the row does not hold, as a policy author writes it.
    pub fn missing(&self, reads: &ReadSet) -> Option<String> {
        // Destructured, so that a new part cannot be forgotten here.
        let ReadSet {
            // These are in every row.
            subject: _,
            auth_method: _,
            name: _,
            tenant: _,
            source: _,
            time: _,
            audience,
            groups,
            roles,
            attributes,
            approval,
            arguments,
        } = reads;
        let whole = |part: &str| self.all.iter().any(|all| all == part);
        let in_attributes = |name: &str| self.has(&format!("{ATTRIBUTES}.{name}"), whole(ATTRIBUTES));
        if *audience && !self.has(AUDIENCE, false) {
            return Some("caller.audience".to_owned());
        }
        for (read, name) in [(*groups, GROUPS), (*roles, ROLES)] {
            if read && !self.has(name, false) && !in_attributes(name) {
                return Some(format!("caller.{name}"));
            }
        }
        match approval {
            ApprovalRead::Presence if self.approval.is_none() => {
                return Some("context.approval_token".to_owned());
            }
            ApprovalRead::Value if self.approval != Some(false) => {
                return Some("context.approval_token".to_owned());
            }
            ApprovalRead::Nothing | ApprovalRead::Presence | ApprovalRead::Value => {}
        }
        self.missing_of(ATTRIBUTES, attributes)
            .map(|name| format!("caller.attributes{name}"))
            .or_else(|| self.missing_of(ARGUMENTS, arguments).map(|name| format!("context.arguments{name}")))
    }

    /// The first of these members that is not there; with a dot before it, or nothing for all of them.
    fn missing_of(&self, group: &str, names: &Names) -> Option<String> {
        if names.is_empty() {
            return None;
        }
        let whole = self.all.iter().any(|all| all == group);
        if self.omitted.iter().any(|omitted| omitted == group) {
            return Some(String::new());
        }
        let prefix = format!("{group}.");
        match names {
            Names::All => {
                let lost =
                    self.masked.iter().chain(&self.omitted).find_map(|path| path.strip_prefix(&prefix));
                match lost {
                    Some(name) => Some(format!(".{name}")),
                    None => (!whole).then(String::new),
                }
            }
            Names::Only(names) => {
                let lost = names.iter().find(|name| !self.has(&format!("{prefix}{name}"), whole));
                lost.map(|name| format!(".{name}"))
            }
        }
    }

    fn has(&self, path: &str, whole: bool) -> bool {
        let lost = self.masked.iter().chain(&self.omitted).any(|lost| lost == path);
        !lost && (whole || self.known.contains(path))
    }
}

fn auth_method(text: &str) -> Result<AuthMethod, Unreadable> {
    let all = [
        AuthMethod::ApiKey,
        AuthMethod::Basic,
        AuthMethod::Mtls,
        AuthMethod::Oidc,
        AuthMethod::Workload,
        AuthMethod::Anonymous,
    ];
    let found = all.into_iter().find(|method| method.as_str() == text);
    found.ok_or_else(|| Unreadable::AuthMethod(text.to_owned()))
}
